/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the D-Bus contract and of the files the service reads. */
#pragma once

#define WSD_BUS_NAME "org.wsserver1"
#define WSD_ROOT_PATH "/org/wsserver1"
#define WSD_SERVERS_PATH "/org/wsserver1/server"
#define WSD_MANAGER_INTERFACE "org.wsserver1.Manager"
#define WSD_SERVER_INTERFACE "org.wsserver1.Server"
#define WSD_ERROR_PREFIX "org.wsserver1.Error."

#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"
#define DBUS_PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define DBUS_INTROSPECTABLE_INTERFACE "org.freedesktop.DBus.Introspectable"
#define DBUS_PEER_INTERFACE "org.freedesktop.DBus.Peer"

#define WSD_PROFILE_SMART_SCREEN "smart-screen"
#define WSD_ADMINISTRATOR_GROUP "wsserver-admin"

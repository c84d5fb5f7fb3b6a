/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/object.h"

#include "daemon/names.h"
#include "daemon/server.h"
#include "dbus/interface-info.h"

#include <string.h>

static const char standard_interfaces[] = "  <interface name=\"" DBUS_INTROSPECTABLE_INTERFACE "\">\n"
                                          "    <method name=\"Introspect\">\n"
                                          "      <arg type=\"s\" name=\"xml\" direction=\"out\"/>\n"
                                          "    </method>\n"
                                          "  </interface>\n"
                                          "  <interface name=\"" DBUS_PEER_INTERFACE "\">\n"
                                          "    <method name=\"Ping\"/>\n"
                                          "    <method name=\"GetMachineId\">\n"
                                          "      <arg type=\"s\" name=\"uuid\" direction=\"out\"/>\n"
                                          "    </method>\n"
                                          "  </interface>\n";
static const char properties_interface[] = "  <interface name=\"" DBUS_PROPERTIES_INTERFACE "\">\n"
                                           "    <method name=\"Get\">\n"
                                           "      <arg type=\"s\" name=\"interface\" direction=\"in\"/>\n"
                                           "      <arg type=\"s\" name=\"property\" direction=\"in\"/>\n"
                                           "      <arg type=\"v\" name=\"value\" direction=\"out\"/>\n"
                                           "    </method>\n"
                                           "    <method name=\"GetAll\">\n"
                                           "      <arg type=\"s\" name=\"interface\" direction=\"in\"/>\n"
                                           "      <arg type=\"a{sv}\" name=\"properties\" direction=\"out\"/>\n"
                                           "    </method>\n"
                                           "    <method name=\"Set\">\n"
                                           "      <arg type=\"s\" name=\"interface\" direction=\"in\"/>\n"
                                           "      <arg type=\"s\" name=\"property\" direction=\"in\"/>\n"
                                           "      <arg type=\"v\" name=\"value\" direction=\"in\"/>\n"
                                           "    </method>\n"
                                           "    <signal name=\"PropertiesChanged\">\n"
                                           "      <arg type=\"s\" name=\"interface\"/>\n"
                                           "      <arg type=\"a{sv}\" name=\"changed\"/>\n"
                                           "      <arg type=\"as\" name=\"invalidated\"/>\n"
                                           "    </signal>\n"
                                           "  </interface>\n";

static bool sees_any(struct wsd_service *service, const struct wsd_app *app) {
  if (wsd_service_is_administrator(service, app))
    return g_tree_nnodes(service->servers) > 0;
  return app->servers->len > 0;
}

/* The number must be written the one way in which paths are made: digits without a leading zero. */
static struct wsd_server *find_server(struct wsd_service *service, const struct wsd_app *app, const char *text) {
  guint64 number;
  if (text[0] == '0' || !g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT64, &number, NULL) || text[0] == '+')
    return NULL;
  return wsd_service_find_server(service, app, number);
}

struct wsd_object wsd_object_find(struct wsd_service *service, const struct wsd_app *app, const char *path) {
  struct wsd_object object = {WSD_OBJECT_NONE, NULL, NULL};
  if (g_str_equal(path, WSD_ROOT_PATH)) {
    object.kind = WSD_OBJECT_MANAGER;
    object.interface = &org_wsserver1_manager_interface;
  } else if (g_str_has_prefix(path, WSD_SERVERS_PATH "/")) {
    object.server = find_server(service, app, path + strlen(WSD_SERVERS_PATH "/"));
    object.kind = object.server ? WSD_OBJECT_SERVER : WSD_OBJECT_NONE;
    object.interface = object.server ? &org_wsserver1_server_interface : NULL;
  } else if (g_str_equal(path, "/") || g_str_equal(path, "/org") ||
             (g_str_equal(path, WSD_SERVERS_PATH) && sees_any(service, app))) {
    object.kind = WSD_OBJECT_FOLDER;
  }
  return object;
}

bool wsd_object_is_own(const struct wsd_object *object, const struct wsd_app *app) {
  return object->kind == WSD_OBJECT_MANAGER || (object->server && wsd_server_app(object->server) == app);
}

static void append_children(GString *xml, struct wsd_service *service, const struct wsd_app *app, const char *path) {
  if (g_str_equal(path, "/"))
    g_string_append(xml, "  <node name=\"org\"/>\n");
  else if (g_str_equal(path, "/org"))
    g_string_append(xml, "  <node name=\"wsserver1\"/>\n");
  else if (g_str_equal(path, WSD_ROOT_PATH) && sees_any(service, app))
    g_string_append(xml, "  <node name=\"server\"/>\n");
  if (!g_str_equal(path, WSD_SERVERS_PATH))
    return;
  g_autoptr(GPtrArray) servers = wsd_service_visible_servers(service, app);
  for (guint i = 0; i < servers->len; i++)
    g_string_append_printf(xml, "  <node name=\"%" G_GUINT64_FORMAT "\"/>\n", wsd_server_number(servers->pdata[i]));
}

char *wsd_object_introspect(struct wsd_service *service, const struct wsd_app *app, const struct wsd_object *object,
                            const char *path) {
  GString *xml = g_string_new("<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
                              "  \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n");
  g_string_append(xml, standard_interfaces);
  if (object->interface) {
    g_string_append(xml, properties_interface);
    g_dbus_interface_info_generate_xml((GDBusInterfaceInfo *)object->interface, 2, xml);
  }
  append_children(xml, service, app, path);
  g_string_append(xml, "</node>\n");
  return g_string_free(xml, FALSE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of libwsserver. */
#pragma once

#include <wsserver/ws-client-config.h>
#include <wsserver/ws-client.h>
#include <wsserver/ws-connection.h>
#include <wsserver/ws-error.h>
#include <wsserver/ws-message.h>
#include <wsserver/ws-server-config.h>
#include <wsserver/ws-server.h>

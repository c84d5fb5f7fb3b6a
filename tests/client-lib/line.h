/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver prints: one JSON object in each line, whole, from whichever thread. Payloads up to LINE_SHOWN_MAX octets are shown in hexadecimal,
 * longer ones as their SHA-256.
 */
#pragma once

#include <gio/gio.h>
#include <json-c/json.h>
#include <wsserver/wsserver.h>

enum { LINE_SHOWN_MAX = 4096 };

struct json_object *line_new(const char *key, const char *value);
void line_add(struct json_object *line, const char *key, struct json_object *value);
void line_add_string(struct json_object *line, const char *key, const char *value); /* NULL is null */
void line_add_number(struct json_object *line, const char *key, guint64 value);
void line_add_flag(struct json_object *line, const char *key, gboolean value);
/* {"domain", "code", "name", "number", "message"} or null. */
void line_add_error(struct json_object *line, const char *key, const GError *error);
/* {"text", "length", "hex" or "sha256"} */
void line_add_message(struct json_object *line, const char *key, WsMessage *message);
/* Prints and frees it. */
void line_print(struct json_object *line);

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/face.h"

#include "daemon/server-query.h"

#include <string.h>

/* Methods that the server itself answers. */
#define FORWARD(name)                                                                                                  \
  static void handle_##name(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {     \
    (void)service;                                                                                                     \
    wsd_server_##name(object->server, call);                                                                           \
  }
FORWARD(start)
FORWARD(stop)
FORWARD(send)
FORWARD(broadcast)
FORWARD(close)
FORWARD(acknowledge)
FORWARD(release)
FORWARD(open_channel)
FORWARD(open_shared_channel)
FORWARD(replace_certificate)
#undef FORWARD

static void list_all_connections(struct wsd_service *service, const struct wsd_object *object, struct wsd_call *call) {
  (void)service;
  enum wsd_server_state state = wsd_server_state(object->server);
  if (state == WSD_SERVER_RUNNING)
    wsd_query_connections(wsd_server_query(object->server), object->server, call);
  else
    wsd_call_fail(call, WSD_ERROR_NOT_RUNNING, "the server is %s; call Start first", wsd_server_state_name(state));
}

const struct wsd_method wsd_server_methods[] = {
    {"Start", WSD_FOR_OWNER, handle_start},
    {"Stop", WSD_FOR_OWNER_AND_ADMINISTRATORS, handle_stop},
    {"Send", WSD_FOR_OWNER, handle_send},
    {"Broadcast", WSD_FOR_OWNER, handle_broadcast},
    {"Close", WSD_FOR_OWNER_AND_ADMINISTRATORS, handle_close},
    {"ListAllConnections", WSD_FOR_OWNER_AND_ADMINISTRATORS, list_all_connections},
    {"OpenChannel", WSD_FOR_OWNER, handle_open_channel},
    {"OpenSharedChannel", WSD_FOR_OWNER, handle_open_shared_channel},
    {"Acknowledge", WSD_FOR_OWNER, handle_acknowledge},
    {"ReplaceCertificate", WSD_FOR_OWNER, handle_replace_certificate},
    {"Release", WSD_FOR_OWNER, handle_release},
    {NULL, WSD_FOR_OWNER, NULL},
};

/* Properties: the ones that the daemon knows, then the worker's counters. */

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

static GVariant *get_state(const struct wsd_server *server) {
  return g_variant_new_string(wsd_server_state_name(wsd_server_state(server)));
}
static GVariant *get_owner(const struct wsd_server *server) {
  return g_variant_new_string(wsd_server_app(server)->name);
}
static GVariant *get_app_id(const struct wsd_server *server) {
  return g_variant_new_string(wsd_server_app(server)->identity->app_id);
}
static GVariant *get_ip(const struct wsd_server *server) {
  return g_variant_new_string(text_or_empty(wsd_server_options(server)->server_ip));
}
static GVariant *get_port(const struct wsd_server *server) {
  return g_variant_new_uint16(wsd_server_port(server));
}
static GVariant *get_tls(const struct wsd_server *server) {
  return g_variant_new_boolean(wsd_server_options(server)->tls);
}
static GVariant *get_channel_open(const struct wsd_server *server) {
  return g_variant_new_boolean(wsd_server_channel_is_open(server));
}
static GVariant *get_protocol(const struct wsd_server *server) {
  return g_variant_new_string(text_or_empty(wsd_server_options(server)->protocol));
}

static const struct {
  const char *name;
  GVariant *(*get)(const struct wsd_server *server);
} known[] = {
    {"State", get_state},     {"Owner", get_owner}, {"AppId", get_app_id},      {"ServerIP", get_ip},
    {"ServerPort", get_port}, {"Tls", get_tls},     {"Protocol", get_protocol}, {"ChannelOpen", get_channel_open},
};

static const struct {
  const char *name;
  gsize offset;
} counted[] = {
    {"Connections", G_STRUCT_OFFSET(struct wsc_counters, connections)},
    {"MessagesReceived", G_STRUCT_OFFSET(struct wsc_counters, messages_received)},
    {"MessagesSent", G_STRUCT_OFFSET(struct wsc_counters, messages_sent)},
    {"BytesReceived", G_STRUCT_OFFSET(struct wsc_counters, bytes_received)},
    {"BytesSent", G_STRUCT_OFFSET(struct wsc_counters, bytes_sent)},
    {"Refused", G_STRUCT_OFFSET(struct wsc_counters, refused)},
    {"QueuedBytes", G_STRUCT_OFFSET(struct wsc_counters, queued_bytes)},
};

bool wsd_server_property_is_counter(const char *name) {
  for (size_t i = 0; i < G_N_ELEMENTS(counted); i++)
    if (g_str_equal(counted[i].name, name))
      return true;
  return false;
}

static GVariant *get_counter(const struct wsd_server *server, size_t index) {
  guint64 value;
  memcpy(&value, (const guint8 *)wsd_server_counters(server) + counted[index].offset, sizeof value);
  if (counted[index].offset == G_STRUCT_OFFSET(struct wsc_counters, connections))
    return g_variant_new_uint32((guint32)MIN(value, G_MAXUINT32));
  return g_variant_new_uint64(value);
}

GVariant *wsd_server_property(const struct wsd_server *server, const char *name) {
  for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if (g_str_equal(known[i].name, name))
      return known[i].get(server);
  for (size_t i = 0; i < G_N_ELEMENTS(counted); i++)
    if (g_str_equal(counted[i].name, name))
      return get_counter(server, i);
  g_return_val_if_reached(NULL);
}

GVariant *wsd_server_properties(const struct wsd_server *server) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
    g_variant_builder_add(&builder, "{sv}", known[i].name, known[i].get(server));
  for (size_t i = 0; i < G_N_ELEMENTS(counted); i++)
    g_variant_builder_add(&builder, "{sv}", counted[i].name, get_counter(server, i));
  return g_variant_builder_end(&builder);
}

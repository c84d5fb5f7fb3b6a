/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/state.h"

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/listen-address.h"
#include "daemon/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Version of the layout below; another one is not read. */
#define STATE_VERSION 1u
#define STATE_TYPE "(uta{sv}aa{sv})"
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif
#define STATE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void server_state_free(gpointer data) {
  struct wsd_kept_server *server = data;
  g_free(server->owner);
  g_free(server->owner_label);
  g_free(server->state);
  wsd_start_options_clear(&server->options);
  g_free(server);
}

struct wsd_state *wsd_state_new(void) {
  struct wsd_state *state = g_new0(struct wsd_state, 1);
  state->servers = g_ptr_array_new_with_free_func(server_state_free);
  return state;
}

void wsd_state_free(struct wsd_state *state) {
  if (!state)
    return;
  g_free(state->bus_guid);
  g_ptr_array_unref(state->servers);
  g_free(state);
}

struct wsd_kept_server *wsd_state_add(struct wsd_state *state) {
  struct wsd_kept_server *server = g_new0(struct wsd_kept_server, 1);
  g_ptr_array_add(state->servers, server);
  return server;
}

/* Out */

static void put_text(GVariantBuilder *builder, const char *key, const char *text) {
  if (text)
    g_variant_builder_add(builder, "{sv}", key, g_variant_new_string(text));
}

static void put_u32(GVariantBuilder *builder, const char *key, guint32 value) {
  g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint32(value));
}

static void put_u64(GVariantBuilder *builder, const char *key, guint64 value) {
  g_variant_builder_add(builder, "{sv}", key, g_variant_new_uint64(value));
}

static GVariant *server_dictionary(const struct wsd_kept_server *server) {
  const struct wsd_start_options *options = &server->options;
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  put_u64(&builder, "number", server->number);
  put_text(&builder, "owner", server->owner);
  put_u32(&builder, "ownerUid", server->owner_uid);
  put_text(&builder, "ownerLabel", server->owner_label);
  put_text(&builder, "state", server->state);
  put_u64(&builder, "generation", server->generation);
  put_u32(&builder, "workerVersion", server->worker_version);
  g_variant_builder_add(&builder, "{sv}", "byChannel", g_variant_new_boolean(server->by_channel));
  g_variant_builder_add(&builder, "{sv}", "channelOpen", g_variant_new_boolean(server->channel_open));
  put_u32(&builder, "workerLastRequest", server->worker_last_request);
  put_u64(&builder, "eventsBefore", server->events_before);
  g_variant_builder_add(&builder, "{sv}", "settled", g_variant_new_boolean(server->settled));
  put_text(&builder, "serverIP", options->server_ip);
  put_u32(&builder, "serverPort", options->server_port);
  put_u32(&builder, "askedPort", options->asked_port);
  put_u32(&builder, "maxClients", options->max_clients);
  put_u32(&builder, "maxPerClient", options->max_per_client);
  put_text(&builder, "protocol", options->protocol);
  put_u64(&builder, "maxMessage", options->max_message);
  put_u32(&builder, "pingInterval", options->ping_interval);
  put_u32(&builder, "pongTimeout", options->pong_timeout);
  g_variant_builder_add(&builder, "{sv}", "tls", g_variant_new_boolean(options->tls));
  put_u32(&builder, "tlsMinVersion", options->tls_min_version);
  put_u32(&builder, "vaultSlot", options->vault_slot);
  g_variant_builder_add(&builder, "{sv}", "compression", g_variant_new_boolean(options->compression));
  if (options->allowed_origins)
    g_variant_builder_add(&builder, "{sv}", "allowedOrigins",
                          g_variant_new_strv((const char *const *)options->allowed_origins, -1));
  return g_variant_builder_end(&builder);
}

static GVariant *state_variant(const struct wsd_state *state) {
  GVariantBuilder globals, servers;
  g_variant_builder_init(&globals, G_VARIANT_TYPE_VARDICT);
  put_text(&globals, "busGuid", state->bus_guid);
  put_u64(&globals, "lastNumber", state->last_number);
  g_variant_builder_init(&servers, G_VARIANT_TYPE("aa{sv}"));
  for (guint i = 0; i < state->servers->len; i++)
    g_variant_builder_add_value(&servers, server_dictionary(state->servers->pdata[i]));
  return g_variant_new(STATE_TYPE, STATE_VERSION, state->sequence, &globals, &servers);
}

static bool write_all(int fd, const guint8 *octets, gsize length) {
  while (length > 0) {
    ssize_t written = write(fd, octets, length);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    octets += written;
    length -= (gsize)written;
  }
  return true;
}

int wsd_state_write(const struct wsd_state *state, GError **error) {
  g_autoptr(GVariant) variant = g_variant_ref_sink(state_variant(state));
  int fd = memfd_create("wsserverd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) /* an older kernel */
    fd = memfd_create("wsserverd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0 && write_all(fd, g_variant_get_data(variant), g_variant_get_size(variant)) &&
      fcntl(fd, F_ADD_SEALS, STATE_SEALS) == 0)
    return fd;
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot write the state: %s", g_strerror(errno));
  if (fd >= 0)
    close(fd);
  return -1;
}

/* In */

/* A kernel that wants memfds not to be executable adds a seal for that. */
static bool is_sealed(int fd) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & STATE_SEALS) == STATE_SEALS;
}

static GBytes *read_sealed(int fd, GError **error) {
  struct stat status;
  const char *fault = NULL;
  if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
    fault = "it is not a memfd";
  else if (!is_sealed(fd))
    fault = "it is not sealed";
  else if (status.st_size <= 0 || status.st_size > WSD_STATE_MAX)
    fault = "it is empty or too large";
  if (!fault) {
    g_autofree guint8 *octets = g_malloc((gsize)status.st_size);
    if (pread(fd, octets, (gsize)status.st_size, 0) == status.st_size)
      return g_bytes_new_take(g_steal_pointer(&octets), (gsize)status.st_size);
    fault = "it cannot be read";
  }
  g_set_error_literal(error, WSD_ERROR, WSD_ERROR_FAILED, fault);
  return NULL;
}

static char *get_text(GVariant *dictionary, const char *key) {
  char *text = NULL;
  g_variant_lookup(dictionary, key, "s", &text);
  return text;
}

static bool is_known_state(const char *state) {
  static const char *const states[] = {"created", "starting", "running", "stopping", "stopped", "failed", NULL};
  return state && g_strv_contains(states, state);
}

/* What cannot be read must not count as absent, which would let everybody in. */
static bool read_origins(GVariant *dictionary, struct wsd_start_options *options) {
  g_autoptr(GVariant) value = g_variant_lookup_value(dictionary, "allowedOrigins", NULL);
  if (!value)
    return true;
  if (!g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY) || g_variant_n_children(value) > WSD_ORIGINS_MAX)
    return false;
  options->allowed_origins = g_variant_dup_strv(value, NULL);
  for (char **origin = options->allowed_origins; *origin; origin++) {
    const char *fault;
    g_autofree char *normal = wsd_origin_normalise(*origin, &fault);
    if (g_strcmp0(normal, *origin) != 0)
      return false;
  }
  return true;
}

/* What the policy judges. An address whose interface is gone meanwhile is judged as all addresses. */
static void read_place(GVariant *dictionary, struct wsd_start_options *options) {
  guint32 asked = options->server_port; /* as the releases did it whose state says nothing */
  g_variant_lookup(dictionary, "askedPort", "u", &asked);
  options->asked_port = (guint16)asked;
  if (!options->server_ip ||
      !wsd_listen_address_read(options->server_ip, &options->address, &options->address_length, NULL)) {
    memset(&options->address, 0, sizeof options->address);
    options->address.ss_family = AF_INET6;
    options->address_length = sizeof(struct sockaddr_in6);
  }
}

static bool read_options(GVariant *dictionary, struct wsd_start_options *options) {
  guint32 port = 0;
  gboolean tls = FALSE;
  gboolean compression = FALSE; /* as the releases did it whose state says nothing */
  options->server_ip = get_text(dictionary, "serverIP");
  options->protocol = get_text(dictionary, "protocol");
  g_variant_lookup(dictionary, "serverPort", "u", &port);
  g_variant_lookup(dictionary, "maxClients", "u", &options->max_clients);
  g_variant_lookup(dictionary, "maxPerClient", "u", &options->max_per_client);
  g_variant_lookup(dictionary, "maxMessage", "t", &options->max_message);
  g_variant_lookup(dictionary, "pingInterval", "u", &options->ping_interval);
  g_variant_lookup(dictionary, "pongTimeout", "u", &options->pong_timeout);
  g_variant_lookup(dictionary, "tls", "b", &tls);
  g_variant_lookup(dictionary, "tlsMinVersion", "u", &options->tls_min_version);
  g_variant_lookup(dictionary, "vaultSlot", "u", &options->vault_slot);
  g_variant_lookup(dictionary, "compression", "b", &compression);
  options->compression = compression;
  options->server_port = (guint16)port;
  read_place(dictionary, options);
  options->tls = tls;
  return port <= G_MAXUINT16 && options->vault_slot < WSD_VAULT_SLOTS && read_origins(dictionary, options);
}

static bool read_server(GVariant *dictionary, struct wsd_kept_server *server) {
  gboolean settled = FALSE, by_channel = FALSE, channel_open = FALSE;
  g_variant_lookup(dictionary, "number", "t", &server->number);
  server->owner = get_text(dictionary, "owner");
  server->owner_label = get_text(dictionary, "ownerLabel");
  server->state = get_text(dictionary, "state");
  g_variant_lookup(dictionary, "generation", "t", &server->generation);
  g_variant_lookup(dictionary, "workerVersion", "u", &server->worker_version);
  g_variant_lookup(dictionary, "byChannel", "b", &by_channel);
  g_variant_lookup(dictionary, "channelOpen", "b", &channel_open);
  server->by_channel = by_channel;
  server->channel_open = channel_open;
  g_variant_lookup(dictionary, "workerLastRequest", "u", &server->worker_last_request);
  g_variant_lookup(dictionary, "eventsBefore", "t", &server->events_before);
  g_variant_lookup(dictionary, "settled", "b", &settled);
  server->settled = settled;
  return g_variant_lookup(dictionary, "ownerUid", "u", &server->owner_uid) &&
         read_options(dictionary, &server->options) && server->number > 0 && server->generation <= G_MAXUINT32 &&
         server->owner && g_dbus_is_unique_name(server->owner) && is_known_state(server->state);
}

static struct wsd_state *read_variant(GVariant *variant, GError **error) {
  struct wsd_state *state = wsd_state_new();
  guint32 version;
  g_autoptr(GVariant) globals = NULL;
  g_autoptr(GVariant) servers = NULL;
  g_variant_get(variant, "(ut@a{sv}@aa{sv})", &version, &state->sequence, &globals, &servers);
  state->bus_guid = get_text(globals, "busGuid");
  g_variant_lookup(globals, "lastNumber", "t", &state->last_number);
  bool right = version == STATE_VERSION && g_variant_n_children(servers) <= WSD_SERVERS_MAX;
  for (gsize i = 0; right && i < g_variant_n_children(servers); i++) {
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(servers, i);
    struct wsd_kept_server *server = wsd_state_add(state);
    right = read_server(dictionary, server) && server->number <= state->last_number;
  }
  if (right)
    return state;
  wsd_state_free(state);
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "its content is malformed, or of another version than %u",
              STATE_VERSION);
  return NULL;
}

struct wsd_state *wsd_state_read(int fd, GError **error) {
  g_autoptr(GBytes) bytes = read_sealed(fd, error);
  if (!bytes)
    return NULL;
  g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(STATE_TYPE), bytes, FALSE));
  if (g_variant_is_normal_form(variant))
    return read_variant(variant, error);
  g_set_error_literal(error, WSD_ERROR, WSD_ERROR_FAILED, "its content is malformed");
  return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/configuration.h"

#include <string.h>

static bool read_number(const struct wsc_control_record *record, uint16_t key, uint32_t least, uint32_t most,
                        uint32_t *number) {
  return wsc_control_get_u32(record, key, number) && *number >= least && *number <= most;
}

static const char *read_limits(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  if (!read_number(record, WSC_FIELD_MAX_CLIENTS, 1, WSW_CLIENTS_MAX, &configuration->max_clients))
    return "CONFIGURE: the number of clients is missing or out of range";
  if (!read_number(record, WSC_FIELD_MAX_PER_CLIENT, 1, WSW_CLIENTS_MAX, &configuration->max_per_client))
    return "CONFIGURE: the number of connections of one client is missing or out of range";
  if (!wsc_control_get_u64(record, WSC_FIELD_MAX_MESSAGE, &configuration->max_message) || !configuration->max_message ||
      configuration->max_message > WSC_MESSAGE_MAX)
    return "CONFIGURE: the size of the largest message is missing or out of range";
  return NULL;
}

static const char *read_handshake_timeout(struct wsw_configuration *configuration,
                                          const struct wsc_control_record *record) {
  struct wsc_control_field field;
  uint32_t seconds;
  if (!wsc_control_find(record, WSC_FIELD_HANDSHAKE_TIMEOUT, &field))
    seconds = WSW_HANDSHAKE_SECONDS;
  else if (!read_number(record, WSC_FIELD_HANDSHAKE_TIMEOUT, 1, WSW_HANDSHAKE_SECONDS_MAX, &seconds))
    return "CONFIGURE: the handshake timeout is out of range";
  configuration->handshake_timeout = seconds * 1000ull;
  return NULL;
}

static const char *read_times(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  uint32_t seconds;
  if (!read_number(record, WSC_FIELD_PING_INTERVAL, 0, WSW_HEARTBEAT_SECONDS_MAX, &seconds))
    return "CONFIGURE: the ping interval is missing or out of range";
  configuration->ping_interval = seconds * 1000ull;
  if (!read_number(record, WSC_FIELD_PONG_TIMEOUT, 0, WSW_HEARTBEAT_SECONDS_MAX, &seconds))
    return "CONFIGURE: the pong timeout is missing or out of range";
  configuration->pong_timeout = seconds * 1000ull;
  return read_handshake_timeout(configuration, record);
}

static const char *read_rate(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  uint32_t seconds = 0;
  if (wsc_control_find(record, WSC_FIELD_CONNECTION_RATE, &field) &&
      !read_number(record, WSC_FIELD_CONNECTION_RATE, 0, WSW_CONNECTION_RATE_MAX, &configuration->connection_rate))
    return "CONFIGURE: the connection rate is out of range";
  if (wsc_control_find(record, WSC_FIELD_BAN_SECONDS, &field) &&
      !read_number(record, WSC_FIELD_BAN_SECONDS, 0, WSW_BAN_SECONDS_MAX, &seconds))
    return "CONFIGURE: the duration of bans is out of range";
  configuration->ban_time = seconds * 1000ull;
  return NULL;
}

static const char *read_texts(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, WSC_FIELD_PROTOCOL, &field) || field.length > WSW_PROTOCOLS_MAX ||
      memchr(field.value, 0, field.length))
    return "CONFIGURE: the list of subprotocols is missing, too long or no text";
  memcpy(configuration->protocols, field.value, field.length);
  if (wsc_control_find(record, WSC_FIELD_NAME, &field)) {
    size_t length = field.length < WSW_TITLE_MAX ? field.length : WSW_TITLE_MAX;
    memcpy(configuration->name, field.value, length);
  }
  return NULL;
}

static const char *read_tls(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  uint32_t tls = 0;
  configuration->tls_min_version = WSW_TLS_1_2;
  if (wsc_control_find(record, WSC_FIELD_TLS, &field) && !read_number(record, WSC_FIELD_TLS, 0, 1, &tls))
    return "CONFIGURE: does not say whether peers use TLS";
  configuration->tls = tls;
  if (wsc_control_find(record, WSC_FIELD_TLS_MIN_VERSION, &field) &&
      !read_number(record, WSC_FIELD_TLS_MIN_VERSION, WSW_TLS_1_2, WSW_TLS_1_3, &configuration->tls_min_version))
    return "CONFIGURE: the lowest version of TLS is none that is spoken";
  return NULL;
}

static const char *read_compression(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  uint32_t compression = 0;
  if (wsc_control_find(record, WSC_FIELD_COMPRESSION, &field) &&
      !read_number(record, WSC_FIELD_COMPRESSION, 0, 1, &compression))
    return "CONFIGURE: compression is neither 0 nor 1";
  configuration->compression = compression;
  return NULL;
}

static const char *read_origins(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, WSC_FIELD_ALLOWED_ORIGINS, &field))
    return NULL;
  if (field.length > WSW_ORIGINS_MAX || memchr(field.value, 0, field.length))
    return "CONFIGURE: the list of origins is too long or no text";
  return wsw_origins_set(&configuration->origins, field.value, field.length) ? NULL
                                                                             : "CONFIGURE: no memory for the origins";
}

/* What the policy of the device grants. */
static const char *read_terms(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  uint32_t required = configuration->origin_required;
  if (wsc_control_find(record, WSC_FIELD_MAX_CONNECTIONS, &field) &&
      !read_number(record, WSC_FIELD_MAX_CONNECTIONS, 1, WSW_CONNECTIONS_MAX, &configuration->max_connections))
    return "CONFIGURE: the number of connections is out of range";
  if (wsc_control_find(record, WSC_FIELD_MAX_QUEUE, &field) &&
      !read_number(record, WSC_FIELD_MAX_QUEUE, WSW_QUEUE_LEAST, WSC_PEER_QUEUE_HIGH, &configuration->max_queue))
    return "CONFIGURE: the octets that may wait for a connection are out of range";
  if (wsc_control_find(record, WSC_FIELD_MAX_MEMORY, &field) &&
      (!wsc_control_get_u64(record, WSC_FIELD_MAX_MEMORY, &configuration->max_memory) ||
       (configuration->max_memory && configuration->max_memory < WSW_MEMORY_LEAST)))
    return "CONFIGURE: the octets held for peers are out of range";
  if (wsc_control_find(record, WSC_FIELD_ORIGIN_REQUIRED, &field) &&
      !read_number(record, WSC_FIELD_ORIGIN_REQUIRED, 0, 1, &required))
    return "CONFIGURE: does not say whether an Origin is required";
  configuration->origin_required = required;
  return NULL;
}

static const char *find_unknown(const struct wsc_control_record *record) {
  static const uint16_t known[] = {WSC_FIELD_VERSION,
                                   WSC_FIELD_GENERATION,
                                   WSC_FIELD_MAX_CLIENTS,
                                   WSC_FIELD_MAX_PER_CLIENT,
                                   WSC_FIELD_PROTOCOL,
                                   WSC_FIELD_MAX_MESSAGE,
                                   WSC_FIELD_PING_INTERVAL,
                                   WSC_FIELD_PONG_TIMEOUT,
                                   WSC_FIELD_HANDSHAKE_TIMEOUT,
                                   WSC_FIELD_NAME,
                                   WSC_FIELD_ALLOWED_ORIGINS,
                                   WSC_FIELD_CONNECTION_RATE,
                                   WSC_FIELD_BAN_SECONDS,
                                   WSC_FIELD_COMPRESSION,
                                   WSC_FIELD_TLS,
                                   WSC_FIELD_TLS_MIN_VERSION,
                                   WSC_FIELD_ORIGIN_REQUIRED,
                                   WSC_FIELD_MAX_CONNECTIONS,
                                   WSC_FIELD_MAX_QUEUE,
                                   WSC_FIELD_MAX_MEMORY};
  uint16_t key;
  return wsc_control_unknown_critical(record, known, sizeof known / sizeof *known, &key)
             ? "CONFIGURE: holds a field that this version must know and does not"
             : NULL;
}

const char *wsw_configuration_read(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  *configuration = (struct wsw_configuration){.max_connections = WSW_CONNECTIONS_MAX, .max_queue = WSC_PEER_QUEUE_HIGH};
  uint32_t version;
  if (!wsc_control_get_u32(record, WSC_FIELD_VERSION, &version) || version != WSC_CONTROL_VERSION)
    return "CONFIGURE: another version of the control records than this worker speaks";
  if (!wsc_control_get_u64(record, WSC_FIELD_GENERATION, &configuration->generation) ||
      configuration->generation > WSW_GENERATION_MAX)
    return "CONFIGURE: the generation is missing or out of range";
  const char *fault = find_unknown(record);
  if (!fault)
    fault = read_limits(configuration, record);
  if (!fault)
    fault = read_times(configuration, record);
  if (!fault)
    fault = read_rate(configuration, record);
  if (!fault)
    fault = read_terms(configuration, record);
  if (!fault)
    fault = read_texts(configuration, record);
  if (!fault)
    fault = read_tls(configuration, record);
  if (!fault)
    fault = read_compression(configuration, record);
  if (!fault)
    fault = read_origins(configuration, record);
  return fault;
}

/* Only limits: nothing that a connection has been promised. */
const char *wsw_configuration_adjust(struct wsw_configuration *configuration, const struct wsc_control_record *record) {
  struct wsw_configuration wanted = *configuration;
  const char *fault = read_limits(&wanted, record);
  if (!fault)
    fault = read_handshake_timeout(&wanted, record);
  if (!fault)
    fault = read_rate(&wanted, record);
  if (!fault)
    fault = read_terms(&wanted, record);
  if (fault)
    return fault;
  configuration->max_clients = wanted.max_clients;
  configuration->max_per_client = wanted.max_per_client;
  configuration->max_connections = wanted.max_connections;
  configuration->max_memory = wanted.max_memory;
  configuration->handshake_timeout = wanted.handshake_timeout;
  configuration->connection_rate = wanted.connection_rate;
  configuration->ban_time = wanted.ban_time;
  configuration->origin_required = wanted.origin_required;
  return NULL;
}

void wsw_configuration_clear(struct wsw_configuration *configuration) {
  wsw_origins_clear(&configuration->origins);
}

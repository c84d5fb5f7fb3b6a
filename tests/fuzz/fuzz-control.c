/* SPDX-License-Identifier: Apache-2.0 */
/* Control records, as daemon and worker read them from each other, and what a worker makes of CONFIGURE. What was
 * decoded builds the same octets again; a configuration that is taken lies within its bounds. */
#include "channel/connect.h"
#include "channel/control.h"
#include "tests/fuzz/harness.h"
#include "worker/configuration.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_CHECKED = 48 };

static void check_numbers(const struct wsc_control_record *record, uint16_t key,
                          const struct wsc_control_field *first) {
  uint32_t number32;
  uint64_t number64;
  require(wsc_control_get_u32(record, key, &number32) == (first && first->length == 4));
  require(wsc_control_get_u64(record, key, &number64) == (first && first->length == 8));
}

static void check_finding(const struct wsc_control_record *record, uint16_t key) {
  struct wsc_control_field field, first;
  size_t offset = 0;
  bool found = false;
  while (!found && wsc_control_next_field(record, &offset, &field))
    found = field.key == key;
  require(wsc_control_find(record, key, &first) == found);
  require(!found || (first.value == field.value && first.length == field.length && first.critical == field.critical));
  check_numbers(record, key, found ? &first : NULL);
}

static void check_entry(const struct wsc_control_field *field) {
  struct wsc_connect connect;
  if (field->length >= 8 && wsc_connect_decode(field->value + 8, field->length - 8, &connect))
    require(wsc_connect_size(&connect) + connect.headers_size == field->length - 8);
}

/* The same record, built from what was read. */
static void check_building(const struct wsc_control_record *record, const uint8_t *octets, size_t length) {
  struct wsc_control_writer writer;
  struct wsc_control_field field;
  bool critical = false;
  uint16_t key;
  uint8_t *copy = malloc(length);
  wsc_control_begin(&writer, copy, length, record->type, record->tag);
  for (size_t offset = 0; wsc_control_next_field(record, &offset, &field);) {
    require(!(field.key & WSC_CRITICAL));
    critical = critical || field.critical;
    wsc_control_add(&writer, (uint16_t)(field.key | (field.critical ? WSC_CRITICAL : 0)), field.value, field.length);
    if (field.key == WSC_FIELD_CONNECTION_ENTRY)
      check_entry(&field);
  }
  require(wsc_control_finish(&writer) == length && memcmp(copy, octets, length) == 0);
  require(wsc_control_unknown_critical(record, NULL, 0, &key) == critical);
  wsc_control_add(&writer, 1, NULL, 0);
  require(wsc_control_finish(&writer) == 0);
  free(copy);
}

static void check_bounds(const struct wsw_configuration *configuration) {
  const struct wsw_configuration it = *configuration;
  require(it.generation <= WSW_GENERATION_MAX && it.max_message > 0 && it.max_message <= WSC_MESSAGE_MAX);
  require(it.max_clients > 0 && it.max_clients <= WSW_CLIENTS_MAX);
  require(it.max_per_client > 0 && it.max_per_client <= WSW_CLIENTS_MAX);
  require(it.handshake_timeout > 0 && it.handshake_timeout <= WSW_HANDSHAKE_SECONDS_MAX * 1000u);
  require(it.ping_interval <= WSW_HEARTBEAT_SECONDS_MAX * 1000u &&
          it.pong_timeout <= WSW_HEARTBEAT_SECONDS_MAX * 1000u);
  require(it.tls <= 1 && (it.tls_min_version == 0x0303 || it.tls_min_version == 0x0304));
  require(memchr(it.protocols, 0, sizeof it.protocols) && memchr(it.name, 0, sizeof it.name));
}

static void check_configuration(const struct wsc_control_record *record) {
  struct wsw_configuration configuration;
  if (!wsw_configuration_read(&configuration, record))
    check_bounds(&configuration);
  wsw_configuration_clear(&configuration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wsc_control_record record;
  struct wsc_counters counters;
  struct wsc_control_field field;
  if (wsc_control_decode(data, size, &record))
    return 0;
  require(size <= WSC_CONTROL_PACKET_MAX);
  check_building(&record, data, size);
  for (uint16_t key = 0; key < KEYS_CHECKED; key++)
    check_finding(&record, key);
  if (wsc_control_get_counters(&record, &counters))
    require(wsc_control_find(&record, WSC_FIELD_COUNTERS, &field) && field.length >= WSC_COUNTERS_SIZE);
  check_configuration(&record);
  return 0;
}

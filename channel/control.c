/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/control.h"

#include "channel/integer.h"

#include <string.h>

enum { HEADER = WSC_CONTROL_HEADER, FIELD_HEADER = 8, ALIGNMENT = 4 };

size_t wsc_control_field_size(size_t length) {
  return FIELD_HEADER + (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void wsc_control_begin(struct wsc_control_writer *writer, uint8_t *octets, size_t capacity, uint16_t type,
                       uint32_t tag) {
  writer->octets = octets;
  writer->capacity = capacity < WSC_CONTROL_PACKET_MAX ? capacity : WSC_CONTROL_PACKET_MAX;
  writer->length = HEADER;
  writer->overflow = writer->capacity < HEADER;
  if (writer->overflow)
    return;
  wsc_put_u16(octets, type);
  wsc_put_u16(octets + 2, 0);
  wsc_put_u32(octets + 4, tag);
}

void wsc_control_add(struct wsc_control_writer *writer, uint16_t key, const void *value, size_t length) {
  if (writer->overflow || length > WSC_CONTROL_PACKET_MAX ||
      wsc_control_field_size(length) > writer->capacity - writer->length) {
    writer->overflow = true;
    return;
  }
  uint8_t *out = writer->octets + writer->length;
  size_t size = wsc_control_field_size(length);
  wsc_put_u16(out, key);
  wsc_put_u16(out + 2, 0);
  wsc_put_u32(out + 4, (uint32_t)length);
  if (length > 0)
    memcpy(out + FIELD_HEADER, value, length);
  memset(out + FIELD_HEADER + length, 0, size - FIELD_HEADER - length);
  writer->length += size;
}

void wsc_control_add_u32(struct wsc_control_writer *writer, uint16_t key, uint32_t value) {
  uint8_t octets[4];
  wsc_put_u32(octets, value);
  wsc_control_add(writer, key, octets, sizeof octets);
}

void wsc_control_add_u64(struct wsc_control_writer *writer, uint16_t key, uint64_t value) {
  uint8_t octets[8];
  wsc_put_u64(octets, value);
  wsc_control_add(writer, key, octets, sizeof octets);
}

void wsc_control_add_text(struct wsc_control_writer *writer, uint16_t key, const char *text) {
  wsc_control_add(writer, key, text, strlen(text));
}

void wsc_control_add_counters(struct wsc_control_writer *writer, const struct wsc_counters *counters) {
  uint8_t octets[WSC_COUNTERS_SIZE];
  wsc_put_u64(octets, counters->connections);
  wsc_put_u64(octets + 8, counters->messages_received);
  wsc_put_u64(octets + 16, counters->messages_sent);
  wsc_put_u64(octets + 24, counters->bytes_received);
  wsc_put_u64(octets + 32, counters->bytes_sent);
  wsc_put_u64(octets + 40, counters->refused);
  wsc_put_u64(octets + 48, counters->queued_bytes);
  wsc_control_add(writer, WSC_FIELD_COUNTERS, octets, sizeof octets);
}

static void put_address(uint8_t *octets, const struct wsc_address *address) {
  memset(octets, 0, WSC_ADDRESS_SIZE);
  octets[0] = address->family;
  wsc_put_u32(octets + 4, address->scope);
  memcpy(octets + 8, address->octets, sizeof address->octets);
}

void wsc_control_add_address(struct wsc_control_writer *writer, const struct wsc_address *address) {
  uint8_t octets[WSC_ADDRESS_SIZE];
  put_address(octets, address);
  wsc_control_add(writer, WSC_FIELD_ADDRESS, octets, sizeof octets);
}

void wsc_control_add_ban(struct wsc_control_writer *writer, const struct wsc_ban *ban) {
  uint8_t octets[WSC_BAN_SIZE] = {0};
  put_address(octets, &ban->address);
  wsc_put_u32(octets + WSC_ADDRESS_SIZE, ban->seconds);
  octets[WSC_ADDRESS_SIZE + 4] = ban->reason;
  wsc_control_add(writer, WSC_FIELD_BAN_ENTRY, octets, sizeof octets);
}

size_t wsc_control_finish(const struct wsc_control_writer *writer) {
  return writer->overflow ? 0 : writer->length;
}

static bool is_zero(const uint8_t *octets, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (octets[i] != 0)
      return false;
  return true;
}

/* `left` octets at `from` begin with a whole field: its size, padding included, else 0. */
static size_t field_size_at(const uint8_t *from, size_t left) {
  if (left < FIELD_HEADER)
    return 0;
  size_t length = wsc_get_u32(from + 4);
  if (length > left - FIELD_HEADER || wsc_control_field_size(length) > left)
    return 0;
  return wsc_control_field_size(length);
}

const char *wsc_control_decode(const uint8_t *octets, size_t length, struct wsc_control_record *record) {
  if (length < HEADER)
    return "a control record shorter than its header";
  if (length > WSC_CONTROL_PACKET_MAX)
    return "a control record above the limit";
  if (wsc_get_u16(octets + 2) != 0)
    return "a flag that control records do not have";
  record->type = wsc_get_u16(octets);
  record->tag = wsc_get_u32(octets + 4);
  record->fields = octets + HEADER;
  record->fields_length = length - HEADER;
  for (size_t offset = HEADER; offset < length;) {
    size_t size = field_size_at(octets + offset, length - offset);
    if (size == 0)
      return "a field that reaches beyond its control record";
    size_t value_length = wsc_get_u32(octets + offset + 4);
    if (wsc_get_u16(octets + offset + 2) != 0 ||
        !is_zero(octets + offset + FIELD_HEADER + value_length, size - FIELD_HEADER - value_length))
      return "a reserved octet that is not zero";
    offset += size;
  }
  return NULL;
}

bool wsc_control_next_field(const struct wsc_control_record *record, size_t *offset, struct wsc_control_field *field) {
  if (*offset >= record->fields_length)
    return false;
  const uint8_t *from = record->fields + *offset;
  size_t size = field_size_at(from, record->fields_length - *offset);
  if (size == 0)
    return false;
  uint16_t key = wsc_get_u16(from);
  field->critical = (key & WSC_CRITICAL) != 0;
  field->key = (uint16_t)(key & ~WSC_CRITICAL);
  field->value = from + FIELD_HEADER;
  field->length = wsc_get_u32(from + 4);
  *offset += size;
  return true;
}

bool wsc_control_find(const struct wsc_control_record *record, uint16_t key, struct wsc_control_field *field) {
  size_t offset = 0;
  while (wsc_control_next_field(record, &offset, field))
    if (field->key == key)
      return true;
  return false;
}

bool wsc_control_get_u32(const struct wsc_control_record *record, uint16_t key, uint32_t *value) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, key, &field) || field.length != 4)
    return false;
  *value = wsc_get_u32(field.value);
  return true;
}

bool wsc_control_get_u64(const struct wsc_control_record *record, uint16_t key, uint64_t *value) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, key, &field) || field.length != 8)
    return false;
  *value = wsc_get_u64(field.value);
  return true;
}

bool wsc_control_get_counters(const struct wsc_control_record *record, struct wsc_counters *counters) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, WSC_FIELD_COUNTERS, &field) || field.length < WSC_COUNTERS_SIZE ||
      field.length % 8 != 0)
    return false;
  counters->connections = wsc_get_u64(field.value);
  counters->messages_received = wsc_get_u64(field.value + 8);
  counters->messages_sent = wsc_get_u64(field.value + 16);
  counters->bytes_received = wsc_get_u64(field.value + 24);
  counters->bytes_sent = wsc_get_u64(field.value + 32);
  counters->refused = wsc_get_u64(field.value + 40);
  counters->queued_bytes = wsc_get_u64(field.value + 48);
  return true;
}

static bool get_address(const uint8_t *octets, struct wsc_address *address) {
  address->family = octets[0];
  address->scope = wsc_get_u32(octets + 4);
  memcpy(address->octets, octets + 8, sizeof address->octets);
  if (!is_zero(octets + 1, 3))
    return false;
  return address->family == 6 || (address->family == 4 && !address->scope && is_zero(address->octets + 4, 12));
}

bool wsc_control_read_address(const struct wsc_control_field *field, struct wsc_address *address) {
  return field->length == WSC_ADDRESS_SIZE && get_address(field->value, address);
}

bool wsc_control_read_ban(const struct wsc_control_field *field, struct wsc_ban *ban) {
  if (field->length != WSC_BAN_SIZE || !get_address(field->value, &ban->address))
    return false;
  ban->seconds = wsc_get_u32(field->value + WSC_ADDRESS_SIZE);
  ban->reason = field->value[WSC_ADDRESS_SIZE + 4];
  return is_zero(field->value + WSC_ADDRESS_SIZE + 5, 3);
}

static bool contains(const uint16_t *keys, size_t count, uint16_t key) {
  for (size_t i = 0; i < count; i++)
    if (keys[i] == key)
      return true;
  return false;
}

bool wsc_control_unknown_critical(const struct wsc_control_record *record, const uint16_t *known, size_t known_count,
                                  uint16_t *key) {
  struct wsc_control_field field;
  size_t offset = 0;
  while (wsc_control_next_field(record, &offset, &field)) {
    if (field.critical && !contains(known, known_count, field.key)) {
      *key = field.key;
      return true;
    }
  }
  return false;
}

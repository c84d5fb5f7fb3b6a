/* SPDX-License-Identifier: Apache-2.0 */
/* Control records: what is written is read, extensions do not break older readers, and hostile packets are found out. */
#include "channel/control.h"
#include "channel/integer.h"
#include "tests/channel/assertions.h"

#include <glib.h>
#include <string.h>

static size_t sample(uint8_t *octets, size_t capacity) {
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, octets, capacity, WSC_CONTROL_CONFIGURE, 0x01020304);
  wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  wsc_control_add_u64(&writer, WSC_FIELD_GENERATION, 0x1122334455667788);
  wsc_control_add_text(&writer, WSC_FIELD_PROTOCOL, "chat,");
  wsc_control_add(&writer, WSC_FIELD_MORE, NULL, 0);
  return wsc_control_finish(&writer);
}

static void test_layout(void) {
  static const uint8_t expected[] = {1,    0,    0,    0,    4,    3,    2, 1,  1, 0, 0, 0, 4, 0,    0,
                                     0,    1,    0,    0,    0,    2,    0, 0,  0, 8, 0, 0, 0, 0x88, 0x77,
                                     0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 5, 0,  0, 0, 5, 0, 0, 0,    'c',
                                     'h',  'a',  't',  ',',  0,    0,    0, 22, 0, 0, 0, 0, 0, 0,    0};
  uint8_t octets[256];
  size_t length = sample(octets, sizeof octets);
  assert_octets(octets, length, expected, sizeof expected);
}

static void test_round_trip(void) {
  uint8_t octets[256];
  struct wsc_control_record record;
  struct wsc_control_field field;
  uint32_t version;
  uint64_t generation;
  size_t length = sample(octets, sizeof octets), offset = 0, count = 0;
  g_assert_cmpstr(wsc_control_decode(octets, length, &record), ==, NULL);
  g_assert_cmpuint(record.type, ==, WSC_CONTROL_CONFIGURE);
  g_assert_cmpuint(record.tag, ==, 0x01020304);
  g_assert_true(wsc_control_get_u32(&record, WSC_FIELD_VERSION, &version));
  g_assert_cmpuint(version, ==, WSC_CONTROL_VERSION);
  g_assert_true(wsc_control_get_u64(&record, WSC_FIELD_GENERATION, &generation));
  g_assert_cmpuint(generation, ==, 0x1122334455667788);
  g_assert_true(wsc_control_find(&record, WSC_FIELD_PROTOCOL, &field));
  assert_octets(field.value, field.length, "chat,", 5);
  g_assert_true(wsc_control_find(&record, WSC_FIELD_MORE, &field));
  g_assert_cmpuint(field.length, ==, 0);
  while (wsc_control_next_field(&record, &offset, &field))
    count++;
  g_assert_cmpuint(count, ==, 4);
}

static void test_absent_or_of_another_length(void) {
  uint8_t octets[256];
  struct wsc_control_record record;
  struct wsc_control_field field;
  struct wsc_counters counters;
  uint32_t small;
  uint64_t large;
  size_t length = sample(octets, sizeof octets);
  g_assert_cmpstr(wsc_control_decode(octets, length, &record), ==, NULL);
  g_assert_false(wsc_control_find(&record, WSC_FIELD_CODE, &field));
  g_assert_false(wsc_control_get_u32(&record, WSC_FIELD_CODE, &small));
  g_assert_false(wsc_control_get_u32(&record, WSC_FIELD_GENERATION, &small));
  g_assert_false(wsc_control_get_u32(&record, WSC_FIELD_MORE, &small));
  g_assert_false(wsc_control_get_u64(&record, WSC_FIELD_CODE, &large));
  g_assert_false(wsc_control_get_u64(&record, WSC_FIELD_VERSION, &large));
  g_assert_false(wsc_control_get_u64(&record, WSC_FIELD_PROTOCOL, &large));
  g_assert_false(wsc_control_get_counters(&record, &counters));
}

static void test_counters(void) {
  static const struct wsc_counters counters = {1, 2, 3, 4, 5, 6, UINT64_MAX};
  struct wsc_counters back;
  uint8_t octets[256], longer[WSC_COUNTERS_SIZE + 8] = {0};
  struct wsc_control_writer writer;
  struct wsc_control_record record;
  struct wsc_control_field field;
  wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_COUNTERS, 9);
  wsc_control_add_counters(&writer, &counters);
  g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
  g_assert_true(wsc_control_get_counters(&record, &back));
  assert_octets(&back, sizeof back, &counters, sizeof counters);
  g_assert_true(wsc_control_find(&record, WSC_FIELD_COUNTERS, &field));
  g_assert_cmpuint(field.length, ==, WSC_COUNTERS_SIZE);
  memcpy(longer, field.value, WSC_COUNTERS_SIZE);
  for (size_t length = 0; length <= sizeof longer; length++) {
    wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_COUNTERS, 9);
    wsc_control_add(&writer, WSC_FIELD_COUNTERS, longer, length);
    g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
    memset(&back, 0, sizeof back);
    /* Of a later release: its first counters are the ones known here. */
    g_assert_true(wsc_control_get_counters(&record, &back) ==
                  (length == WSC_COUNTERS_SIZE || length == WSC_COUNTERS_SIZE + 8));
    if (length >= WSC_COUNTERS_SIZE && length % 8 == 0)
      assert_octets(&back, sizeof back, &counters, sizeof counters);
  }
}

static void test_overflow(void) {
  uint8_t octets[256];
  size_t needed = sample(octets, sizeof octets);
  for (size_t capacity = 0; capacity <= needed; capacity++) {
    g_autofree uint8_t *exact = g_malloc(capacity);
    g_assert_cmpuint(sample(exact, capacity), ==, capacity == needed ? needed : 0);
  }
}

static void test_overflow_stays(void) {
  uint8_t octets[24];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_RESULT, 1);
  wsc_control_add(&writer, WSC_FIELD_TEXT, "far too long for what is left", 29);
  wsc_control_add_u32(&writer, WSC_FIELD_FOUND, 1); /* would fit, but a record with a hole must not be sent */
  g_assert_cmpuint(wsc_control_finish(&writer), ==, 0);
}

static void test_largest_packet(void) {
  g_autofree uint8_t *octets = g_malloc(WSC_CONTROL_PACKET_MAX + 8);
  g_autofree uint8_t *value = g_malloc0(WSC_CONTROL_PACKET_MAX + 8);
  size_t fits = WSC_CONTROL_PACKET_MAX - WSC_CONTROL_HEADER - 8;
  struct wsc_control_writer writer;
  struct wsc_control_record record;
  wsc_control_begin(&writer, octets, WSC_CONTROL_PACKET_MAX + 8, WSC_CONTROL_CONNECTIONS, 1);
  wsc_control_add(&writer, WSC_FIELD_TEXT, value, fits);
  g_assert_cmpuint(wsc_control_finish(&writer), ==, WSC_CONTROL_PACKET_MAX);
  g_assert_cmpstr(wsc_control_decode(octets, WSC_CONTROL_PACKET_MAX, &record), ==, NULL);
  memset(octets + WSC_CONTROL_PACKET_MAX, 0, 8);
  g_assert_cmpstr(wsc_control_decode(octets, WSC_CONTROL_PACKET_MAX + 8, &record), ==,
                  "a control record above the limit");
  for (size_t length = fits + 1; length <= WSC_CONTROL_PACKET_MAX + 8; length += 7) {
    wsc_control_begin(&writer, octets, WSC_CONTROL_PACKET_MAX + 8, WSC_CONTROL_CONNECTIONS, 1);
    wsc_control_add(&writer, WSC_FIELD_TEXT, value, length);
    g_assert_cmpuint(wsc_control_finish(&writer), ==, 0);
  }
  wsc_control_begin(&writer, octets, WSC_CONTROL_PACKET_MAX + 8, WSC_CONTROL_CONNECTIONS, 1);
  wsc_control_add(&writer, WSC_FIELD_TEXT, value, SIZE_MAX);
  g_assert_cmpuint(wsc_control_finish(&writer), ==, 0);
}

static void test_field_size(void) {
  uint8_t octets[256];
  struct wsc_control_writer writer;
  for (size_t length = 0; length < 20; length++) {
    wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_RESULT, 1);
    wsc_control_add(&writer, WSC_FIELD_TEXT, "01234567890123456789", length);
    g_assert_cmpuint(wsc_control_finish(&writer), ==, WSC_CONTROL_HEADER + wsc_control_field_size(length));
    g_assert_cmpuint(wsc_control_field_size(length) % 4, ==, 0);
  }
}

/* An exact copy, so that reading beyond it is noticed. */
static const char *fault_of(const uint8_t *octets, size_t length) {
  struct wsc_control_record record;
  g_autofree uint8_t *copy = g_memdup2(octets, length);
  return wsc_control_decode(copy, length, &record);
}

static void test_truncated(void) {
  uint8_t octets[256];
  size_t length = sample(octets, sizeof octets);
  /* Where a whole field ends, the rest is a record of its own. */
  for (size_t cut = 0; cut < length; cut++) {
    bool boundary = cut == 8 || cut == 20 || cut == 36 || cut == 52;
    const char *fault =
        cut < 8 ? "a control record shorter than its header" : "a field that reaches beyond its control record";
    g_assert_cmpstr(fault_of(octets, cut), ==, boundary ? NULL : fault);
  }
}

static void assert_change_refused(size_t offset, uint8_t octet, const char *fault) {
  uint8_t octets[256];
  size_t length = sample(octets, sizeof octets);
  octets[offset] = octet;
  g_assert_cmpstr(fault_of(octets, length), ==, fault);
}

static void test_malformed(void) {
  assert_change_refused(2, 1, "a flag that control records do not have");
  assert_change_refused(3, 0x80, "a flag that control records do not have");
  assert_change_refused(10, 1, "a reserved octet that is not zero");
  assert_change_refused(11, 1, "a reserved octet that is not zero");
  assert_change_refused(49, 1, "a reserved octet that is not zero"); /* padding of "chat," */
  assert_change_refused(51, 1, "a reserved octet that is not zero");
  assert_change_refused(15, 0xff, "a field that reaches beyond its control record");
  assert_change_refused(43, 0xff, "a field that reaches beyond its control record");
  assert_change_refused(56, 1, "a field that reaches beyond its control record");
}

static void test_hostile(void) {
  uint8_t octets[256];
  size_t length = sample(octets, sizeof octets);
  for (int round = 0; round < 50000; round++) {
    size_t cut = (size_t)g_test_rand_int_range(0, (gint32)length + 1), offset = 0;
    g_autofree uint8_t *copy = g_memdup2(octets, cut);
    struct wsc_control_record record;
    struct wsc_control_field field;
    for (int changes = g_test_rand_int_range(0, 4); changes > 0 && cut > 0; changes--)
      copy[g_test_rand_int_range(0, (gint32)cut)] = (uint8_t)g_test_rand_int_range(0, 256);
    if (wsc_control_decode(copy, cut, &record) != NULL)
      continue;
    while (wsc_control_next_field(&record, &offset, &field))
      g_assert_true(field.value + field.length <= copy + cut);
    g_assert_cmpuint(offset, ==, record.fields_length);
  }
}

static void test_extensions(void) {
  static const uint16_t known[] = {WSC_FIELD_VERSION, WSC_FIELD_NAME};
  uint8_t octets[256];
  struct wsc_control_writer writer;
  struct wsc_control_record record;
  struct wsc_control_field field;
  uint32_t version;
  uint16_t key = 0;
  wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_CONFIGURE, 1);
  wsc_control_add_text(&writer, 999, "of a later release");
  wsc_control_add_u32(&writer, WSC_FIELD_VERSION | WSC_CRITICAL, 1);
  g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
  g_assert_true(wsc_control_get_u32(&record, WSC_FIELD_VERSION, &version)); /* found by its key without the bit */
  g_assert_true(wsc_control_find(&record, WSC_FIELD_VERSION, &field));
  g_assert_true(field.critical);
  g_assert_cmpuint(field.key, ==, WSC_FIELD_VERSION);
  g_assert_true(wsc_control_find(&record, 999, &field));
  g_assert_false(field.critical);
  g_assert_false(wsc_control_unknown_critical(&record, known, G_N_ELEMENTS(known), &key));
  wsc_control_add_u32(&writer, 1000 | WSC_CRITICAL, 1);
  g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
  g_assert_true(wsc_control_unknown_critical(&record, known, G_N_ELEMENTS(known), &key));
  g_assert_cmpuint(key, ==, 1000);
  g_assert_true(wsc_control_unknown_critical(&record, NULL, 0, &key));
  g_assert_cmpuint(key, ==, WSC_FIELD_VERSION);
}

static void test_first_of_several(void) {
  uint8_t octets[256];
  struct wsc_control_writer writer;
  struct wsc_control_record record;
  uint32_t value;
  wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_RESULT, 1);
  wsc_control_add_u32(&writer, WSC_FIELD_FOUND, 1);
  wsc_control_add_u32(&writer, WSC_FIELD_FOUND, 0);
  g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
  g_assert_true(wsc_control_get_u32(&record, WSC_FIELD_FOUND, &value));
  g_assert_cmpuint(value, ==, 1);
}

static void test_random_round_trips(void) {
  for (int round = 0; round < 2000; round++) {
    uint8_t octets[4096], value[100];
    uint16_t keys[20];
    size_t lengths[20], count = (size_t)g_test_rand_int_range(0, 20), offset = 0;
    struct wsc_control_writer writer;
    struct wsc_control_record record;
    struct wsc_control_field field;
    wsc_control_begin(&writer, octets, sizeof octets, (uint16_t)g_test_rand_int_range(0, 65536), 1);
    for (size_t i = 0; i < count; i++) {
      keys[i] = (uint16_t)g_test_rand_int_range(0, 65536);
      lengths[i] = (size_t)g_test_rand_int_range(0, sizeof value);
      memset(value, (int)i + 1, sizeof value);
      wsc_control_add(&writer, keys[i], value, lengths[i]);
    }
    g_assert_cmpstr(fault_of(octets, wsc_control_finish(&writer)), ==, NULL);
    g_assert_cmpstr(wsc_control_decode(octets, wsc_control_finish(&writer), &record), ==, NULL);
    for (size_t i = 0; i < count; i++) {
      g_assert_true(wsc_control_next_field(&record, &offset, &field));
      memset(value, (int)i + 1, sizeof value);
      g_assert_cmpuint(field.key | (field.critical ? WSC_CRITICAL : 0), ==, keys[i]);
      assert_octets(field.value, field.length, value, lengths[i]);
    }
    g_assert_false(wsc_control_next_field(&record, &offset, &field));
  }
}

static const struct wsc_ban samples_of_bans[] = {
    {.address = {.family = 4, .octets = {192, 0, 2, 7}}, .seconds = 60, .reason = WSC_BAN_RATE},
    {.address = {.family = 6, .octets = {0x20, 1, 0xD, 0xB8, 0, 0, 0, 1}}, .seconds = 1, .reason = WSC_BAN_REQUESTS},
    {.address = {.family = 6, .scope = 0x01020304, .octets = {0xFE, 0x80, [15] = 1}},
     .seconds = UINT32_MAX,
     .reason = 9},
};

static void assert_same_address(const struct wsc_address *one, const struct wsc_address *other) {
  g_assert_cmpuint(one->family, ==, other->family);
  g_assert_cmpuint(one->scope, ==, other->scope);
  g_assert_cmpmem(one->octets, 16, other->octets, 16);
}

static void test_addresses_and_bans(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(samples_of_bans); i++) {
    const struct wsc_ban *ban = &samples_of_bans[i];
    uint8_t octets[128];
    struct wsc_control_writer writer;
    struct wsc_control_record record;
    struct wsc_control_field field;
    struct wsc_address address;
    struct wsc_ban read;
    wsc_control_begin(&writer, octets, sizeof octets, WSC_CONTROL_BANS, 1);
    wsc_control_add_ban(&writer, ban);
    wsc_control_add_address(&writer, &ban->address);
    g_assert_null(wsc_control_decode(octets, wsc_control_finish(&writer), &record));
    g_assert_true(wsc_control_find(&record, WSC_FIELD_BAN_ENTRY, &field));
    g_assert_true(wsc_control_read_ban(&field, &read));
    assert_same_address(&read.address, &ban->address);
    g_assert_cmpuint(read.seconds, ==, ban->seconds);
    g_assert_cmpuint(read.reason, ==, ban->reason);
    g_assert_false(wsc_control_read_address(&field, &address));
    g_assert_true(wsc_control_find(&record, WSC_FIELD_ADDRESS, &field));
    g_assert_true(wsc_control_read_address(&field, &address));
    assert_same_address(&address, &ban->address);
    g_assert_false(wsc_control_read_ban(&field, &read));
  }
}

/* Every octet that must be zero, and every family that is none. */
static void test_malformed_addresses_and_bans(void) {
  uint8_t octets[WSC_BAN_SIZE] = {4, [8] = 192, [10] = 2, [11] = 7, [24] = 60, [28] = 1};
  struct wsc_control_field ban = {.value = octets, .length = WSC_BAN_SIZE};
  struct wsc_control_field address = {.value = octets, .length = WSC_ADDRESS_SIZE};
  struct wsc_ban read_ban;
  struct wsc_address read_address;
  g_assert_true(wsc_control_read_ban(&ban, &read_ban) && wsc_control_read_address(&address, &read_address));
  for (size_t i = 0; i < WSC_BAN_SIZE; i++) {
    bool is_value = (i >= 8 && i < 12) || (i >= 24 && i < 29);
    octets[i] ^= 1;
    g_assert_cmpint(wsc_control_read_ban(&ban, &read_ban), ==, is_value);
    octets[i] ^= 1;
  }
  for (unsigned family = 0; family < 256; family++) {
    octets[0] = (uint8_t)family;
    g_assert_cmpint(wsc_control_read_address(&address, &read_address), ==, family == 4 || family == 6);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/control/is-read-alike-by-every-implementation", test_layout);
  g_test_add_func("/control/what-is-written-is-read", test_round_trip);
  g_test_add_func("/control/absent-or-odd-fields-are-not-taken-for-values", test_absent_or_of_another_length);
  g_test_add_func("/control/counters-arrive", test_counters);
  g_test_add_func("/control/writer/never-writes-beyond-its-array", test_overflow);
  g_test_add_func("/control/writer/a-record-with-a-hole-is-never-sent", test_overflow_stays);
  g_test_add_func("/control/writer/largest-packet", test_largest_packet);
  g_test_add_func("/control/writer/says-beforehand-what-fits", test_field_size);
  g_test_add_func("/control/truncated-at-any-octet-is-refused", test_truncated);
  g_test_add_func("/control/malformed-is-refused", test_malformed);
  g_test_add_func("/control/hostile-octets-are-never-read-beyond", test_hostile);
  g_test_add_func("/control/extensions-do-not-break-an-older-reader", test_extensions);
  g_test_add_func("/control/first-of-several-counts", test_first_of_several);
  g_test_add_func("/control/addresses-and-bans-come-back", test_addresses_and_bans);
  g_test_add_func("/control/malformed-addresses-and-bans-are-found-out", test_malformed_addresses_and_bans);
  g_test_add_func("/control/random-round-trips", test_random_round_trips);
  return g_test_run();
}

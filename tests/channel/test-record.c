/* SPDX-License-Identifier: Apache-2.0 */
/* What a record may say: the layout of its header, and every fault that a distrustful reader must find. */
#include "channel/arena.h"
#include "channel/record.h"
#include "tests/channel/assertions.h"
#include "tests/channel/samples.h"

#include <glib.h>
#include <string.h>

#define LIMIT 1000u

static void test_header_layout(void) {
  static const uint8_t octets[WSC_RECORD_HEADER] = {0x78, 0x56, 0x34, 0x12, 0x42, 0x00, 0xe9, 0x03,
                                                    0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
  struct wsc_header header = {.size = 0x12345678, .type = WSC_CLOSE, .code = 1001, .connection = 0x1122334455667788};
  struct wsc_header back;
  uint8_t out[WSC_RECORD_HEADER];
  wsc_header_encode(&header, out);
  assert_octets(out, sizeof out, octets, sizeof octets);
  wsc_header_decode(octets, &back);
  g_assert_cmpuint(back.size, ==, header.size);
  g_assert_cmpuint(back.type, ==, header.type);
  g_assert_cmpuint(back.flags, ==, header.flags);
  g_assert_cmpuint(back.code, ==, header.code);
  g_assert_cmpuint(back.connection, ==, header.connection);
}

static void test_welcome_layout(void) {
  uint8_t out[WSC_WELCOME_SIZE];
  static const uint8_t octets[WSC_WELCOME_SIZE] = {
      1,    0,    1,    0, 3, 0, 0, 0, 2, 0, 0,    0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, /* max_message */
      0xf0, 0xff, 0x4f, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 4, 0, 1,  0, 0, 0, 1, 0, 0, 0,
  };
  struct wsc_welcome welcome = sample_welcome(), back;
  wsc_welcome_encode(&welcome, out);
  assert_octets(out, sizeof out, octets, sizeof octets);
  g_assert_true(wsc_welcome_decode(octets, sizeof octets, &back));
  g_assert_cmpuint(back.version, ==, welcome.version);
  g_assert_true(back.acknowledged);
  g_assert_cmpuint(back.repeats, ==, welcome.repeats);
  g_assert_cmpuint(back.generation, ==, welcome.generation);
  g_assert_cmpuint(back.first_event, ==, welcome.first_event);
  g_assert_cmpuint(back.max_message, ==, welcome.max_message);
  g_assert_cmpuint(back.queue_high, ==, welcome.queue_high);
  g_assert_cmpuint(back.queue_low, ==, welcome.queue_low);
  g_assert_cmpuint(back.standing, ==, welcome.standing);
  g_assert_cmpuint(back.abilities, ==, welcome.abilities);
}

static void test_welcome_may_grow(void) {
  uint8_t body[WSC_WELCOME_MAX + 1] = {0};
  struct wsc_welcome welcome = sample_welcome(), back;
  wsc_welcome_encode(&welcome, body);
  g_assert_true(wsc_welcome_decode(body, WSC_WELCOME_SIZE + 8, &back));
  g_assert_true(wsc_welcome_decode(body, WSC_WELCOME_MAX, &back));
  g_assert_false(wsc_welcome_decode(body, WSC_WELCOME_MAX + 1, &back));
  g_assert_true(wsc_welcome_decode(body, WSC_WELCOME_MIN, &back)); /* of a worker that does not say how many stand */
  g_assert_cmpuint(back.standing, ==, 0);
  g_assert_true(wsc_welcome_decode(body, WSC_WELCOME_SIZE - 4, &back)); /* nor what it can do */
  g_assert_cmpuint(back.standing, ==, welcome.standing);
  g_assert_cmpuint(back.abilities, ==, 0);
  g_assert_false(wsc_welcome_decode(body, WSC_WELCOME_MIN - 1, &back));
}

static void assert_welcome_refused(const struct wsc_welcome *welcome) {
  uint8_t body[WSC_WELCOME_SIZE];
  struct wsc_welcome back;
  wsc_welcome_encode(welcome, body);
  g_assert_false(wsc_welcome_decode(body, sizeof body, &back));
}

static void test_welcome_nonsense(void) {
  struct wsc_welcome welcome = sample_welcome(), back;
  uint8_t body[WSC_WELCOME_SIZE];
  welcome.version = WSC_VERSION_SHARED + 1;
  assert_welcome_refused(&welcome);
  welcome = sample_welcome();
  welcome.generation = (uint64_t)UINT32_MAX + 1; /* its connection ids would not fit */
  assert_welcome_refused(&welcome);
  welcome = sample_welcome();
  welcome.first_event = 0;
  assert_welcome_refused(&welcome);
  welcome = sample_welcome();
  welcome.max_message = WSC_MESSAGE_MAX + 1;
  assert_welcome_refused(&welcome);
  welcome = sample_welcome();
  welcome.queue_low = welcome.queue_high + 1;
  assert_welcome_refused(&welcome);
  welcome.queue_low = 0; /* DRAINED would never be due */
  assert_welcome_refused(&welcome);
  welcome = sample_welcome();
  wsc_welcome_encode(&welcome, body);
  body[2] |= 2;
  g_assert_false(wsc_welcome_decode(body, sizeof body, &back));
  body[2] = 1, body[3] = 1;
  g_assert_false(wsc_welcome_decode(body, sizeof body, &back));
}

/* Every type: which way, about a connection or none, its flags, a legal code, its bounds. */
static const struct type {
  uint8_t type;
  enum wsc_direction direction;
  bool may_have_connection, may_have_none;
  uint8_t flags;
  uint16_t code;
  uint32_t size_min, size_max;
} types[] = {
    {WSC_WELCOME, WSC_TO_APP, false, true, 0, 0, 40, 4096},
    {WSC_STANDING, WSC_TO_APP, true, false, 0, 0, 16, 16},
    {WSC_CREDIT, WSC_TO_APP, true, false, 0, 0, 8, 8},
    {WSC_ASK, WSC_TO_APP, false, true, 0, 0, 8, 8},
    {WSC_CONNECT, WSC_TO_APP, true, false, 0, 0, 52, 65536},
    {WSC_MESSAGE, WSC_TO_APP, true, false, WSC_FLAG_TEXT, 0, 0, LIMIT},
    {WSC_CLOSED, WSC_TO_APP, true, false, WSC_FLAG_CLEAN, 1000, 0, 123},
    {WSC_ERROR, WSC_TO_APP, true, true, 0, 0, 4, 516},
    {WSC_DRAINED, WSC_TO_APP, true, false, 0, 0, 0, 0},
    {WSC_SEND, WSC_TO_WORKER, true, false, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT, 0, 0, LIMIT},
    {WSC_BROADCAST, WSC_TO_WORKER, false, true, WSC_FLAG_TEXT, 0, 16, LIMIT + 8 + 8 * 65535},
    {WSC_CLOSE, WSC_TO_WORKER, true, false, 0, 1000, 0, 123},
    {WSC_ACKNOWLEDGE, WSC_TO_WORKER, false, true, 0, 0, 8, 8},
    {WSC_WANT_DRAINED, WSC_TO_WORKER, true, false, 0, 0, 0, 0},
    {WSC_RELEASED, WSC_TO_APP, false, true, 0, 0, 8, 512},
    {WSC_SHARED_MESSAGE, WSC_TO_APP, true, false, WSC_FLAG_TEXT, 0, 16, 16},
    {WSC_SHARED_SEND, WSC_TO_WORKER, true, false, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT, 0, 16, 16},
    {WSC_RELEASE, WSC_TO_WORKER, false, true, 0, 0, 8, 512},
    {WSC_SHARED_FORWARD, WSC_TO_WORKER, true, false, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT, 0, 16, 16},
};

static struct wsc_header legal_header(const struct type *type) {
  return (struct wsc_header){
      .size = type->size_min, .type = type->type, .code = type->code, .connection = type->may_have_none ? 0 : 7};
}

static const char *fault_of(const struct type *type, const struct wsc_header *header) {
  return wsc_header_fault(header, type->direction, LIMIT);
}

static const struct type *find_type(uint8_t octet, enum wsc_direction direction) {
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
    if (types[i].type == octet && types[i].direction == direction)
      return &types[i];
  return NULL;
}

static void test_types_and_directions(void) {
  for (unsigned octet = 0; octet < 256; octet++) {
    for (unsigned direction = WSC_TO_APP; direction <= WSC_TO_WORKER; direction++) {
      const struct type *type = find_type((uint8_t)octet, direction);
      struct wsc_header header = {.type = (uint8_t)octet, .connection = 7};
      struct wsc_record record = {.header = header, .body = (const uint8_t *)""};
      if (type != NULL) {
        header = legal_header(type);
        g_assert_cmpstr(fault_of(type, &header), ==, NULL);
        continue;
      }
      g_assert_cmpstr(wsc_header_fault(&header, direction, LIMIT), ==,
                      "a type of record that does not exist in this direction");
      g_assert_cmpstr(wsc_record_fault(&record, direction, LIMIT), ==,
                      "a type of record that does not exist in this direction");
    }
  }
}

static void test_flags(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    for (unsigned bit = 1; bit < 256; bit <<= 1) {
      struct wsc_header header = legal_header(&types[i]);
      header.flags = (uint8_t)bit;
      g_assert_cmpstr(fault_of(&types[i], &header), ==,
                      types[i].flags & bit ? NULL : "a flag that the type does not have");
    }
  }
}

static void test_connections(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    struct wsc_header header = legal_header(&types[i]);
    header.connection = 0;
    g_assert_cmpstr(fault_of(&types[i], &header), ==,
                    types[i].may_have_none ? NULL : "no connection where the record is about one");
    header.connection = UINT64_MAX;
    g_assert_cmpstr(fault_of(&types[i], &header), ==,
                    types[i].may_have_connection ? NULL : "a connection where the record is about none");
  }
}

static void test_sizes(void) {
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    const struct type *type = &types[i];
    bool message = type->type == WSC_MESSAGE || type->type == WSC_SEND || type->type == WSC_BROADCAST;
    struct wsc_header header = legal_header(type);
    header.size = type->size_max;
    g_assert_cmpstr(fault_of(type, &header), ==, NULL);
    header.size = type->size_max + 1;
    g_assert_cmpstr(fault_of(type, &header), ==,
                    message ? "a message above the limit" : "a body longer than the type's");
    header.size = UINT32_MAX;
    g_assert_nonnull(fault_of(type, &header));
    if (type->size_min == 0)
      continue;
    header.size = type->size_min - 1;
    g_assert_cmpstr(fault_of(type, &header), ==, "a body shorter than the type's");
  }
}

static void test_codes(void) {
  const struct type *closed = find_type(WSC_CLOSED, WSC_TO_APP), *close = find_type(WSC_CLOSE, WSC_TO_WORKER);
  for (unsigned code = 0; code <= UINT16_MAX; code++) {
    bool sendable = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    struct wsc_header header = legal_header(close);
    header.code = (uint16_t)code;
    g_assert_cmpstr(fault_of(close, &header), ==, sendable ? NULL : "a code that no Close frame may carry");
    header = legal_header(closed);
    header.code = (uint16_t)code;
    g_assert_cmpstr(fault_of(closed, &header), ==,
                    sendable || code == 1005 || code == 1006 ? NULL : "a code that no connection closes with");
  }
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    struct wsc_header header = legal_header(&types[i]);
    header.code = 1000;
    g_assert_cmpstr(fault_of(&types[i], &header), ==, types[i].code ? NULL : "a code where the record has none");
  }
}

static void test_clean_without_close_frame(void) {
  struct wsc_header header = {.type = WSC_CLOSED, .flags = WSC_FLAG_CLEAN, .code = 1006, .connection = 7};
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_APP, LIMIT), ==, "clean although there was no Close frame");
  header.flags = 0;
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_APP, LIMIT), ==, NULL);
  header.flags = WSC_FLAG_CLEAN, header.code = 1005;
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_APP, LIMIT), ==, NULL);
}

/* Whatever was configured, no message is above WSC_MESSAGE_MAX and no body above WSC_BODY_MAX. */
static void test_largest_message(void) {
  struct wsc_header header = {.type = WSC_SEND, .connection = 7, .size = WSC_MESSAGE_MAX};
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_WORKER, UINT64_MAX), ==, NULL);
  header.size++;
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_WORKER, UINT64_MAX), ==, "a message above the limit");
  header = (struct wsc_header){.type = WSC_BROADCAST, .size = WSC_BODY_MAX};
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_WORKER, UINT64_MAX), ==, NULL);
  header.size++;
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_WORKER, UINT64_MAX), ==, "a message above the limit");
  header = (struct wsc_header){.type = WSC_MESSAGE, .connection = 7, .size = 1};
  g_assert_cmpstr(wsc_header_fault(&header, WSC_TO_APP, 0), ==, "a message above the limit");
}

static const char *body_fault(uint8_t type, const uint8_t *body, size_t size) {
  /* An exact copy, so that reading beyond it is noticed. */
  g_autofree uint8_t *copy = g_malloc(size);
  memcpy(copy, body, size);
  struct wsc_record record = {.header = {.type = type, .size = (uint32_t)size}, .body = copy};
  return wsc_record_fault(&record, type < WSC_SEND ? WSC_TO_APP : WSC_TO_WORKER, LIMIT);
}

static void test_standing(void) {
  uint8_t body[16];
  wsc_put_u64(body, 800);
  wsc_put_u64(body + 8, 800);
  g_assert_cmpstr(body_fault(WSC_STANDING, body, sizeof body), ==, NULL);
  wsc_put_u64(body + 8, 801);
  g_assert_cmpstr(body_fault(WSC_STANDING, body, sizeof body), ==, "more released than charged");
}

static void test_malformed_bodies(void) {
  uint8_t body[64] = {0};
  g_assert_cmpstr(body_fault(WSC_WELCOME, body, WSC_WELCOME_SIZE), ==, "a malformed WELCOME");
  g_assert_cmpstr(body_fault(WSC_CONNECT, body, WSC_CONNECT_FIXED), ==, "a malformed CONNECT");
  g_assert_cmpstr(body_fault(WSC_ERROR, body, 4), ==, NULL);
  g_assert_cmpstr(body_fault(WSC_CREDIT, body, 8), ==, NULL);
  g_assert_cmpstr(body_fault(WSC_ACKNOWLEDGE, body, 8), ==, NULL);
}

static void test_ranges(void) {
  static const uint8_t types_with_one[] = {WSC_SHARED_MESSAGE, WSC_SHARED_SEND, WSC_SHARED_FORWARD};
  static const struct {
    struct wsc_shared shared;
    const char *fault;
  } ranges[] = {
      {{0, 1}, NULL},
      {{64, LIMIT}, NULL},
      {{UINT64_MAX - 63, 1}, NULL}, /* where the arena ends, whoever has it knows */
      {{0, 0}, "a range without octets"},
      {{63, 1}, "a range that begins where none may"},
      {{0, LIMIT + 1}, "a message above the limit"},
      {{0, UINT64_MAX}, "a message above the limit"},
  };
  uint8_t body[32] = {0};
  for (size_t i = 0; i < G_N_ELEMENTS(types_with_one); i++) {
    for (size_t j = 0; j < G_N_ELEMENTS(ranges); j++) {
      wsc_shared_encode(&ranges[j].shared, body);
      g_assert_cmpstr(body_fault(types_with_one[i], body, WSC_SHARED_SIZE), ==, ranges[j].fault);
    }
  }
  g_assert_cmpstr(body_fault(WSC_RELEASE, body, 24), ==, NULL);
  g_assert_cmpstr(body_fault(WSC_RELEASE, body, 23), ==, "a list of ranges that ends within one");
  g_assert_cmpstr(body_fault(WSC_RELEASED, body, 9), ==, "a list of ranges that ends within one");
}

static const char *broadcast_fault(uint32_t count, uint32_t targets, size_t payload) {
  size_t size = 8 + 8 * (size_t)targets + payload;
  g_autofree uint8_t *body = g_malloc0(size);
  memset(body + 8, 1, 8 * (size_t)targets);
  wsc_put_u32(body, count);
  return body_fault(WSC_BROADCAST, body, size);
}

static void test_broadcast(void) {
  uint8_t body[8 + 16] = {2, 0, 0, 0, 0, 0, 0, 0, 1};
  g_assert_cmpstr(broadcast_fault(1, 1, 0), ==, NULL);
  g_assert_cmpstr(broadcast_fault(1, 1, LIMIT), ==, NULL);
  g_assert_cmpstr(broadcast_fault(3, 3, 5), ==, NULL);
  g_assert_cmpstr(broadcast_fault(WSC_BROADCAST_TARGETS_MAX, WSC_BROADCAST_TARGETS_MAX, LIMIT), ==, NULL);
  g_assert_cmpstr(broadcast_fault(0, 1, 0), ==, "a broadcast to none or to too many");
  g_assert_cmpstr(broadcast_fault(WSC_BROADCAST_TARGETS_MAX + 1, WSC_BROADCAST_TARGETS_MAX + 1, 0), ==,
                  "a broadcast to none or to too many");
  g_assert_cmpstr(broadcast_fault(0x20000001, 1, 0), ==, "a broadcast to none or to too many"); /* 8 * count wraps */
  g_assert_cmpstr(broadcast_fault(4, 3, 7), ==, "a broadcast shorter than its targets");
  g_assert_cmpstr(broadcast_fault(1, 1, LIMIT + 1), ==, "a message above the limit");
  g_assert_cmpstr(body_fault(WSC_BROADCAST, body, sizeof body), ==, "no connection where the record is about one");
  body[16] = 9;
  g_assert_cmpstr(body_fault(WSC_BROADCAST, body, sizeof body), ==, NULL);
  body[5] = 1;
  g_assert_cmpstr(body_fault(WSC_BROADCAST, body, sizeof body), ==, "a reserved octet that is not zero");
}

static void test_which_are_events(void) {
  static const uint8_t events[] = {WSC_CONNECT, WSC_MESSAGE, WSC_CLOSED, WSC_ERROR, WSC_DRAINED, WSC_SHARED_MESSAGE};
  for (unsigned type = 0; type < 256; type++)
    g_assert_true(wsc_type_is_event((uint8_t)type) == (memchr(events, (int)type, sizeof events) != NULL));
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/record/header/is-read-alike-by-every-implementation", test_header_layout);
  g_test_add_func("/record/welcome/is-read-alike-by-every-implementation", test_welcome_layout);
  g_test_add_func("/record/welcome/of-a-later-release-is-understood", test_welcome_may_grow);
  g_test_add_func("/record/welcome/with-nonsense-figures-is-refused", test_welcome_nonsense);
  g_test_add_func("/record/fault/unknown-type-or-wrong-direction", test_types_and_directions);
  g_test_add_func("/record/fault/unknown-flag", test_flags);
  g_test_add_func("/record/fault/connection-missing-or-out-of-place", test_connections);
  g_test_add_func("/record/fault/size-outside-the-bounds", test_sizes);
  g_test_add_func("/record/fault/close-code-that-cannot-be", test_codes);
  g_test_add_func("/record/fault/clean-without-close-frame", test_clean_without_close_frame);
  g_test_add_func("/record/fault/larger-than-any-message", test_largest_message);
  g_test_add_func("/record/fault/standing-with-impossible-credit", test_standing);
  g_test_add_func("/record/fault/malformed-bodies", test_malformed_bodies);
  g_test_add_func("/record/fault/broadcast", test_broadcast);
  g_test_add_func("/record/body/ranges-of-shared-memory", test_ranges);
  g_test_add_func("/record/events-are-numbered-alike-on-both-sides", test_which_are_events);
  return g_test_run();
}

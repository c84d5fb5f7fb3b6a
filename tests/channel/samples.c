/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/channel/samples.h"

#include <glib.h>
#include <string.h>

static void append(struct wsc_queue *queue, struct wsc_header header, const void *body, size_t size) {
  g_assert_true(wsc_queue_append_record(queue, &header, body, size));
}

struct wsc_welcome sample_welcome(void) {
  return (struct wsc_welcome){.version = WSC_VERSION,
                              .acknowledged = true,
                              .repeats = 3,
                              .generation = 2,
                              .first_event = 17,
                              .max_message = 5242864,
                              .queue_high = WSC_PEER_QUEUE_HIGH,
                              .queue_low = WSC_PEER_QUEUE_LOW,
                              .standing = 1,
                              .abilities = WSC_CAN_FORWARD};
}

static void append_welcome(struct wsc_queue *queue) {
  uint8_t body[WSC_WELCOME_SIZE];
  struct wsc_welcome welcome = sample_welcome();
  wsc_welcome_encode(&welcome, body);
  append(queue, (struct wsc_header){.type = WSC_WELCOME}, body, sizeof body);
}

static void append_numbers(struct wsc_queue *queue, uint8_t type, uint64_t connection, uint64_t first, uint64_t second,
                           size_t size) {
  uint8_t body[16];
  wsc_put_u64(body, first);
  wsc_put_u64(body + 8, second);
  append(queue, (struct wsc_header){.type = type, .connection = connection}, body, size);
}

static struct wsc_text text_of(const char *text, size_t length) {
  return (struct wsc_text){.text = text, .length = length};
}

static void append_connect(struct wsc_queue *queue, uint64_t connection, uint16_t header_count) {
  struct wsc_connect connect = {.family = 6, .tls = true, .port = 50000, .scope = 2, .header_count = header_count};
  struct wsc_connect_header header = {.name = text_of("host", 4), .value = text_of("tv.example:8080", 15)};
  memset(connect.address, 0xfe, sizeof connect.address);
  connect.path = text_of("/remote", 7);
  connect.query = text_of("a=1", 3);
  connect.protocol = text_of("chat", 4);
  size_t size = wsc_connect_size(&connect) + header_count * wsc_connect_header_size(&header);
  struct wsc_header record = {.type = WSC_CONNECT, .connection = connection};
  uint8_t *out = wsc_queue_append(queue, &record, size);
  g_assert_nonnull(out);
  out += wsc_connect_encode(&connect, out);
  for (uint16_t i = 0; i < header_count; i++)
    out += wsc_connect_header_encode(&header, out);
}

static void append_error(struct wsc_queue *queue, uint64_t connection, const char *sentence) {
  struct wsc_header header = {.type = WSC_ERROR, .connection = connection};
  uint8_t *out = wsc_queue_append(queue, &header, 4 + strlen(sentence));
  g_assert_nonnull(out);
  wsc_put_u32(out, 2302999);
  memcpy(out + 4, sentence, strlen(sentence));
}

static void append_broadcast(struct wsc_queue *queue, uint32_t targets, const void *payload, size_t size) {
  struct wsc_header header = {.type = WSC_BROADCAST, .flags = WSC_FLAG_TEXT};
  uint8_t *out = wsc_queue_append(queue, &header, 8 + 8 * (size_t)targets + size);
  g_assert_nonnull(out);
  wsc_put_u32(out, targets);
  wsc_put_u32(out + 4, 0);
  for (uint32_t i = 0; i < targets; i++)
    wsc_put_u64(out + 8 + 8 * (size_t)i, i + 1);
  if (size > 0)
    memcpy(out + 8 + 8 * (size_t)targets, payload, size);
}

static size_t append_each_to_app(struct wsc_queue *queue) {
  append_welcome(queue);
  append_numbers(queue, WSC_STANDING, 5, 900, 800, 16);
  append_numbers(queue, WSC_CREDIT, 5, 820, 0, 8);
  append_numbers(queue, WSC_ASK, 0, 12, 0, 8);
  append_connect(queue, 6, 2);
  append(queue, (struct wsc_header){.type = WSC_MESSAGE, .flags = WSC_FLAG_TEXT, .connection = 6}, "hello", 5);
  append(queue, (struct wsc_header){.type = WSC_MESSAGE, .connection = 6}, NULL, 0);
  append(queue, (struct wsc_header){.type = WSC_DRAINED, .connection = 5}, NULL, 0);
  append_error(queue, 0, "something broke");
  append(queue, (struct wsc_header){.type = WSC_CLOSED, .flags = WSC_FLAG_CLEAN, .code = 4321, .connection = 6}, "bye",
         3);
  return 10;
}

static size_t append_each_to_worker(struct wsc_queue *queue) {
  append(queue, (struct wsc_header){.type = WSC_SEND, .flags = WSC_FLAG_WANT_CREDIT, .connection = 5}, "\0\1\2", 3);
  append(queue, (struct wsc_header){.type = WSC_SEND, .flags = WSC_FLAG_TEXT, .connection = 5}, NULL, 0);
  append_broadcast(queue, 3, "to all", 6);
  append(queue, (struct wsc_header){.type = WSC_CLOSE, .code = 1000, .connection = 5}, "done", 4);
  append_numbers(queue, WSC_ACKNOWLEDGE, 0, 12, 0, 8);
  append(queue, (struct wsc_header){.type = WSC_WANT_DRAINED, .connection = 7}, NULL, 0);
  return 6;
}

size_t sample_append_each(struct wsc_queue *queue, enum wsc_direction direction) {
  return direction == WSC_TO_APP ? append_each_to_app(queue) : append_each_to_worker(queue);
}

/* Mostly small, now and then large. */
static size_t random_size(size_t max) {
  size_t limit = g_test_rand_int_range(0, 8) == 0 ? max : max / 100;
  return (size_t)g_test_rand_int_range(0, (gint32)limit + 1);
}

void sample_append_random(struct wsc_queue *queue, enum wsc_direction direction, size_t payload_max) {
  uint64_t connection = (uint64_t)g_test_rand_int_range(1, 1000) << 30;
  size_t size = random_size(payload_max);
  g_autofree uint8_t *payload = g_malloc(size + 1);
  memset(payload, g_test_rand_int_range(0, 256), size);
  switch (g_test_rand_int_range(0, 4) + (direction == WSC_TO_APP ? 0 : 4)) {
  case 0:
    append_connect(queue, connection, (uint16_t)g_test_rand_int_range(0, 64));
    break;
  case 1:
    append_numbers(queue, WSC_CREDIT, connection, (uint64_t)size, 0, 8);
    break;
  case 2:
    append_error(queue, connection, "a sentence");
    break;
  case 3:
    append(queue, (struct wsc_header){.type = WSC_MESSAGE, .connection = connection}, payload, size);
    break;
  case 4:
    append_broadcast(queue, (uint32_t)g_test_rand_int_range(1, 300), payload, size);
    break;
  case 5:
    append_numbers(queue, WSC_ACKNOWLEDGE, 0, (uint64_t)size, 0, 8);
    break;
  case 6:
    append(queue, (struct wsc_header){.type = WSC_WANT_DRAINED, .connection = connection}, NULL, 0);
    break;
  default:
    append(queue, (struct wsc_header){.type = WSC_SEND, .connection = connection}, payload, size);
  }
}

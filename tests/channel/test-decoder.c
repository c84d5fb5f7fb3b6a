/* SPDX-License-Identifier: Apache-2.0 */
/* Records out of a stream: the same ones however the octets arrive, and never more memory than arrived. */
#include "channel/decoder.h"
#include "tests/channel/allocations.h"
#include "tests/channel/assertions.h"
#include "tests/channel/samples.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT (8u << 20)

/* Gives the decoder up to `length` octets as a read(2) would; returns how many it took. */
static size_t feed(struct wsc_decoder *decoder, const uint8_t *octets, size_t length) {
  size_t size;
  uint8_t *room = wsc_decoder_room(decoder, &size);
  g_assert_nonnull(room);
  g_assert_cmpuint(size, >, 0);
  size_t taken = length < size ? length : size;
  memcpy(room, octets, taken);
  wsc_decoder_filled(decoder, taken);
  return taken;
}

/* Takes all whole records and writes them down again; returns how many. */
static size_t drain(struct wsc_decoder *decoder, struct wsc_queue *copy) {
  struct wsc_record record;
  enum wsc_decode_result result;
  size_t count = 0;
  while ((result = wsc_decoder_next(decoder, &record)) == WSC_DECODED) {
    g_assert_true(wsc_queue_append_record(copy, &record.header, record.body, record.header.size));
    count++;
  }
  g_assert_cmpstr(decoder->fault, ==, NULL);
  g_assert_cmpint(result, ==, WSC_DECODE_MORE);
  return count;
}

static size_t feed_all(struct wsc_decoder *decoder, const uint8_t *octets, size_t length, struct wsc_queue *copy) {
  size_t count = 0;
  while (length > 0) {
    size_t taken = feed(decoder, octets, length);
    octets += taken, length -= taken;
    count += drain(decoder, copy);
  }
  return count;
}

static void assert_same(const struct wsc_queue *queue, const struct wsc_queue *expected) {
  assert_octets(wsc_queue_front(queue), wsc_queue_length(queue), wsc_queue_front(expected), wsc_queue_length(expected));
}

/* Reads `stream` in three pieces. */
static void assert_split_is_harmless(enum wsc_direction direction, const struct wsc_queue *stream, size_t count,
                                     size_t first, size_t second) {
  struct wsc_decoder decoder;
  struct wsc_queue copy = {0};
  const uint8_t *octets = wsc_queue_front(stream);
  wsc_decoder_init(&decoder, direction, LIMIT);
  size_t decoded = feed_all(&decoder, octets, first, &copy);
  decoded += feed_all(&decoder, octets + first, second - first, &copy);
  decoded += feed_all(&decoder, octets + second, wsc_queue_length(stream) - second, &copy);
  g_assert_cmpuint(decoded, ==, count);
  g_assert_cmpuint(wsc_decoder_pending(&decoder), ==, 0);
  assert_same(&copy, stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void test_every_split(void) {
  for (unsigned direction = WSC_TO_APP; direction <= WSC_TO_WORKER; direction++) {
    struct wsc_queue stream = {0};
    size_t count = sample_append_each(&stream, direction), length = wsc_queue_length(&stream);
    for (size_t first = 0; first <= length; first++)
      for (size_t second = first; second <= length; second += 7)
        assert_split_is_harmless(direction, &stream, count, first, second);
    wsc_queue_clear(&stream);
  }
}

static void test_octet_by_octet(void) {
  for (unsigned direction = WSC_TO_APP; direction <= WSC_TO_WORKER; direction++) {
    struct wsc_queue stream = {0}, copy = {0};
    struct wsc_decoder decoder;
    size_t count = sample_append_each(&stream, direction), decoded = 0;
    wsc_decoder_init(&decoder, direction, LIMIT);
    for (size_t i = 0; i < wsc_queue_length(&stream); i++) {
      decoded += feed_all(&decoder, wsc_queue_front(&stream) + i, 1, &copy);
      wsc_decoder_rest(&decoder); /* must not touch what is pending */
    }
    g_assert_cmpuint(decoded, ==, count);
    assert_same(&copy, &stream);
    wsc_queue_clear(&stream);
    wsc_queue_clear(&copy);
    wsc_decoder_clear(&decoder);
  }
}

static void read_random_stream(enum wsc_direction direction, gint32 chunk_max) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  if (direction == WSC_TO_APP)
    sample_append_each(&stream, direction);
  for (int i = 0; i < 60; i++)
    sample_append_random(&stream, direction, 300000);
  wsc_decoder_init(&decoder, direction, LIMIT);
  for (size_t at = 0, length = wsc_queue_length(&stream); at < length;) {
    size_t chunk = (size_t)g_test_rand_int_range(1, chunk_max);
    at += feed(&decoder, wsc_queue_front(&stream) + at, MIN(chunk, length - at));
    if (g_test_rand_int_range(0, 4) > 0)
      drain(&decoder, &copy);
    if (g_test_rand_int_range(0, 4) == 0)
      wsc_decoder_rest(&decoder);
  }
  drain(&decoder, &copy);
  assert_same(&copy, &stream);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

/* As a user that keeps large messages and gives their memory back later. */
static void test_kept_memory_loses_nothing(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  struct wsc_record record;
  uint8_t *taken = NULL;
  size_t taken_capacity = 0;
  for (int i = 0; i < 200; i++)
    sample_append_random(&stream, WSC_TO_WORKER, 300000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  decoder.keep = 1 << 20;
  for (size_t at = 0, length = wsc_queue_length(&stream); at < length;) {
    size_t chunk = (size_t)g_test_rand_int_range(1, 200000);
    at += feed(&decoder, wsc_queue_front(&stream) + at, MIN(chunk, length - at));
    while (wsc_decoder_next(&decoder, &record) == WSC_DECODED) {
      g_assert_true(wsc_queue_append_record(&copy, &record.header, record.body, record.header.size));
      if (taken == NULL && record.header.size > 100000) {
        taken_capacity = decoder.capacity;
        taken = wsc_decoder_take(&decoder);
      } else if (taken != NULL && g_test_rand_int_range(0, 3) == 0) {
        wsc_decoder_give(&decoder, g_steal_pointer(&taken), taken_capacity);
        g_assert_cmpuint(decoder.spare_capacity, <=, decoder.keep);
      }
    }
    if (g_test_rand_int_range(0, 10) == 0)
      wsc_decoder_trim(&decoder);
  }
  assert_same(&copy, &stream);
  free(taken);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void test_random_streams(void) {
  for (int round = 0; round < 15; round++) {
    read_random_stream(WSC_TO_APP, 200000);
    read_random_stream(WSC_TO_WORKER, 200000);
    read_random_stream(WSC_TO_APP, 2000);
    read_random_stream(WSC_TO_WORKER, 2000);
  }
}

static void append_message(struct wsc_queue *stream, size_t size) {
  struct wsc_header header = {.type = WSC_SEND, .connection = 7};
  uint8_t *body = wsc_queue_append(stream, &header, size);
  g_assert_nonnull(body);
  memset(body, 0x5a, size);
}

static void test_promises_cost_nothing(void) {
  uint8_t octets[WSC_RECORD_HEADER];
  struct wsc_header header = {.type = WSC_SEND, .connection = 7, .size = WSC_MESSAGE_MAX};
  struct wsc_decoder decoder;
  struct wsc_queue copy = {0};
  size_t largest;
  wsc_header_encode(&header, octets);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, WSC_MESSAGE_MAX);
  allocations_taken(NULL);
  feed_all(&decoder, octets, sizeof octets, &copy);
  for (int i = 0; i < 1000; i++)
    feed_all(&decoder, octets, sizeof octets, &copy);
  allocations_taken(&largest);
  g_assert_cmpuint(largest, <=, WSC_DECODER_ROOM);
  wsc_decoder_clear(&decoder);
}

static void test_memory_follows_arrival(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  append_message(&stream, LIMIT);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  allocations_taken(NULL);
  for (size_t at = 0, length = wsc_queue_length(&stream); at < length;) {
    at += feed(&decoder, wsc_queue_front(&stream) + at, MIN(length - at, 10000));
    g_assert_cmpuint(decoder.capacity, <=, MIN(2 * at, length) + WSC_DECODER_ROOM);
    struct wsc_record record;
    g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, at < length ? WSC_DECODE_MORE : WSC_DECODED);
  }
  g_assert_cmpuint(allocations_taken(NULL), <=, 12); /* geometric: 64 KiB to 8 MiB */
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void test_dripping_is_cheap(void) {
  struct wsc_queue stream = {0};
  struct wsc_decoder decoder;
  struct wsc_record record;
  append_message(&stream, 400000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  allocations_taken(NULL);
  for (size_t at = 0; at < wsc_queue_length(&stream); at++) {
    feed(&decoder, wsc_queue_front(&stream) + at, 1);
    if (at + 1 < wsc_queue_length(&stream))
      g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODE_MORE);
  }
  g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODED);
  g_assert_cmpuint(allocations_taken(NULL), <=, 6);
  wsc_queue_clear(&stream);
  wsc_decoder_clear(&decoder);
}

static void test_gives_memory_back(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  append_message(&stream, LIMIT);
  append_message(&stream, 10);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  /* All but the last three octets: a small record stays pending behind the large one. */
  feed_all(&decoder, wsc_queue_front(&stream), wsc_queue_length(&stream) - 3, &copy);
  g_assert_cmpuint(wsc_decoder_pending(&decoder), ==, WSC_RECORD_HEADER + 7);
  feed_all(&decoder, wsc_queue_front(&stream) + wsc_queue_length(&stream) - 3, 3, &copy);
  g_assert_cmpuint(decoder.capacity, <=, 4 * WSC_DECODER_ROOM);
  assert_same(&copy, &stream);
  wsc_decoder_rest(&decoder);
  g_assert_cmpuint(decoder.capacity, ==, 0);
  g_assert_null(decoder.octets);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void test_room_for_one_read(void) {
  struct wsc_decoder decoder;
  size_t size;
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  g_assert_nonnull(wsc_decoder_room(&decoder, &size));
  g_assert_cmpuint(size, ==, WSC_DECODER_ROOM);
  wsc_decoder_clear(&decoder);
}

static void test_without_memory(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  size_t size, at = 0;
  append_message(&stream, 300000);
  append_message(&stream, 300000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  allocations_refuse(true);
  g_assert_null(wsc_decoder_room(&decoder, &size));
  g_assert_cmpuint(size, ==, 0);
  allocations_refuse(false);
  while (at < wsc_queue_length(&stream)) {
    size_t pending = wsc_decoder_pending(&decoder);
    allocations_refuse(true);
    uint8_t *room = wsc_decoder_room(&decoder, &size);
    allocations_refuse(false);
    g_assert_cmpuint(wsc_decoder_pending(&decoder), ==, pending);
    g_assert_true((room == NULL) == (size == 0));
    at += feed(&decoder, wsc_queue_front(&stream) + at, MIN(wsc_queue_length(&stream) - at, 50000));
    drain(&decoder, &copy);
  }
  assert_same(&copy, &stream);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

/* --- Blocks that are taken --- */

/* A record whose block was taken; it is looked at when others have been decoded since. */
struct kept {
  uint8_t *block;
  struct wsc_record record;
};

static void put_kept(struct kept *kept, struct wsc_queue *copy) {
  if (kept->block != NULL)
    g_assert_true(wsc_queue_append_record(copy, &kept->record.header, kept->record.body, kept->record.header.size));
  free(kept->block);
  kept->block = NULL;
}

/* Takes the block of every `nth` record. */
static void take_from_stream(const struct wsc_queue *stream, size_t chunk, guint nth) {
  struct wsc_queue copy = {0};
  struct wsc_decoder decoder;
  struct kept kept = {0};
  guint count = 0;
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  for (size_t at = 0, length = wsc_queue_length(stream); at < length;) {
    struct wsc_record record;
    at += feed(&decoder, wsc_queue_front(stream) + at, MIN(chunk, length - at));
    while (wsc_decoder_next(&decoder, &record) == WSC_DECODED) {
      put_kept(&kept, &copy);
      kept.record = record;
      if (++count % nth == 0)
        kept.block = wsc_decoder_take(&decoder);
      else
        g_assert_true(wsc_queue_append_record(&copy, &record.header, record.body, record.header.size));
    }
    g_assert_cmpstr(decoder.fault, ==, NULL);
  }
  put_kept(&kept, &copy);
  g_assert_cmpuint(wsc_decoder_pending(&decoder), ==, 0);
  assert_same(&copy, stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void test_take(void) {
  struct wsc_queue stream = {0};
  for (int i = 0; i < 40; i++)
    sample_append_random(&stream, WSC_TO_WORKER, 300000);
  for (guint nth = 1; nth <= 3; nth++) {
    take_from_stream(&stream, 10007, nth);
    take_from_stream(&stream, 65536, nth);
    take_from_stream(&stream, SIZE_MAX, nth);
  }
  wsc_queue_clear(&stream);
}

static void test_take_small(void) {
  struct wsc_queue stream = {0};
  sample_append_each(&stream, WSC_TO_WORKER);
  for (guint nth = 1; nth <= 3; nth++)
    for (size_t chunk = 1; chunk < wsc_queue_length(&stream); chunk++)
      take_from_stream(&stream, chunk, nth);
  wsc_queue_clear(&stream);
}

static void test_take_without_memory(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  struct wsc_record record;
  append_message(&stream, 5000);
  append_message(&stream, 7000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  feed(&decoder, wsc_queue_front(&stream), wsc_queue_length(&stream));
  g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODED);
  allocations_refuse(true);
  g_assert_null(wsc_decoder_take(&decoder));
  allocations_refuse(false);
  g_assert_true(wsc_queue_append_record(&copy, &record.header, record.body, record.header.size)); /* still in place */
  g_assert_cmpuint(drain(&decoder, &copy), ==, 1);
  assert_same(&copy, &stream);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

/* The last record of a block goes with it, and nothing is left to be paid for. */
static void test_take_costs_nothing(void) {
  struct wsc_queue stream = {0};
  struct wsc_decoder decoder;
  struct wsc_record record;
  append_message(&stream, 50000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  feed(&decoder, wsc_queue_front(&stream), wsc_queue_length(&stream));
  g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODED);
  allocations_taken(NULL);
  uint8_t *block = wsc_decoder_take(&decoder);
  g_assert_cmpuint(allocations_taken(NULL), ==, 0);
  g_assert_true(block + WSC_RECORD_HEADER == record.body);
  g_assert_null(decoder.octets);
  g_assert_cmpuint(decoder.capacity, ==, 0);
  wsc_decoder_rest(&decoder);
  wsc_decoder_clear(&decoder);
  g_assert_cmpuint(record.body[49999], ==, 0x5a);
  free(block);
  wsc_queue_clear(&stream);
}

static void take_in(struct wsc_decoder *decoder, const struct wsc_queue *stream) {
  struct wsc_record record;
  for (size_t at = 0; at < wsc_queue_length(stream);)
    at += feed(decoder, wsc_queue_front(stream) + at, wsc_queue_length(stream) - at);
  while (wsc_decoder_next(decoder, &record) == WSC_DECODED)
    ;
}

/* One large message after the other: only the first costs allocations, also where its block was taken and given back. */
static void test_large_records_one_after_the_other(void) {
  struct wsc_queue stream = {0};
  struct wsc_decoder decoder;
  append_message(&stream, 1000000);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  decoder.keep = 2 << 20;
  for (int i = 0; i < 6; i++) {
    allocations_taken(NULL);
    take_in(&decoder, &stream);
    if (i >= 2)
      g_assert_cmpuint(allocations_taken(NULL), <=, i % 2); /* the room that is small at first */
    size_t capacity = decoder.capacity;
    if (i % 2 == 0)
      wsc_decoder_give(&decoder, wsc_decoder_take(&decoder), capacity);
  }
  wsc_decoder_trim(&decoder);
  g_assert_null(decoder.octets);
  g_assert_null(decoder.spare);
  wsc_decoder_give(&decoder, malloc((2 << 20) + 1), (2 << 20) + 1); /* more than is to be kept */
  g_assert_null(decoder.spare);
  wsc_decoder_clear(&decoder);
  wsc_queue_clear(&stream);
}

static void test_partial_last_record(void) {
  struct wsc_queue stream = {0}, copy = {0};
  struct wsc_decoder decoder;
  append_message(&stream, 10);
  append_message(&stream, 10);
  wsc_decoder_init(&decoder, WSC_TO_WORKER, LIMIT);
  g_assert_cmpuint(feed_all(&decoder, wsc_queue_front(&stream), wsc_queue_length(&stream) - 1, &copy), ==, 1);
  g_assert_cmpuint(wsc_decoder_pending(&decoder), ==, WSC_RECORD_HEADER + 9);
  wsc_queue_clear(&stream);
  wsc_queue_clear(&copy);
  wsc_decoder_clear(&decoder);
}

static void assert_fault(enum wsc_direction direction, const struct wsc_queue *stream, size_t good, const char *fault) {
  struct wsc_decoder decoder;
  struct wsc_record record;
  size_t size;
  wsc_decoder_init(&decoder, direction, LIMIT);
  feed(&decoder, wsc_queue_front(stream), wsc_queue_length(stream));
  for (size_t i = 0; i < good; i++)
    g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODED);
  for (int i = 0; i < 2; i++) { /* and for good */
    g_assert_cmpint(wsc_decoder_next(&decoder, &record), ==, WSC_DECODE_FAULT);
    g_assert_cmpstr(decoder.fault, ==, fault);
    g_assert_null(wsc_decoder_room(&decoder, &size));
  }
  wsc_decoder_clear(&decoder);
}

static void test_fault_by_header(void) {
  struct wsc_queue stream = {0};
  uint8_t octets[WSC_RECORD_HEADER];
  struct wsc_header header = {.type = WSC_SEND, .connection = 7, .size = LIMIT + 1};
  append_message(&stream, 10);
  wsc_header_encode(&header, octets);
  g_assert_true(wsc_queue_append_octets(&stream, octets, sizeof octets)); /* and not an octet of the body */
  assert_fault(WSC_TO_WORKER, &stream, 1, "a message above the limit");
  wsc_queue_clear(&stream);
}

static void test_fault_by_body(void) {
  struct wsc_queue stream = {0};
  struct wsc_header header = {.type = WSC_BROADCAST};
  g_assert_true(wsc_queue_append_record(&stream, &header, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));
  assert_fault(WSC_TO_WORKER, &stream, 0, "a broadcast to none or to too many");
  wsc_queue_clear(&stream);
}

static void append_standing(struct wsc_queue *stream) {
  struct wsc_header header = {.type = WSC_STANDING, .connection = 7};
  g_assert_true(wsc_queue_append_record(stream, &header, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
}

static void append_welcome(struct wsc_queue *stream) {
  struct wsc_header header = {.type = WSC_WELCOME};
  struct wsc_welcome welcome = sample_welcome();
  wsc_welcome_encode(&welcome, wsc_queue_append(stream, &header, WSC_WELCOME_SIZE));
}

static void append_drained(struct wsc_queue *stream) {
  struct wsc_header header = {.type = WSC_DRAINED, .connection = 7};
  g_assert_nonnull(wsc_queue_append(stream, &header, 0));
}

static void test_beginning(void) {
  struct wsc_queue stream = {0};
  append_drained(&stream);
  assert_fault(WSC_TO_APP, &stream, 0, "a record before WELCOME");
  wsc_queue_clear(&stream);
  append_standing(&stream);
  assert_fault(WSC_TO_APP, &stream, 0, "a record before WELCOME");
  wsc_queue_clear(&stream);
  append_welcome(&stream);
  append_welcome(&stream);
  assert_fault(WSC_TO_APP, &stream, 1, "a second WELCOME");
  wsc_queue_clear(&stream);
  append_welcome(&stream);
  append_standing(&stream);
  append_standing(&stream);
  append_drained(&stream);
  append_standing(&stream);
  assert_fault(WSC_TO_APP, &stream, 4, "a STANDING that is not right behind WELCOME");
  wsc_queue_clear(&stream);
  append_welcome(&stream);
  append_drained(&stream);
  append_welcome(&stream);
  assert_fault(WSC_TO_APP, &stream, 2, "a second WELCOME");
  wsc_queue_clear(&stream);
}

/* Any octets at all: decoding ends, and nothing outside is read. */
static void test_hostile(void) {
  for (int round = 0; round < 3000; round++) {
    struct wsc_queue stream = {0};
    struct wsc_decoder decoder;
    struct wsc_record record;
    enum wsc_direction direction = round % 2 ? WSC_TO_APP : WSC_TO_WORKER;
    sample_append_each(&stream, direction);
    for (int changes = g_test_rand_int_range(1, 6); changes > 0; changes--)
      stream.octets[g_test_rand_int_range(0, (gint32)stream.end)] = (uint8_t)g_test_rand_int_range(0, 256);
    wsc_decoder_init(&decoder, direction, LIMIT);
    feed(&decoder, wsc_queue_front(&stream), wsc_queue_length(&stream));
    unsigned octets = 0;
    while (wsc_decoder_next(&decoder, &record) == WSC_DECODED)
      for (uint32_t i = 0; i < record.header.size; i++)
        octets += record.body[i];
    g_assert_cmpuint(octets, <, UINT_MAX);
    wsc_queue_clear(&stream);
    wsc_decoder_clear(&decoder);
  }
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/decoder/every-split-gives-the-same-records", test_every_split);
  g_test_add_func("/decoder/octet-by-octet-gives-the-same-records", test_octet_by_octet);
  g_test_add_func("/decoder/random-streams-arrive-whole", test_random_streams);
  g_test_add_func("/decoder/memory/a-promised-size-costs-nothing", test_promises_cost_nothing);
  g_test_add_func("/decoder/memory/grows-as-octets-arrive", test_memory_follows_arrival);
  g_test_add_func("/decoder/memory/dripped-octets-do-not-cost-a-reallocation-each", test_dripping_is_cheap);
  g_test_add_func("/decoder/memory/is-given-back-after-a-large-record", test_gives_memory_back);
  g_test_add_func("/decoder/memory/one-read-has-its-room", test_room_for_one_read);
  g_test_add_func("/decoder/memory/nothing-is-lost-when-there-is-none", test_without_memory);
  g_test_add_func("/decoder/taken-blocks-stay-as-they-are-and-lose-nothing", test_take);
  g_test_add_func("/decoder/taken-blocks-of-small-records-cut-anywhere", test_take_small);
  g_test_add_func("/decoder/taking-without-memory-changes-nothing", test_take_without_memory);
  g_test_add_func("/decoder/taking-the-last-record-copies-nothing", test_take_costs_nothing);
  g_test_add_func("/decoder/memory/is-kept-from-one-large-record-to-the-next", test_large_records_one_after_the_other);
  g_test_add_func("/decoder/memory/kept-or-given-back-loses-nothing", test_kept_memory_loses_nothing);
  g_test_add_func("/decoder/partial-last-record-is-never-handed-out", test_partial_last_record);
  g_test_add_func("/decoder/fault/judged-before-the-body-is-awaited", test_fault_by_header);
  g_test_add_func("/decoder/fault/malformed-body-is-never-handed-out", test_fault_by_body);
  g_test_add_func("/decoder/fault/channel-that-does-not-begin-as-it-must", test_beginning);
  g_test_add_func("/decoder/hostile-octets-are-never-read-beyond", test_hostile);
  return g_test_run();
}

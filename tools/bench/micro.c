/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the protocol engine goes through octets: masking and UTF-8 validation by each variant that the processor
 * has, and what a large text message costs above a binary one. Not installed, and no test: on a machine that does
 * other things as well the figures drift, which is why rounds are interleaved and medians are shown.
 */
#include "websocket/buffer.h"
#include "websocket/connection.h"
#include "websocket/frame.h"
#include "websocket/mask-variants.h"
#include "websocket/mask.h"
#include "websocket/utf8-variants.h"
#include "websocket/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define ROUNDS 15            /* of which the median is shown */
#define MESSAGE_ROUNDS 301   /* the same, for whole messages */
#define ROUND_TIME 1000000.0 /* nanoseconds, about */
#define MESSAGE_SIZE (1 << 20)

static const size_t sizes[] = {20, 1024, 65536, 1 << 20};
static const uint8_t key[4] = {0x12, 0xA5, 0xFF, 0x70};

static const char help[] =
    "Usage: micro [--help]\n"
    "\n"
    "Measures the protocol engine on one core: GB/s of masking and of UTF-8 validation for each variant that this\n"
    "processor has (\"in use\" is what the engine chooses), and the time of wsp_connection_receive() for one masked\n"
    "message of 1 MiB, binary and text. Medians; expect them to drift on a machine that is not idle.\n";

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
  qsort(values, count, sizeof *values, compare);
  return values[count / 2];
}

static uint8_t *allocate(size_t size) {
  uint8_t *octets = malloc(size);
  if (!octets) {
    fputs("no memory\n", stderr);
    exit(1);
  }
  return octets;
}

/* ---- Octets a second ---- */

/* What is measured; NULL in both variants: the public function. */
struct subject {
  const struct wsp_mask_variant *mask;
  const struct wsp_utf8_variant *utf8;
  bool is_mask;
  uint8_t *octets;
  size_t length;
};

static void run_once(const struct subject *subject) {
  static const uint8_t turned[8] = {0x12, 0xA5, 0xFF, 0x70, 0x12, 0xA5, 0xFF, 0x70};
  uint8_t state = WSP_UTF8_ACCEPT;
  bool right = true;
  if (subject->mask)
    subject->mask->function(subject->octets, subject->octets, subject->length, turned);
  else if (subject->is_mask)
    wsp_mask(subject->octets, subject->length, key, 0);
  else if (subject->utf8)
    right = wsp_utf8_feed_with(subject->utf8, &state, subject->octets, subject->length);
  else
    right = wsp_utf8_feed(&state, subject->octets, subject->length);
  if (!right || state != WSP_UTF8_ACCEPT) {
    fputs("the sample text is refused\n", stderr);
    exit(1);
  }
}

static double time_of(const struct subject *subject, size_t times) {
  const double begin = now();
  for (size_t i = 0; i < times; i++)
    run_once(subject);
  return now() - begin;
}

static void print_rate(const struct subject *subject) {
  size_t times = 1;
  while (time_of(subject, times) < ROUND_TIME / 2)
    times *= 2;
  double rates[ROUNDS];
  for (size_t i = 0; i < ROUNDS; i++)
    rates[i] = (double)times * (double)subject->length / time_of(subject, times);
  printf(" %8.2f", median(rates, ROUNDS));
}

static void print_heading(const char *what) {
  printf("%-22s", what);
  for (size_t i = 0; i < LENGTH(sizes); i++)
    if (sizes[i] < 1024)
      printf(" %6zu B", sizes[i]);
    else if (sizes[i] < 1 << 20)
      printf(" %4zu KiB", sizes[i] >> 10);
    else
      printf(" %4zu MiB", sizes[i] >> 20);
  printf("   GB/s\n");
}

static void measure_mask(void) {
  /* Behind a header of 14 octets, as most large payloads lie. */
  uint8_t *room = allocate(sizes[LENGTH(sizes) - 1] + 14);
  memset(room, 'x', sizes[LENGTH(sizes) - 1] + 14);
  print_heading("mask");
  for (const struct wsp_mask_variant *variant = wsp_mask_variants;; variant++) {
    if (variant->name && !variant->is_supported())
      continue;
    printf("  %-20s", variant->name ? variant->name : "in use");
    for (size_t i = 0; i < LENGTH(sizes); i++) {
      struct subject subject = {.mask = variant->name ? variant : NULL, .is_mask = true, .octets = room + 14};
      subject.length = sizes[i];
      if (subject.mask && subject.length < WSP_MASK_BLOCK)
        printf(" %8s", "-");
      else
        print_rate(&subject);
    }
    printf("\n");
    if (!variant->name)
      break;
  }
  free(room);
}

/* Whole repetitions of `sample`, and ASCII to the end. */
static void fill(uint8_t *octets, size_t length, const char *sample) {
  const size_t size = strlen(sample);
  size_t at = 0;
  for (; length - at >= size; at += size)
    memcpy(octets + at, sample, size);
  memset(octets + at, '.', length - at);
}

static const struct {
  const char *name, *sample;
} texts[] = {
    {"ASCII", "The quick brown fox "}, {"2 octets each", "приветмир"},   {"3 octets each", "日本語東京大"},
    {"4 octets each", "😀🚀🎉🌍"},         {"mixed", "Größe 5€, 東京 ☂ 😀 "},
};

static void measure_utf8(const char *name, const char *sample) {
  char heading[64];
  uint8_t *text = allocate(sizes[LENGTH(sizes) - 1]);
  snprintf(heading, sizeof heading, "utf8, %s", name);
  print_heading(heading);
  for (const struct wsp_utf8_variant *variant = wsp_utf8_variants;; variant++) {
    if (variant->name && !variant->is_supported())
      continue;
    printf("  %-20s", variant->name ? variant->name : "in use");
    for (size_t i = 0; i < LENGTH(sizes); i++) {
      fill(text, sizes[i], sample);
      print_rate(&(struct subject){.utf8 = variant->name ? variant : NULL, .octets = text, .length = sizes[i]});
    }
    printf("\n");
    if (!variant->name)
      break;
  }
  free(text);
}

/* ---- A whole message ---- */

/* A masked frame with `payload`, to be freed by the caller. */
static uint8_t *new_frame(bool text, const uint8_t *payload, size_t *length) {
  struct wsp_frame_header header = {
      .fin = true,
      .masked = true,
      .opcode = text ? WSP_OPCODE_TEXT : WSP_OPCODE_BINARY,
      .payload_length = MESSAGE_SIZE,
  };
  memcpy(header.mask_key, key, sizeof key);
  uint8_t *frame = allocate(WSP_FRAME_HEADER_MAX + MESSAGE_SIZE);
  const size_t header_length = wsp_frame_header_encode(&header, frame);
  wsp_mask_copy(frame + header_length, payload, MESSAGE_SIZE, key, 0);
  *length = header_length + MESSAGE_SIZE;
  return frame;
}

/* Nanoseconds that the engine takes for `frame` in pieces of `piece` octets. Each piece is copied to `room` before,
 * as a socket does, and that is not counted. */
static double receive_time(const uint8_t *frame, size_t length, size_t piece, uint8_t *room) {
  struct wsp_settings settings = {.max_message_size = MESSAGE_SIZE};
  struct wsp_connection connection;
  struct wsp_buffer out = {0};
  struct wsp_event event = {.type = WSP_EVENT_NONE};
  double time = 0;
  wsp_connection_init(&connection, WSP_SERVER, &settings);
  for (size_t at = 0; at < length; at += piece) {
    const size_t there = length - at < piece ? length - at : piece;
    size_t consumed;
    memcpy(room, frame + at, there);
    const double begin = now();
    wsp_connection_receive(&connection, room, there, &consumed, &out, &event);
    time += now() - begin;
  }
  if (event.type != WSP_EVENT_MESSAGE || event.length != MESSAGE_SIZE) {
    fputs("the message does not arrive\n", stderr);
    exit(1);
  }
  wsp_connection_clear(&connection);
  wsp_buffer_clear(&out);
  return time;
}

static void measure_message(const char *name, const char *sample, size_t piece) {
  static double binary[MESSAGE_ROUNDS], text[MESSAGE_ROUNDS], ratio[MESSAGE_ROUNDS];
  uint8_t *payload = allocate(MESSAGE_SIZE), *room = allocate(WSP_FRAME_HEADER_MAX + MESSAGE_SIZE);
  size_t length;
  fill(payload, MESSAGE_SIZE, sample);
  uint8_t *binary_frame = new_frame(false, payload, &length), *text_frame = new_frame(true, payload, &length);
  for (size_t i = 0; i < MESSAGE_ROUNDS; i++) {
    binary[i] = receive_time(binary_frame, length, piece, room);
    text[i] = receive_time(text_frame, length, piece, room);
    ratio[i] = text[i] / binary[i];
  }
  printf("  %-20s %8.1f %8.1f %8.2f\n", name, median(binary, MESSAGE_ROUNDS) / 1000,
         median(text, MESSAGE_ROUNDS) / 1000, median(ratio, MESSAGE_ROUNDS));
  free(payload);
  free(room);
  free(binary_frame);
  free(text_frame);
}

static void measure_messages(const char *heading, size_t piece) {
  printf("%-22s %8s %8s %8s   us\n", heading, "binary", "text", "ratio");
  for (size_t i = 0; i < LENGTH(texts); i++)
    measure_message(texts[i].name, texts[i].sample, piece);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(help, stdout);
    return 0;
  }
  if (argc > 1) {
    fprintf(stderr, "micro: unknown argument %s (see --help)\n", argv[1]);
    return 1;
  }
  measure_mask();
  for (size_t i = 0; i < LENGTH(texts); i++)
    measure_utf8(texts[i].name, texts[i].sample);
  measure_messages("1 MiB in one piece", WSP_FRAME_HEADER_MAX + MESSAGE_SIZE);
  measure_messages("1 MiB in 64 KiB reads", 65536);
  return 0;
}

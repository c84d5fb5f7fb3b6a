/* SPDX-License-Identifier: Apache-2.0 */
/* docs/channel.md says what the code does: its examples, its bounds, and the numbers of its tables. */
#include "channel/arena.h"
#include "channel/control.h"
#include "channel/decoder.h"
#include "channel/queue.h"
#include "tests/channel/assertions.h"

#include <string.h>

#define CONNECTION ((UINT64_C(1) << 32) + 1)

static char *read_text(const char *path) {
  char *text = NULL;
  g_autoptr(GError) error = NULL;
  g_file_get_contents(path, &text, NULL, &error);
  g_assert_no_error(error);
  return g_steal_pointer(&text);
}

/* The octets of the example with that name. */
static GByteArray *read_example(const char *name) {
  g_autofree char *text = read_text(CHANNEL_SPECIFICATION);
  g_autofree char *fence = g_strdup_printf("\n```hex %s\n", name);
  char *from = strstr(text, fence);
  g_assert_nonnull(from);
  from += strlen(fence);
  char *end = strstr(from, "\n```");
  g_assert_nonnull(end);
  *end = '\0';
  GByteArray *octets = g_byte_array_new();
  g_auto(GStrv) lines = g_strsplit(from, "\n", -1);
  for (char **line = lines; *line != NULL; line++) {
    (*line)[strcspn(*line, "|")] = '\0';
    g_auto(GStrv) words = g_strsplit(*line, " ", -1);
    for (char **word = words; *word != NULL; word++) {
      if (**word == '\0')
        continue;
      guint8 octet = (guint8)g_ascii_strtoull(*word, NULL, 16);
      g_byte_array_append(octets, &octet, 1);
    }
  }
  return octets;
}

/* The example is what this library writes, and it reads it as legal. */
static void assert_example(const char *name, enum wsc_direction direction, const struct wsc_queue *written) {
  g_autoptr(GByteArray) octets = read_example(name);
  struct wsc_record record;
  assert_octets(octets->data, octets->len, wsc_queue_front(written), wsc_queue_length(written));
  wsc_header_decode(octets->data, &record.header);
  record.body = octets->data + WSC_RECORD_HEADER;
  g_assert_cmpuint(record.header.size, ==, octets->len - WSC_RECORD_HEADER);
  g_assert_cmpstr(wsc_header_fault(&record.header, direction, 1000), ==, NULL);
  g_assert_cmpstr(wsc_record_fault(&record, direction, 1000), ==, NULL);
}

static struct wsc_text text_of(const char *text) {
  return (struct wsc_text){.text = text, .length = strlen(text)};
}

static void test_connect_example(void) {
  struct wsc_queue queue = {0};
  struct wsc_header header = {.type = WSC_CONNECT, .connection = CONNECTION};
  struct wsc_connect_header host = {.name = text_of("host"), .value = text_of("tv")};
  struct wsc_connect connect = {.family = 4,
                                .port = 50000,
                                .address = {192, 0, 2, 7},
                                .connected_at = 1704067200000000,
                                .path = text_of("/remote"),
                                .query = text_of("tv=1"),
                                .origin = text_of("https://a.example"),
                                .protocol = text_of("chat"),
                                .header_count = 1};
  uint8_t *out = wsc_queue_append(&queue, &header, wsc_connect_size(&connect) + wsc_connect_header_size(&host));
  g_assert_nonnull(out);
  out += wsc_connect_encode(&connect, out);
  wsc_connect_header_encode(&host, out);
  assert_example("CONNECT", WSC_TO_APP, &queue);
  wsc_queue_clear(&queue);
}

static void test_message_examples(void) {
  struct wsc_queue queue = {0};
  struct wsc_header header = {.type = WSC_MESSAGE, .flags = WSC_FLAG_TEXT, .connection = CONNECTION};
  g_assert_true(wsc_queue_append_record(&queue, &header, "h\xc3\xa9llo", 6));
  assert_example("MESSAGE", WSC_TO_APP, &queue);
  wsc_queue_clear(&queue);
  header = (struct wsc_header){.type = WSC_SEND, .flags = WSC_FLAG_WANT_CREDIT, .connection = CONNECTION};
  g_assert_true(wsc_queue_append_record(&queue, &header, "\0\1\xff", 3));
  assert_example("SEND", WSC_TO_WORKER, &queue);
  wsc_queue_clear(&queue);
  header = (struct wsc_header){.type = WSC_CREDIT, .connection = CONNECTION};
  wsc_put_u64(wsc_queue_append(&queue, &header, 8), WSC_MESSAGE_COST + 3);
  assert_example("CREDIT", WSC_TO_APP, &queue);
  wsc_queue_clear(&queue);
}

static void test_shared_examples(void) {
  struct wsc_queue queue = {0};
  struct wsc_header header = {.type = WSC_SHARED_MESSAGE, .flags = WSC_FLAG_TEXT, .connection = CONNECTION};
  const struct wsc_shared where = {16384, 10000};
  wsc_shared_encode(&where, wsc_queue_append(&queue, &header, WSC_SHARED_SIZE));
  g_autoptr(GByteArray) octets = read_example("SHARED_MESSAGE");
  assert_octets(octets->data, octets->len, wsc_queue_front(&queue), wsc_queue_length(&queue));
  wsc_queue_clear(&queue);
  struct wsc_releases releases = {0};
  g_assert_true(wsc_releases_add(&releases, 16384));
  g_assert_true(wsc_releases_queue(&releases, &queue, WSC_RELEASE));
  assert_example("RELEASE", WSC_TO_WORKER, &queue);
  wsc_queue_clear(&queue);
}

/* The page has a table row that begins with these two cells. */
static void assert_row(const char *text, const char *first, const char *second) {
  g_autofree char *row = g_strdup_printf("\n| %s | %s |", first, second);
  if (strstr(text, row) == NULL)
    g_error("docs/channel.md has no row \"%s\"", row + 1);
}

static void test_records(void) {
  static const struct {
    const char *name;
    unsigned type;
  } records[] = {
      {"WELCOME", WSC_WELCOME},
      {"STANDING", WSC_STANDING},
      {"CREDIT", WSC_CREDIT},
      {"ASK", WSC_ASK},
      {"CONNECT", WSC_CONNECT},
      {"MESSAGE", WSC_MESSAGE},
      {"CLOSED", WSC_CLOSED},
      {"ERROR", WSC_ERROR},
      {"DRAINED", WSC_DRAINED},
      {"SEND", WSC_SEND},
      {"BROADCAST", WSC_BROADCAST},
      {"CLOSE", WSC_CLOSE},
      {"ACKNOWLEDGE", WSC_ACKNOWLEDGE},
      {"WANT_DRAINED", WSC_WANT_DRAINED},
      {"RELEASED", WSC_RELEASED},
      {"SHARED_MESSAGE", WSC_SHARED_MESSAGE},
      {"SHARED_SEND", WSC_SHARED_SEND},
      {"RELEASE", WSC_RELEASE},
      {"SHARED_FORWARD", WSC_SHARED_FORWARD},
  };
  g_autofree char *text = read_text(CHANNEL_SPECIFICATION);
  for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
    g_autofree char *number = g_strdup_printf("0x%02x", records[i].type);
    assert_row(text, number, records[i].name);
  }
}

/* Both groups of every match in a header, one behind the other. */
static GStrv read_names(const char *path, const char *pattern) {
  g_autofree char *text = read_text(path);
  g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
  g_autoptr(GMatchInfo) match = NULL;
  g_autoptr(GStrvBuilder) names = g_strv_builder_new();
  for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
    g_autofree char *name = g_match_info_fetch(match, 1), *value = g_match_info_fetch(match, 2);
    g_strv_builder_add_many(names, name, value, NULL);
  }
  return g_strv_builder_end(names);
}

static void test_control_records_and_fields(void) {
  g_autofree char *text = read_text(CHANNEL_SPECIFICATION);
  g_auto(GStrv) names = read_names(CHANNEL_FOLDER "/control.h", "^ +WSC_(?:CONTROL|FIELD)_([A-Z_]+) = ([0-9]+),");
  g_assert_cmpuint(g_strv_length(names), ==, 2 * (22 + 41));
  for (char **name = names; *name != NULL; name += 2)
    assert_row(text, name[1], name[0]);
}

#define LIMIT(name)                                                                                                    \
  { #name, name }

static void test_bounds(void) {
  static const struct {
    const char *name;
    unsigned long long value;
  } limits[] = {
      LIMIT(WSC_RECORD_HEADER),   LIMIT(WSC_MESSAGE_MAX),      LIMIT(WSC_BROADCAST_TARGETS_MAX),
      LIMIT(WSC_BODY_MAX),        LIMIT(WSC_WELCOME_MAX),      LIMIT(WSC_CONNECT_FIXED),
      LIMIT(WSC_CONNECT_MAX),     LIMIT(WSC_MESSAGE_COST),     LIMIT(WSC_REASON_MAX),
      LIMIT(WSC_ERROR_TEXT_MAX),  LIMIT(WSC_DECODER_ROOM),     LIMIT(WSC_QUEUE_KEEP),
      LIMIT(WSC_PEER_QUEUE_HIGH), LIMIT(WSC_PEER_QUEUE_LOW),   LIMIT(WSC_CREDIT_STEP),
      LIMIT(WSC_WINDOW_EVENTS),   LIMIT(WSC_WINDOW_OCTETS),    LIMIT(WSC_CONTROL_PACKET_MAX),
      LIMIT(WSC_CONTROL_FDS_MAX), LIMIT(WSC_PEM_MAX),          LIMIT(WSC_KEY_PASSWORD_MAX),
      LIMIT(WSC_VAULT_SIZE),      LIMIT(WSC_ARENA_SIZE),       LIMIT(WSC_ARENA_SIZE_MAX),
      LIMIT(WSC_ARENA_UNIT),      LIMIT(WSC_ARENA_RANGES_MAX), LIMIT(WSC_SHARED_MIN),
      LIMIT(WSC_SHARED_SIZE),     LIMIT(WSC_RELEASES_MAX),
  };
  g_autofree char *text = read_text(CHANNEL_SPECIFICATION);
  g_auto(GStrv) names = read_names(CHANNEL_FOLDER "/limits.h", "^#define (WSC_[A-Z_]+)( )");
  g_assert_cmpuint(g_strv_length(names), ==, 2 * G_N_ELEMENTS(limits));
  for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
    g_autofree char *name = g_strdup_printf("`%s`", limits[i].name);
    g_autofree char *value = g_strdup_printf("%llu", limits[i].value);
    g_assert_true(g_strv_contains((const char *const *)names, limits[i].name));
    assert_row(text, name, value);
  }
}

/* What the figures must be to each other for the channel to move at all. */
static void test_bounds_agree(void) {
  g_assert_cmpuint(WSC_PEER_QUEUE_LOW, <, WSC_PEER_QUEUE_HIGH);
  /* Else an app side might wait at the high mark for a CREDIT that is not owed yet. */
  g_assert_cmpuint(WSC_CREDIT_STEP, <=, WSC_PEER_QUEUE_HIGH - WSC_PEER_QUEUE_LOW);
  /* An entry of the list of connections, with its id and field header, fits a packet. */
  g_assert_cmpuint(WSC_CONTROL_HEADER + wsc_control_field_size(8 + WSC_CONNECT_FIXED), <=, WSC_CONTROL_PACKET_MAX);
  g_assert_cmpuint(WSC_BODY_MAX, <=, UINT32_MAX - WSC_RECORD_HEADER);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/specification/example-of-connect-is-what-is-written", test_connect_example);
  g_test_add_func("/specification/examples-of-messages-are-what-is-written", test_message_examples);
  g_test_add_func("/specification/examples-of-shared-memory-are-what-is-written", test_shared_examples);
  g_test_add_func("/specification/types-of-records-are-the-code's", test_records);
  g_test_add_func("/specification/control-records-and-fields-are-the-code's", test_control_records_and_fields);
  g_test_add_func("/specification/bounds-are-the-code's", test_bounds);
  g_test_add_func("/specification/bounds-agree-with-each-other", test_bounds_agree);
  return g_test_run();
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of the opening handshake. Input: one line each with host, target, origin, protocols and one
 * header, which the app would give; behind an empty line the server's answer. A request that is written is one that the
 * server's half takes, and any cutting of the answer comes to the same verdict.
 */
#include "tests/fuzz/handshake-facts.h"
#include "websocket/client-handshake.h"

#include <stdlib.h>
#include <string.h>

enum switches { COMPRESSION = 1 };
enum { HOST, TARGET, ORIGIN, PROTOCOLS, NAME, VALUE, LINES };

/* Cuts the app's lines off the front of the input; absent ones are NULL. */
static void take_lines(struct fuzz_input *input, char *lines[LINES]) {
  for (size_t i = 0; i < LINES; i++) {
    const uint8_t *end = input->length > 0 ? memchr(input->octets, '\n', input->length) : NULL;
    if (!end)
      return;
    const size_t length = (size_t)(end - input->octets);
    lines[i] = calloc(1, length + 1);
    memcpy(lines[i], input->octets, length);
    input->octets += length + 1;
    input->length -= length + 1;
  }
}

/* What the server's half makes of it: only bounds of its own that HTTP does not set may keep the request out. */
static void check_request(const struct wsp_buffer *request) {
  struct wsp_server_handshake *server = wsp_server_handshake_new();
  size_t consumed;
  require(server && wsp_buffer_length(request) <= WSP_HEAD_MAX);
  enum wsp_handshake_result result =
      wsp_server_handshake_feed(server, wsp_buffer_front(request), wsp_buffer_length(request), &consumed);
  require(result == WSP_HANDSHAKE_DONE && consumed == wsp_buffer_length(request));
  wsp_server_handshake_free(server);
}

static struct wsp_client_handshake *begin(char *lines[LINES], bool compression) {
  const char *const headers[] = {lines[NAME], lines[VALUE], NULL};
  const struct wsp_client_request request = {
      .host = lines[HOST],
      .target = lines[TARGET],
      .origin = lines[ORIGIN],
      .protocols = lines[PROTOCOLS],
      .headers = lines[NAME] && lines[NAME][0] ? headers : NULL,
      .compression = compression,
  };
  struct wsp_buffer out = {0};
  const char *fault = NULL;
  struct wsp_client_handshake *handshake = wsp_client_handshake_new(&request, FUZZ_NONCE, &out, &fault);
  require(!handshake == (fault != NULL));
  if (handshake)
    check_request(&out);
  else
    require(wsp_buffer_length(&out) == 0);
  wsp_buffer_clear(&out);
  return handshake;
}

static enum wsp_handshake_result feed(struct wsp_client_handshake *handshake, struct fuzz_pieces pieces,
                                      size_t *total) {
  enum wsp_handshake_result result = WSP_HANDSHAKE_MORE;
  for (size_t length, consumed; fuzz_next_piece(&pieces, &length); *total += consumed) {
    const enum wsp_handshake_result before = result;
    result = wsp_client_handshake_feed(handshake, pieces.piece, length, &consumed);
    require(consumed <= length);
    require(result != WSP_HANDSHAKE_MORE || consumed == length);
    require(before == WSP_HANDSHAKE_MORE || (result == before && consumed == 0));
  }
  return result;
}

static void note_answer(const struct wsp_client_handshake *handshake, struct fuzz_log *log) {
  fuzz_note_number(log, wsp_client_handshake_status(handshake));
  fuzz_note_text(log, wsp_client_handshake_fault(handshake));
  fuzz_note_slice(log, wsp_client_handshake_protocol(handshake));
  require(wsp_client_handshake_header_count(handshake) <= WSP_HEADERS_MAX);
  for (size_t i = 0; i < wsp_client_handshake_header_count(handshake); i++)
    fuzz_note_field(log, wsp_client_handshake_header(handshake, i));
}

static void check_opened(const struct wsp_client_handshake *handshake, uint8_t switches, struct fuzz_log *log) {
  const struct wsp_deflate_terms terms = wsp_client_handshake_deflate(handshake);
  require(wsp_client_handshake_status(handshake) == 101);
  require(switches & COMPRESSION || !terms.agreed);
  fuzz_note_number(log, terms.agreed);
  if (!terms.agreed)
    return;
  require(terms.server_bits >= WSP_WINDOW_BITS_MIN && terms.server_bits <= WSP_WINDOW_BITS_MAX);
  require(terms.client_bits >= WSP_WINDOW_BITS_MIN && terms.client_bits <= WSP_WINDOW_BITS_MAX);
  fuzz_note_number(log, terms.server_bits << 8 | terms.client_bits);
  fuzz_note_number(log, terms.server_no_takeover << 8 | terms.client_no_takeover);
}

static void run(const struct fuzz_input *whole, enum fuzz_cutting cutting, struct fuzz_log *log) {
  struct fuzz_input input = *whole;
  char *lines[LINES] = {NULL};
  size_t total = 0;
  take_lines(&input, lines);
  struct wsp_client_handshake *handshake = begin(lines, input.switches & COMPRESSION);
  if (handshake) {
    enum wsp_handshake_result result = feed(handshake, fuzz_cut(&input, cutting), &total);
    require(total <= WSP_HEAD_MAX + 1u);
    if (result == WSP_HANDSHAKE_DONE)
      check_opened(handshake, input.switches, log);
    fuzz_note_number(log, result);
    fuzz_note_number(log, total);
    note_answer(handshake, log);
  }
  wsp_client_handshake_free(handshake);
  for (size_t i = 0; i < LINES; i++)
    free(lines[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (fuzz_take_apart(data, size, &input))
    fuzz_require_same(run, &input);
  return 0;
}

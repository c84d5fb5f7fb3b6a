/* SPDX-License-Identifier: Apache-2.0 */
/* The server's half of the opening handshake. Any cutting comes to the same verdict; what is let in is well-formed and
 * gets an answer that the client's half accepts; what is refused gets one that it refuses. */
#include "tests/fuzz/handshake-facts.h"
#include "websocket/client-handshake.h"

#include <string.h>

enum switches { COMPRESSION = 1, KEEPS_CONTEXT = 2 };

static const char supported[] = "chat, superchat, v1.2";

/* What a client that offered `protocols` and compression says to the answer. */
static enum wsp_handshake_result client_says(struct wsp_buffer *answer, const char *protocols, unsigned *status,
                                             struct wsp_deflate_terms *terms) {
  const struct wsp_client_request request = {.host = "a", .target = "/", .protocols = protocols, .compression = true};
  struct wsp_buffer unused = {0};
  size_t consumed;
  struct wsp_client_handshake *client = wsp_client_handshake_new(&request, FUZZ_NONCE, &unused, NULL);
  require(client);
  enum wsp_handshake_result result =
      wsp_client_handshake_feed(client, wsp_buffer_front(answer), wsp_buffer_length(answer), &consumed);
  *status = wsp_client_handshake_status(client);
  *terms = wsp_client_handshake_deflate(client);
  wsp_client_handshake_free(client);
  wsp_buffer_clear(&unused);
  return result;
}

static struct wsp_slice header(const struct wsp_server_handshake *handshake, const char *name) {
  struct wsp_slice value = {0};
  for (size_t i = 0; i < wsp_server_handshake_header_count(handshake); i++) {
    struct wsp_header field = wsp_server_handshake_header(handshake, i);
    if (!fuzz_slice_is(field.name, name))
      continue;
    require(!value.text); /* for headers that must not be repeated only */
    value = field.value;
  }
  return value;
}

static struct wsp_deflate_terms choose_deflate(struct wsp_server_handshake *handshake, uint8_t switches) {
  struct wsp_deflate_terms terms = {0};
  if (switches & COMPRESSION)
    terms = wsp_server_handshake_choose_deflate(handshake, switches & KEEPS_CONTEXT);
  if (!terms.agreed)
    return terms;
  require(terms.server_bits >= WSP_WINDOW_BITS_MIN && terms.server_bits <= WSP_WINDOW_BITS_MAX);
  require(terms.client_bits >= WSP_WINDOW_BITS_MIN && terms.client_bits <= WSP_WINDOW_BITS_MAX);
  require(switches & KEEPS_CONTEXT || (terms.server_no_takeover && terms.client_no_takeover));
  return terms;
}

static void require_same_terms(const struct wsp_deflate_terms *a, const struct wsp_deflate_terms *b) {
  require(a->agreed == b->agreed);
  if (!a->agreed)
    return;
  require(a->server_no_takeover == b->server_no_takeover && a->client_no_takeover == b->client_no_takeover);
  require(a->server_bits == b->server_bits && a->client_bits == b->client_bits);
}

static void check_accepted(struct wsp_server_handshake *handshake, uint8_t switches) {
  const struct wsp_slice path = wsp_server_handshake_path(handshake), query = wsp_server_handshake_query(handshake);
  const struct wsp_slice key = header(handshake, "sec-websocket-key");
  require(path.length > 0 && path.text[0] == '/' && !memchr(path.text, '?', path.length));
  require(fuzz_is_visible(path) && fuzz_is_visible(query));
  require(header(handshake, "host").length > 0 && key.length == 24);
  require(fuzz_slice_is(header(handshake, "sec-websocket-version"), "13"));

  struct wsp_slice chosen;
  struct wsp_buffer answer = {0};
  unsigned status;
  const struct wsp_deflate_terms terms = choose_deflate(handshake, switches);
  struct wsp_deflate_terms seen;
  if (!wsp_server_handshake_choose_protocol(handshake, supported, &chosen))
    chosen = (struct wsp_slice){0};
  require(wsp_server_handshake_accept(handshake, chosen, &answer));
  require(wsp_buffer_length(&answer) <= WSP_RESPONSE_MAX);
  const bool opened = client_says(&answer, supported, &status, &seen) == WSP_HANDSHAKE_DONE;
  require(status == 101 && opened == fuzz_slice_is(key, FUZZ_KEY));
  if (opened)
    require_same_terms(&terms, &seen);
  wsp_buffer_clear(&answer);
}

static void check_refused(const struct wsp_server_handshake *handshake) {
  const unsigned status = wsp_server_handshake_status(handshake);
  const char *fault = wsp_server_handshake_fault(handshake);
  require(status == 400 || status == 405 || status == 426 || status == 431 || status == 505);
  require(fault && fault[0]);
  struct wsp_buffer answer = {0};
  unsigned seen;
  struct wsp_deflate_terms none;
  require(wsp_http_refusal(&answer, status, fault, 0));
  require(wsp_buffer_length(&answer) <= WSP_RESPONSE_MAX);
  require(client_says(&answer, NULL, &seen, &none) == WSP_HANDSHAKE_REFUSED && seen == status);
  wsp_buffer_clear(&answer);
}

static enum wsp_handshake_result feed(struct wsp_server_handshake *handshake, struct fuzz_pieces pieces,
                                      size_t *total) {
  enum wsp_handshake_result result = WSP_HANDSHAKE_MORE;
  for (size_t length, consumed; fuzz_next_piece(&pieces, &length); *total += consumed) {
    const enum wsp_handshake_result before = result;
    result = wsp_server_handshake_feed(handshake, pieces.piece, length, &consumed);
    require(consumed <= length);
    require(result != WSP_HANDSHAKE_MORE || consumed == length);
    require(before == WSP_HANDSHAKE_MORE || (result == before && consumed == 0));
  }
  return result;
}

static void note_request(const struct wsp_server_handshake *handshake, struct fuzz_log *log) {
  fuzz_note_slice(log, wsp_server_handshake_path(handshake));
  fuzz_note_slice(log, wsp_server_handshake_query(handshake));
  fuzz_note_slice(log, wsp_server_handshake_origin(handshake));
  require(wsp_server_handshake_header_count(handshake) <= WSP_HEADERS_MAX);
  require(wsp_server_handshake_protocol_count(handshake) <= WSP_PROTOCOL_OFFERS_MAX);
  for (size_t i = 0; i < wsp_server_handshake_header_count(handshake); i++)
    fuzz_note_field(log, wsp_server_handshake_header(handshake, i));
  for (size_t i = 0; i < wsp_server_handshake_protocol_count(handshake); i++)
    fuzz_note_slice(log, wsp_server_handshake_protocol(handshake, i));
}

static void run(const struct fuzz_input *input, enum fuzz_cutting cutting, struct fuzz_log *log) {
  struct wsp_server_handshake *handshake = wsp_server_handshake_new();
  size_t total = 0;
  require(handshake);
  enum wsp_handshake_result result = feed(handshake, fuzz_cut(input, cutting), &total);
  require(total <= WSP_HEAD_MAX + 1u);
  fuzz_note_number(log, result);
  fuzz_note_number(log, total);
  fuzz_note_text(log, wsp_server_handshake_fault(handshake));
  if (result == WSP_HANDSHAKE_REFUSED) {
    check_refused(handshake);
  } else if (result == WSP_HANDSHAKE_DONE) {
    note_request(handshake, log);
    check_accepted(handshake, input->switches);
  }
  wsp_server_handshake_free(handshake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (fuzz_take_apart(data, size, &input))
    fuzz_require_same(run, &input);
  return 0;
}

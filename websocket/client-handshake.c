/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/client-handshake.h"

#include "websocket/handshake-key.h"
#include "websocket/http-list.h"
#include "websocket/subprotocol.h"

#include <stdlib.h>
#include <string.h>

struct wsp_client_handshake {
  struct wsp_http_head head;
  enum wsp_handshake_result result;
  const char *fault;
  char accept[WSP_ACCEPT_LENGTH + 1]; /* what the server has to answer */
  char *offered_text;                 /* owned copy that `offered` points into, or NULL */
  struct wsp_protocol_list offered;
  bool offers_deflate;
  struct wsp_deflate_terms deflate;
};

/* ---- The request ---- */

static bool is_visible(const char *text) {
  for (const uint8_t *octet = (const uint8_t *)text; *octet; octet++)
    if (*octet <= ' ' || *octet >= 0x7F)
      return false;
  return true;
}

static bool is_value(const char *text) {
  for (const uint8_t *octet = (const uint8_t *)text; *octet; octet++)
    if ((*octet < ' ' && *octet != '\t') || *octet == 0x7F)
      return false;
  return true;
}

/* Headers that the handshake writes itself, and those that would announce a body. */
static bool is_own_header(const char *name) {
  static const char *const own[] = {"host", "upgrade", "connection", "origin", "content-length", "transfer-encoding"};
  static const char prefix[] = "sec-websocket-";
  struct wsp_slice slice = wsp_slice_from(name);
  if (slice.length >= sizeof prefix - 1 &&
      wsp_slice_is_ignoring_case((struct wsp_slice){name, sizeof prefix - 1}, prefix))
    return true;
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
    if (wsp_slice_is_ignoring_case(slice, own[i]))
      return true;
  return false;
}

static const char *headers_fault(const char *const *headers) {
  for (; headers && headers[0]; headers += 2) {
    if (!wsp_is_token(wsp_slice_from(headers[0])))
      return "A header's name is no token.";
    if (is_own_header(headers[0]))
      return "A header is one that the handshake writes itself.";
    if (!headers[1])
      return "A header has no value.";
    if (!is_value(headers[1]))
      return "A header's value holds a control character.";
  }
  return NULL;
}

static const char *request_fault(const struct wsp_client_request *request) {
  if (!wsp_is_host(wsp_slice_from(request->host)))
    return "The host is missing or malformed.";
  if (!request->target || request->target[0] != '/' || !is_visible(request->target) || strchr(request->target, '#'))
    return "The target is no path.";
  if (strlen(request->target) > WSP_TARGET_MAX)
    return "The target is too long.";
  if (request->origin && !is_value(request->origin))
    return "The origin holds a control character.";
  return headers_fault(request->headers);
}

/* A request under way: appending to `out` that fails once stays failed. */
struct request_text {
  struct wsp_buffer octets;
  bool complete;
};

static void put(struct request_text *text, const char *part) {
  text->complete = text->complete && wsp_buffer_append(&text->octets, part, strlen(part));
}

static void put_header(struct request_text *text, const char *name, const char *value) {
  put(text, name);
  put(text, ": ");
  put(text, value);
  put(text, "\r\n");
}

static void put_request(struct request_text *text, const struct wsp_client_request *request, const char *key) {
  put(text, "GET ");
  put(text, request->target);
  put(text, " HTTP/1.1\r\n");
  put_header(text, "Host", request->host);
  put_header(text, "Upgrade", "websocket");
  put_header(text, "Connection", "Upgrade");
  put_header(text, "Sec-WebSocket-Key", key);
  put_header(text, "Sec-WebSocket-Version", "13");
  if (request->origin)
    put_header(text, "Origin", request->origin);
  if (request->protocols && request->protocols[0])
    put_header(text, "Sec-WebSocket-Protocol", request->protocols);
  if (request->compression)
    put_header(text, "Sec-WebSocket-Extensions", WSP_DEFLATE_OFFER);
  for (const char *const *header = request->headers; header && header[0]; header += 2)
    put_header(text, header[0], header[1]);
  put(text, "\r\n");
}

static const char *append_request(const struct wsp_client_request *request, const char *key, struct wsp_buffer *out) {
  struct request_text text = {.complete = true};
  const char *fault = NULL;
  put_request(&text, request, key);
  if (text.complete && wsp_buffer_length(&text.octets) > WSP_HEAD_MAX)
    fault = "The request is too large.";
  else if (!text.complete || !wsp_buffer_append(out, wsp_buffer_front(&text.octets), wsp_buffer_length(&text.octets)))
    fault = "Out of memory.";
  wsp_buffer_clear(&text.octets);
  return fault;
}

static const char *keep_offers(struct wsp_client_handshake *handshake, const char *protocols) {
  if (!protocols || !protocols[0])
    return NULL;
  handshake->offered_text = strdup(protocols);
  if (!handshake->offered_text)
    return "Out of memory.";
  return wsp_protocol_list_add(&handshake->offered, wsp_slice_from(handshake->offered_text));
}

static const char *begin(struct wsp_client_handshake *handshake, const struct wsp_client_request *request,
                         const uint8_t key[16], struct wsp_buffer *out) {
  char encoded[WSP_KEY_LENGTH + 1];
  const char *fault = request_fault(request);
  if (!fault)
    fault = keep_offers(handshake, request->protocols);
  if (fault)
    return fault;
  handshake->offers_deflate = request->compression;
  wsp_handshake_key_encode(key, encoded);
  if (!wsp_handshake_accept_for(encoded, handshake->accept))
    return "SHA-1 cannot be computed.";
  return append_request(request, encoded, out);
}

struct wsp_client_handshake *wsp_client_handshake_new(const struct wsp_client_request *request, const uint8_t key[16],
                                                      struct wsp_buffer *out, const char **fault) {
  struct wsp_client_handshake *handshake = calloc(1, sizeof *handshake);
  const char *found = "Out of memory.";
  if (handshake) {
    wsp_http_head_init(&handshake->head, true);
    handshake->result = WSP_HANDSHAKE_MORE;
    found = begin(handshake, request, key, out);
  }
  if (found) {
    wsp_client_handshake_free(handshake);
    handshake = NULL;
    if (fault)
      *fault = found;
  }
  return handshake;
}

void wsp_client_handshake_free(struct wsp_client_handshake *handshake) {
  if (!handshake)
    return;
  wsp_http_head_clear(&handshake->head);
  free(handshake->offered_text);
  free(handshake);
}

/* ---- The response ---- */

static bool refuse(struct wsp_client_handshake *handshake, const char *fault) {
  handshake->fault = fault;
  handshake->result = WSP_HANDSHAKE_REFUSED;
  return false;
}

static struct wsp_slice find(const struct wsp_client_handshake *handshake, const char *name) {
  return wsp_http_head_find(&handshake->head, name);
}

static bool judge_upgrade(struct wsp_client_handshake *handshake) {
  const struct wsp_http_head *head = &handshake->head;
  bool malformed = false, connection_upgrades = false;
  if (wsp_http_head_count(head, "upgrade") != 1 || !wsp_slice_is_ignoring_case(find(handshake, "upgrade"), "websocket"))
    return refuse(handshake, "The answer's Upgrade is not \"websocket\".");
  for (size_t i = 0; i < head->header_count; i++) {
    struct wsp_header field = wsp_http_head_header(head, i);
    if (wsp_http_field_means_body(field))
      return refuse(handshake, "The answer announces a body.");
    if (wsp_slice_is(field.name, "connection") && wsp_list_has_token(field.value, "upgrade", &malformed))
      connection_upgrades = true;
  }
  if (!connection_upgrades || malformed)
    return refuse(handshake, "The answer's Connection does not name \"Upgrade\".");
  return true;
}

static bool judge_accept(struct wsp_client_handshake *handshake) {
  if (wsp_http_head_count(&handshake->head, "sec-websocket-accept") != 1 ||
      !wsp_slice_is(find(handshake, "sec-websocket-accept"), handshake->accept))
    return refuse(handshake, "The answer's Sec-WebSocket-Accept does not belong to the key sent.");
  return true;
}

/* RFC 6455 section 4.1: nothing that was not offered; RFC 7692 section 5: parameters that contradict the offer too
 * fail the connection. */
static bool judge_extensions(struct wsp_client_handshake *handshake) {
  const struct wsp_slice value = find(handshake, "sec-websocket-extensions");
  if (!value.text)
    return true;
  if (!handshake->offers_deflate)
    return refuse(handshake, "The answer names an extension that was not offered.");
  if (!wsp_is_extension_list(value))
    return refuse(handshake, "The answer's Sec-WebSocket-Extensions is malformed.");
  if (wsp_http_head_count(&handshake->head, "sec-websocket-extensions") > 1)
    return refuse(handshake, "The answer names more than one extension.");
  const char *fault = wsp_deflate_terms_read_answer(value, &handshake->deflate);
  return fault ? refuse(handshake, fault) : true;
}

static bool judge_protocol(struct wsp_client_handshake *handshake) {
  const size_t count = wsp_http_head_count(&handshake->head, "sec-websocket-protocol");
  if (count > 1)
    return refuse(handshake, "The answer's Sec-WebSocket-Protocol is repeated.");
  if (count == 1 && !wsp_protocol_list_has(&handshake->offered, find(handshake, "sec-websocket-protocol")))
    return refuse(handshake, "The answer names a subprotocol that was not offered.");
  return true;
}

static void judge_head(struct wsp_client_handshake *handshake) {
  if (handshake->head.response_status != 101)
    refuse(handshake, "The server did not switch to WebSocket.");
  else if (handshake->head.major != 1 || handshake->head.minor == 0)
    refuse(handshake, "The answer is not HTTP/1.1.");
  else if (judge_upgrade(handshake) && judge_accept(handshake) && judge_extensions(handshake) &&
           judge_protocol(handshake))
    handshake->result = WSP_HANDSHAKE_DONE;
}

/* True while the result is MORE and there may be octets left to read. */
static bool feed_line(struct wsp_client_handshake *handshake, const uint8_t *octets, size_t length, size_t *consumed) {
  switch (wsp_http_head_feed(&handshake->head, octets, length, consumed)) {
  case WSP_HTTP_MORE:
    return false;
  case WSP_HTTP_START_LINE:
  case WSP_HTTP_FIELD:
    return true;
  case WSP_HTTP_DONE:
    judge_head(handshake);
    return false;
  case WSP_HTTP_FAULT:
    break;
  }
  return refuse(handshake, handshake->head.fault);
}

enum wsp_handshake_result wsp_client_handshake_feed(struct wsp_client_handshake *handshake, const uint8_t *octets,
                                                    size_t length, size_t *consumed) {
  *consumed = 0;
  if (handshake->result != WSP_HANDSHAKE_MORE)
    return handshake->result;
  while (*consumed < length && feed_line(handshake, octets + *consumed, length - *consumed, consumed))
    continue;
  return handshake->result;
}

unsigned wsp_client_handshake_status(const struct wsp_client_handshake *handshake) {
  return handshake->head.start_line_read ? handshake->head.response_status : 0;
}

const char *wsp_client_handshake_fault(const struct wsp_client_handshake *handshake) {
  return handshake->fault;
}

struct wsp_slice wsp_client_handshake_protocol(const struct wsp_client_handshake *handshake) {
  return find(handshake, "sec-websocket-protocol");
}

struct wsp_deflate_terms wsp_client_handshake_deflate(const struct wsp_client_handshake *handshake) {
  return handshake->deflate;
}

size_t wsp_client_handshake_header_count(const struct wsp_client_handshake *handshake) {
  return handshake->head.header_count;
}

struct wsp_header wsp_client_handshake_header(const struct wsp_client_handshake *handshake, size_t index) {
  return wsp_http_head_header(&handshake->head, index);
}

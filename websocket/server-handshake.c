/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/server-handshake.h"

#include "websocket/handshake-key.h"
#include "websocket/http-list.h"
#include "websocket/subprotocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wsp_server_handshake {
  struct wsp_http_head head;
  enum wsp_handshake_result result;
  unsigned status;
  const char *fault;
  /* After DONE: */
  struct wsp_slice path, query;
  struct wsp_protocol_list protocols;
  struct wsp_deflate_terms deflate; /* as chosen, to be written into the answer */
};

struct wsp_server_handshake *wsp_server_handshake_new(void) {
  struct wsp_server_handshake *handshake = calloc(1, sizeof *handshake);
  if (!handshake)
    return NULL;
  wsp_http_head_init(&handshake->head, false);
  handshake->result = WSP_HANDSHAKE_MORE;
  return handshake;
}

void wsp_server_handshake_free(struct wsp_server_handshake *handshake) {
  if (!handshake)
    return;
  wsp_http_head_clear(&handshake->head);
  free(handshake);
}

bool wsp_handshake_prepare(void) {
  char key[WSP_KEY_LENGTH + 1], accept[WSP_ACCEPT_LENGTH + 1];
  wsp_handshake_key_encode((const uint8_t[16]){0}, key);
  return wsp_handshake_accept_for(key, accept);
}

/* ---- Judging ---- */

static bool refuse(struct wsp_server_handshake *handshake, unsigned status, const char *fault) {
  handshake->status = status;
  handshake->fault = fault;
  handshake->result = WSP_HANDSHAKE_REFUSED;
  return false;
}

static struct wsp_slice find(const struct wsp_server_handshake *handshake, const char *name) {
  return wsp_http_head_find(&handshake->head, name);
}

static bool judge_request_line(struct wsp_server_handshake *handshake) {
  const struct wsp_http_head *head = &handshake->head;
  if (head->major != 1)
    return refuse(handshake, 505, "Only HTTP/1.1 is spoken here.");
  if (!wsp_slice_is(wsp_http_head_slice(head, head->method), "GET"))
    return refuse(handshake, 405, "Only GET is answered here.");
  if (head->minor == 0)
    return refuse(handshake, 426, "HTTP/1.0 cannot upgrade to WebSocket: use HTTP/1.1.");
  return true;
}

/* A header that says which request this is must not say it twice: the next reader might take the other one. */
static const char *repetition_fault(struct wsp_slice name) {
  static const char *const faults[][2] = {
      {"host", "Host is repeated."},
      {"origin", "Origin is repeated."},
      {"upgrade", "Upgrade is repeated."},
      {"sec-websocket-key", "Sec-WebSocket-Key is repeated."},
      {"sec-websocket-version", "Sec-WebSocket-Version is repeated."},
  };
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
    if (wsp_slice_is(name, faults[i][0]))
      return faults[i][1];
  return NULL;
}

static bool judge_last_field(struct wsp_server_handshake *handshake) {
  const struct wsp_http_head *head = &handshake->head;
  const size_t last = head->header_count - 1u;
  struct wsp_header field = wsp_http_head_header(head, last);
  if (wsp_http_field_means_body(field))
    return refuse(handshake, 400, "A WebSocket handshake has no body.");
  const char *fault = repetition_fault(field.name);
  if (!fault)
    return true;
  for (size_t i = 0; i < last; i++)
    if (wsp_slice_equals(wsp_http_head_header(head, i).name, field.name))
      return refuse(handshake, 400, fault);
  return true;
}

static bool judge_host(struct wsp_server_handshake *handshake) {
  struct wsp_slice host = find(handshake, "host");
  if (!host.text)
    return refuse(handshake, 400, "Host is missing.");
  if (!wsp_is_host(host))
    return refuse(handshake, 400, "Host is empty or malformed.");
  return true;
}

static bool judge_upgrade(struct wsp_server_handshake *handshake) {
  const struct wsp_http_head *head = &handshake->head;
  bool malformed = false, connection_upgrades = false;
  if (!wsp_list_has_token(find(handshake, "upgrade"), "websocket", &malformed))
    return refuse(handshake, 426, "This is a WebSocket server: connect with a ws:// or wss:// client.");
  for (size_t i = 0; i < head->header_count; i++) {
    struct wsp_header field = wsp_http_head_header(head, i);
    if (wsp_slice_is(field.name, "connection") && wsp_list_has_token(field.value, "upgrade", &malformed))
      connection_upgrades = true;
  }
  if (malformed)
    return refuse(handshake, 400, "Upgrade or Connection is no list of tokens.");
  if (!connection_upgrades)
    return refuse(handshake, 400, "Connection does not name \"Upgrade\".");
  return true;
}

static bool judge_version_and_key(struct wsp_server_handshake *handshake) {
  if (!wsp_slice_is(find(handshake, "sec-websocket-version"), "13"))
    return refuse(handshake, 426, "Sec-WebSocket-Version has to be 13.");
  struct wsp_slice key = find(handshake, "sec-websocket-key");
  if (!key.text)
    return refuse(handshake, 400, "Sec-WebSocket-Key is missing.");
  if (!wsp_is_handshake_key(key))
    return refuse(handshake, 400, "Sec-WebSocket-Key is not base64 of 16 octets.");
  return true;
}

static bool judge_offers(struct wsp_server_handshake *handshake) {
  for (size_t i = 0; i < handshake->head.header_count; i++) {
    struct wsp_header field = wsp_http_head_header(&handshake->head, i);
    if (wsp_slice_is(field.name, "sec-websocket-protocol")) {
      const char *fault = wsp_protocol_list_add(&handshake->protocols, field.value);
      if (fault)
        return refuse(handshake, 400, fault);
    } else if (wsp_slice_is(field.name, "sec-websocket-extensions") && !wsp_is_extension_list(field.value)) {
      return refuse(handshake, 400, "Sec-WebSocket-Extensions is malformed.");
    }
  }
  return true;
}

/* Cuts "http://host" off an absolute-form target (RFC 9112 section 3.2.2). False when it is no such form. */
static bool cut_authority(struct wsp_slice *target) {
  const size_t scheme = target->length >= 8 && target->text[4] == ':' ? 7 : 8;
  if (target->length < scheme || !(wsp_slice_is_ignoring_case((struct wsp_slice){target->text, scheme}, "http://") ||
                                   wsp_slice_is_ignoring_case((struct wsp_slice){target->text, scheme}, "https://")))
    return false;
  size_t end = scheme;
  while (end < target->length && target->text[end] != '/' && target->text[end] != '?')
    end++;
  if (!wsp_is_host((struct wsp_slice){target->text + scheme, end - scheme}))
    return false;
  *target = (struct wsp_slice){target->text + end, target->length - end};
  return true;
}

static bool judge_target(struct wsp_server_handshake *handshake) {
  struct wsp_slice target = wsp_http_head_slice(&handshake->head, handshake->head.target);
  if (target.text[0] != '/' && !cut_authority(&target))
    return refuse(handshake, 400, "The request-target is neither a path nor an http URL.");
  const char *mark = target.length > 0 ? memchr(target.text, '?', target.length) : NULL;
  const size_t path_length = mark ? (size_t)(mark - target.text) : target.length;
  handshake->path = (struct wsp_slice){target.text, path_length};
  if (path_length == 0) /* http://host or http://host?query */
    handshake->path = wsp_slice_from("/");
  if (mark)
    handshake->query = (struct wsp_slice){mark + 1, target.length - path_length - 1};
  return true;
}

static void judge_head(struct wsp_server_handshake *handshake) {
  if (judge_host(handshake) && judge_upgrade(handshake) && judge_version_and_key(handshake) &&
      judge_offers(handshake) && judge_target(handshake))
    handshake->result = WSP_HANDSHAKE_DONE;
}

/* Goes on while the result is MORE and there may be octets left to read. */
static bool feed_line(struct wsp_server_handshake *handshake, const uint8_t *octets, size_t length, size_t *consumed) {
  struct wsp_http_head *head = &handshake->head;
  switch (wsp_http_head_feed(head, octets, length, consumed)) {
  case WSP_HTTP_MORE:
    return false;
  case WSP_HTTP_START_LINE:
    return judge_request_line(handshake);
  case WSP_HTTP_FIELD:
    return judge_last_field(handshake);
  case WSP_HTTP_DONE:
    judge_head(handshake);
    return false;
  case WSP_HTTP_FAULT:
    break;
  }
  return refuse(handshake, head->status, head->fault);
}

enum wsp_handshake_result wsp_server_handshake_feed(struct wsp_server_handshake *handshake, const uint8_t *octets,
                                                    size_t length, size_t *consumed) {
  *consumed = 0;
  if (handshake->result != WSP_HANDSHAKE_MORE)
    return handshake->result;
  while (*consumed < length && feed_line(handshake, octets + *consumed, length - *consumed, consumed))
    continue;
  return handshake->result;
}

/* ---- What was read ---- */

unsigned wsp_server_handshake_status(const struct wsp_server_handshake *handshake) {
  return handshake->status;
}

const char *wsp_server_handshake_fault(const struct wsp_server_handshake *handshake) {
  return handshake->fault;
}

struct wsp_slice wsp_server_handshake_path(const struct wsp_server_handshake *handshake) {
  return handshake->path;
}

struct wsp_slice wsp_server_handshake_query(const struct wsp_server_handshake *handshake) {
  return handshake->query;
}

struct wsp_slice wsp_server_handshake_origin(const struct wsp_server_handshake *handshake) {
  return find(handshake, "origin");
}

size_t wsp_server_handshake_header_count(const struct wsp_server_handshake *handshake) {
  return handshake->head.header_count;
}

struct wsp_header wsp_server_handshake_header(const struct wsp_server_handshake *handshake, size_t index) {
  return wsp_http_head_header(&handshake->head, index);
}

size_t wsp_server_handshake_protocol_count(const struct wsp_server_handshake *handshake) {
  return handshake->protocols.count;
}

struct wsp_slice wsp_server_handshake_protocol(const struct wsp_server_handshake *handshake, size_t index) {
  return index < handshake->protocols.count ? handshake->protocols.names[index] : (struct wsp_slice){0};
}

/* ---- Answering ---- */

bool wsp_server_handshake_choose_protocol(const struct wsp_server_handshake *handshake, const char *supported,
                                          struct wsp_slice *chosen) {
  struct wsp_slice rest = wsp_slice_from(supported);
  struct wsp_slice name;
  bool supports_any = false;
  *chosen = (struct wsp_slice){0};
  while (wsp_list_next(&rest, &name)) {
    if (name.length == 0)
      continue;
    supports_any = true;
    if (wsp_protocol_list_has(&handshake->protocols, name)) {
      *chosen = name;
      return true;
    }
  }
  return !supports_any || handshake->protocols.count == 0;
}

struct wsp_deflate_terms wsp_server_handshake_choose_deflate(struct wsp_server_handshake *handshake,
                                                             bool keep_context) {
  const struct wsp_http_head *head = &handshake->head;
  handshake->deflate = (struct wsp_deflate_terms){0};
  for (size_t i = 0; i < head->header_count && !handshake->deflate.agreed; i++) {
    struct wsp_header field = wsp_http_head_header(head, i);
    if (wsp_slice_is(field.name, "sec-websocket-extensions"))
      (void)wsp_deflate_terms_choose(field.value, keep_context, &handshake->deflate);
  }
  return handshake->deflate;
}

bool wsp_server_handshake_accept(const struct wsp_server_handshake *handshake, struct wsp_slice protocol,
                                 struct wsp_buffer *out) {
  char accept[WSP_ACCEPT_LENGTH + 1];
  char line[sizeof "Sec-WebSocket-Protocol: \r\n" + WSP_PROTOCOL_NAME_MAX] = "";
  char extension[sizeof "Sec-WebSocket-Extensions: \r\n" + WSP_DEFLATE_TERMS_MAX] = "";
  char terms[WSP_DEFLATE_TERMS_MAX];
  char response[WSP_RESPONSE_MAX];
  if (protocol.length > WSP_PROTOCOL_NAME_MAX)
    return false;
  if (!wsp_handshake_accept_for(find(handshake, "sec-websocket-key").text, accept))
    return false;
  if (protocol.length > 0)
    snprintf(line, sizeof line, "Sec-WebSocket-Protocol: %.*s\r\n", (int)protocol.length, protocol.text);
  if (handshake->deflate.agreed) {
    wsp_deflate_terms_write(&handshake->deflate, terms);
    snprintf(extension, sizeof extension, "Sec-WebSocket-Extensions: %s\r\n", terms);
  }
  int length = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n%s%s\r\n",
                        accept, line, extension);
  return wsp_buffer_append(out, response, (size_t)length);
}

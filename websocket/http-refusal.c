/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/http-refusal.h"

#include <stdio.h>
#include <string.h>

static const char *reason_phrase(unsigned status) {
  static const struct {
    unsigned status;
    const char *phrase;
  } phrases[] = {
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {414, "URI Too Long"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
    if (phrases[i].status == status)
      return phrases[i].phrase;
  return "Refused";
}

/* RFC 9110 section 7.8 wants "upgrade" named in Connection wherever Upgrade is sent. */
static const char *fields_for(unsigned status) {
  switch (status) {
  case 405:
    return "Connection: close\r\nAllow: GET\r\n";
  case 426:
    return "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  default:
    return "Connection: close\r\n";
  }
}

/* The longest front of `text` within `room` octets that does not end inside a code point. */
static size_t length_within(const char *text, size_t room) {
  size_t length = strnlen(text, room + 1);
  if (length <= room)
    return length;
  length = room;
  while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
    length--;
  return length;
}

bool wsp_http_refusal(struct wsp_buffer *out, unsigned status, const char *sentence, unsigned retry_after) {
  char head[WSP_RESPONSE_MAX / 2];
  char retry[sizeof "Retry-After: \r\n" + 10] = "";
  if (retry_after > 0 && (status == 429 || status == 503))
    snprintf(retry, sizeof retry, "Retry-After: %u\r\n", retry_after);
  const size_t body_length = length_within(sentence, WSP_RESPONSE_MAX - sizeof head) + 1;
  const int head_length = snprintf(head, sizeof head,
                                   "HTTP/1.1 %u %s\r\n%s%sContent-Type: text/plain; charset=utf-8\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   status, reason_phrase(status), fields_for(status), retry, body_length);
  uint8_t *room = wsp_buffer_reserve(out, (size_t)head_length + body_length);
  if (!room)
    return false;
  memcpy(room, head, (size_t)head_length);
  memcpy(room + head_length, sentence, body_length - 1);
  room[(size_t)head_length + body_length - 1] = '\n';
  wsp_buffer_commit(out, (size_t)head_length + body_length);
  return true;
}

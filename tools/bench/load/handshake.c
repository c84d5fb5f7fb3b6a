/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load/handshake.h"
#include "tools/bench/load/failure.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void load_handshake_init(struct load_handshake *handshake, uint16_t port) {
  uint8_t octets[16];
  char key[WSP_KEY_LENGTH + 1];
  if (getrandom(octets, sizeof octets, 0) != (ssize_t)sizeof octets)
    load_fail(LOAD_STATUS_SYSTEM, "no random octets");
  wsp_handshake_key_encode(octets, key);
  if (!wsp_handshake_accept_for(key, handshake->accept))
    load_fail(LOAD_STATUS_SYSTEM, "no SHA-1");
  const int length = snprintf(handshake->request, sizeof handshake->request,
                              "GET / HTTP/1.1\r\n"
                              "Host: 127.0.0.1:%u\r\n"
                              "Upgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Key: %s\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "\r\n",
                              (unsigned)port, key);
  handshake->request_length = (size_t)length;
}

static bool equals(const char *a, const char *b, size_t length) {
  return strncasecmp(a, b, length) == 0;
}

/* The value of that header in a whole head, without the white space before it; NULL when there is none. */
static const char *find(const char *head, const char *end, const char *name) {
  const size_t length = strlen(name);
  for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line)));) {
    line++;
    if ((size_t)(end - line) <= length || !equals(line, name, length) || line[length] != ':')
      continue;
    const char *value = line + length + 1;
    return value + strspn(value, " \t");
  }
  return NULL;
}

size_t load_handshake_check(const struct load_handshake *handshake, const char *octets, size_t length) {
  static const char status[] = "HTTP/1.1 101 ";
  const char *end = memmem(octets, length, "\r\n\r\n", 4);
  if (!end) {
    if (length >= LOAD_RESPONSE_MAX)
      load_fail(LOAD_STATUS_SERVER, "the answer to the handshake does not end");
    return 0;
  }
  end += 4;
  if (end - octets < (ptrdiff_t)sizeof status || !equals(octets, status, sizeof status - 1))
    load_fail(LOAD_STATUS_SERVER, "the handshake was answered with \"%.*s\"", (int)strcspn(octets, "\r"), octets);
  const char *accept = find(octets, end, "Sec-WebSocket-Accept"), *upgrade = find(octets, end, "Upgrade");
  if (!accept || strncmp(accept, handshake->accept, WSP_ACCEPT_LENGTH) != 0)
    load_fail(LOAD_STATUS_SERVER, "the handshake was answered with a wrong Sec-WebSocket-Accept");
  if (!upgrade || !equals(upgrade, "websocket", 9))
    load_fail(LOAD_STATUS_SERVER, "the handshake was answered without \"Upgrade: websocket\"");
  if (find(octets, end, "Sec-WebSocket-Extensions"))
    load_fail(LOAD_STATUS_SERVER, "the handshake was answered with an extension that was not offered");
  return (size_t)(end - octets);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/origin.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slice {
  const char *text;
  size_t length;
};

struct origin {
  struct slice scheme, host; /* the host of IPv6 is in `ipv6` instead */
  uint32_t port;             /* 0: the scheme's default */
  bool below;                /* every host below this one */
  bool is_ipv6;
  uint8_t ipv6[16];
};

bool wsw_origins_set(struct wsw_origins *origins, const void *list, size_t length) {
  char *copy = malloc(length + 1);
  if (!copy)
    return false;
  if (length)
    memcpy(copy, list, length);
  copy[length] = '\0';
  wsw_origins_clear(origins);
  *origins = (struct wsw_origins){.list = copy, .length = length};
  return true;
}

void wsw_origins_clear(struct wsw_origins *origins) {
  free(origins->list);
  *origins = (struct wsw_origins){0};
}

static bool is_text(struct slice slice, const char *text) {
  return slice.length == strlen(text) && strncasecmp(slice.text, text, slice.length) == 0;
}

static bool is_same(struct slice one, struct slice other) {
  return one.length == other.length && strncasecmp(one.text, other.text, one.length) == 0;
}

static struct slice behind(struct slice slice, size_t octets) {
  return (struct slice){slice.text + octets, slice.length - octets};
}

static uint32_t default_port(struct slice scheme) {
  if (is_text(scheme, "http") || is_text(scheme, "ws"))
    return 80;
  return is_text(scheme, "https") || is_text(scheme, "wss") ? 443 : 0;
}

/* ":443", or nothing. */
static bool read_port(struct slice rest, struct origin *origin) {
  if (!rest.length)
    return true;
  if (rest.text[0] != ':' || rest.length < 2 || rest.length > 6)
    return false;
  uint32_t port = 0;
  for (size_t i = 1; i < rest.length; i++) {
    if (rest.text[i] < '0' || rest.text[i] > '9')
      return false;
    port = port * 10 + (uint32_t)(rest.text[i] - '0');
  }
  origin->port = port == default_port(origin->scheme) ? 0 : port;
  return port >= 1 && port <= UINT16_MAX;
}

static bool read_ipv6(struct slice *rest, struct origin *origin) {
  char text[INET6_ADDRSTRLEN];
  const char *end = memchr(rest->text, ']', rest->length);
  if (!end || (size_t)(end - rest->text) > sizeof text)
    return false;
  size_t length = (size_t)(end - rest->text) - 1;
  memcpy(text, rest->text + 1, length);
  text[length] = '\0';
  origin->is_ipv6 = true;
  *rest = behind(*rest, length + 2);
  return inet_pton(AF_INET6, text, origin->ipv6) == 1;
}

static bool read_name(struct slice *rest, struct origin *origin) {
  const char *end = memchr(rest->text, ':', rest->length);
  size_t length = end ? (size_t)(end - rest->text) : rest->length;
  origin->host = (struct slice){rest->text, length};
  *rest = behind(*rest, length);
  return length > 0;
}

static bool read_origin(struct slice text, struct origin *origin) {
  *origin = (struct origin){0};
  const char *colon = memchr(text.text, ':', text.length);
  size_t length = colon ? (size_t)(colon - text.text) : 0;
  if (!length || text.length < length + 3 || memcmp(colon, "://", 3) != 0)
    return false;
  origin->scheme = (struct slice){text.text, length};
  struct slice rest = behind(text, length + 3);
  if (rest.length > 2 && memcmp(rest.text, "*.", 2) == 0) {
    origin->below = true;
    rest = behind(rest, 2);
  }
  bool is_ipv6 = rest.length && rest.text[0] == '[';
  return (is_ipv6 ? read_ipv6(&rest, origin) : read_name(&rest, origin)) && read_port(rest, origin);
}

/* The host has at least one more label in front of the entry's. */
static bool is_below(struct slice host, struct slice entry) {
  if (host.length < entry.length + 2)
    return false;
  struct slice tail = behind(host, host.length - entry.length);
  return tail.text[-1] == '.' && is_same(tail, entry);
}

static bool covers(const struct origin *entry, const struct origin *origin) {
  if (entry->port != origin->port || entry->is_ipv6 != origin->is_ipv6 || !is_same(entry->scheme, origin->scheme))
    return false;
  if (entry->is_ipv6)
    return memcmp(entry->ipv6, origin->ipv6, sizeof entry->ipv6) == 0;
  return entry->below ? is_below(origin->host, entry->host) : is_same(entry->host, origin->host);
}

static struct slice next_entry(const struct wsw_origins *origins, size_t *offset) {
  struct slice rest = {origins->list + *offset, origins->length - *offset};
  const char *end = memchr(rest.text, ' ', rest.length);
  rest.length = end ? (size_t)(end - rest.text) : rest.length;
  *offset += rest.length + 1;
  return rest;
}

bool wsw_origins_allow(const struct wsw_origins *origins, const char *origin, size_t length) {
  if (!origins->list)
    return true;
  struct slice said = {origin, length};
  struct origin asked, entry;
  bool is_opaque = (length == 4 && memcmp(origin, "null", 4) == 0) || is_text(said, "file://");
  if (!is_opaque && (!read_origin(said, &asked) || asked.below))
    return false;
  for (size_t offset = 0; offset < origins->length;) {
    struct slice text = next_entry(origins, &offset);
    if (is_opaque ? is_text(text, "null") : read_origin(text, &entry) && covers(&entry, &asked))
      return true;
  }
  return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/origin.h"

#include "daemon/limits.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#define NAME_MAX_OCTETS 253 /* of a host name, RFC 1035 section 2.3.4 */
#define LABEL_MAX_OCTETS 63

/* RFC 3986 section 3.1. */
static bool is_scheme(const char *text, gsize length) {
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum(text[i]) && !strchr("+-.", text[i]))
      return false;
  return length > 0 && g_ascii_isalpha(text[0]);
}

static bool is_label(const char *text, gsize length) {
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '_')
      return false;
  return length > 0 && length <= LABEL_MAX_OCTETS;
}

/* Browsers take a host whose last label is a number for an IPv4 address, and write it with four of them. */
static bool is_number(const char *label) {
  return label[strspn(label, "0123456789")] == '\0';
}

static bool is_host(const char *text, bool below) {
  g_auto(GStrv) labels = g_strsplit(text, ".", -1);
  guint count = g_strv_length(labels);
  struct in_addr address;
  for (guint i = 0; i < count; i++)
    if (!is_label(labels[i], strlen(labels[i])))
      return false;
  if (count == 0 || strlen(text) > NAME_MAX_OCTETS)
    return false;
  return !is_number(labels[count - 1]) || (!below && inet_pton(AF_INET, text, &address) == 1);
}

/* "[...]" in its shortest form. */
static char *normal_ipv6(const char *text) {
  char shortest[INET6_ADDRSTRLEN];
  struct in6_addr address;
  g_autofree char *inner = g_strndup(text + 1, strlen(text) - 2);
  if (inet_pton(AF_INET6, inner, &address) != 1)
    return NULL;
  inet_ntop(AF_INET6, &address, shortest, sizeof shortest);
  return g_strdup_printf("[%s]", shortest);
}

static guint default_port(const char *scheme) {
  if (g_str_equal(scheme, "http") || g_str_equal(scheme, "ws"))
    return 80;
  return g_str_equal(scheme, "https") || g_str_equal(scheme, "wss") ? 443 : 0;
}

/* ":443" or nothing; false when it is neither. `*port` is 0 for the default. */
static bool read_port(const char *text, const char *scheme, guint64 *port) {
  *port = 0;
  if (text[0] == '\0')
    return true;
  if (text[0] != ':' || !g_ascii_string_to_unsigned(text + 1, 10, 1, G_MAXUINT16, port, NULL))
    return false;
  if (*port == default_port(scheme))
    *port = 0;
  return true;
}

static gsize host_length(const char *text) {
  const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
  return bracket ? (gsize)(bracket + 1 - text) : strcspn(text, ":/?#@");
}

char *wsd_origin_normalise(const char *text, const char **fault) {
  const char *separator = strstr(text, "://");
  if (g_str_equal(text, "null"))
    return g_strdup(text);
  if (strlen(text) > WSD_ORIGIN_TEXT_MAX) {
    *fault = "is too long";
    return NULL;
  }
  if (!separator || !is_scheme(text, (gsize)(separator - text))) {
    *fault = "must be scheme://host or scheme://host:port, or null";
    return NULL;
  }
  g_autofree char *scheme = g_ascii_strdown(text, separator - text);
  const char *from = separator + 3;
  bool below = g_str_has_prefix(from, "*.");
  from += below ? 2 : 0;
  g_autofree char *written = g_ascii_strdown(from, (gssize)host_length(from));
  bool is_ipv6 = written[0] == '[' && g_str_has_suffix(written, "]");
  if (is_ipv6 ? below : !is_host(written, below)) {
    *fault = "must have a host name (international ones in their xn-- form) or a numeric address, "
             "\"*.\" only in front of a name";
    return NULL;
  }
  g_autofree char *host = is_ipv6 ? normal_ipv6(written) : g_strdup(written);
  guint64 port;
  if (!host || !read_port(from + strlen(written), scheme, &port)) {
    *fault = host ? "must end behind the host or a port from 1 to 65535; an origin has no path" : "is no IPv6 address";
    return NULL;
  }
  g_autofree char *suffix = port ? g_strdup_printf(":%u", (guint)port) : g_strdup("");
  return g_strdup_printf("%s://%s%s%s", scheme, below ? "*." : "", host, suffix);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/url.h"

#include "client-lib/limits.h"

#include <string.h>
#include <wsserver/ws-error.h>

enum { PORT_WS = 80, PORT_WSS = 443 };

void ws_url_free(struct ws_url *url) {
  if (url == NULL)
    return;
  g_free(url->host);
  g_free(url->authority);
  g_free(url->target);
  g_free(url);
}

static void refuse(GError **error, const char *why) {
  g_set_error(error, WS_ERROR, WS_ERROR_INVALID_URL,
              "url: %s; such as ws://192.168.1.20:8080/path or wss://tv.example/", why);
}

/* Schemes are compared without case (RFC 3986 section 3.1); GUri has them in lower case already. */
static bool check(GUri *uri, GError **error) {
  const char *scheme = g_uri_get_scheme(uri), *host = g_uri_get_host(uri);
  gint port = g_uri_get_port(uri);
  const char *why = NULL;
  if (!g_str_equal(scheme, "ws") && !g_str_equal(scheme, "wss"))
    why = "its scheme is neither ws nor wss";
  else if (host == NULL || *host == '\0')
    why = "it names no host";
  else if (g_uri_get_userinfo(uri) != NULL)
    why = "it has a user name: put credentials into a header";
  else if (g_uri_get_fragment(uri) != NULL) /* RFC 6455 section 3 */
    why = "it has a fragment, which no WebSocket URL may have";
  else if (port == 0)
    why = "port 0 cannot be connected to";
  if (why != NULL)
    refuse(error, why);
  return why == NULL;
}

/* RFC 3987 section 3.1: what is not ASCII is sent percent-encoded. */
static char *make_target(GUri *uri) {
  const char *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
  g_autofree char *given = g_strconcat(*path == '/' ? "" : "/", path, query != NULL ? "?" : NULL, query, NULL);
  GString *target = g_string_new(NULL);
  for (const char *at = given; *at != '\0'; at++)
    if ((guchar)*at < 0x80)
      g_string_append_c(target, *at);
    else
      g_string_append_printf(target, "%%%02X", (guchar)*at);
  return g_string_free(target, FALSE);
}

static bool has_gap(const char *text) {
  for (; *text != '\0'; text++)
    if ((guchar)*text <= ' ' || *text == 0x7f)
      return true;
  return false;
}

/* The port only where it is not the scheme's (RFC 6455 section 4.1). */
static char *make_authority(const struct ws_url *url) {
  bool is_ipv6 = strchr(url->host, ':') != NULL;
  bool is_default = url->port == (url->tls ? PORT_WSS : PORT_WS);
  g_autofree char *literal =
      g_strndup(url->host, strcspn(url->host, "%")); /* a zone means nothing to others (RFC 6874) */
  g_autofree char *host = is_ipv6 ? g_strdup_printf("[%s]", literal) : g_strdup(url->host);
  return is_default ? g_steal_pointer(&host) : g_strdup_printf("%s:%u", host, url->port);
}

struct ws_url *ws_url_parse(const char *text, GError **error) {
  g_autoptr(GError) problem = NULL;
  if (strlen(text) > WS_URL_MAX) {
    refuse(error, "it is too long");
    return NULL;
  }
  if (has_gap(text)) {
    refuse(error, "it has a space or control character, which has to be percent-encoded");
    return NULL;
  }
  g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_ENCODED, &problem);
  if (uri == NULL) {
    refuse(error, problem->message);
    return NULL;
  }
  if (!check(uri, error))
    return NULL;
  struct ws_url *url = g_new0(struct ws_url, 1);
  url->tls = g_str_equal(g_uri_get_scheme(uri), "wss");
  const char *given = g_uri_get_host(uri);
  bool is_ipv6 = strchr(given, ':') != NULL; /* which GUri has decoded, zone and all */
  g_autofree char *host = is_ipv6 ? g_strdup(given) : g_uri_unescape_string(given, NULL);
  url->host = host != NULL && g_hostname_is_non_ascii(host) ? g_hostname_to_ascii(host) : g_steal_pointer(&host);
  url->port = g_uri_get_port(uri) > 0 ? (guint16)g_uri_get_port(uri) : url->tls ? PORT_WSS : PORT_WS;
  if (url->host == NULL) {
    refuse(error, "its host is no name");
    ws_url_free(url);
    return NULL;
  }
  url->authority = make_authority(url);
  url->target = make_target(uri);
  return url;
}

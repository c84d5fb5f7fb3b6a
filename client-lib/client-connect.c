/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/client-connect.h"

#include <string.h>
#include <wsserver/ws-error.h>

/* Resolvers of proxies know http and https, which is what ws and wss are up to the handshake. */
static GSocketConnectable *make_destination(const struct ws_url *url, GError **error) {
  if (strchr(url->host, '%') != NULL) { /* an address with a zone, which no URI can have */
    GSocketAddress *address = g_inet_socket_address_new_from_string(url->host, url->port);
    if (address == NULL)
      g_set_error(error, WS_ERROR, WS_ERROR_INVALID_URL, "url: %s is no address", url->host);
    return (GSocketConnectable *)address;
  }
  bool is_ipv6 = strchr(url->host, ':') != NULL;
  g_autofree char *uri = g_strdup_printf("%s://%s%s%s:%u", url->tls ? "https" : "http", is_ipv6 ? "[" : "", url->host,
                                         is_ipv6 ? "]" : "", url->port);
  return g_network_address_parse_uri(uri, url->port, error);
}

static bool is_proxy(const char *uri) {
  const char *scheme = g_uri_peek_scheme(uri);
  return scheme != NULL &&
         (g_str_equal(scheme, "http") || g_str_equal(scheme, "https") || g_str_has_prefix(scheme, "socks"));
}

static bool set_proxy(GSocketClient *client, const struct ws_client_terms *terms, GError **error) {
  if (terms->proxy_mode == WS_PROXY_MODE_NONE)
    g_socket_client_set_enable_proxy(client, FALSE);
  if (terms->proxy_mode != WS_PROXY_MODE_CUSTOM)
    return true;
  if (terms->proxy_uri == NULL || !is_proxy(terms->proxy_uri)) {
    g_set_error_literal(
        error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT,
        "proxy-uri: give http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ in front of the host if need be");
    return false;
  }
  g_autoptr(GProxyResolver) resolver = g_simple_proxy_resolver_new(terms->proxy_uri, terms->proxy_exclusions);
  g_socket_client_set_proxy_resolver(client, resolver);
  return true;
}

void ws_client_connect_socket(const struct ws_url *url, const struct ws_client_terms *terms, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user) {
  g_autoptr(GSocketClient) client = g_socket_client_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(GSocketConnectable) destination = NULL;
  if (set_proxy(client, terms, &error))
    destination = make_destination(url, &error);
  if (destination == NULL) {
    g_task_report_error(client, callback, user, ws_client_connect_socket, g_steal_pointer(&error));
    return;
  }
  g_socket_client_connect_async(client, destination, cancellable, callback, user);
}

GSocketConnection *ws_client_connect_socket_finish(GObject *source, GAsyncResult *result, GError **error) {
  if (g_async_result_is_tagged(result, ws_client_connect_socket))
    return g_task_propagate_pointer(G_TASK(result), error);
  g_autoptr(GError) problem = NULL;
  GSocketConnection *connection = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &problem);
  if (connection != NULL)
    return connection;
  /* 403 of an HTTP proxy, "not allowed by ruleset" of a SOCKS5 one (RFC 1928 section 6). */
  if (g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_PROXY_NOT_ALLOWED))
    g_set_error(error, WS_ERROR, WS_ERROR_DOMAIN_NOT_ALLOWED,
                "the proxy's policy refuses this host (%s); ask its administrator, or choose another proxy-mode",
                problem->message);
  else
    g_propagate_error(error, g_steal_pointer(&problem));
  return NULL;
}

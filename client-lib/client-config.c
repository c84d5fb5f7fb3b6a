/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/client-config-private.h"

#include "client-lib/limits.h"

enum {
  PROP_ORIGIN = 1,
  PROP_PROTOCOL,
  PROP_CA_PATH,
  PROP_CERTIFICATE,
  PROP_PRIVATE_KEY,
  PROP_PRIVATE_KEY_PASSWORD,
  PROP_SKIP_SERVER_CERT_VERIFICATION,
  PROP_TLS_MIN_VERSION,
  PROP_PROXY_MODE,
  PROP_PROXY_URI,
  PROP_PROXY_EXCLUSIONS,
  PROP_PING_INTERVAL,
  PROP_PONG_TIMEOUT,
  PROP_CONNECT_TIMEOUT,
  PROP_COMPRESSION,
  PROP_MAX_MESSAGE_SIZE,
  PROPERTIES,
};

struct _WsClientConfig {
  GObject parent;
  GPtrArray *headers; /* name, value, name, value, ... */
  GValue values[PROPERTIES];
};

static GParamSpec *properties[PROPERTIES];

G_DEFINE_FINAL_TYPE(WsClientConfig, ws_client_config, G_TYPE_OBJECT)

G_DEFINE_ENUM_TYPE(WsProxyMode, ws_proxy_mode, G_DEFINE_ENUM_VALUE(WS_PROXY_MODE_SYSTEM, "system"),
                   G_DEFINE_ENUM_VALUE(WS_PROXY_MODE_NONE, "none"), G_DEFINE_ENUM_VALUE(WS_PROXY_MODE_CUSTOM, "custom"))

WsClientConfig *ws_client_config_new(void) {
  return g_object_new(WS_TYPE_CLIENT_CONFIG, NULL);
}

void ws_client_config_add_header(WsClientConfig *self, const char *name, const char *value) {
  g_return_if_fail(WS_IS_CLIENT_CONFIG(self));
  g_return_if_fail(name != NULL && value != NULL);
  g_ptr_array_add(self->headers, g_strdup(name));
  g_ptr_array_add(self->headers, g_strdup(value));
}

void ws_client_config_clear_headers(WsClientConfig *self) {
  g_return_if_fail(WS_IS_CLIENT_CONFIG(self));
  g_ptr_array_set_size(self->headers, 0);
}

/* --- Terms --- */

static char **copy_headers(const GPtrArray *headers) {
  char **copy = g_new0(char *, headers->len + 1);
  for (guint i = 0; i < headers->len; i++)
    copy[i] = g_strdup(g_ptr_array_index(headers, i));
  return copy;
}

struct ws_client_terms *ws_client_config_to_terms(WsClientConfig *self) {
  const GValue *values = self->values;
  struct ws_client_terms *terms = g_new(struct ws_client_terms, 1);
  *terms = (struct ws_client_terms){
      .headers = copy_headers(self->headers),
      .origin = g_value_dup_string(&values[PROP_ORIGIN]),
      .protocol = g_value_dup_string(&values[PROP_PROTOCOL]),
      .ca_path = g_value_dup_string(&values[PROP_CA_PATH]),
      .certificate = g_value_dup_string(&values[PROP_CERTIFICATE]),
      .private_key = g_value_dup_string(&values[PROP_PRIVATE_KEY]),
      .private_key_password = g_value_dup_string(&values[PROP_PRIVATE_KEY_PASSWORD]),
      .tls_min_version = g_value_dup_string(&values[PROP_TLS_MIN_VERSION]),
      .skip_verification = g_value_get_boolean(&values[PROP_SKIP_SERVER_CERT_VERIFICATION]),
      .compression = g_value_get_boolean(&values[PROP_COMPRESSION]),
      .proxy_mode = (WsProxyMode)g_value_get_enum(&values[PROP_PROXY_MODE]),
      .proxy_uri = g_value_dup_string(&values[PROP_PROXY_URI]),
      .proxy_exclusions = g_value_dup_boxed(&values[PROP_PROXY_EXCLUSIONS]),
      .ping_interval = g_value_get_uint(&values[PROP_PING_INTERVAL]),
      .pong_timeout = g_value_get_uint(&values[PROP_PONG_TIMEOUT]),
      .connect_timeout = g_value_get_uint(&values[PROP_CONNECT_TIMEOUT]),
      .max_message_size = g_value_get_uint64(&values[PROP_MAX_MESSAGE_SIZE]),
  };
  return terms;
}

/* The password does not stay in memory that somebody else gets next. */
static void forget(char *secret) {
  if (secret != NULL)
    explicit_bzero(secret, strlen(secret));
  g_free(secret);
}

void ws_client_terms_free(struct ws_client_terms *terms) {
  if (terms == NULL)
    return;
  g_strfreev(terms->headers);
  g_free(terms->origin);
  g_free(terms->protocol);
  g_free(terms->ca_path);
  g_free(terms->certificate);
  g_free(terms->private_key);
  forget(terms->private_key_password);
  g_free(terms->tls_min_version);
  forget(terms->proxy_uri); /* may hold a password */
  g_strfreev(terms->proxy_exclusions);
  g_free(terms);
}

/* --- GObject --- */

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *spec) {
  (void)spec;
  g_value_copy(&WS_CLIENT_CONFIG(object)->values[property], value);
}

static void set_property(GObject *object, guint property, const GValue *value, GParamSpec *spec) {
  (void)spec;
  g_value_copy(value, &WS_CLIENT_CONFIG(object)->values[property]);
}

static void finalize(GObject *object) {
  WsClientConfig *self = WS_CLIENT_CONFIG(object);
  for (guint property = 1; property < PROPERTIES; property++)
    g_value_unset(&self->values[property]);
  g_ptr_array_unref(self->headers);
  G_OBJECT_CLASS(ws_client_config_parent_class)->finalize(object);
}

static void ws_client_config_init(WsClientConfig *self) {
  self->headers = g_ptr_array_new_with_free_func(g_free);
  for (guint property = 1; property < PROPERTIES; property++) {
    g_value_init(&self->values[property], properties[property]->value_type);
    g_param_value_set_default(properties[property], &self->values[property]);
  }
}

#define FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS)

static void install_request_properties(void) {
  /**
   * WsClientConfig:origin:
   *
   * The header Origin (RFC 6455 section 10.2). %NULL: none, since an app is no web page.
   */
  properties[PROP_ORIGIN] = g_param_spec_string("origin", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:protocol:
   *
   * The subprotocol to offer, or a comma list of them in order of preference.
   */
  properties[PROP_PROTOCOL] = g_param_spec_string("protocol", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:compression:
   *
   * Whether permessage-deflate (RFC 7692) is offered.
   */
  properties[PROP_COMPRESSION] = g_param_spec_boolean("compression", NULL, NULL, TRUE, FLAGS);
  /**
   * WsClientConfig:max-message-size:
   *
   * Octets of the largest message, received or sent. A larger one that arrives ends the connection with 1009.
   */
  properties[PROP_MAX_MESSAGE_SIZE] =
      g_param_spec_uint64("max-message-size", NULL, NULL, 1, WS_CLIENT_MESSAGE_MAX, 5242864, FLAGS);
}

static void install_tls_properties(void) {
  /**
   * WsClientConfig:ca-path:
   *
   * A file with CA certificates (PEM), or a folder of them as OpenSSL hashes it. %NULL: those that the system trusts.
   */
  properties[PROP_CA_PATH] = g_param_spec_string("ca-path", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:certificate:
   *
   * A file with the client's own certificate and its chain (PEM).
   */
  properties[PROP_CERTIFICATE] = g_param_spec_string("certificate", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:private-key:
   *
   * A file with its private key (PEM). %NULL: it is in the certificate's file.
   */
  properties[PROP_PRIVATE_KEY] = g_param_spec_string("private-key", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:private-key-password:
   *
   * The password of the private key, if it has one.
   */
  properties[PROP_PRIVATE_KEY_PASSWORD] = g_param_spec_string("private-key-password", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:skip-server-cert-verification:
   *
   * Whether any certificate will do, whoever it was made by and for. For tests: it leaves nothing of what TLS is good for.
   */
  properties[PROP_SKIP_SERVER_CERT_VERIFICATION] =
      g_param_spec_boolean("skip-server-cert-verification", NULL, NULL, FALSE, FLAGS);
  /**
   * WsClientConfig:tls-min-version:
   *
   * `1.2` (where %NULL) or `1.3`.
   */
  properties[PROP_TLS_MIN_VERSION] = g_param_spec_string("tls-min-version", NULL, NULL, NULL, FLAGS);
}

static void install_proxy_properties(void) {
  /**
   * WsClientConfig:proxy-mode:
   *
   * Which proxy is used, if any.
   */
  properties[PROP_PROXY_MODE] =
      g_param_spec_enum("proxy-mode", NULL, NULL, WS_TYPE_PROXY_MODE, WS_PROXY_MODE_SYSTEM, FLAGS);
  /**
   * WsClientConfig:proxy-uri:
   *
   * For %WS_PROXY_MODE_CUSTOM: `http://host:port` (HTTP CONNECT) or `socks5://host:port`; credentials stand in front of the host, `http://user:password@host:port`,
   * percent-encoded.
   */
  properties[PROP_PROXY_URI] = g_param_spec_string("proxy-uri", NULL, NULL, NULL, FLAGS);
  /**
   * WsClientConfig:proxy-exclusions:
   *
   * Hosts that are connected to directly, such as `localhost`, `*.local` or `192.168.0.0/16`; see [class@Gio.SimpleProxyResolver].
   */
  properties[PROP_PROXY_EXCLUSIONS] = g_param_spec_boxed("proxy-exclusions", NULL, NULL, G_TYPE_STRV, FLAGS);
}

static void install_time_properties(void) {
  /**
   * WsClientConfig:ping-interval:
   *
   * Seconds from the beginning or the last Pong to the next Ping; 0: none is sent.
   */
  properties[PROP_PING_INTERVAL] = g_param_spec_uint("ping-interval", NULL, NULL, 0, WS_HEARTBEAT_MAX, 30, FLAGS);
  /**
   * WsClientConfig:pong-timeout:
   *
   * Seconds the server has to answer a Ping; then the connection is dropped. 0: for ever.
   */
  properties[PROP_PONG_TIMEOUT] = g_param_spec_uint("pong-timeout", NULL, NULL, 0, WS_HEARTBEAT_MAX, 30, FLAGS);
  /**
   * WsClientConfig:connect-timeout:
   *
   * Seconds for everything up to the open connection: name, proxy, TLS, handshake. 0: for ever.
   */
  properties[PROP_CONNECT_TIMEOUT] = g_param_spec_uint("connect-timeout", NULL, NULL, 0, WS_HEARTBEAT_MAX, 30, FLAGS);
}

static void ws_client_config_class_init(WsClientConfigClass *class) {
  GObjectClass *object_class = G_OBJECT_CLASS(class);
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->finalize = finalize;
  install_request_properties();
  install_tls_properties();
  install_proxy_properties();
  install_time_properties();
  g_object_class_install_properties(object_class, PROPERTIES, properties);
}

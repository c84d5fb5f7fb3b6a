/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/server-config-private.h"

#include <wsserver/ws-error.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Every property is an option of Start: the table says which, and of what type it is on the bus. */
enum kind {
  KIND_STRING,
  KIND_PORT,
  KIND_UINT,
  KIND_UINT64,
  KIND_BOOLEAN,
  KIND_STRINGS,
  KIND_FILE, /* a path, which becomes a descriptor */
};

enum {
  PROP_SERVER_IP = 1,
  PROP_SERVER_PORT,
  PROP_MAX_CONCURRENT_CLIENTS_NUMBER,
  PROP_MAX_CONNECTIONS_FOR_ONE_CLIENT,
  PROP_PROTOCOL,
  PROP_CERTIFICATE,
  PROP_PRIVATE_KEY,
  PROP_PRIVATE_KEY_PASSWORD,
  PROP_CLIENT_CA,
  PROP_TLS_MIN_VERSION,
  PROP_ALLOWED_ORIGINS,
  PROP_MAX_MESSAGE_SIZE,
  PROP_PING_INTERVAL,
  PROP_PONG_TIMEOUT,
  PROP_COMPRESSION,
  PROPERTIES,
};

static const struct {
  const char *option;
  enum kind kind;
} options[PROPERTIES] = {
    [PROP_SERVER_IP] = {"serverIP", KIND_STRING},
    [PROP_SERVER_PORT] = {"serverPort", KIND_PORT},
    [PROP_MAX_CONCURRENT_CLIENTS_NUMBER] = {"maxConcurrentClientsNumber", KIND_UINT},
    [PROP_MAX_CONNECTIONS_FOR_ONE_CLIENT] = {"maxConnectionsForOneClient", KIND_UINT},
    [PROP_PROTOCOL] = {"protocol", KIND_STRING},
    [PROP_CERTIFICATE] = {"certificate", KIND_FILE},
    [PROP_PRIVATE_KEY] = {"privateKey", KIND_FILE},
    [PROP_PRIVATE_KEY_PASSWORD] = {"privateKeyPassword", KIND_STRING},
    [PROP_CLIENT_CA] = {"clientCa", KIND_FILE},
    [PROP_TLS_MIN_VERSION] = {"tlsMinVersion", KIND_STRING},
    [PROP_ALLOWED_ORIGINS] = {"allowedOrigins", KIND_STRINGS},
    [PROP_MAX_MESSAGE_SIZE] = {"maxMessageSize", KIND_UINT64},
    [PROP_PING_INTERVAL] = {"pingInterval", KIND_UINT},
    [PROP_PONG_TIMEOUT] = {"pongTimeout", KIND_UINT},
    [PROP_COMPRESSION] = {"compression", KIND_BOOLEAN},
};

struct _WsServerConfig {
  GObject parent;
  GValue values[PROPERTIES];
};

static GParamSpec *properties[PROPERTIES];

G_DEFINE_FINAL_TYPE(WsServerConfig, ws_server_config, G_TYPE_OBJECT)

WsServerConfig *ws_server_config_new(guint port) {
  return g_object_new(WS_TYPE_SERVER_CONFIG, "server-port", port, NULL);
}

/* --- For the bus --- */

/* Not to hang on a FIFO, whose other end nobody opens; the service says what it thinks of one. */
static int open_path(const char *path) {
  return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* A file that cannot be opened is nothing to the service, which gets something that is no certificate: it judges what comes before the files first. */
static gboolean open_file(const char *option, const char *path, GUnixFDList *files, gint *index, GError **unreadable,
                          GError **error) {
  int fd = open_path(path);
  if (fd < 0) {
    if (*unreadable == NULL)
      g_set_error(unreadable, WS_ERROR, WS_ERROR_CERTIFICATE_NOT_FOUND, "%s: cannot open %s: %s", option, path,
                  g_strerror(errno));
    fd = open_path("/dev/null");
  }
  *index = fd >= 0 ? g_unix_fd_list_append(files, fd, error) : -1;
  if (fd < 0)
    g_propagate_error(error, g_steal_pointer(unreadable));
  else
    close(fd);
  return *index >= 0;
}

/* GVariant takes nothing else, and the service could not say what is wrong with it. */
static gboolean check_text(const char *option, const char *text, GError **error) {
  if (g_utf8_validate(text, -1, NULL))
    return TRUE;
  g_set_error(error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT, "%s: is not UTF-8", option);
  return FALSE;
}

static GVariant *text_to_variant(const char *option, const char *text, GError **error) {
  return text != NULL && check_text(option, text, error) ? g_variant_new_string(text) : NULL;
}

static GVariant *texts_to_variant(const char *option, char **texts, GError **error) {
  for (char **text = texts; text != NULL && *text != NULL; text++)
    if (!check_text(option, *text, error))
      return NULL;
  return texts != NULL ? g_variant_new_strv((const char *const *)texts, -1) : NULL;
}

/* The value as the bus has it; NULL where it is absent, or (with an error) cannot be had. */
static GVariant *to_variant(guint property, const GValue *value, GUnixFDList *files, GError **unreadable,
                            GError **error) {
  gint index;
  switch (options[property].kind) {
  case KIND_STRING:
    return text_to_variant(options[property].option, g_value_get_string(value), error);
  case KIND_PORT: /* beyond 65535 it is the service's to say so */
    return g_variant_new_uint32(g_value_get_uint(value));
  case KIND_UINT:
    return g_variant_new_uint32(g_value_get_uint(value));
  case KIND_UINT64:
    return g_variant_new_uint64(g_value_get_uint64(value));
  case KIND_BOOLEAN:
    return g_variant_new_boolean(g_value_get_boolean(value));
  case KIND_STRINGS:
    return texts_to_variant(options[property].option, g_value_get_boxed(value), error);
  case KIND_FILE:
    if (g_value_get_string(value) == NULL ||
        !open_file(options[property].option, g_value_get_string(value), files, &index, unreadable, error))
      return NULL;
    return g_variant_new_handle(index);
  }
  return NULL;
}

WsServerConfig *ws_server_config_copy(WsServerConfig *self) {
  WsServerConfig *copy = ws_server_config_new(0);
  for (guint property = 1; property < PROPERTIES; property++)
    g_value_copy(&self->values[property], &copy->values[property]);
  return copy;
}

GVariant *ws_server_config_to_arguments(WsServerConfig *self, GUnixFDList **files, GError **unreadable,
                                        GError **error) {
  GError *problem = NULL;
  GVariantBuilder builder;
  g_autoptr(GUnixFDList) opened = g_unix_fd_list_new();
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  for (guint property = 1; property < PROPERTIES && problem == NULL; property++) {
    GVariant *value = to_variant(property, &self->values[property], opened, unreadable, &problem);
    if (value != NULL)
      g_variant_builder_add(&builder, "{sv}", options[property].option, value);
  }
  if (problem != NULL) {
    g_propagate_error(error, problem);
    g_clear_error(unreadable);
    g_variant_builder_clear(&builder);
    return NULL;
  }
  *files = g_steal_pointer(&opened);
  return g_variant_new("(a{sv})", &builder);
}

/* --- GObject --- */

static void get_property(GObject *object, guint property, GValue *value, GParamSpec *spec) {
  (void)spec;
  g_value_copy(&WS_SERVER_CONFIG(object)->values[property], value);
}

static void set_property(GObject *object, guint property, const GValue *value, GParamSpec *spec) {
  (void)spec;
  g_value_copy(value, &WS_SERVER_CONFIG(object)->values[property]);
}

static void finalize(GObject *object) {
  WsServerConfig *self = WS_SERVER_CONFIG(object);
  for (guint property = 1; property < PROPERTIES; property++)
    g_value_unset(&self->values[property]);
  G_OBJECT_CLASS(ws_server_config_parent_class)->finalize(object);
}

static void ws_server_config_init(WsServerConfig *self) {
  for (guint property = 1; property < PROPERTIES; property++) {
    g_value_init(&self->values[property], properties[property]->value_type);
    g_param_value_set_default(properties[property], &self->values[property]);
  }
}

#define FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS)

static void install_address_properties(void) {
  /**
   * WsServerConfig:server-ip:
   *
   * The address to listen on, such as `127.0.0.1`, `::` or `fe80::1%eth0`. %NULL: `0.0.0.0`, all IPv4 addresses.
   */
  properties[PROP_SERVER_IP] = g_param_spec_string("server-ip", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:server-port:
   *
   * The port to listen on; 0: any free one, see [property@Server:port].
   */
  properties[PROP_SERVER_PORT] = g_param_spec_uint("server-port", NULL, NULL, 0, G_MAXUINT, 0, FLAGS);
  /**
   * WsServerConfig:max-concurrent-clients-number:
   *
   * Distinct client addresses that may be connected at a time.
   */
  properties[PROP_MAX_CONCURRENT_CLIENTS_NUMBER] =
      g_param_spec_uint("max-concurrent-clients-number", NULL, NULL, 0, G_MAXUINT, 10, FLAGS);
  /**
   * WsServerConfig:max-connections-for-one-client:
   *
   * Connections that one address may have at a time.
   */
  properties[PROP_MAX_CONNECTIONS_FOR_ONE_CLIENT] =
      g_param_spec_uint("max-connections-for-one-client", NULL, NULL, 0, G_MAXUINT, 10, FLAGS);
  /**
   * WsServerConfig:protocol:
   *
   * The subprotocol, or a comma list of them in order of preference.
   */
  properties[PROP_PROTOCOL] = g_param_spec_string("protocol", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:allowed-origins:
   *
   * The web pages that may connect, such as `https://a.example`; a host may begin with `*.`, for all below it. %NULL: all; empty: none.
   */
  properties[PROP_ALLOWED_ORIGINS] = g_param_spec_boxed("allowed-origins", NULL, NULL, G_TYPE_STRV, FLAGS);
}

static void install_tls_properties(void) {
  /**
   * WsServerConfig:certificate:
   *
   * A file with the server's certificate and its chain (PEM). With it, peers have to use TLS (wss). Opened with this process's rights when the server starts.
   */
  properties[PROP_CERTIFICATE] = g_param_spec_string("certificate", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:private-key:
   *
   * A file with the certificate's private key (PEM).
   */
  properties[PROP_PRIVATE_KEY] = g_param_spec_string("private-key", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:private-key-password:
   *
   * The password of the private key, if it has one.
   */
  properties[PROP_PRIVATE_KEY_PASSWORD] = g_param_spec_string("private-key-password", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:client-ca:
   *
   * A file with the CA certificates of peers (PEM). With it, every peer has to show a certificate.
   */
  properties[PROP_CLIENT_CA] = g_param_spec_string("client-ca", NULL, NULL, NULL, FLAGS);
  /**
   * WsServerConfig:tls-min-version:
   *
   * `1.2` (where %NULL) or `1.3`.
   */
  properties[PROP_TLS_MIN_VERSION] = g_param_spec_string("tls-min-version", NULL, NULL, NULL, FLAGS);
}

static void install_traffic_properties(void) {
  /**
   * WsServerConfig:max-message-size:
   *
   * Octets of the largest message, received or sent.
   */
  properties[PROP_MAX_MESSAGE_SIZE] =
      g_param_spec_uint64("max-message-size", NULL, NULL, 0, G_MAXUINT64, 5242864, FLAGS);
  /**
   * WsServerConfig:ping-interval:
   *
   * Seconds between Pings to each peer; 0: none.
   */
  properties[PROP_PING_INTERVAL] = g_param_spec_uint("ping-interval", NULL, NULL, 0, G_MAXUINT, 30, FLAGS);
  /**
   * WsServerConfig:pong-timeout:
   *
   * Seconds a peer has to answer a Ping before it is dropped; 0: for ever.
   */
  properties[PROP_PONG_TIMEOUT] = g_param_spec_uint("pong-timeout", NULL, NULL, 0, G_MAXUINT, 30, FLAGS);
  /**
   * WsServerConfig:compression:
   *
   * Whether permessage-deflate (RFC 7692) is agreed on with peers that offer it.
   */
  properties[PROP_COMPRESSION] = g_param_spec_boolean("compression", NULL, NULL, TRUE, FLAGS);
}

static void ws_server_config_class_init(WsServerConfigClass *class) {
  GObjectClass *object_class = G_OBJECT_CLASS(class);
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  object_class->finalize = finalize;
  install_address_properties();
  install_tls_properties();
  install_traffic_properties();
  g_object_class_install_properties(object_class, PROPERTIES, properties);
}

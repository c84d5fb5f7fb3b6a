/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/start-options.h"

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/listen-address.h"
#include "daemon/origin.h"
#include "daemon/printable.h"

#include <arpa/inet.h>
#include <string.h>

/* The known keys. */
static const struct {
  const char *name;
  const char *type; /* of the value */
} known[] = {
    {"serverIP", "s"},
    {"serverPort", NULL}, /* q, i, u, x or t */
    {"maxConcurrentClientsNumber", "u"},
    {"maxConnectionsForOneClient", "u"},
    {"certificate", "h"},
    {"privateKey", "h"},
    {"privateKeyPassword", "s"},
    {"clientCa", "h"},
    {"tlsMinVersion", "s"},
    {"protocol", "s"},
    {"allowedOrigins", "as"},
    {"maxMessageSize", "t"},
    {"pingInterval", "u"},
    {"pongTimeout", "u"},
    {"compression", "b"},
};

G_GNUC_PRINTF(4, 5)
static bool fault(GError **error, enum wsd_error code, const char *key, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  g_set_error(error, WSD_ERROR, (gint)code, "%s: %s", key, text);
  return false;
}

static bool is_port_type(GVariant *value) {
  return g_variant_type_is_basic(g_variant_get_type(value)) && strchr("qiuxt", g_variant_get_type_string(value)[0]);
}

static bool check_key(const char *key, GVariant *value, GError **error) {
  for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
    if (!g_str_equal(known[i].name, key))
      continue;
    const char *type = g_variant_get_type_string(value);
    if (known[i].type ? !g_str_equal(type, known[i].type) : !is_port_type(value))
      return fault(error, WSD_ERROR_INVALID_ARGUMENT, key, "has type %s, must have type %s", type,
                   known[i].type ? known[i].type : "q (i, u, x and t are taken too)");
    return true;
  }
  g_autofree char *escaped = wsd_printable(key, WSD_SHOWN_MAX);
  return fault(error, WSD_ERROR_INVALID_ARGUMENT, escaped, "unknown option; see org.wsserver1(5) for the known ones");
}

/* Names and types of all keys, each at most once. */
static bool check_keys(GVariant *dictionary, GError **error) {
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  GVariantIter iterator;
  const char *key;
  GVariant *value;
  g_variant_iter_init(&iterator, dictionary);
  while (g_variant_iter_next(&iterator, "{&sv}", &key, &value)) {
    bool right = check_key(key, value, error);
    g_variant_unref(value);
    if (!right)
      return false;
    if (!g_hash_table_add(seen, (gpointer)key))
      return fault(error, WSD_ERROR_INVALID_ARGUMENT, key, "is given twice");
  }
  return true;
}

static bool read_address(GVariant *dictionary, struct wsd_start_options *options, GError **error) {
  const char *text = "0.0.0.0";
  g_variant_lookup(dictionary, "serverIP", "&s", &text);
  options->server_ip = g_strndup(text, WSD_ADDRESS_TEXT_MAX);
  return wsd_listen_address_read(text, &options->address, &options->address_length, error);
}

static bool port_in_range(GVariant *value, guint16 *port) {
  guint64 number;
  switch (g_variant_get_type_string(value)[0]) {
  case 'q':
    number = g_variant_get_uint16(value);
    break;
  case 'u':
    number = g_variant_get_uint32(value);
    break;
  case 't':
    number = g_variant_get_uint64(value);
    break;
  case 'i': /* negative ones become too large */
    number = (guint64)(gint64)g_variant_get_int32(value);
    break;
  default:
    number = (guint64)g_variant_get_int64(value);
    break;
  }
  *port = (guint16)number;
  return number <= 65535;
}

static bool read_port(GVariant *dictionary, struct wsd_start_options *options, GError **error) {
  g_autoptr(GVariant) value = g_variant_lookup_value(dictionary, "serverPort", NULL);
  if (!value)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "serverPort", "is required; 0 takes any free port");
  if (!port_in_range(value, &options->server_port))
    return fault(error, WSD_ERROR_INVALID_PORT, "serverPort", "must be from 0 to 65535; 0 takes any free port");
  options->asked_port = options->server_port;
  if (options->address.ss_family == AF_INET)
    ((struct sockaddr_in *)&options->address)->sin_port = htons(options->server_port);
  else
    ((struct sockaddr_in6 *)&options->address)->sin6_port = htons(options->server_port);
  return true;
}

/* Above what a rule of the policy grants. */
static bool exceeds(GError **error, const char *key, const struct wsd_terms *terms, guint64 ceiling) {
  if (terms->source)
    return fault(error, WSD_ERROR_LIMIT_EXCEEDED, key, "must be at most %" G_GUINT64_FORMAT ", as %s says", ceiling,
                 terms->source);
  return fault(error, WSD_ERROR_LIMIT_EXCEEDED, key, "must be at most %" G_GUINT64_FORMAT, ceiling);
}

static bool read_limit(GVariant *dictionary, const char *key, const struct wsd_terms *terms, guint32 ceiling,
                       guint32 *limit, GError **error) {
  *limit = MIN(WSD_CLIENTS_DEFAULT, ceiling);
  g_variant_lookup(dictionary, key, "u", limit);
  if (*limit == 0)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, key, "must be at least 1");
  return *limit <= ceiling || exceeds(error, key, terms, ceiling);
}

static bool read_limits(GVariant *dictionary, const struct wsd_terms *terms, struct wsd_start_options *options,
                        GError **error) {
  return read_limit(dictionary, "maxConcurrentClientsNumber", terms, terms->max_clients, &options->max_clients,
                    error) &&
         read_limit(dictionary, "maxConnectionsForOneClient", terms, terms->max_per_client, &options->max_per_client,
                    error);
}

static bool read_max_message(GVariant *dictionary, bool by_channel, const struct wsd_terms *terms,
                             struct wsd_start_options *options, GError **error) {
  options->max_message = MIN(WSD_MESSAGE_DEFAULT, terms->max_message);
  g_variant_lookup(dictionary, "maxMessageSize", "t", &options->max_message);
  if (options->max_message == 0)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "maxMessageSize", "must be at least 1");
  if (options->max_message > WSC_MESSAGE_MAX)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "maxMessageSize", "must be at most %u", WSC_MESSAGE_MAX);
  if (!by_channel && options->max_message > WSD_MESSAGE_CEILING)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "maxMessageSize",
                 "must be at most %u while there is no channel; call OpenChannel first", WSD_MESSAGE_CEILING);
  return options->max_message <= terms->max_message || exceeds(error, "maxMessageSize", terms, terms->max_message);
}

/* The options that mean nothing, and less security than was meant, where there is no certificate. */
static bool check_without_certificate(GVariant *dictionary, GError **error) {
  static const char *const others[] = {"privateKeyPassword", "clientCa", "tlsMinVersion"};
  g_autoptr(GVariant) key = g_variant_lookup_value(dictionary, "privateKey", NULL);
  if (key)
    return fault(error, WSD_ERROR_CERTIFICATE_NOT_FOUND, "certificate", "is missing, but there is a privateKey");
  for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
    g_autoptr(GVariant) value = g_variant_lookup_value(dictionary, others[i], NULL);
    if (value)
      return fault(error, WSD_ERROR_INVALID_ARGUMENT, others[i], "is of use with a certificate only; give that, too");
  }
  return true;
}

static bool read_file(GVariant *dictionary, GUnixFDList *fds, const char *key, int *fd, GError **error) {
  g_autoptr(GVariant) value = g_variant_lookup_value(dictionary, key, G_VARIANT_TYPE_HANDLE);
  if (!value)
    return true;
  *fd = wsd_certificate_file(key, g_variant_get_handle(value), fds, error);
  return *fd >= 0;
}

static bool read_password(GVariant *dictionary, struct wsd_certificate_files *files, GError **error) {
  const char *text = "";
  g_variant_lookup(dictionary, "privateKeyPassword", "&s", &text);
  if (strlen(text) > WSC_KEY_PASSWORD_MAX)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "privateKeyPassword", "is longer than %u octets",
                 WSC_KEY_PASSWORD_MAX);
  files->password = *text ? g_strdup(text) : NULL;
  return true;
}

static bool read_tls_version(GVariant *dictionary, struct wsd_start_options *options, GError **error) {
  const char *text = "1.2";
  g_variant_lookup(dictionary, "tlsMinVersion", "&s", &text);
  if (!g_str_equal(text, "1.2") && !g_str_equal(text, "1.3"))
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "tlsMinVersion", "must be 1.2 or 1.3");
  options->tls_min_version = g_str_equal(text, "1.3") ? 0x0304 : 0x0303;
  return true;
}

static bool read_certificate(GVariant *dictionary, GUnixFDList *fds, const struct wsd_terms *terms,
                             struct wsd_start_options *options, GError **error) {
  g_autoptr(GVariant) certificate = g_variant_lookup_value(dictionary, "certificate", NULL);
  if (!certificate && terms->require_tls)
    return fault(error, WSD_ERROR_PERMISSION_DENIED, "certificate",
                 "%s lets you serve with TLS only; give certificate and privateKey", terms->source);
  if (!certificate)
    return check_without_certificate(dictionary, error);
  struct wsd_certificate_files *files = options->files = wsd_certificate_files_new();
  options->tls = true;
  if (!read_file(dictionary, fds, "certificate", &files->certificate, error) ||
      !read_file(dictionary, fds, "privateKey", &files->private_key, error) ||
      !read_file(dictionary, fds, "clientCa", &files->client_ca, error))
    return false;
  if (files->private_key < 0)
    return fault(error, WSD_ERROR_CERTIFICATE_NOT_FOUND, "privateKey", "is missing, but there is a certificate");
  return read_password(dictionary, files, error) && read_tls_version(dictionary, options, error);
}

static bool is_token(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!g_ascii_isalnum(text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
      return false;
  return length > 0;
}

static bool read_protocol(GVariant *dictionary, struct wsd_start_options *options, GError **error) {
  const char *text = "";
  g_variant_lookup(dictionary, "protocol", "&s", &text);
  if (strlen(text) > WSD_PROTOCOL_TEXT_MAX)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "protocol", "is longer than %u octets", WSD_PROTOCOL_TEXT_MAX);
  g_auto(GStrv) names = g_strsplit(text, ",", -1);
  for (char **name = names; *name; name++) {
    size_t length = strlen(g_strstrip(*name));
    if (!is_token(*name, length) || length > WSD_PROTOCOL_NAME_MAX)
      return fault(error, WSD_ERROR_INVALID_ARGUMENT, "protocol",
                   "each name must be an HTTP token of 1 to %u octets, separated by commas", WSD_PROTOCOL_NAME_MAX);
    for (char **other = names; other < name; other++)
      if (g_str_equal(*other, *name))
        return fault(error, WSD_ERROR_INVALID_ARGUMENT, "protocol", "names %s twice", *name);
  }
  options->protocol = g_strjoinv(", ", names);
  return true;
}

static bool read_seconds(GVariant *dictionary, const char *key, guint32 *seconds, GError **error) {
  *seconds = 30;
  g_variant_lookup(dictionary, key, "u", seconds);
  if (*seconds > WSD_PING_SECONDS_MAX)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, key, "must be from 0 (off) to %u seconds", WSD_PING_SECONDS_MAX);
  return true;
}

static bool read_compression(GVariant *dictionary, struct wsd_start_options *options) {
  gboolean compression = TRUE;
  g_variant_lookup(dictionary, "compression", "b", &compression);
  options->compression = compression;
  return true;
}

static bool read_origins(GVariant *dictionary, const struct wsd_terms *terms, struct wsd_start_options *options,
                         GError **error) {
  g_autofree const char **entries = NULL;
  bool given = g_variant_lookup(dictionary, "allowedOrigins", "^a&s", &entries);
  if (!given && terms->require_origin)
    return fault(error, WSD_ERROR_PERMISSION_DENIED, "allowedOrigins",
                 "%s lets you serve named origins only; give allowedOrigins", terms->source);
  if (!given)
    return true;
  guint count = g_strv_length((GStrv)entries);
  if (count > WSD_ORIGINS_MAX)
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "allowedOrigins", "has %u entries, at most %u are allowed", count,
                 WSD_ORIGINS_MAX);
  options->allowed_origins = g_new0(char *, count + 1);
  for (guint i = 0; i < count; i++) {
    const char *problem = NULL;
    options->allowed_origins[i] = wsd_origin_normalise(entries[i], &problem);
    if (options->allowed_origins[i])
      continue;
    g_autofree char *shown = wsd_printable(entries[i], WSD_SHOWN_MAX);
    return fault(error, WSD_ERROR_INVALID_ARGUMENT, "allowedOrigins", "\"%s\" %s", shown, problem);
  }
  return true;
}

bool wsd_start_options_read_place(GVariant *dictionary, struct wsd_start_options *options, GError **error) {
  memset(options, 0, sizeof *options);
  return check_keys(dictionary, error) && read_address(dictionary, options, error) &&
         read_port(dictionary, options, error);
}

bool wsd_start_options_read_rest(GVariant *dictionary, GUnixFDList *fds, bool by_channel, const struct wsd_terms *terms,
                                 struct wsd_start_options *options, GError **error) {
  return read_limits(dictionary, terms, options, error) &&
         read_max_message(dictionary, by_channel, terms, options, error) &&
         read_certificate(dictionary, fds, terms, options, error) && read_protocol(dictionary, options, error) &&
         read_origins(dictionary, terms, options, error) &&
         read_seconds(dictionary, "pingInterval", &options->ping_interval, error) &&
         read_seconds(dictionary, "pongTimeout", &options->pong_timeout, error) &&
         read_compression(dictionary, options);
}

void wsd_start_options_copy(struct wsd_start_options *options, const struct wsd_start_options *from) {
  *options = *from;
  options->server_ip = g_strdup(from->server_ip);
  options->protocol = g_strdup(from->protocol);
  options->allowed_origins = g_strdupv(from->allowed_origins);
  options->files = NULL;
}

void wsd_start_options_clear(struct wsd_start_options *options) {
  g_free(options->server_ip);
  g_free(options->protocol);
  wsd_certificate_files_free(options->files);
  g_strfreev(options->allowed_origins);
  memset(options, 0, sizeof *options);
}

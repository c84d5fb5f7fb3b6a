/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/start-options.h"

#include <string.h>

static GVariant *parse(const char *text) {
  g_autoptr(GError) error = NULL;
  GVariant *dictionary = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);
  g_assert_no_error(error);
  return dictionary;
}

/* Both steps, on the widest terms. */
static bool read_options(GVariant *dictionary, GUnixFDList *fds, struct wsd_start_options *options, GError **error) {
  const struct wsd_terms terms = WSD_TERMS_WIDEST;
  return wsd_start_options_read_place(dictionary, options, error) &&
         wsd_start_options_read_rest(dictionary, fds, false, &terms, options, error);
}

static void test_defaults(void) {
  g_autoptr(GVariant) dictionary = parse("{'serverPort': <uint16 8080>}");
  struct wsd_start_options options;
  g_assert_true(read_options(dictionary, NULL, &options, NULL));
  g_assert_cmpstr(options.server_ip, ==, "0.0.0.0");
  g_assert_cmpuint(options.server_port, ==, 8080);
  g_assert_cmpuint(options.max_clients, ==, 10);
  g_assert_cmpuint(options.max_per_client, ==, 10);
  g_assert_cmpstr(options.protocol, ==, "");
  g_assert_cmpuint(options.max_message, ==, 5242864);
  g_assert_cmpuint(options.ping_interval, ==, 30);
  g_assert_cmpuint(options.pong_timeout, ==, 30);
  g_assert_true(options.compression);
  g_assert_null(options.allowed_origins);
  wsd_start_options_clear(&options);
}

static const char *const accepted[] = {
    "{'serverPort': <int32 80>}",
    "{'serverPort': <uint32 65535>}",
    "{'serverPort': <int64 0>}",
    "{'serverPort': <uint64 1>}",
    "{'serverPort': <uint16 1>, 'serverIP': <'::'>}",
    "{'serverPort': <uint16 1>, 'serverIP': <'::1'>}",
    "{'serverPort': <uint16 1>, 'serverIP': <'127.0.0.1'>}",
    "{'serverPort': <uint16 1>, 'serverIP': <'fe80::1%lo'>}",
    "{'serverPort': <uint16 1>, 'serverIP': <'fe80::1%1'>}",
    "{'serverPort': <uint16 1>, 'maxConcurrentClientsNumber': <uint32 65535>}",
    "{'serverPort': <uint16 1>, 'maxConnectionsForOneClient': <uint32 65535>}",
    "{'serverPort': <uint16 1>, 'protocol': <''>}",
    "{'serverPort': <uint16 1>, 'protocol': <'my-protocol'>}",
    "{'serverPort': <uint16 1>, 'protocol': <'a, b ,c'>}",
    "{'serverPort': <uint16 1>, 'maxMessageSize': <uint64 16777216>}",
    "{'serverPort': <uint16 1>, 'maxMessageSize': <uint64 1>}",
    "{'serverPort': <uint16 1>, 'pingInterval': <uint32 0>, 'pongTimeout': <uint32 0>}",
    "{'serverPort': <uint16 1>, 'compression': <false>}",
    "{'serverPort': <uint16 1>, 'compression': <true>}",
    "{'serverPort': <uint16 1>, 'allowedOrigins': <@as []>}",
    "{'serverPort': <uint16 1>, 'allowedOrigins': <['https://a.example', 'http://*.b.example:8080', 'null']>}",
};

static void test_accepted(void) {
  for (gsize i = 0; i < G_N_ELEMENTS(accepted); i++) {
    g_autoptr(GVariant) dictionary = parse(accepted[i]);
    g_autoptr(GError) error = NULL;
    struct wsd_start_options options;
    g_test_message("%s", accepted[i]);
    bool right = read_options(dictionary, NULL, &options, &error);
    g_assert_no_error(error);
    g_assert_true(right);
    wsd_start_options_clear(&options);
  }
}

static const struct {
  const char *text;
  enum wsd_error code;
  const char *key;
} refused[] = {
    {"@a{sv} {}", WSD_ERROR_INVALID_ARGUMENT, "serverPort"},
    {"{'serverPort': <'80'>}", WSD_ERROR_INVALID_ARGUMENT, "serverPort"},
    {"{'serverPort': <80.0>}", WSD_ERROR_INVALID_ARGUMENT, "serverPort"},
    {"{'serverPort': <[uint16 1]>}", WSD_ERROR_INVALID_ARGUMENT, "serverPort"},
    {"{'serverPort': <int32 -1>}", WSD_ERROR_INVALID_PORT, "serverPort"},
    {"{'serverPort': <int64 -1>}", WSD_ERROR_INVALID_PORT, "serverPort"},
    {"{'serverPort': <int32 65536>}", WSD_ERROR_INVALID_PORT, "serverPort"},
    {"{'serverPort': <uint64 123456489764556454>}", WSD_ERROR_INVALID_PORT, "serverPort"},
    {"{'serverport': <uint16 1>}", WSD_ERROR_INVALID_ARGUMENT, "serverport"},
    {"{'serverPort': <uint16 1>, 'a\\nb': <1>}", WSD_ERROR_INVALID_ARGUMENT, "a\\u000ab"},
    {"{'serverPort': <uint16 1>, 'puerto_ñ': <1>}", WSD_ERROR_INVALID_ARGUMENT, "puerto_ñ"},
    {"{'serverPort': <uint16 1>, 'serverIP': <uint32 1>}", WSD_ERROR_INVALID_ARGUMENT, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <''>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'0.0.0.0..'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'266.0.0.0'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'1:2:3:4:5:6:7:8:9'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'localhost'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'fe80::1'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'fe80::1%nosuchif'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <uint16 1>, 'serverIP': <'::1%lo'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"},
    {"{'serverPort': <int32 70000>, 'serverIP': <'x'>}", WSD_ERROR_INVALID_ADDRESS, "serverIP"}, /* address first */
    {"{'serverPort': <int32 70000>, 'maxConcurrentClientsNumber': <uint32 0>}", WSD_ERROR_INVALID_PORT, "serverPort"},
    {"{'serverPort': <uint16 1>, 'maxConcurrentClientsNumber': <uint32 0>}", WSD_ERROR_INVALID_ARGUMENT,
     "maxConcurrentClientsNumber"},
    {"{'serverPort': <uint16 1>, 'maxConcurrentClientsNumber': <uint32 65536>}", WSD_ERROR_LIMIT_EXCEEDED,
     "maxConcurrentClientsNumber"},
    {"{'serverPort': <uint16 1>, 'maxConnectionsForOneClient': <uint32 0>}", WSD_ERROR_INVALID_ARGUMENT,
     "maxConnectionsForOneClient"},
    {"{'serverPort': <uint16 1>, 'maxConnectionsForOneClient': <uint32 65536>}", WSD_ERROR_LIMIT_EXCEEDED,
     "maxConnectionsForOneClient"},
    {"{'serverPort': <uint16 1>, 'maxConnectionsForOneClient': <10>}", WSD_ERROR_INVALID_ARGUMENT,
     "maxConnectionsForOneClient"},
    {"{'serverPort': <uint16 1>, 'protocol': <'a b'>}", WSD_ERROR_INVALID_ARGUMENT, "protocol"},
    {"{'serverPort': <uint16 1>, 'protocol': <'a,,b'>}", WSD_ERROR_INVALID_ARGUMENT, "protocol"},
    {"{'serverPort': <uint16 1>, 'protocol': <'a,a'>}", WSD_ERROR_INVALID_ARGUMENT, "protocol"},
    {"{'serverPort': <uint16 1>, 'protocol': <'a\\r\\nX: y'>}", WSD_ERROR_INVALID_ARGUMENT, "protocol"},
    {"{'serverPort': <uint16 1>, 'maxMessageSize': <uint64 0>}", WSD_ERROR_INVALID_ARGUMENT, "maxMessageSize"},
    {"{'serverPort': <uint16 1>, 'maxMessageSize': <uint64 16777217>}", WSD_ERROR_INVALID_ARGUMENT, "maxMessageSize"},
    {"{'serverPort': <uint16 1>, 'pingInterval': <uint32 30001>}", WSD_ERROR_INVALID_ARGUMENT, "pingInterval"},
    {"{'serverPort': <uint16 1>, 'pongTimeout': <uint32 30001>}", WSD_ERROR_INVALID_ARGUMENT, "pongTimeout"},
    {"{'serverPort': <uint16 1>, 'compression': <1>}", WSD_ERROR_INVALID_ARGUMENT, "compression"},
    {"{'serverPort': <uint16 1>, 'certificate': <handle 0>}", WSD_ERROR_INVALID_ARGUMENT, "certificate"},
    {"{'serverPort': <uint16 1>, 'privateKey': <handle 0>}", WSD_ERROR_CERTIFICATE_NOT_FOUND, "certificate"},
    {"{'serverPort': <uint16 1>, 'clientCa': <handle 0>}", WSD_ERROR_INVALID_ARGUMENT, "clientCa"},
    {"{'serverPort': <uint16 1>, 'certificate': <'/etc/cert.pem'>}", WSD_ERROR_INVALID_ARGUMENT, "certificate"},
    {"{'serverPort': <uint16 1>, 'privateKeyPassword': <'x'>}", WSD_ERROR_INVALID_ARGUMENT, "privateKeyPassword"},
    {"{'serverPort': <uint16 1>, 'tlsMinVersion': <'1.3'>}", WSD_ERROR_INVALID_ARGUMENT, "tlsMinVersion"},
    {"{'serverPort': <uint16 1>, 'allowedOrigins': <'https://a.example'>}", WSD_ERROR_INVALID_ARGUMENT,
     "allowedOrigins"},
    {"{'serverPort': <uint16 1>, 'allowedOrigins': <['https://a.example', 'b.example']>}", WSD_ERROR_INVALID_ARGUMENT,
     "allowedOrigins: \"b.example\""},
    {"{'serverPort': <uint16 1>, 'allowedOrigins': <['https://a.example/']>}", WSD_ERROR_INVALID_ARGUMENT,
     "allowedOrigins: \"https://a.example/\""},
    {"{'serverPort': <uint16 1>, 'allowedOrigins': <['a\\nb']>}", WSD_ERROR_INVALID_ARGUMENT,
     "allowedOrigins: \"a\\u000ab\""},
};

static void test_refused(void) {
  for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autoptr(GVariant) dictionary = parse(refused[i].text);
    g_autoptr(GError) error = NULL;
    struct wsd_start_options options;
    g_assert_false(read_options(dictionary, NULL, &options, &error));
    g_test_message("%s -> %s", refused[i].text, error->message);
    g_assert_error(error, WSD_ERROR, (gint)refused[i].code);
    g_assert_true(g_str_has_prefix(error->message, refused[i].key));
    wsd_start_options_clear(&options);
  }
}

static void check_long(const char *key, guint length, enum wsd_error code) {
  g_autofree char *text = g_strnfill(length, 'a');
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add(&builder, "{sv}", "serverPort", g_variant_new_uint16(1));
  g_variant_builder_add(&builder, "{sv}", key, g_variant_new_string(text));
  g_autoptr(GVariant) dictionary = g_variant_ref_sink(g_variant_builder_end(&builder));
  g_autoptr(GError) error = NULL;
  struct wsd_start_options options;
  g_assert_false(read_options(dictionary, NULL, &options, &error));
  g_assert_error(error, WSD_ERROR, (gint)code);
  wsd_start_options_clear(&options);
}

static bool takes_origins(guint count) {
  GVariantBuilder builder, origins;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_init(&origins, G_VARIANT_TYPE_STRING_ARRAY);
  for (guint i = 0; i < count; i++)
    g_variant_builder_add(&origins, "s", "HTTPS://a.example:443");
  g_variant_builder_add(&builder, "{sv}", "serverPort", g_variant_new_uint16(1));
  g_variant_builder_add(&builder, "{sv}", "allowedOrigins", g_variant_builder_end(&origins));
  g_autoptr(GVariant) dictionary = g_variant_ref_sink(g_variant_builder_end(&builder));
  struct wsd_start_options options;
  bool taken = read_options(dictionary, NULL, &options, NULL);
  if (taken) {
    g_assert_nonnull(options.allowed_origins);
    g_assert_cmpuint(g_strv_length(options.allowed_origins), ==, count);
  }
  if (taken && count)
    g_assert_cmpstr(options.allowed_origins[0], ==, "https://a.example");
  wsd_start_options_clear(&options);
  return taken;
}

static void test_origins(void) {
  g_assert_true(takes_origins(0));
  g_assert_true(takes_origins(1));
  g_assert_true(takes_origins(WSD_ORIGINS_MAX));
  g_assert_false(takes_origins(WSD_ORIGINS_MAX + 1));
}

static void test_bounds(void) {
  check_long("serverIP", WSD_ADDRESS_TEXT_MAX + 1, WSD_ERROR_INVALID_ADDRESS);
  check_long("protocol", WSD_PROTOCOL_NAME_MAX + 1, WSD_ERROR_INVALID_ARGUMENT);
  check_long("protocol", WSD_PROTOCOL_TEXT_MAX + 1, WSD_ERROR_INVALID_ARGUMENT);
}

static void test_twice(void) {
  g_autoptr(GVariant) dictionary = parse("[{'serverPort', <uint16 1>}, {'serverPort', <uint16 2>}]");
  g_autoptr(GError) error = NULL;
  struct wsd_start_options options;
  g_assert_false(read_options(dictionary, NULL, &options, &error));
  g_assert_error(error, WSD_ERROR, WSD_ERROR_INVALID_ARGUMENT);
  wsd_start_options_clear(&options);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/start-options/what is left out has the documented default", test_defaults);
  g_test_add_func("/start-options/every legal value is taken", test_accepted);
  g_test_add_func("/start-options/every fault has its error and names the key", test_refused);
  g_test_add_func("/start-options/long texts are refused", test_bounds);
  g_test_add_func("/start-options/origins are taken in their normal form, so many and no more", test_origins);
  g_test_add_func("/start-options/a key given twice is refused", test_twice);
  return g_test_run();
}

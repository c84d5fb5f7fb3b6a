/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/error.h"
#include "daemon/listener.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static bool read_options(struct wsd_start_options *options, const char *ip, guint16 port) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add(&builder, "{sv}", "serverPort", g_variant_new_uint16(port));
  g_variant_builder_add(&builder, "{sv}", "serverIP", g_variant_new_string(ip));
  g_autoptr(GVariant) dictionary = g_variant_ref_sink(g_variant_builder_end(&builder));
  const struct wsd_terms terms = WSD_TERMS_WIDEST;
  return wsd_start_options_read_place(dictionary, options, NULL) &&
         wsd_start_options_read_rest(dictionary, NULL, false, &terms, options, NULL);
}

static int open_listener(struct wsd_start_options *options, const char *ip, guint16 port, GError **error) {
  g_assert_true(read_options(options, ip, port));
  return wsd_listener_open(options, error);
}

static void test_real_port(void) {
  struct wsd_start_options options;
  int listener = open_listener(&options, "127.0.0.1", 0, NULL);
  g_assert_cmpint(listener, >=, 0);
  g_assert_cmpuint(options.server_port, >, 0);
  wsd_listener_close(listener);
  wsd_start_options_clear(&options);
}

static void test_port_in_use(void) {
  struct wsd_start_options first, second;
  g_autoptr(GError) error = NULL;
  int listener = open_listener(&first, "127.0.0.1", 0, NULL);
  g_assert_cmpint(open_listener(&second, "127.0.0.1", first.server_port, &error), ==, -1);
  g_assert_error(error, WSD_ERROR, WSD_ERROR_PORT_IN_USE);
  wsd_listener_close(listener);
  wsd_start_options_clear(&first);
  wsd_start_options_clear(&second);
}

static void test_foreign_address(void) {
  struct wsd_start_options options;
  g_autoptr(GError) error = NULL;
  g_assert_cmpint(open_listener(&options, "192.0.2.1", 0, &error), ==, -1);
  g_assert_error(error, WSD_ERROR, WSD_ERROR_INVALID_ADDRESS);
  wsd_start_options_clear(&options);
}

static int connect_to(const char *ip, guint16 port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &address.sin_addr);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int result = connect(client, (struct sockaddr *)&address, sizeof address);
  close(client);
  return result;
}

static void test_exact_address(void) {
  struct wsd_start_options options;
  int listener = open_listener(&options, "127.0.0.2", 0, NULL);
  g_assert_cmpint(connect_to("127.0.0.2", options.server_port), ==, 0);
  g_assert_cmpint(connect_to("127.0.0.1", options.server_port), ==, -1);
  wsd_listener_close(listener);
  wsd_start_options_clear(&options);
}

static void test_dual_stack(void) {
  struct wsd_start_options options;
  g_autoptr(GError) error = NULL;
  int listener = open_listener(&options, "::", 0, &error);
  if (listener < 0) {
    wsd_start_options_clear(&options);
    g_test_skip("this machine has no IPv6");
    return;
  }
  g_assert_cmpint(connect_to("127.0.0.1", options.server_port), ==, 0);
  wsd_listener_close(listener);
  wsd_start_options_clear(&options);
}

static void test_close_frees_port(void) {
  struct wsd_start_options first, second;
  g_autoptr(GError) error = NULL;
  int listener = open_listener(&first, "127.0.0.1", 0, NULL);
  int duplicate = dup(listener); /* as a worker has one */
  wsd_listener_close(listener);
  int again = open_listener(&second, "127.0.0.1", first.server_port, &error);
  g_assert_no_error(error);
  wsd_listener_close(again);
  close(duplicate);
  wsd_start_options_clear(&first);
  wsd_start_options_clear(&second);
}

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/listener/port 0 tells the real one", test_real_port);
  g_test_add_func("/listener/a taken port is refused", test_port_in_use);
  g_test_add_func("/listener/an address of another machine is refused", test_foreign_address);
  g_test_add_func("/listener/only the address asked for is listened on", test_exact_address);
  g_test_add_func("/listener/:: takes IPv4 peers", test_dual_stack);
  g_test_add_func("/listener/closing frees the port though others hold duplicates", test_close_frees_port);
  return g_test_run();
}

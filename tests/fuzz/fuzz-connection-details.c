/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker says about a peer, on its way to the bus. Whatever octets the peer sent, the bus can carry what comes of
 * them, and texts that were UTF-8 are not changed. */
#include "channel/connect.h"
#include "daemon/connection-details.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static void check_text(GVariant *details, const char *key, struct wsc_text sent) {
  const char *shown = NULL;
  require(g_variant_lookup(details, key, "&s", &shown));
  require(fuzz_is_utf8((const uint8_t *)shown, strlen(shown)));
  if (sent.length > 0 && fuzz_is_utf8((const uint8_t *)sent.text, sent.length) && !memchr(sent.text, 0, sent.length))
    require(strlen(shown) == sent.length && memcmp(shown, sent.text, sent.length) == 0);
}

static void check_headers(GVariant *details) {
  g_autoptr(GVariant) headers = g_variant_lookup_value(details, "headers", G_VARIANT_TYPE("a{ss}"));
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  GVariantIter iterator;
  const char *name, *value;
  require(headers);
  g_variant_iter_init(&iterator, headers);
  while (g_variant_iter_next(&iterator, "{&s&s}", &name, &value)) {
    require(g_utf8_validate(name, -1, NULL) && g_utf8_validate(value, -1, NULL));
    require(g_hash_table_add(seen, (gpointer)name));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wsc_connect connect;
  if (!wsc_connect_decode(data, size, &connect))
    return 0;
  g_autoptr(GVariant) shown = g_variant_ref_sink(wsd_connection_details(7, &connect, true));
  g_autoptr(GVariant) details = g_variant_get_child_value(shown, 3);
  check_text(details, "path", connect.path);
  check_text(details, "query", connect.query);
  check_text(details, "origin", connect.origin);
  check_text(details, "protocol", connect.protocol);
  if (connect.subject.length > 0)
    check_text(details, "clientSubject", connect.subject);
  check_headers(details);
  require(g_variant_is_normal_form(shown));
  return 0;
}

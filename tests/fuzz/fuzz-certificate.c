/* SPDX-License-Identifier: Apache-2.0 */
/* What an app gives for TLS: certificate, private key, clients' CA and password, with a NUL octet between each and the
 * next. The vault gives back what was put into it; a context comes of it, or a sentence that names the option at fault. */
#include "tests/fuzz/harness.h"
#include "worker/clock.h"
#include "worker/tls.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct wsw_octets take(const uint8_t **from, size_t *left, size_t most) {
  const uint8_t *end = *left > 0 ? memchr(*from, 0, *left) : NULL;
  const size_t length = end ? (size_t)(end - *from) : *left;
  const struct wsw_octets part = {*from, length < most ? length : most};
  *from += length + (end ? 1 : 0);
  *left -= length + (end ? 1 : 0);
  return part;
}

static void require_same(struct wsw_octets a, struct wsw_octets b) {
  require(a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0));
}

static void check_vault(const struct wsw_secrets *secrets) {
  static int vault = -1;
  struct wsw_secrets read;
  if (vault < 0)
    vault = memfd_create("vault", MFD_CLOEXEC);
  require(vault >= 0 && ftruncate(vault, WSC_VAULT_SIZE) == 0);
  require(!wsw_vault_write(vault, secrets));
  require(!wsw_vault_read(vault, &read) == (secrets->certificate.length > 0 && secrets->key.length > 0));
  if (!read.memory)
    return;
  require_same(read.certificate, secrets->certificate);
  require_same(read.key, secrets->key);
  require_same(read.client_ca, secrets->client_ca);
  require_same(read.password, secrets->password);
  wsw_secrets_clear(&read);
}

static void check_loading(const struct wsw_secrets *secrets, bool fresh) {
  static const char *const options[] = {"certificate: ", "privateKey: ", "privateKeyPassword: ", "clientCa: "};
  static struct wsw_clock clock;
  struct wsw_tls tls;
  bool named = false;
  clock = wsw_clock_monotonic();
  require(wsw_tls_init(&tls, WSW_TLS_1_2, &clock));
  const char *fault = wsw_tls_load(&tls, secrets, fresh);
  require(!fault == (tls.context != NULL));
  for (size_t i = 0; fault && i < sizeof options / sizeof *options; i++)
    named = named || strncmp(fault, options[i], strlen(options[i])) == 0;
  require(!fault || (named && strlen(fault) < WSW_TLS_FAULT_MAX));
  for (; fault && *fault; fault++)
    require(*fault >= ' ' && *fault < 0x7F);
  wsw_tls_clear(&tls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool prepared;
  prepared = prepared || wsw_tls_prepare();
  require(prepared);
  struct wsw_secrets secrets = {0};
  secrets.certificate = take(&data, &size, WSC_PEM_MAX);
  secrets.key = take(&data, &size, WSC_PEM_MAX);
  secrets.client_ca = take(&data, &size, WSC_PEM_MAX);
  secrets.password = take(&data, &size, WSC_KEY_PASSWORD_MAX);
  check_vault(&secrets);
  check_loading(&secrets, true);
  check_loading(&secrets, false);
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What an app gives to Start, as GVariant's text, with three descriptors beside it. Taken: every option is within its
 * bounds and the address one to listen on. Refused: an error of the interface, with a sentence that a bus message can
 * carry. No descriptor is left open. */
#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/start-options.h"
#include "tests/fuzz/harness.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void check_options(const struct wsd_start_options *options) {
  require(options->server_ip && strlen(options->server_ip) <= WSD_ADDRESS_TEXT_MAX);
  if (options->address.ss_family == AF_INET)
    require(ntohs(((const struct sockaddr_in *)&options->address)->sin_port) == options->server_port);
  else
    require(options->address.ss_family == AF_INET6 &&
            ntohs(((const struct sockaddr_in6 *)&options->address)->sin6_port) == options->server_port);
  require(options->max_clients > 0 && options->max_clients <= WSD_CLIENTS_CEILING);
  require(options->max_per_client > 0 && options->max_per_client <= WSD_CLIENTS_CEILING);
  require(options->max_message > 0 && options->max_message <= WSD_MESSAGE_CEILING);
  require(options->ping_interval <= WSD_PING_SECONDS_MAX && options->pong_timeout <= WSD_PING_SECONDS_MAX);
  require(options->tls == (options->files != NULL));
  if (options->tls)
    require(options->files->certificate >= 0 && options->files->private_key >= 0 &&
            (options->tls_min_version == 0x0303 || options->tls_min_version == 0x0304));
  require(options->protocol && !strpbrk(options->protocol, "\r\n\t\"()<>@;:\\/[]?={}"));
}

/* Two to read from and one to write to. */
static GUnixFDList *descriptors(void) {
  static GUnixFDList *list;
  if (!list) {
    const int fds[] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDWR | O_CLOEXEC),
                       open("/dev/null", O_WRONLY | O_CLOEXEC)};
    list = g_unix_fd_list_new_from_array(fds, G_N_ELEMENTS(fds));
  }
  return list;
}

static int lowest_free_descriptor(void) {
  int fd = dup(STDERR_FILENO);
  close(fd);
  return fd;
}

/* Both steps, on the widest terms. */
static bool read_options(GVariant *dictionary, GUnixFDList *fds, struct wsd_start_options *options, GError **error) {
  const struct wsd_terms terms = WSD_TERMS_WIDEST;
  return wsd_start_options_read_place(dictionary, options, error) &&
         wsd_start_options_read_rest(dictionary, fds, false, &terms, options, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  if (!g_utf8_validate_len(text, size, NULL)) /* GLib's parser takes no other text */
    return 0;
  g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  g_autoptr(GVariant) dictionary = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, text + size, NULL, NULL);
  if (!dictionary)
    return 0;
  g_autoptr(GError) error = NULL;
  struct wsd_start_options options;
  GUnixFDList *fds = descriptors();
  const int before = lowest_free_descriptor();
  const bool right = read_options(dictionary, fds, &options, &error);
  require(right == (error == NULL));
  if (right)
    check_options(&options);
  else
    require(error->domain == WSD_ERROR && g_utf8_validate(error->message, -1, NULL));
  wsd_start_options_clear(&options);
  require(lowest_free_descriptor() == before);
  return 0;
}

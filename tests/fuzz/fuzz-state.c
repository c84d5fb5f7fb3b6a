/* SPDX-License-Identifier: Apache-2.0 */
/* What the service finds of its predecessor. Taken: servers whose numbers, owners and states can be, and writing and
 * reading it once more changes nothing. */
#include "daemon/limits.h"
#include "daemon/state.h"
#include "tests/fuzz/harness.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <sys/mman.h>
#include <unistd.h>

static int sealed(const uint8_t *data, size_t size) {
  int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
  require(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
  return fd;
}

static struct wsd_state *read_and_close(int fd) {
  g_autoptr(GError) error = NULL;
  struct wsd_state *state = wsd_state_read(fd, &error);
  require(!state == (error != NULL));
  close(fd);
  return state;
}

static void check_server(const struct wsd_kept_server *server, const struct wsd_state *state) {
  require(server->number > 0 && server->number <= state->last_number && server->generation <= G_MAXUINT32);
  require(server->owner && g_dbus_is_unique_name(server->owner) && server->state);
}

static void require_equal(const struct wsd_kept_server *a, const struct wsd_kept_server *b) {
  require(a->number == b->number && a->generation == b->generation && a->events_before == b->events_before);
  require(a->owner_uid == b->owner_uid && a->worker_version == b->worker_version && a->settled == b->settled);
  require(g_strcmp0(a->owner, b->owner) == 0 && g_strcmp0(a->owner_label, b->owner_label) == 0);
  require(g_strcmp0(a->state, b->state) == 0 && g_strcmp0(a->options.server_ip, b->options.server_ip) == 0);
  require(g_strcmp0(a->options.protocol, b->options.protocol) == 0);
  require(a->options.tls == b->options.tls && a->options.tls_min_version == b->options.tls_min_version);
  require(a->options.vault_slot == b->options.vault_slot && a->options.vault_slot < 2);
  require(a->options.server_port == b->options.server_port && a->options.max_message == b->options.max_message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wsd_state *state = read_and_close(sealed(data, size));
  if (!state)
    return 0;
  require(state->servers->len <= WSD_SERVERS_MAX);
  struct wsd_state *again = read_and_close(wsd_state_write(state, NULL));
  require(again && again->sequence == state->sequence && again->last_number == state->last_number);
  require(g_strcmp0(again->bus_guid, state->bus_guid) == 0 && again->servers->len == state->servers->len);
  for (guint i = 0; i < state->servers->len; i++) {
    check_server(state->servers->pdata[i], state);
    require_equal(state->servers->pdata[i], again->servers->pdata[i]);
  }
  wsd_state_free(state);
  wsd_state_free(again);
  return 0;
}

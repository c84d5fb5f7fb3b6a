/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keeper.h"

#include "daemon/server.h"
#include "daemon/service.h"
#include "daemon/state.h"

#include <fcntl.h>
#include <unistd.h>

struct waiter {
  void (*done)(void *user);
  void *user;
};

struct wsd_keeper {
  struct wsd_service *service;
  struct wsd_supervisor *supervisor;
  guint64 sequence;
  bool held;
  guint source;
  GArray *waiters; /* of struct waiter, for the next writing */
};

struct wsd_keeper *wsd_keeper_new(struct wsd_service *service, struct wsd_supervisor *supervisor) {
  struct wsd_keeper *keeper = g_new0(struct wsd_keeper, 1);
  keeper->service = service;
  keeper->supervisor = supervisor;
  keeper->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
  return keeper;
}

void wsd_keeper_hold(struct wsd_keeper *keeper) {
  keeper->held = true;
}

bool wsd_keeper_is_held(const struct wsd_keeper *keeper) {
  return keeper->held;
}

void wsd_keeper_continue(struct wsd_keeper *keeper, guint64 sequence) {
  keeper->held = false;
  keeper->sequence = sequence;
  wsd_keeper_touch(keeper);
}

static struct wsd_state *gather(struct wsd_keeper *keeper) {
  struct wsd_state *state = wsd_state_new();
  state->sequence = keeper->sequence + 1;
  state->bus_guid = g_strdup(keeper->service->bus_guid);
  state->last_number = keeper->service->last_number;
  for (GTreeNode *node = g_tree_node_first(keeper->service->servers); node; node = g_tree_node_next(node))
    wsd_server_describe(g_tree_node_value(node), wsd_state_add(state));
  return state;
}

static char *state_name(guint64 sequence) {
  return g_strdup_printf("state-%" G_GUINT64_FORMAT, sequence);
}

static void hold_place(struct wsd_keeper *keeper) {
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  wsd_supervisor_keep(keeper->supervisor, WSD_KEEPER_RESERVE, fd);
  close(fd);
}

/* The new state is there before the old one goes: whoever comes back finds at least one, and takes the newer. The service
 * manager says nothing when it has no room left; giving up the reserve makes some, so that servers may be lost that way
 * but never the state. */
static void write_state(struct wsd_keeper *keeper) {
  struct wsd_state *state = gather(keeper);
  g_autoptr(GError) error = NULL;
  int fd = wsd_state_write(state, &error);
  if (fd >= 0) {
    g_autofree char *before = state_name(keeper->sequence);
    g_autofree char *name = state_name(++keeper->sequence);
    wsd_supervisor_drop(keeper->supervisor, WSD_KEEPER_RESERVE);
    wsd_supervisor_keep(keeper->supervisor, name, fd);
    wsd_supervisor_drop(keeper->supervisor, before);
    hold_place(keeper);
    close(fd);
  } else {
    g_warning("%s", error->message);
  }
  guint servers = state->servers->len;
  wsd_supervisor_status(keeper->supervisor, "Holding %u server%s", servers, servers == 1 ? "" : "s");
  wsd_state_free(state);
}

static void answer(void *user) {
  GArray *waiters = user;
  for (guint i = 0; i < waiters->len; i++) {
    const struct waiter *waiter = &g_array_index(waiters, struct waiter, i);
    waiter->done(waiter->user);
  }
  g_array_unref(waiters);
}

/* Whoever still waits is told, for what it holds has to be freed. */
void wsd_keeper_free(struct wsd_keeper *keeper) {
  g_clear_handle_id(&keeper->source, g_source_remove);
  answer(keeper->waiters);
  g_free(keeper);
}

static gboolean on_turn(gpointer data) {
  struct wsd_keeper *keeper = data;
  keeper->source = 0;
  GArray *waiters = g_steal_pointer(&keeper->waiters);
  keeper->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
  if (wsd_supervisor_keeps(keeper->supervisor))
    write_state(keeper);
  if (waiters->len > 0 && wsd_supervisor_keeps(keeper->supervisor))
    wsd_supervisor_barrier(keeper->supervisor, answer, waiters);
  else
    answer(waiters);
  return G_SOURCE_REMOVE;
}

void wsd_keeper_touch(struct wsd_keeper *keeper) {
  if (keeper && keeper->source == 0 && !keeper->held)
    keeper->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, keeper, NULL);
}

void wsd_keeper_write(struct wsd_keeper *keeper) {
  wsd_keeper_touch(keeper);
  if (keeper && keeper->source != 0) {
    g_clear_handle_id(&keeper->source, g_source_remove);
    on_turn(keeper);
  }
}

void wsd_keeper_commit(struct wsd_keeper *keeper, void (*done)(void *user), void *user) {
  struct waiter waiter = {done, user};
  g_array_append_val(keeper->waiters, waiter);
  wsd_keeper_touch(keeper);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/peer.h"
#include "worker/peers.h"

#include <glib.h>

#define MANY 3000

static struct wsw_peer *new_peer(uint64_t id) {
  struct wsw_peer *peer = g_new0(struct wsw_peer, 1);
  peer->id = id;
  return peer;
}

static void a_connection_is_found_by_its_id_and_by_no_other(void) {
  struct wsw_peers peers = {0};
  g_assert_null(wsw_peers_find(&peers, 1));
  g_assert_null(wsw_peers_first_after(&peers, 0));
  struct wsw_peer *peer = new_peer((1ull << 32) + 1);
  g_assert_true(wsw_peers_open(&peers, peer));
  g_assert_true(wsw_peers_find(&peers, (1ull << 32) + 1) == peer);
  g_assert_null(wsw_peers_find(&peers, 1)); /* of another generation */
  g_assert_null(wsw_peers_find(&peers, (1ull << 32) + 17));
  wsw_peers_close(&peers, peer);
  g_assert_null(wsw_peers_find(&peers, (1ull << 32) + 1));
  g_free(peer);
  wsw_peers_clear(&peers);
}

/* Compared with a plain array, over any order of coming and going. */
static void coming_and_going_in_any_order_loses_nobody(void) {
  struct wsw_peers peers = {0};
  GPtrArray *open = g_ptr_array_new(); /* ascending */
  GRand *random = g_rand_new_with_seed(4);
  uint64_t last = 7ull << 32;
  for (unsigned step = 0; step < 30000; step++) {
    bool grows = (step / 5000) % 2 == 0;
    if (open->len < MANY && g_rand_int_range(random, 0, 4) < (grows ? 3 : 1)) {
      struct wsw_peer *peer = new_peer(++last);
      wsw_peers_add(&peers, peer);
      g_assert_true(wsw_peers_open(&peers, peer));
      g_ptr_array_add(open, peer);
    } else if (open->len) {
      guint index = (guint)g_rand_int_range(random, 0, (gint32)open->len);
      struct wsw_peer *peer = open->pdata[index];
      g_ptr_array_remove_index(open, index);
      wsw_peers_close(&peers, peer);
      wsw_peers_remove(&peers, peer);
      g_assert_null(wsw_peers_find(&peers, peer->id));
      g_free(peer);
    }
    g_assert_cmpuint(peers.open, ==, open->len);
    g_assert_cmpuint(peers.total, ==, open->len);
    if (step % 1000)
      continue;
    struct wsw_peer *peer = peers.oldest;
    for (guint i = 0; i < open->len; i++, peer = peer->younger) {
      g_assert_true(peer == open->pdata[i]);
      g_assert_true(wsw_peers_find(&peers, peer->id) == peer);
      g_assert_true(wsw_peers_first_after(&peers, peer->id - 1) == peer);
    }
    g_assert_null(peer);
  }
  for (guint i = 0; i < open->len; i++) {
    wsw_peers_close(&peers, open->pdata[i]);
    wsw_peers_remove(&peers, open->pdata[i]);
    g_free(open->pdata[i]);
  }
  g_assert_null(peers.reading);
  g_assert_null(peers.oldest);
  g_assert_cmpuint(peers.capacity, <=, 16); /* the memory is given back */
  g_rand_free(random);
  g_ptr_array_unref(open);
  wsw_peers_clear(&peers);
}

static void who_was_paused_first_is_read_first(void) {
  struct wsw_peers peers = {0};
  struct wsw_peer *all[6];
  for (unsigned i = 0; i < 6; i++) {
    all[i] = new_peer(0);
    wsw_peers_add(&peers, all[i]);
  }
  for (unsigned i = 0; i < 6; i++)
    wsw_peers_pause(&peers, all[i]);
  wsw_peers_remove(&peers, all[5]);
  g_assert_true(wsw_peers_resume_one(&peers) == all[0]);
  wsw_peers_pause(&peers, all[0]); /* it has something to say again, and waits behind the others */
  wsw_peers_remove(&peers, all[2]);
  static const unsigned order[] = {1, 3, 4, 0};
  for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
    g_assert_true(wsw_peers_resume_one(&peers) == all[order[i]]);
    wsw_peers_remove(&peers, all[order[i]]);
  }
  g_assert_null(wsw_peers_resume_one(&peers));
  for (unsigned i = 0; i < 6; i++)
    g_free(all[i]);
  wsw_peers_clear(&peers);
}

static void paused_peers_are_resumed_each_once(void) {
  struct wsw_peers peers = {0};
  struct wsw_peer *all[10];
  for (unsigned i = 0; i < 10; i++) {
    all[i] = new_peer(0);
    wsw_peers_add(&peers, all[i]);
  }
  for (unsigned i = 0; i < 10; i += 2) {
    wsw_peers_pause(&peers, all[i]);
    wsw_peers_pause(&peers, all[i]); /* again is nothing */
  }
  wsw_peers_remove(&peers, all[4]); /* one goes while it is paused */
  unsigned resumed = 0;
  for (struct wsw_peer *peer; (peer = wsw_peers_resume_one(&peers)); resumed++)
    g_assert_false(peer->paused);
  g_assert_cmpuint(resumed, ==, 4);
  g_assert_cmpuint(peers.total, ==, 9);
  for (unsigned i = 0; i < 10; i++) {
    if (i != 4)
      wsw_peers_remove(&peers, all[i]);
    g_free(all[i]);
  }
  g_assert_null(peers.reading);
  wsw_peers_clear(&peers);
}

static void an_idle_connection_stays_small(void) {
  g_assert_cmpuint(sizeof(struct wsw_peer), <=, 336);
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/peers/a-connection-is-found-by-its-id-and-by-no-other",
                  a_connection_is_found_by_its_id_and_by_no_other);
  g_test_add_func("/peers/coming-and-going-in-any-order-loses-nobody", coming_and_going_in_any_order_loses_nobody);
  g_test_add_func("/peers/paused-peers-are-resumed-each-once", paused_peers_are_resumed_each_once);
  g_test_add_func("/peers/an-idle-connection-stays-small", an_idle_connection_stays_small);
  g_test_add_func("/peers/who-was-paused-first-is-read-first", who_was_paused_first_is_read_first);
  return g_test_run();
}

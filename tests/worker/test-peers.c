/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/limits.h"
#include "worker/peer.h"
#include "worker/peers.h"

#include <glib.h>
#include <stdlib.h>

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
      g_assert_true(wsw_peers_open(&peers, peer));
      g_ptr_array_add(open, peer);
    } else if (open->len) {
      guint index = (guint)g_rand_int_range(random, 0, (gint32)open->len);
      struct wsw_peer *peer = open->pdata[index];
      g_ptr_array_remove_index(open, index);
      wsw_peers_close(&peers, peer);
      g_assert_null(wsw_peers_find(&peers, peer->id));
      g_free(peer);
    }
    g_assert_cmpuint(peers.by_id.count, ==, open->len);
    if (step % 1000)
      continue;
    struct wsw_peer *peer = peers.open.oldest;
    for (guint i = 0; i < open->len; i++, peer = peer->younger) {
      g_assert_true(peer == open->pdata[i]);
      g_assert_true(wsw_peers_find(&peers, peer->id) == peer);
      g_assert_true(wsw_peers_first_after(&peers, peer->id - 1) == peer);
    }
    g_assert_null(peer);
  }
  for (guint i = 0; i < open->len; i++) {
    wsw_peers_close(&peers, open->pdata[i]);
    g_free(open->pdata[i]);
  }
  g_assert_null(peers.open.oldest);
  g_assert_null(peers.open.youngest);
  g_assert_cmpuint(peers.by_id.capacity, <=, 16); /* the memory is given back */
  g_rand_free(random);
  g_ptr_array_unref(open);
  wsw_peers_clear(&peers);
}

static void who_waits_longest_is_taken_first(void) {
  struct wsw_queue queue = {0};
  struct wsw_peer *all[4];
  g_assert_null(wsw_queue_take(&queue));
  for (unsigned i = 0; i < 4; i++) {
    all[i] = new_peer(0);
    wsw_queue_append(&queue, all[i]);
  }
  g_assert_true(wsw_queue_take(&queue) == all[0]);
  wsw_queue_append(&queue, all[0]); /* it has something to say again, and waits behind the others */
  static const unsigned order[] = {1, 2, 3, 0};
  for (unsigned i = 0; i < G_N_ELEMENTS(order); i++)
    g_assert_true(wsw_queue_take(&queue) == all[order[i]]);
  g_assert_null(wsw_queue_take(&queue));
  wsw_queue_append(&queue, all[2]); /* as good as new */
  g_assert_true(wsw_queue_take(&queue) == all[2]);
  g_assert_null(queue.last);
  for (unsigned i = 0; i < 4; i++)
    g_free(all[i]);
}

static void a_line_keeps_its_order_whoever_leaves(void) {
  struct wsw_line line = {0};
  struct wsw_peer *all[5];
  for (unsigned i = 0; i < 5; i++) {
    all[i] = new_peer(0);
    wsw_line_append(&line, all[i]);
  }
  wsw_line_remove(&line, all[0]);
  wsw_line_remove(&line, all[4]);
  wsw_line_remove(&line, all[2]);
  g_assert_true(line.oldest == all[1] && all[1]->younger == all[3] && line.youngest == all[3]);
  g_assert_true(!all[1]->older && all[3]->older == all[1] && !all[3]->younger);
  wsw_line_remove(&line, all[1]);
  wsw_line_remove(&line, all[3]);
  g_assert_true(!line.oldest && !line.youngest);
  for (unsigned i = 0; i < 5; i++)
    g_free(all[i]);
}

static void a_pile_holds_all_and_gives_back_the_memory_of_many(void) {
  struct wsw_pile pile = {0};
  struct wsw_peer *peer = new_peer(1);
  for (unsigned few = 0; few < 2; few++) {
    uint32_t count = few ? WSW_PILE_KEPT : 4 * WSW_PILE_KEPT;
    for (uint32_t i = 0; i < count; i++)
      wsw_pile_add(&pile, peer);
    g_assert_cmpuint(pile.count, ==, count);
    g_assert_false(pile.is_short);
    for (uint32_t i = 0; i < count; i++)
      g_assert_true(pile.peers[i] == peer);
    wsw_pile_clear(&pile);
    g_assert_cmpuint(pile.count, ==, 0);
    g_assert_cmpuint(pile.capacity, ==, few ? WSW_PILE_KEPT : 0);
  }
  free(pile.peers);
  g_free(peer);
}

static void an_idle_connection_stays_small(void) {
  g_assert_cmpuint(sizeof(struct wsw_peer), <=, 152); /* what malloc() gives in 160 */
}

int main(int count, char **arguments) {
  g_test_init(&count, &arguments, NULL);
  g_test_add_func("/peers/a-connection-is-found-by-its-id-and-by-no-other",
                  a_connection_is_found_by_its_id_and_by_no_other);
  g_test_add_func("/peers/coming-and-going-in-any-order-loses-nobody", coming_and_going_in_any_order_loses_nobody);
  g_test_add_func("/peers/a-pile-holds-all-and-gives-back-the-memory-of-many",
                  a_pile_holds_all_and_gives_back_the_memory_of_many);
  g_test_add_func("/peers/an-idle-connection-stays-small", an_idle_connection_stays_small);
  g_test_add_func("/peers/who-waits-longest-is-taken-first", who_waits_longest_is_taken_first);
  g_test_add_func("/peers/a-line-keeps-its-order-whoever-leaves", a_line_keeps_its_order_whoever_leaves);
  return g_test_run();
}

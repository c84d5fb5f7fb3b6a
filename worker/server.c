/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/server.h"

#include "websocket/server-handshake.h"
#include "worker/farewell.h"
#include "worker/heap.h"
#include "worker/memory.h"
#include "worker/peer.h"
#include "worker/sandbox.h"
#include "worker/title.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void stop_timer_expired(struct wsw_timer *timer);

static const char *lock_in(struct wsw_server *server) {
  if (!wsp_handshake_prepare()) /* what libcrypto loads at its first digest, it can no longer load inside */
    return "libcrypto has no SHA-1, so no handshake could succeed";
  if (!wsw_sandbox_limit_memory(wsw_memory_limit(server)))
    return "sandbox: the memory cannot be limited";
  return wsw_sandbox_enter();
}

bool wsw_server_open(struct wsw_server *server, int control_fd, struct wsw_clock clock) {
  server->phase = WSW_PHASE_WAITING;
  server->paused = true;
  server->listener.watch.fd = -1;
  server->channel.watch.fd = -1;
  server->stop_timer.kind = WSW_TIMER_OF_SERVER;
  server->lock_in = lock_in;
  if (!wsw_loop_open(&server->loop, clock))
    return false;
  server->loop.timers.expired[WSW_TIMER_OF_SERVER] = stop_timer_expired;
  wsw_peer_attend(&server->loop);
  wsw_heap_init(server);
  return wsw_control_open(server, control_fd);
}

/* One that still waits in a queue is freed when it is taken out there. */
static void bury(struct wsw_server *server) {
  while (server->gone) {
    struct wsw_peer *peer = server->gone;
    server->gone = peer->younger;
    peer->buried = true;
    if (!wsw_peer_is_queued(peer))
      wsw_peer_free(peer);
  }
}

/* The next one of those that are still there; NULL when there is none. */
static struct wsw_peer *take_living(struct wsw_queue *queue) {
  struct wsw_peer *peer;
  while ((peer = wsw_queue_take(queue))) {
    peer->paused = peer->eager = false;
    if (peer->state != WSW_PEER_GONE)
      return peer;
    if (peer->buried)
      wsw_peer_free(peer);
  }
  return NULL;
}

static void each_of(struct wsw_line *line, void (*act)(struct wsw_peer *peer)) {
  struct wsw_peer *next;
  for (struct wsw_peer *peer = line->oldest; peer; peer = next) {
    next = peer->younger;
    act(peer);
  }
}

static void each_peer(struct wsw_server *server, void (*act)(struct wsw_peer *peer)) {
  each_of(&server->half_open.line, act);
  each_of(&server->peers.open, act);
  each_of(&server->peers.apart, act);
}

static void flush_if_dirty(struct wsw_peer *peer) {
  if (!peer->dirty)
    return;
  peer->dirty = false;
  wsw_peer_flush(peer);
}

static void flush_peers(struct wsw_server *server) {
  struct wsw_pile *dirty = &server->dirty;
  for (uint32_t i = 0; i < dirty->count; i++)
    flush_if_dirty(dirty->peers[i]);
  if (dirty->is_short)
    each_peer(server, flush_if_dirty);
  wsw_pile_clear(dirty);
}

/* Those that were eager before this wake-up, behind those that have become ready in it: each has one turn. */
static void read_on(struct wsw_queue *eager) {
  struct wsw_peer *peer;
  while ((peer = take_living(eager)))
    wsw_peer_read_on(peer);
}

void wsw_server_close(struct wsw_server *server) {
  server->phase = WSW_PHASE_FINISHED;
  each_peer(server, wsw_peer_drop);
  flush_peers(server);
  bury(server);
  (void)take_living(&server->eager);
  (void)take_living(&server->peers.paused);
  (void)take_living(&server->peers.paused_last);
  wsw_listener_close(server);
  wsw_channel_clear(server);
  wsw_control_close(server);
  wsw_admission_clear(&server->admission);
  wsw_visitors_clear(&server->visitors);
  wsw_half_open_clear(&server->half_open);
  wsw_peers_clear(&server->peers);
  wsw_outbox_pool_clear(&server->outboxes);
  free(server->dirty.peers);
  server->dirty = (struct wsw_pile){0};
  wsp_buffer_clear(&server->replies);
  wsp_deflate_pool_free(server->settings.deflate);
  server->settings.deflate = NULL;
  wsw_tls_clear(&server->tls);
  wsw_configuration_clear(&server->configuration);
  wsw_loop_close(&server->loop);
}

void wsw_server_finish(struct wsw_server *server, enum wsw_exit status) {
  if (server->phase == WSW_PHASE_FINISHED)
    return;
  server->phase = WSW_PHASE_FINISHED;
  server->exit_status = (uint8_t)status;
}

void wsw_server_fail(struct wsw_server *server, enum wsw_exit status, const char *sentence) {
  if (server->phase != WSW_PHASE_FINISHED)
    (void)fprintf(stderr, "wsserver-worker: %s: %s\n", server->configuration.name, sentence);
  wsw_server_finish(server, status);
}

/* --- Start --- */

static void limit_descriptors(struct wsw_server *server) {
  const struct wsw_configuration *configuration = &server->configuration;
  uint64_t wanted = (uint64_t)configuration->max_clients * configuration->max_per_client + WSW_HALF_OPEN_MAX +
                    WSW_REFUSED_MAX + WSW_LINGERING_MAX + WSW_DESCRIPTORS_RESERVED;
  uint32_t limit = wsw_sandbox_limit_descriptors(wanted < WSW_DESCRIPTORS_MAX ? (uint32_t)wanted : WSW_DESCRIPTORS_MAX);
  server->peers_max = limit > WSW_DESCRIPTORS_RESERVED ? limit - WSW_DESCRIPTORS_RESERVED : 1;
}

const char *wsw_server_prepare_tls(struct wsw_server *server, uint32_t min_version) {
  bool prepared = wsw_tls_prepare() && wsw_tls_init(&server->tls, min_version, &server->loop.clock);
  return prepared ? NULL : "OpenSSL lacks something that TLS needs";
}

static const char *load_vault(struct wsw_server *server, int vault) {
  struct wsw_secrets secrets;
  const char *fault = wsw_vault_read(vault, &secrets);
  if (!fault)
    fault = wsw_tls_load(&server->tls, &secrets, false);
  wsw_secrets_clear(&secrets);
  return fault;
}

static void tell_ban(void *context, const struct wsw_visitor *visitor) {
  wsw_notices_banned(context, visitor);
}

const char *wsw_server_configure(struct wsw_server *server, int listener_fd, int vault) {
  const struct wsw_configuration *configuration = &server->configuration;
  const char *fault = wsw_listener_open(server, listener_fd);
  if (!fault && vault >= 0)
    fault = wsw_server_prepare_tls(server, configuration->tls_min_version);
  if (fault)
    return fault;
  uint64_t hash_key[2];
  if (getrandom(hash_key, sizeof hash_key, 0) != sizeof hash_key)
    return "the system has no random octets";
  wsw_admission_init(&server->admission, configuration->max_clients, configuration->max_per_client, hash_key);
  wsw_visitors_init(&server->visitors, configuration->connection_rate, configuration->ban_time, hash_key);
  server->visitors.on_ban = tell_ban;
  server->visitors.on_ban_context = server;
  uint64_t three = 3 * configuration->max_message;
  server->settings.max_message_size = configuration->max_message;
  server->settings.max_gathered = three > WSW_GATHERED_MAX ? three : WSW_GATHERED_MAX;
  if (server->settings.max_gathered > wsw_memory_ceiling(server))
    server->settings.max_gathered = wsw_memory_ceiling(server);
  server->settings.closes_late = true;
  server->settings.gather = wsw_shared_gather;
  server->settings.context = server;
  if (configuration->compression && !(server->settings.deflate = wsp_deflate_pool_new(WSW_HISTORIES_MAX)))
    return "no memory";
  server->last_id = configuration->generation << 32;
  wsw_title_set(configuration->name);
  wsw_channel_init(server);
  limit_descriptors(server);
  wsw_half_open_init(&server->half_open, server->peers_max, configuration->max_per_client, hash_key);
  fault = server->lock_in(server);
  if (!fault && vault >= 0)
    fault = load_vault(server, vault);
  if (!fault)
    server->phase = WSW_PHASE_SERVING;
  return fault;
}

void wsw_server_adjust(struct wsw_server *server) {
  struct wsw_configuration *configuration = &server->configuration;
  server->admission.max_clients = configuration->max_clients;
  server->admission.max_per_client = configuration->max_per_client;
  wsw_visitors_adjust(&server->visitors, configuration->connection_rate, configuration->ban_time, server->loop.now);
}

/* --- Back-pressure --- */

static bool has_reader(const struct wsw_server *server) {
  return server->channel.watch.fd >= 0 || wsw_server_is_stopping(server);
}

/* Most app sides catch up at once; who does not, has its peers unwatched one by one as they speak. */
static void pause_reading(struct wsw_server *server) {
  server->paused = true;
  if (server->channel.watch.fd >= 0)
    wsw_loop_make_narrow(&server->loop, WSW_PATIENCE_MS);
}

bool wsw_server_reads(struct wsw_server *server) {
  if (!server->paused && (!has_reader(server) || wsw_channel_backlog(&server->channel) >= WSW_EVENT_BACKLOG_HIGH))
    pause_reading(server);
  return !server->paused;
}

/* Each once: some may have to wait again. */
static void refresh_all(struct wsw_queue *queue) {
  struct wsw_queue waiting = *queue;
  *queue = (struct wsw_queue){0};
  struct wsw_peer *peer;
  while ((peer = take_living(&waiting)))
    wsw_peer_refresh(peer);
}

static void resume(struct wsw_server *server) {
  if (!server->paused || !has_reader(server) || wsw_channel_backlog(&server->channel) >= WSW_EVENT_BACKLOG_LOW)
    return;
  server->paused = false;
  wsw_loop_make_wide(&server->loop);
  server->resumed_at = server->loop.now;
  wsw_listener_refresh(server); /* first: it has its turn before a peer's octets fill the backlog anew */
  refresh_all(&server->peers.paused);
  refresh_all(&server->peers.paused_last);
}

/* --- Stop --- */

static void stop_peer(struct wsw_peer *peer) {
  wsw_peer_stop(peer, wsw_server_of(peer)->stop_code);
}

static void drop_unless_ending(struct wsw_peer *peer) {
  if (peer->state == WSW_PEER_OPEN || peer->state == WSW_PEER_HANDSHAKE)
    wsw_peer_drop(peer);
}

static void set_stop_timer(struct wsw_server *server) {
  uint64_t next = server->stop_deadline;
  if (next <= server->loop.now)
    next += WSW_STOP_CHANNEL_MS;
  if (next <= server->loop.now)
    next = server->stop_deadline + WSW_STOP_CONFIRM_MS;
  if (server->stop_leave_at > server->loop.now && server->stop_leave_at < next)
    next = server->stop_leave_at;
  if (!wsw_timers_set(&server->loop.timers, &server->stop_timer, next))
    wsw_server_fail(server, WSW_EXIT_MEMORY, "no memory for a timer");
}

static void stop_timer_expired(struct wsw_timer *timer) {
  struct wsw_server *server = (struct wsw_server *)(void *)((char *)timer - offsetof(struct wsw_server, stop_timer));
  if (server->stop_deadline <= server->loop.now)
    each_peer(server, drop_unless_ending);
  if (server->loop.now < server->stop_deadline + WSW_STOP_CONFIRM_MS)
    set_stop_timer(server);
}

void wsw_server_stop(struct wsw_server *server, uint16_t code, uint32_t deadline_ms) {
  uint64_t deadline = server->loop.now + deadline_ms;
  if (wsw_server_is_stopping(server)) { /* once more, and it can only become faster */
    if (server->control.stopped_sent) { /* by a successor of the process that was told */
      wsw_control_tell_stopped_again(server);
      server->stop_deadline = deadline;
    } else if (deadline < server->stop_deadline) {
      server->stop_deadline = deadline;
    }
    set_stop_timer(server);
    return;
  }
  server->phase = WSW_PHASE_STOPPING;
  server->stop_code = code;
  server->stop_deadline = deadline;
  wsw_listener_close(server);
  each_peer(server, stop_peer);
  set_stop_timer(server);
}

/* Whether the last events are safe with the app side. Until then the process stays, because a daemon that dies now has a
 * successor that asks for them. */
static bool is_confirmed(const struct wsw_server *server) {
  return server->control.watch.fd < 0 || wsw_channel_is_confirmed(server) ||
         server->loop.now >= server->stop_deadline + WSW_STOP_CONFIRM_MS;
}

/* Everything was reported and has left, or its time is over: the last octets of the peers get a moment, then it is done. */
static void leave(struct wsw_server *server) {
  bool too_late = server->loop.now >= server->stop_deadline + WSW_STOP_CHANNEL_MS;
  if (!too_late && (server->peers.by_id.count || !wsw_channel_is_drained(server)))
    return;
  if (!server->stop_leave_at) {
    server->stop_leave_at = server->loop.now + WSW_STOP_LINGER_MS;
    set_stop_timer(server);
  }
  if (!too_late && server->peers.total && server->loop.now < server->stop_leave_at)
    return;
  if ((wsw_control_tell_stopped(server) || too_late) && is_confirmed(server))
    wsw_server_finish(server, WSW_EXIT_STOPPED);
}

/* --- The wake-up --- */

bool wsw_server_turn(struct wsw_server *server, int max_wait) {
  if (server->phase == WSW_PHASE_FINISHED)
    return false;
  if (server->held.peer && wsw_server_reads(server)) {
    wsw_peer_take_held(server);
    max_wait = 0;
  }
  struct wsw_queue eager = server->eager;
  server->eager = (struct wsw_queue){0};
  if (!wsw_loop_turn(&server->loop, eager.first ? 0 : max_wait))
    wsw_server_fail(server, WSW_EXIT_SYSTEM, "waiting for events failed");
  read_on(&eager);
  wsw_farewell_say_due(server);
  flush_peers(server);
  bury(server);
  if (server->phase == WSW_PHASE_STOPPING && !server->peers.by_id.count)
    wsw_channel_release_all(server);
  wsw_channel_flush(server);
  (void)wsw_server_reads(server); /* the channel may have ended: noticed now, not when the next peer speaks */
  resume(server);
  if (server->phase == WSW_PHASE_STOPPING)
    leave(server);
  return server->phase != WSW_PHASE_FINISHED;
}

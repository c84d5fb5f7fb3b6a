/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's one context: everything a worker owns, and the phases of its life.
 *
 *   waiting for CONFIGURE -> locked in, READY -> serving -> stopping -> finished
 *
 * One wake-up (wsw_server_turn) is: handle what is ready and what has expired, then write everything that was queued meanwhile, each
 * peer once and the channel once; only what is large is written as soon as it is there, which saves copying it. Peers are read and
 * accepted only while the app side keeps up: there is a channel, and the events that wait for it are below their bound. Whoever was
 * being read when they reached it is stopped in the middle.
 */
#pragma once

#include "websocket/connection.h"
#include "worker/admission.h"
#include "worker/channel-endpoint.h"
#include "worker/configuration.h"
#include "worker/control-endpoint.h"
#include "worker/half-open.h"
#include "worker/listener.h"
#include "worker/loop.h"
#include "worker/notices.h"
#include "worker/outbox.h"
#include "worker/peer.h"
#include "worker/peers.h"
#include "worker/tls.h"
#include "worker/visitors.h"

#include <stddef.h>

/* What the process says with its exit status. wsserverd treats all but STOPPED as the death of the worker. */
enum wsw_exit {
  WSW_EXIT_STOPPED = 0, /* as told, or because the control socket ended */
  WSW_EXIT_SYSTEM = 1,  /* the kernel refused something it needs from the start */
  WSW_EXIT_USAGE = 2,   /* not started by wsserverd */
  WSW_EXIT_CONTROL = 3, /* a control record that breaks the rules */
  WSW_EXIT_REFUSED = 4, /* could not do what CONFIGURE asked; FAILED said why */
  WSW_EXIT_MEMORY = 5,  /* no memory for an event: better dead, which is reported, than silent */
};

enum wsw_phase {
  WSW_PHASE_WAITING,
  WSW_PHASE_SERVING,
  WSW_PHASE_STOPPING,
  WSW_PHASE_FINISHED,
};

/* Octets of the one peer in whose middle reading was paused. A few of them may inflate to megabytes of events, so they wait
 * until reading begins again, and then come before everything else: so there is never more than one such peer. */
struct wsw_held {
  struct wsw_peer *peer; /* NULL: nothing is held */
  size_t length;
  uint8_t octets[WSW_RECEIVE_ROOM];
};

struct wsw_server {
  struct wsw_loop loop;
  struct wsw_configuration configuration;
  struct wsp_settings settings;
  struct wsw_control control;
  struct wsw_channel channel;
  struct wsw_listener listener;
  struct wsw_admission admission;
  struct wsw_visitors visitors;
  struct wsw_notices notices;
  struct wsw_half_open half_open;
  struct wsw_peers peers;
  struct wsw_outbox_pool outboxes;
  struct wsw_pile dirty;                         /* to be written at the end of this wake-up */
  struct wsw_peer *gone;                         /* to be freed then */
  struct wsw_queue eager;                        /* to be read on in the next wake-up, which does not wait */
  struct wsw_tls tls;                            /* context NULL: peers speak plain TCP */
  struct wsw_peer *first_parting, *last_parting; /* in the order in which they wait, see farewell.h */
  struct wsc_counters counters;
  uint64_t last_id;
  uint64_t resumed_at; /* when reading last began again */
  uint32_t peers_max;  /* as the limit of descriptors allows */
  uint32_t refused;    /* peers refused on arrival whose head is awaited */
  uint32_t lingering;  /* peers that are ending or lingering */
  bool paused;         /* peers are not read and not accepted */
  uint8_t phase;
  uint8_t exit_status;
  uint16_t stop_code;
  uint64_t stop_deadline; /* for the peers */
  uint64_t stop_leave_at; /* for the last octets, once everything was reported; 0 before */
  struct wsw_timer stop_timer;
  struct wsw_timer heap_timer; /* see heap.h */
  bool large_passed;           /* a large message, since it was set */
  bool keeps_blocks;           /* large ones, after they were freed */
  /* Locks the process in; NULL or a static sentence. Tests put something else here. */
  const char *(*lock_in)(struct wsw_server *server);
  struct wsp_buffer replies;          /* what the engine owes while one peer is read */
  uint8_t received[WSW_RECEIVE_ROOM]; /* what was read of one peer */
  struct wsw_held held;
};

/* Takes over the control socket. False with errno when the kernel refuses. */
bool wsw_server_open(struct wsw_server *server, int control_fd, struct wsw_clock clock);
void wsw_server_close(struct wsw_server *server);

/* One wake-up; waits at most `max_wait` milliseconds (negative: as long as it takes). False when the server has finished. */
bool wsw_server_turn(struct wsw_server *server, int max_wait);

/* CONFIGURE: takes the listening socket over. `vault` is -1 for a server without TLS. NULL or a sentence; the process is locked in
 * afterwards. */
const char *wsw_server_configure(struct wsw_server *server, int listener_fd, int vault);
/* ADJUST: the configuration holds new limits. Peers that are in stay in. */
void wsw_server_adjust(struct wsw_server *server);

/* Before the process is locked in: what OpenSSL loads at first use, it can no longer load inside. */
const char *wsw_server_prepare_tls(struct wsw_server *server, uint32_t min_version);

/* True when peers may be read and accepted now. Becomes false by itself; true again only at the end of a wake-up. */
bool wsw_server_reads(struct wsw_server *server);

/* No more accepts, Close frames to all; finished at the latest after `deadline_ms` and WSW_STOP_CHANNEL_MS. */
void wsw_server_stop(struct wsw_server *server, uint16_t code, uint32_t deadline_ms);

/* The end, at once. */
void wsw_server_finish(struct wsw_server *server, enum wsw_exit status);
/* As above with a line for the log. */
void wsw_server_fail(struct wsw_server *server, enum wsw_exit status, const char *sentence);

/* All connections share the settings, which lie in the server. */
static inline struct wsw_server *wsw_server_of(const struct wsw_peer *peer) {
  return (struct wsw_server *)(void *)((char *)peer->connection.settings - offsetof(struct wsw_server, settings));
}

static inline bool wsw_server_is_stopping(const struct wsw_server *server) {
  return server->phase >= WSW_PHASE_STOPPING;
}

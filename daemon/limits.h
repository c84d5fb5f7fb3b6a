/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the daemon, in one place. A test hits each of them. */
#pragma once

#include "channel/limits.h"

#define WSD_SERVERS_PER_APP_MAX 16u /* CreateServer beyond: LimitExceeded */
#define WSD_SERVERS_PER_ACCOUNT_MAX                                                                                    \
  64u /* of all clients with one app id, running ones too; CreateServer beyond: LimitExceeded */
#define WSD_PREPARATIONS_PER_ACCOUNT_MAX                                                                               \
  16u                        /* processes that read certificates for clients with one app id; beyond: LimitExceeded */
#define WSD_SERVERS_MAX 256u /* of all clients together; CreateServer beyond: LimitExceeded */
#define WSD_CALLS_PER_ACCOUNT_MAX 1024u /* of all clients with one app id; beyond: LimitExceeded */
#define WSD_APPS_PER_ACCOUNT_MAX 512u   /* bus clients with one app id; calls of others: LimitExceeded */
#define WSD_CALLS_PER_APP_MAX 128u      /* calls of one client in flight; beyond: LimitExceeded */
#define WSD_INCOMING_CALLS_MAX                                                                                         \
  4096u /* calls read from the bus and not yet looked at; beyond: LimitExceeded for who has most */
#define WSD_INCOMING_OCTETS_MAX (64u << 20) /* of them together, one alone is fine; beyond: LimitExceeded */
#define WSD_WAITING_OCTETS_MAX (32u << 20)  /* of calls of one client that wait for it to read; beyond: dropped */
#define WSD_ACCOUNT_WAITING_OCTETS_MAX (64u << 20) /* the same of all clients with one app id */
#define WSD_CALL_FDS_MAX 3u                        /* file descriptors of one call; beyond: InvalidArgument */
#define WSD_INCOMING_FDS_MAX 4096u                 /* of all calls that have not been answered; beyond: LimitExceeded */
#define WSD_APPS_MAX 4096u                         /* bus clients known at a time; beyond: LimitExceeded */

#define WSD_CLIENTS_CEILING 65535u      /* of maxConcurrentClientsNumber and maxConnectionsForOneClient */
#define WSD_CLIENTS_DEFAULT 10u         /* of both, where the app does not say */
#define WSD_MESSAGE_CEILING (16u << 20) /* of maxMessageSize while messages travel over the bus */
#define WSD_MESSAGE_DEFAULT 5242864u
#define WSD_PING_SECONDS_MAX 30000u /* of pingInterval and pongTimeout */
#define WSD_PROTOCOL_TEXT_MAX 1024u /* octets of the option protocol */
#define WSD_PROTOCOL_NAME_MAX 128u  /* octets of one subprotocol in it */
#define WSD_ORIGINS_MAX 64u         /* entries of the option allowedOrigins */
#define WSD_ORIGIN_TEXT_MAX 300u    /* octets of one of them */
#define WSD_SHOWN_MAX 64u           /* characters of a text of the caller in a message to it */
#define WSD_ADDRESS_TEXT_MAX 64u    /* octets of the option serverIP */

#define WSD_LISTEN_BACKLOG 511
#define WSD_CONNECTIONS_MAX 65535u /* of one server; the worker is bounded the same way */
#define WSD_LIST_OCTETS_MAX                                                                                            \
  (24u << 20) /* a bus takes 32 MiB at most: of an answer to ListAllConnections; beyond: LimitExceeded */
#define WSD_BANS_OF_SERVER_MAX 1024u       /* in an answer to ListBans; the worker is bounded the same way */
#define WSD_WINDOW_EVENTS 64u              /* event signals on the way to one client ... */
#define WSD_WINDOW_OCTETS (1u << 20)       /* ... and their octets; one larger alone is fine */
#define WSD_UNREAD_OCTETS_ASK (256u << 10) /* sent to one client and maybe not read: from here on it gets a Ping ... */
#define WSD_UNREAD_OCTETS_MAX (4u << 20)   /* ... and from here on its calls wait for the reply */
#define WSD_MESSAGE_HEADER_COST 128u       /* octets a message is counted with beside its body */
#define WSD_WORKER_WINDOW_EVENTS 256u /* unacknowledged events on one worker's channel: enough to keep the bus busy */
#define WSD_WORKER_WINDOW_OCTETS (2u << 20)
#define WSD_DRAIN_OCTETS_MAX (64u << 20)   /* read from one worker once it stops or has died; beyond: ended */
#define WSD_DRAIN_AT_ONCE (512u << 10)     /* of those, before others have their turn; a socket holds less */
#define WSD_APP_CHANNEL_OCTETS (512 << 10) /* that an app's own channel is asked to hold in each direction */
#define WSD_CHANNEL_QUEUE_HIGH (16u << 20) /* octets that wait for one worker; Send beyond: WouldBlock */
#define WSD_ACCOUNT_QUEUE_HIGH (64u << 20) /* the same for all workers of clients with one app id */

#define WSD_PING_AGAIN_MIN_MS 2000 /* without a reply, which the bus may have refused to carry, doubling ... */
#define WSD_PING_AGAIN_MAX_MS 60000
#define WSD_ROLL_MS 10000             /* between two looks at who is still on the bus */
#define WSD_PING_RETRY_MS 250u        /* after the bus refused a Ping */
#define WSD_READY_TIMEOUT_MS 10000u   /* a worker has to be ready by then; beyond: Start answers Failed */
#define WSD_PREPARE_TIMEOUT_MS 10000u /* for reading certificate and key; beyond: CertificateNotFound */
#define WSD_ANSWER_TIMEOUT_MS 5000u   /* for a worker's answer to a question; beyond: answered without it */
#define WSD_STOP_DEADLINE_MS 2000u    /* for peers to finish the closing handshake */
#define WSD_STOP_GRACE_MS 2000u       /* what a worker may take beyond that before it is killed */
#define WSD_EXIT_GRACE_MS 3000u       /* for a worker to exit that has closed its control socket */
#define WSD_RESTART_DELAY_MIN_MS 20u  /* back-off between restarts of a dying worker, doubling ... */
#define WSD_RESTART_DELAY_MAX_MS 30000u
#define WSD_CATCH_UP_MS 2000u          /* calls wait that long for an adopted worker to name its connections */
#define WSD_RESTART_SETTLED_MS 60000u  /* a worker that lived this long starts the back-off anew */
#define WSD_RESTARTS_MAX 12u           /* in a row; beyond: the server has failed */
#define WSD_RECONNECT_DELAY_MIN_MS 50u /* back-off between attempts to reach the bus, doubling */
#define WSD_RECONNECT_DELAY_MAX_MS 5000u

#define WSD_BARRIER_TIMEOUT_MS 5000u /* for the service manager to confirm what it keeps */
#define WSD_STATE_MAX (4 << 20)      /* octets of the state kept over a restart */
#define WSD_JOB_MS 500               /* systemd may take to tell why it ends the service */
#define WSD_HAND_OVER_MS 1500u       /* for calls in flight to end when the service leaves */
#define WSD_SETTLE_MS 200            /* for one worker to take what is queued for it, when the service leaves */
#define WSD_FDS_PER_SERVER                                                                                             \
  8u /* kept by the service manager: control socket, listener, pidfd, two vaults, channel and its two arenas */
#define WSD_FDS_BESIDES 2u          /* kept too: the state, and a reserve that makes room for the next one */
#define WSD_IDLE_EXIT_MAX 86400u    /* seconds */
#define WSD_TRIM_MS 5000u           /* between two times that memory of clients which have left is given back */
#define WSD_KEPT_MEMORY (256 << 10) /* octets of free memory to keep, and the size from which blocks are mapped */

#define WSD_NAME_ENTRY_MAX (4u << 20) /* octets of an entry of the user database, a group with all its members */
#define WSD_GROUPS_MAX 256            /* groups of a user that are looked up in the user database */

#define WSD_PEER_QUEUE_LEAST (256u << 10)   /* of maxQueueBytes in the policy */
#define WSD_WORKER_MEMORY_LEAST (4u << 20)  /* of maxWorkerMemory in the policy ... */
#define WSD_WORKER_MEMORY_MOST (1ull << 30) /* ... */
#define WSD_POLICY_RULES_MAX 512u           /* of all files together */

#define WSD_DEVICE_FILE_MAX (64 << 10) /* octets of a file in which the device names its profile; beyond: not read */
#define WSD_ERROR_TEXT_MAX 2048u       /* octets of the text of an error */
#define WSD_LOG_LINES_MAX 60u          /* in the journal that clients with one app id may cause at once ... */
#define WSD_LOG_LINE_MS 2000           /* ... and in so long one more; beyond: counted, and their number told */
#define WSD_ACCOUNT_KEPT_MS                                                                                            \
  (gint64)150000 /* an app id is remembered after its last client: longer than the log takes to forget */
#define WSD_ACCOUNTS_KEPT_MAX 1024u /* app ids; beyond: those without clients are forgotten at once */
#define WSD_LOG_TOLD_MS (gint64)30000
#define WSD_LOG_TEXT_MAX 1024u /* characters of one text in it; beyond: cut */

#define WSD_CONFIG_FILE_MAX (1u << 20) /* octets of one configuration file */
#define WSD_CONFIG_LIST_MAX 64u        /* entries of one list in it */
#define WSD_CONFIG_NAME_MAX 256u       /* octets of one name in it */

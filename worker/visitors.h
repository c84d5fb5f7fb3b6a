/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes too often. Every connection that is accepted costs its address one token of a bucket that holds a minute's worth and is
 * refilled as evenly as the rate says; without a token it is refused. An address that goes on (WSW_BAN_REFUSALS refusals within
 * WSW_VISIT_WINDOW_MS), or whose requests are malformed or never come (WSW_BAN_FAULTS of them), is banned: for the configured
 * time it is refused without further thought, and begins with an empty bucket afterwards. Trying again does not prolong a ban.
 *
 * An address is an IPv4 address (IPv4-mapped ones too, loopback too) or the /64 network of an IPv6 one; a link-local one
 * counts by itself, since all of a link share that network.
 *
 * What is remembered is bounded. Of addresses that are not banned the one that came longest ago is forgotten (it begins anew with a full
 * bucket), so a crowd cannot push out a ban; when there are WSW_BANS_MAX bans, nobody else is banned until one ends, and the rate
 * holds for the rest. The same is true without memory.
 */
#pragma once

#include "worker/address.h"

#include <stdbool.h>
#include <stdint.h>

enum wsw_visit {
  WSW_VISIT_WELCOME,
  WSW_VISIT_TOO_OFTEN,
  WSW_VISIT_BANNED,
};

enum wsw_ban_reason {
  WSW_NOT_BANNED = 0,
  WSW_BANNED_FOR_RATE = 1, /* as docs/channel.md numbers them */
  WSW_BANNED_FOR_REQUESTS = 2,
};

struct wsw_visitor {
  struct wsw_visitor *chain;
  struct wsw_visitor *older, *newer; /* in the list of the banned, or that of all others */
  struct wsw_address address;        /* the network, see above */
  uint64_t level;                    /* of the bucket, in connections times milliseconds of a minute */
  uint64_t refilled_at;
  uint64_t counted_since;
  uint64_t banned_until; /* only while `reason` is set */
  uint64_t silent_until; /* not told before, see wsw_visitors_tell() */
  uint16_t refusals, faults;
  uint8_t reason;
};

struct wsw_visitor_list {
  struct wsw_visitor *oldest, *newest;
  uint32_t count;
};

struct wsw_visitors {
  uint32_t rate;     /* connections of one address in a minute; 0: nobody is counted, nobody banned */
  uint64_t ban_time; /* milliseconds; 0: nobody is banned */
  void (*on_ban)(void *context, const struct wsw_visitor *visitor); /* or NULL */
  void *on_ban_context;
  uint64_t hash_key[2];
  struct wsw_visitor **table;
  struct wsw_visitor_list known;  /* in the order of their last visit */
  struct wsw_visitor_list banned; /* in the order in which their bans end */
};

/* `hash_key`: unpredictable. */
void wsw_visitors_init(struct wsw_visitors *visitors, uint32_t rate, uint64_t ban_time, const uint64_t hash_key[2]);
/* From now on; bans that would last longer than one that began now are shortened. */
void wsw_visitors_adjust(struct wsw_visitors *visitors, uint32_t rate, uint64_t ban_time, uint64_t now);
void wsw_visitors_clear(struct wsw_visitors *visitors);

/* A connection has been accepted. */
enum wsw_visit wsw_visitors_arrive(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now);
/* What it asked was no HTTP, or did not come in time. */
void wsw_visitors_fault(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now);

/* Whether an address that is refused shall be told now, where telling costs more than a few octets: once in WSW_TELL_MS. */
bool wsw_visitors_tell(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now);

/* Whole seconds until the address is let in again, at least 1. */
uint32_t wsw_visitors_wait(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now);

/* The ban that ends first, then `newer`; NULL when there is none. */
const struct wsw_visitor *wsw_visitors_bans(struct wsw_visitors *visitors, uint64_t now);
uint32_t wsw_visitors_seconds_left(const struct wsw_visitor *visitor, uint64_t now);
/* Forgets all about the address; false when it was not banned. */
bool wsw_visitors_pardon(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now);

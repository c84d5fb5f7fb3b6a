/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/visitors.h"

#include "worker/limits.h"

#include <stdlib.h>

#define CHAINS 2048u     /* a power of two */
#define MINUTE_MS 60000u /* what one connection costs, where a millisecond brings `rate` */
#define FORGOTTEN_AT_ONCE 4

void wsw_visitors_init(struct wsw_visitors *visitors, uint32_t rate, uint64_t ban_time, const uint64_t hash_key[2]) {
  *visitors = (struct wsw_visitors){.rate = rate, .ban_time = ban_time, .hash_key = {hash_key[0], hash_key[1]}};
}

/* --- Places --- */

static void link_newest(struct wsw_visitor_list *list, struct wsw_visitor *visitor) {
  visitor->newer = NULL;
  visitor->older = list->newest;
  if (list->newest)
    list->newest->newer = visitor;
  else
    list->oldest = visitor;
  list->newest = visitor;
  list->count++;
}

static void unlink_from(struct wsw_visitor_list *list, struct wsw_visitor *visitor) {
  if (visitor->older)
    visitor->older->newer = visitor->newer;
  else
    list->oldest = visitor->newer;
  if (visitor->newer)
    visitor->newer->older = visitor->older;
  else
    list->newest = visitor->older;
  list->count--;
}

static struct wsw_visitor_list *list_of(struct wsw_visitors *visitors, const struct wsw_visitor *visitor) {
  return visitor->reason ? &visitors->banned : &visitors->known;
}

static struct wsw_visitor **chain_of(struct wsw_visitors *visitors, const struct wsw_address *network) {
  return &visitors->table[wsw_address_hash(network, visitors->hash_key) & (CHAINS - 1)];
}

static struct wsw_visitor *find(struct wsw_visitors *visitors, const struct wsw_address *address) {
  if (!visitors->table)
    return NULL;
  struct wsw_address network = wsw_address_network(address);
  struct wsw_visitor *visitor = *chain_of(visitors, &network);
  while (visitor && !wsw_address_same_host(&visitor->address, &network))
    visitor = visitor->chain;
  return visitor;
}

static void forget(struct wsw_visitors *visitors, struct wsw_visitor *visitor) {
  struct wsw_visitor **place = chain_of(visitors, &visitor->address);
  while (*place != visitor)
    place = &(*place)->chain;
  *place = visitor->chain;
  unlink_from(list_of(visitors, visitor), visitor);
  free(visitor);
}

void wsw_visitors_clear(struct wsw_visitors *visitors) {
  while (visitors->known.oldest)
    forget(visitors, visitors->known.oldest);
  while (visitors->banned.oldest)
    forget(visitors, visitors->banned.oldest);
  free(visitors->table);
  visitors->table = NULL;
}

/* NULL without memory. */
static struct wsw_visitor *remember(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  if (!visitors->table)
    visitors->table = calloc(CHAINS, sizeof(struct wsw_visitor *));
  struct wsw_visitor *visitor = visitors->table ? calloc(1, sizeof *visitor) : NULL;
  if (!visitor)
    return NULL;
  visitor->address = wsw_address_network(address);
  visitor->level = (uint64_t)visitors->rate * MINUTE_MS;
  visitor->refilled_at = visitor->counted_since = now;
  struct wsw_visitor **chain = chain_of(visitors, &visitor->address);
  visitor->chain = *chain;
  *chain = visitor;
  link_newest(&visitors->known, visitor);
  if (visitors->known.count > WSW_VISITORS_MAX)
    forget(visitors, visitors->known.oldest);
  return visitor;
}

/* --- Time --- */

static void refill(const struct wsw_visitors *visitors, struct wsw_visitor *visitor, uint64_t now) {
  uint64_t elapsed = now - visitor->refilled_at, full = (uint64_t)visitors->rate * MINUTE_MS;
  visitor->refilled_at = now;
  visitor->level = elapsed >= MINUTE_MS ? full : visitor->level + elapsed * visitors->rate;
  if (visitor->level > full)
    visitor->level = full;
}

/* Ends the bans that are over, and forgets those whose bucket is full again and whose faults no longer count. */
static void tidy(struct wsw_visitors *visitors, uint64_t now) {
  struct wsw_visitor *visitor;
  while ((visitor = visitors->banned.oldest) && visitor->banned_until <= now) {
    unlink_from(&visitors->banned, visitor);
    visitor->reason = WSW_NOT_BANNED;
    visitor->level = 0;
    visitor->refilled_at = visitor->counted_since = visitor->banned_until;
    visitor->refusals = visitor->faults = 0;
    link_newest(&visitors->known, visitor);
    if (visitors->known.count > WSW_VISITORS_MAX)
      forget(visitors, visitors->known.oldest);
  }
  for (int i = 0; i < FORGOTTEN_AT_ONCE; i++) {
    visitor = visitors->known.oldest;
    if (!visitor || now - visitor->refilled_at < WSW_VISIT_WINDOW_MS)
      return;
    forget(visitors, visitor);
  }
}

static void open_window(struct wsw_visitor *visitor, uint64_t now) {
  if (now - visitor->counted_since < WSW_VISIT_WINDOW_MS)
    return;
  visitor->counted_since = now;
  visitor->refusals = visitor->faults = 0;
}

/* --- Judgement --- */

static void ban(struct wsw_visitors *visitors, struct wsw_visitor *visitor, enum wsw_ban_reason reason, uint64_t now) {
  if (!visitors->ban_time || visitors->banned.count >= WSW_BANS_MAX)
    return;
  unlink_from(&visitors->known, visitor);
  visitor->reason = (uint8_t)reason;
  visitor->banned_until = now + visitors->ban_time;
  link_newest(&visitors->banned, visitor);
  if (visitors->on_ban)
    visitors->on_ban(visitors->on_ban_context, visitor);
}

void wsw_visitors_adjust(struct wsw_visitors *visitors, uint32_t rate, uint64_t ban_time, uint64_t now) {
  visitors->rate = rate;
  visitors->ban_time = ban_time;
  for (struct wsw_visitor *visitor = visitors->banned.oldest; visitor; visitor = visitor->newer)
    if (!rate || visitor->banned_until > now + ban_time) /* the list stays in the order in which they end */
      visitor->banned_until = now + (rate ? ban_time : 0);
  tidy(visitors, now);
}

enum wsw_visit wsw_visitors_arrive(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  if (!visitors->rate)
    return WSW_VISIT_WELCOME;
  tidy(visitors, now);
  struct wsw_visitor *visitor = find(visitors, address);
  if (!visitor)
    visitor = remember(visitors, address, now);
  if (!visitor)
    return WSW_VISIT_WELCOME;
  if (visitor->reason)
    return WSW_VISIT_BANNED;
  refill(visitors, visitor, now);
  unlink_from(&visitors->known, visitor);
  link_newest(&visitors->known, visitor);
  if (visitor->level >= MINUTE_MS) {
    visitor->level -= MINUTE_MS;
    return WSW_VISIT_WELCOME;
  }
  open_window(visitor, now);
  if (visitor->refusals < WSW_BAN_REFUSALS)
    visitor->refusals++;
  if (visitor->refusals == WSW_BAN_REFUSALS)
    ban(visitors, visitor, WSW_BANNED_FOR_RATE, now);
  return visitor->reason ? WSW_VISIT_BANNED : WSW_VISIT_TOO_OFTEN;
}

void wsw_visitors_fault(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  if (!visitors->rate)
    return;
  struct wsw_visitor *visitor = find(visitors, address);
  if (!visitor) /* forgotten: among many others, or it took long */
    visitor = remember(visitors, address, now);
  if (!visitor || visitor->reason)
    return;
  open_window(visitor, now);
  if (visitor->faults < WSW_BAN_FAULTS)
    visitor->faults++;
  if (visitor->faults == WSW_BAN_FAULTS)
    ban(visitors, visitor, WSW_BANNED_FOR_REQUESTS, now);
}

bool wsw_visitors_tell(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  struct wsw_visitor *visitor = find(visitors, address);
  if (!visitor)
    return true;
  if (now < visitor->silent_until)
    return false;
  visitor->silent_until = now + WSW_TELL_MS;
  return true;
}

static uint32_t whole_seconds(uint64_t milliseconds) {
  uint64_t seconds = (milliseconds + 999) / 1000;
  return seconds ? (uint32_t)seconds : 1;
}

uint32_t wsw_visitors_seconds_left(const struct wsw_visitor *visitor, uint64_t now) {
  return whole_seconds(visitor->banned_until > now ? visitor->banned_until - now : 0);
}

uint32_t wsw_visitors_wait(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  tidy(visitors, now);
  struct wsw_visitor *visitor = find(visitors, address);
  if (!visitor)
    return 1;
  if (visitor->reason)
    return wsw_visitors_seconds_left(visitor, now);
  refill(visitors, visitor, now);
  return visitor->level >= MINUTE_MS ? 1 : whole_seconds((MINUTE_MS - visitor->level) / visitors->rate + 1);
}

const struct wsw_visitor *wsw_visitors_bans(struct wsw_visitors *visitors, uint64_t now) {
  tidy(visitors, now);
  return visitors->banned.oldest;
}

bool wsw_visitors_pardon(struct wsw_visitors *visitors, const struct wsw_address *address, uint64_t now) {
  tidy(visitors, now);
  struct wsw_visitor *visitor = find(visitors, address);
  if (!visitor)
    return false;
  bool was_banned = visitor->reason != WSW_NOT_BANNED;
  forget(visitors, visitor);
  return was_banned;
}

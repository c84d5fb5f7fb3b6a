/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/outbox.h"

#include "worker/limits.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_MARKS 8u
#define SPARE_MARKS 64u

struct wsw_outbox *wsw_outbox_take(struct wsw_outbox_pool *pool) {
  struct wsw_outbox *outbox = pool->spares;
  if (!outbox) {
    outbox = calloc(1, sizeof *outbox);
    if (outbox)
      outbox->pool = pool;
    return outbox;
  }
  pool->spares = outbox->next;
  pool->count--;
  pool->octets -= outbox->octets.capacity;
  outbox->next = NULL;
  return outbox;
}

static void discard(struct wsw_outbox *outbox) {
  wsp_buffer_clear(&outbox->octets);
  free(outbox->marks);
  free(outbox);
}

void wsw_outbox_give_back(struct wsw_outbox_pool *pool, struct wsw_outbox *outbox) {
  size_t capacity = outbox->octets.capacity;
  pool->held -= wsp_buffer_length(&outbox->octets);
  if (capacity > WSW_OUTBOX_SPARE_EACH || outbox->mark_capacity > SPARE_MARKS || pool->count >= WSW_OUTBOX_SPARES ||
      pool->octets + capacity > WSW_OUTBOX_SPARE_OCTETS) {
    discard(outbox);
    return;
  }
  wsp_buffer_consume(&outbox->octets, wsp_buffer_length(&outbox->octets));
  *outbox = (struct wsw_outbox){.next = pool->spares,
                                .pool = pool,
                                .octets = outbox->octets,
                                .marks = outbox->marks,
                                .mark_capacity = outbox->mark_capacity};
  pool->spares = outbox;
  pool->count++;
  pool->octets += capacity;
}

void wsw_outbox_pool_clear(struct wsw_outbox_pool *pool) {
  while (pool->spares) {
    struct wsw_outbox *outbox = pool->spares;
    pool->spares = outbox->next;
    discard(outbox);
  }
  *pool = (struct wsw_outbox_pool){0};
}

static bool make_mark_room(struct wsw_outbox *outbox) {
  if (outbox->end_mark < outbox->mark_capacity)
    return true;
  uint32_t count = outbox->end_mark - outbox->first_mark;
  if (outbox->first_mark > outbox->mark_capacity / 2) {
    memmove(outbox->marks, outbox->marks + outbox->first_mark, count * sizeof *outbox->marks);
  } else {
    uint32_t capacity = outbox->mark_capacity ? outbox->mark_capacity * 2 : FIRST_MARKS;
    struct wsw_mark *marks = malloc(capacity * sizeof *marks);
    if (!marks)
      return false;
    if (count)
      memcpy(marks, outbox->marks + outbox->first_mark, count * sizeof *marks);
    free(outbox->marks);
    outbox->marks = marks;
    outbox->mark_capacity = capacity;
  }
  outbox->first_mark = 0;
  outbox->end_mark = count;
  return true;
}

/* The mark that takes the next message; NULL when there is none and no memory for one. What is charged and what is not never
 * share one, so that within a mark as much charge may be released as octets were written. */
static struct wsw_mark *open_mark(struct wsw_outbox *outbox, bool charged) {
  struct wsw_mark *last = outbox->end_mark > outbox->first_mark ? &outbox->marks[outbox->end_mark - 1] : NULL;
  if (last && !outbox->sealed && (last->charge > 0) == charged && last->octets < WSW_MARK_OCTETS)
    return last;
  if (!make_mark_room(outbox)) /* a coarser mark loses precision, nothing else */
    return outbox->end_mark > outbox->first_mark ? &outbox->marks[outbox->end_mark - 1] : NULL;
  outbox->marks[outbox->end_mark] = (struct wsw_mark){0};
  return &outbox->marks[outbox->end_mark++];
}

void wsw_outbox_added(struct wsw_outbox *outbox, size_t octets, uint32_t charge, size_t control, bool seal) {
  outbox->charge += charge;
  outbox->pool->held += octets;
  struct wsw_mark *mark = open_mark(outbox, charge > 0);
  if (!mark)
    return; /* everything is released when the outbox runs empty */
  mark->octets += (uint32_t)octets;
  mark->charge += charge;
  mark->control += (uint32_t)control;
  outbox->control += (uint32_t)control;
  outbox->sealed = seal;
}

static uint64_t release_mark(struct wsw_outbox *outbox, const struct wsw_mark *mark) {
  uint64_t released = mark->charge - outbox->front_released;
  outbox->control -= mark->control;
  outbox->front_written = outbox->front_released = 0;
  outbox->first_mark++;
  return released;
}

static uint64_t release_part(struct wsw_outbox *outbox, const struct wsw_mark *mark, uint32_t octets) {
  outbox->front_written += octets;
  uint32_t reached = mark->charge ? mark->charge - 1 : 0;
  if (reached > outbox->front_written)
    reached = outbox->front_written;
  if (reached <= outbox->front_released)
    return 0;
  uint32_t released = reached - outbox->front_released;
  outbox->front_released = reached;
  return released;
}

static uint64_t release(struct wsw_outbox *outbox, size_t octets);

uint64_t wsw_outbox_added_rest(struct wsw_outbox *outbox, size_t written, uint32_t charge) {
  wsw_outbox_added(outbox, written + wsw_outbox_length(outbox), charge, 0, false);
  outbox->pool->held -= written;
  return release(outbox, written);
}

uint64_t wsw_outbox_written(struct wsw_outbox *outbox, size_t octets) {
  wsp_buffer_consume(&outbox->octets, octets);
  outbox->pool->held -= octets;
  return release(outbox, octets);
}

/* What so many octets release, which are no longer in the outbox. */
static uint64_t release(struct wsw_outbox *outbox, size_t octets) {
  uint64_t released = 0;
  if (!wsw_outbox_length(outbox)) { /* the usual case: everything went at once */
    released = outbox->charge;
    outbox->first_mark = outbox->end_mark = outbox->front_written = outbox->front_released = 0;
    outbox->control = 0;
    outbox->charge = 0;
    outbox->sealed = false;
    return released;
  }
  while (octets && outbox->first_mark < outbox->end_mark) {
    const struct wsw_mark *mark = &outbox->marks[outbox->first_mark];
    uint32_t left = mark->octets - outbox->front_written;
    if (octets < left) {
      released += release_part(outbox, mark, (uint32_t)octets);
      break;
    }
    octets -= left;
    released += release_mark(outbox, mark);
  }
  outbox->charge -= released;
  return released;
}

uint64_t wsw_outbox_forgive(struct wsw_outbox *outbox) {
  uint64_t charge = outbox->charge;
  for (uint32_t i = outbox->first_mark; i < outbox->end_mark; i++)
    outbox->marks[i].charge = 0;
  outbox->front_released = 0;
  outbox->charge = 0;
  return charge;
}

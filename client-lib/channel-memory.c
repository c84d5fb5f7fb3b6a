/* SPDX-License-Identifier: Apache-2.0 */
/* Large messages through memory that the worker and the app share. */
#include "client-lib/channel-private.h"

#include "client-lib/limits.h"
#include "websocket/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { TAKE_SHARE = 2 }; /* a copy is handed out when the message is at least one part in so many of it */

/* 0: it is no arena, or one that somebody could shorten, so that reading it would kill us. */
static size_t size_of(int fd) {
  struct stat status;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &status) < 0 || status.st_size <= 0 ||
      (uint64_t)status.st_size > WSC_ARENA_SIZE_MAX)
    return 0;
  return (size_t)status.st_size;
}

struct ws_channel_memory *ws_channel_memory_new(int in, int out) {
  size_t in_size = size_of(in), out_size = size_of(out);
  struct ws_channel_memory *memory = in_size > 0 && out_size > 0 ? calloc(1, sizeof *memory) : NULL;
  if (memory == NULL)
    return NULL;
  if (wsc_arena_view_map(&memory->in, in, in_size) && wsc_arena_map(&memory->out, out, out_size))
    return memory;
  ws_channel_memory_free(memory);
  return NULL;
}

static void free_copy(struct ws_channel_memory *memory) {
  free(memory->copy);
  memory->copy = NULL;
  memory->capacity = 0;
}

void ws_channel_memory_free(struct ws_channel_memory *memory) {
  if (memory == NULL)
    return;
  wsc_arena_view_unmap(&memory->in);
  wsc_arena_unmap(&memory->out);
  free_copy(memory);
  free(memory);
}

void ws_channel_memory_trim(struct ws_channel_memory *memory) {
  free_copy(memory);
  wsc_arena_trim(&memory->out);
}

/* NULL without memory. */
static const uint8_t *copy_of(struct ws_channel_memory *memory, const uint8_t *data, size_t length) {
  if (length > memory->capacity) {
    free_copy(memory);
    memory->copy = malloc(length);
    if (memory->copy == NULL)
      return NULL;
    memory->capacity = length;
  }
  memcpy(memory->copy, data, length);
  return memory->copy;
}

void *ws_channel_take_copy(struct ws_channel *channel, const uint8_t *data, size_t length) {
  struct ws_channel_memory *memory = channel->memory;
  if (memory == NULL || memory->copy == NULL || data != memory->copy || length < memory->capacity / TAKE_SHARE)
    return NULL;
  void *taken = memory->copy;
  memory->copy = NULL;
  memory->capacity = 0;
  return taken;
}

const char *ws_channel_take_shared(struct ws_channel *channel, struct ws_channel_peer *peer,
                                   const struct wsc_record *record) {
  struct ws_channel_memory *memory = channel->memory;
  bool text = record->header.flags & WSC_FLAG_TEXT;
  struct wsc_shared where;
  wsc_shared_decode(record->body, &where);
  const uint8_t *data = wsc_arena_view_find(&memory->in, &where);
  if (data == NULL)
    return "a message that lies beyond the shared memory";
  size_t length = (size_t)where.length;
  memory->taken += length;
  if (text || !memory->lends)
    data = copy_of(memory, data, length);
  if (data == NULL)
    return "no memory for a message";
  if (text && !wsp_utf8_is_valid(data, length))
    return "a text message that is not UTF-8";
  ws_channel_expect_large(channel);
  bool lent = !text && memory->lends;
  memory->lent = lent ? where : (struct wsc_shared){0};
  if (channel->events->message != NULL)
    channel->events->message(channel->user, peer, text, data, length);
  memory->lent.length = 0;
  if (memory->capacity > WS_CHANNEL_KEEP)
    free_copy(memory);
  if (wsc_releases_add(&memory->done, where.offset))
    return NULL;
  if (!ws_channel_tell_done(channel))
    return "no memory for a release";
  (void)wsc_releases_add(&memory->done, where.offset);
  return NULL;
}

bool ws_channel_has_taken_enough(const struct ws_channel *channel) {
  return channel->memory != NULL && channel->memory->taken >= channel->memory->in.size;
}

bool ws_channel_tell_done(struct ws_channel *channel) {
  struct wsc_releases *done = &channel->memory->done;
  if (!channel->unwritable && channel->state == WS_CHANNEL_OPEN)
    return wsc_releases_queue(done, &channel->out, WSC_RELEASE);
  done->count = 0;
  return true;
}

const char *ws_channel_take_released(struct ws_channel *channel, const struct wsc_record *record) {
  for (size_t at = 0; at < record->header.size; at += 8)
    if (!wsc_arena_release(&channel->memory->out, wsc_get_u64(record->body + at)))
      return "a release of what is not the worker's";
  return NULL;
}

/* A message that goes on as it came, while it is lent: the worker has it already. */
static bool forward(struct ws_channel *channel, const struct wsc_header *header, const void *payload) {
  const struct ws_channel_memory *memory = channel->memory;
  bool is_lent = memory->lent.length > 0 && header->size == memory->lent.length &&
                 payload == (const void *)(memory->in.octets + memory->lent.offset);
  if (!memory->forwards || !is_lent)
    return false;
  struct wsc_header said = *header;
  said.type = WSC_SHARED_FORWARD;
  uint8_t *body = wsc_queue_append(&channel->out, &said, WSC_SHARED_SIZE);
  if (body != NULL)
    wsc_shared_encode(&memory->lent, body);
  return body != NULL;
}

bool ws_channel_put_shared(struct ws_channel *channel, const struct wsc_header *header, const void *payload) {
  struct wsc_shared where = {.length = header->size};
  if (forward(channel, header, payload))
    return true;
  uint8_t *room = wsc_arena_take(&channel->memory->out, header->size, &where.offset);
  if (room == NULL)
    return false;
  struct wsc_header said = *header;
  said.type = WSC_SHARED_SEND;
  uint8_t *body = wsc_queue_append(&channel->out, &said, WSC_SHARED_SIZE);
  if (body == NULL) {
    wsc_arena_drop(&channel->memory->out, where.offset);
    return false;
  }
  wsc_arena_give(&channel->memory->out, where.offset);
  memcpy(room, payload, header->size);
  wsc_shared_encode(&where, body);
  ws_channel_expect_large(channel);
  return true;
}

void ws_channel_set_lending(struct ws_channel *channel, bool lends) {
  if (channel->memory != NULL)
    channel->memory->lends = lends;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/channel-link.h"

#include "channel/decoder.h"
#include "channel/queue.h"
#include "daemon/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct wsd_channel {
  struct wsd_channel_events events;
  void (*on_written)(void *user);
  void *user;
  int fd;
  struct wsc_decoder decoder;
  struct wsc_queue queue;
  guint64 appended, written; /* positions in the outgoing stream */
  bool paused;               /* a decoded record waits in `held` */
  bool ended;
  bool draining;
  guint64 drained; /* octets read since then, and what its events cost beside */
  struct wsc_record held;
  guint in_source, out_source, end_source, resume_source;
  const char *fault;
};

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data);

static gboolean report_end(gpointer data) {
  struct wsd_channel *channel = data;
  channel->end_source = 0;
  channel->events.ended(channel->user, channel->fault);
  return G_SOURCE_REMOVE;
}

/* No more reading and writing; the user learns of it from the main loop. */
static void end(struct wsd_channel *channel, const char *fault) {
  if (channel->ended)
    return;
  channel->ended = true;
  channel->fault = fault;
  g_clear_handle_id(&channel->in_source, g_source_remove);
  g_clear_handle_id(&channel->out_source, g_source_remove);
  g_clear_handle_id(&channel->resume_source, g_source_remove);
  channel->end_source = g_idle_add_full(G_PRIORITY_DEFAULT, report_end, channel, NULL);
}

static void watch_input(struct wsd_channel *channel) {
  if (channel->in_source == 0 && !channel->ended)
    channel->in_source = g_unix_fd_add(channel->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, channel);
}

struct wsd_channel *wsd_channel_new(int fd, guint64 max_message, const struct wsd_channel_events *events, void *user) {
  struct wsd_channel *channel = g_new0(struct wsd_channel, 1);
  channel->events = *events;
  channel->user = user;
  channel->fd = fd;
  wsc_decoder_init(&channel->decoder, WSC_TO_APP, max_message);
  watch_input(channel);
  return channel;
}

void wsd_channel_free(struct wsd_channel *channel) {
  if (!channel)
    return;
  g_clear_handle_id(&channel->in_source, g_source_remove);
  g_clear_handle_id(&channel->out_source, g_source_remove);
  g_clear_handle_id(&channel->end_source, g_source_remove);
  g_clear_handle_id(&channel->resume_source, g_source_remove);
  wsc_decoder_clear(&channel->decoder);
  wsc_queue_clear(&channel->queue);
  close(channel->fd);
  g_free(channel);
}

/* True when the record was handled and the next one may follow. */
static bool take(struct wsd_channel *channel, const struct wsc_record *record) {
  if (!channel->draining && !channel->events.ready(channel->user, record)) {
    channel->held = *record;
    channel->paused = true;
    g_clear_handle_id(&channel->in_source, g_source_remove);
    return false;
  }
  const char *fault = channel->events.record(channel->user, record);
  channel->drained += channel->draining ? WSD_MESSAGE_HEADER_COST : 0;
  if (fault)
    end(channel, fault);
  return !fault;
}

static void take_all(struct wsd_channel *channel) {
  struct wsc_record record;
  if (channel->paused) {
    channel->paused = false;
    record = channel->held;
    if (!take(channel, &record))
      return;
  }
  enum wsc_decode_result result;
  while ((result = wsc_decoder_next(&channel->decoder, &record)) == WSC_DECODED)
    if (!take(channel, &record))
      return;
  if (result == WSC_DECODE_FAULT)
    end(channel, channel->decoder.fault);
}

enum read_result { READ_SOME, READ_LATER, READ_ENDED };

static enum read_result read_once(struct wsd_channel *channel) {
  size_t room = 0;
  uint8_t *octets = wsc_decoder_room(&channel->decoder, &room);
  if (!octets) {
    end(channel, "no memory for its records");
    return READ_ENDED;
  }
  ssize_t length = read(channel->fd, octets, room);
  if (length > 0) {
    wsc_decoder_filled(&channel->decoder, (size_t)length);
    channel->drained += channel->draining ? (guint64)length : 0;
    if (channel->drained <= WSD_DRAIN_OCTETS_MAX)
      return READ_SOME;
    end(channel, "it goes on and on, and should be at its end");
    return READ_ENDED;
  }
  if (length < 0 && (errno == EAGAIN || errno == EINTR))
    return READ_LATER;
  end(channel, NULL); /* a partial last record is dropped */
  return READ_ENDED;
}

/* Only called while not paused: a held record points into the decoder's room. */
static gboolean on_readable(gint fd, GIOCondition condition, gpointer data) {
  (void)fd;
  (void)condition;
  struct wsd_channel *channel = data;
  if (read_once(channel) == READ_SOME)
    take_all(channel);
  if (!channel->paused && !channel->ended)
    wsc_decoder_rest(&channel->decoder);
  return G_SOURCE_CONTINUE;
}

static gboolean on_resume(gpointer data) {
  struct wsd_channel *channel = data;
  channel->resume_source = 0;
  take_all(channel);
  if (!channel->paused)
    watch_input(channel);
  return G_SOURCE_REMOVE;
}

void wsd_channel_resume(struct wsd_channel *channel) {
  if (channel->paused && channel->resume_source == 0 && !channel->ended)
    channel->resume_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_resume, channel, NULL);
}

void wsd_channel_drain(struct wsd_channel *channel) {
  if (channel->ended)
    return;
  channel->draining = true;
  take_all(channel);
  guint64 enough =
      channel->drained + WSD_DRAIN_AT_ONCE; /* the main loop does the rest: a worker might write without end */
  while (!channel->ended && channel->drained < enough && read_once(channel) == READ_SOME)
    take_all(channel);
  watch_input(channel);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

static void write_queue(struct wsd_channel *channel) {
  while (wsc_queue_length(&channel->queue) > 0) {
    ssize_t length =
        send(channel->fd, wsc_queue_front(&channel->queue), wsc_queue_length(&channel->queue), MSG_NOSIGNAL);
    if (length < 0 && errno == EINTR)
      continue;
    if (length < 0 && errno != EAGAIN) {
      /* The worker has closed its end. What it said before is still to be read; reading finds the end. */
      wsc_queue_clear(&channel->queue);
      break;
    }
    if (length <= 0)
      break;
    wsc_queue_consume(&channel->queue, (size_t)length);
    channel->written += (guint64)length;
  }
  if (wsc_queue_length(&channel->queue) > 0 && channel->out_source == 0)
    channel->out_source = g_unix_fd_add(channel->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable, channel);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data) {
  (void)fd;
  (void)condition;
  struct wsd_channel *channel = data;
  channel->out_source = 0;
  write_queue(channel);
  if (channel->on_written)
    channel->on_written(channel->user);
  return G_SOURCE_REMOVE;
}

guint64 wsd_channel_send(struct wsd_channel *channel, const struct wsc_header *header, const void *middle,
                         gsize middle_length, const void *body, gsize body_length) {
  if (channel->ended)
    return 0;
  uint8_t *room = wsc_queue_append(&channel->queue, header, middle_length + body_length);
  if (!room)
    return 0;
  if (middle_length > 0)
    memcpy(room, middle, middle_length);
  if (body_length > 0)
    memcpy(room + middle_length, body, body_length);
  channel->appended += WSC_RECORD_HEADER + middle_length + body_length;
  guint64 position = channel->appended;
  if (channel->out_source == 0)
    write_queue(channel);
  return position;
}

bool wsd_channel_flush(struct wsd_channel *channel, int timeout_ms) {
  gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
  while (!channel->ended && wsc_queue_length(&channel->queue) > 0) {
    write_queue(channel);
    int left = (int)((end - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND);
    struct pollfd writable = {.fd = channel->fd, .events = POLLOUT};
    if (wsc_queue_length(&channel->queue) > 0 && (left <= 0 || poll(&writable, 1, left) <= 0))
      return false;
  }
  return !channel->ended;
}

guint64 wsd_channel_written(const struct wsd_channel *channel) {
  return channel->written;
}

void wsd_channel_on_written(struct wsd_channel *channel, void (*written)(void *user)) {
  channel->on_written = written;
}

int wsd_channel_duplicate(const struct wsd_channel *channel) {
  return fcntl(channel->fd, F_DUPFD_CLOEXEC, 3);
}

gsize wsd_channel_queued(const struct wsd_channel *channel) {
  return wsc_queue_length(&channel->queue);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/client-link.h"

#include "client-lib/heartbeat.h"
#include "client-lib/limits.h"
#include "client-lib/stream.h"
#include "websocket/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/random.h>
#include <wsserver/ws-error.h>

enum phase {
  PHASE_TLS,
  PHASE_HANDSHAKE,
  PHASE_OPEN,
  PHASE_ENDING, /* the user was told of the end: the last octets leave */
  PHASE_OVER,   /* nothing is left to do */
};

struct ws_link {
  GSocketConnection *connection;
  struct ws_stream stream;
  SSL_CTX *context;
  const struct ws_url *url;
  const struct ws_client_terms *terms;
  const struct ws_link_events *events;
  void *user; /* NULL once nobody is to be told anything */
  enum phase phase;
  struct wsp_client_handshake *handshake;
  struct wsp_settings settings;
  struct wsp_connection frames;
  struct wsp_buffer out;
  struct ws_heartbeat heartbeat;
  guint64 sent, written; /* octets of frames */
  gint64 deadline;       /* for the server's Close frame, then for the end; G_MAXINT64: none */
  guint16 close_code;    /* of our Close frame; 0: none was sent */
  char *close_reason;
  bool paused;                     /* by the app */
  bool blocked;                    /* the socket took less than there was */
  bool refused;                    /* the app was told to wait */
  bool finished;                   /* we have said that nothing more comes */
  bool wants_written, has_written; /* the app waits for that; and it is so */
  bool in_dispatch;
  guint8 *room;
  gsize room_start, room_end; /* what was read and not looked at yet: while paused */
  GSource *source;
};

struct link_source {
  GSource source;
  struct ws_link *link;
  gpointer tag;
  GIOCondition polled;
};

/* --- The end --- */

static void free_link(struct ws_link *link) {
  wsp_client_handshake_free(link->handshake);
  wsp_connection_clear(&link->frames);
  wsp_deflate_pool_free(link->settings.deflate);
  wsp_buffer_clear(&link->out);
  ws_stream_clear(&link->stream);
  SSL_CTX_free(link->context);
  g_object_unref(link->connection);
  g_free(link->close_reason);
  g_free(link->room);
  g_free(link);
}

/* The source is the last that holds it. */
static void end_link(struct ws_link *link) {
  link->phase = PHASE_OVER;
  link->user = NULL;
  if (link->in_dispatch)
    return; /* which does it */
  g_source_destroy(link->source);
  g_source_unref(link->source);
  free_link(link);
}

void ws_link_drop(struct ws_link *link) {
  end_link(link);
}

void ws_link_release(struct ws_link *link) {
  link->user = NULL;
  if (link->phase != PHASE_ENDING)
    end_link(link);
}

static void begin_ending(struct ws_link *link) {
  link->phase = PHASE_ENDING;
  link->deadline = g_get_monotonic_time() + (gint64)WS_CLIENT_LINGER_MS * G_TIME_SPAN_MILLISECOND;
}

/* Takes the error. */
static void fail(struct ws_link *link, GError *error) {
  begin_ending(link);
  link->phase = PHASE_OVER;
  link->events->failed(link->user, link->handshake, error);
}

static void tell_closed(struct ws_link *link, guint16 code, const char *reason, bool clean, const GError *error) {
  void *user = link->user;
  begin_ending(link);
  link->events->data_ended(user);
  if (link->user != NULL)
    link->events->closed(user, code, reason, clean, error);
}

/* The connection is gone without the server's Close frame. What we said first, if anything, is what it closes with. */
static void lose(struct ws_link *link, const GError *error) {
  g_autofree char *reason = g_strdup(link->close_code != 0 ? link->close_reason : "");
  tell_closed(link, link->close_code != 0 ? link->close_code : WSP_CLOSE_ABNORMAL, reason, false, error);
  link->phase = PHASE_OVER;
}

/* --- Writing --- */

static void write_out(struct ws_link *link) {
  gsize length = wsp_buffer_length(&link->out);
  while (length > 0) {
    gssize written = ws_stream_send(&link->stream, wsp_buffer_front(&link->out), length);
    link->blocked = written == WS_STREAM_AGAIN;
    if (written == WS_STREAM_FAILED) { /* reading comes to the end soon */
      wsp_buffer_consume(&link->out, length);
      return;
    }
    if (written < 0)
      return;
    wsp_buffer_consume(&link->out, (size_t)written);
    link->written += (guint64)written;
    link->has_written = true;
    length = wsp_buffer_length(&link->out);
  }
  link->blocked = false;
}

static void tell_room(struct ws_link *link) {
  if (!link->has_written || link->phase != PHASE_OPEN)
    return;
  link->has_written = false;
  if (link->wants_written)
    link->events->written(link->user);
  if (link->phase != PHASE_OPEN || link->user == NULL || !link->refused ||
      wsp_buffer_length(&link->out) >= WS_CLIENT_QUEUE_LOW)
    return;
  link->refused = false;
  link->events->drained(link->user);
}

static void flush(struct ws_link *link) {
  if (link->phase == PHASE_TLS || link->phase == PHASE_OVER)
    return;
  write_out(link);
  if (link->phase != PHASE_ENDING || wsp_buffer_length(&link->out) > 0 || link->finished)
    return;
  link->finished = true;
  ws_stream_finish(&link->stream);
}

/* --- Reading --- */

static void take_close(struct ws_link *link, const struct wsp_event *event) {
  bool was_first = link->close_code == 0;
  g_autofree char *theirs = g_strndup((const char *)event->data, event->length);
  g_autofree char *reason = g_strdup(was_first ? theirs : link->close_reason);
  tell_closed(link, was_first ? event->code : link->close_code, reason, true, NULL);
}

static void take_failure(struct ws_link *link, const struct wsp_event *event) {
  g_autofree char *sentence = g_strndup((const char *)event->data, event->length);
  g_autoptr(GError) error =
      g_error_new(WS_ERROR, WS_ERROR_FAILED, "the server broke the protocol: %s (%u)", sentence, event->code);
  tell_closed(link, event->code, sentence, false, error);
}

static void take_event(struct ws_link *link, const struct wsp_event *event) {
  switch (event->type) {
  case WSP_EVENT_MESSAGE:
    link->events->message(link->user, event->text, event->data, event->length);
    break;
  case WSP_EVENT_PONG:
    ws_heartbeat_take_pong(&link->heartbeat, g_get_monotonic_time());
    break;
  case WSP_EVENT_CLOSE:
    take_close(link, event);
    break;
  case WSP_EVENT_FAILED:
    take_failure(link, event);
    break;
  default:
    break;
  }
}

/* Counts what `out` has become longer by. */
static void count_sent(struct ws_link *link, size_t before) {
  link->sent += wsp_buffer_length(&link->out) - before;
}

static bool listens(const struct ws_link *link) {
  return link->phase == PHASE_OPEN && !link->paused && link->user != NULL &&
         wsp_buffer_length(&link->out) < WS_CLIENT_QUEUE_HIGH + WS_CLIENT_REPLIES_MAX;
}

static void take_frames(struct ws_link *link) {
  struct wsp_event event = {.type = WSP_EVENT_PING};
  while (listens(link) && event.type != WSP_EVENT_NONE) {
    size_t consumed = 0, before = wsp_buffer_length(&link->out);
    wsp_connection_receive(&link->frames, link->room + link->room_start, link->room_end - link->room_start, &consumed,
                           &link->out, &event);
    count_sent(link, before);
    link->room_start += consumed;
    take_event(link, &event);
  }
}

static void open_frames(struct ws_link *link) {
  const struct wsp_deflate_terms terms = wsp_client_handshake_deflate(link->handshake);
  wsp_connection_init(&link->frames, WSP_CLIENT, &link->settings);
  if (terms.agreed && !((link->settings.deflate = wsp_deflate_pool_new(WS_CLIENT_HISTORIES)) != NULL &&
                        wsp_connection_compress(&link->frames, &terms))) {
    fail(link, g_error_new_literal(WS_ERROR, WS_ERROR_FAILED, "there is no memory for compression"));
    return;
  }
  link->phase = PHASE_OPEN;
  ws_heartbeat_begin(&link->heartbeat, link->terms->ping_interval, link->terms->pong_timeout, g_get_monotonic_time());
  link->events->opened(link->user, link->handshake);
  g_clear_pointer(&link->handshake, wsp_client_handshake_free);
}

static GError *explain_refusal(const struct wsp_client_handshake *handshake) {
  unsigned status = wsp_client_handshake_status(handshake);
  for (size_t i = 0; status >= 300 && status < 400 && i < wsp_client_handshake_header_count(handshake); i++) {
    const struct wsp_header header = wsp_client_handshake_header(handshake, i);
    if (header.name.length == strlen("location") &&
        g_ascii_strncasecmp(header.name.text, "location", header.name.length) == 0)
      return g_error_new(WS_ERROR, WS_ERROR_FAILED,
                         "the server answered %u and points to %.*s: redirects are not followed, connect there", status,
                         (int)header.value.length, header.value.text);
  }
  if (status != 0)
    return g_error_new(WS_ERROR, WS_ERROR_FAILED, "the server answered %u: %s", status,
                       wsp_client_handshake_fault(handshake));
  return g_error_new(WS_ERROR, WS_ERROR_FAILED, "what answered is no WebSocket server: %s",
                     wsp_client_handshake_fault(handshake));
}

static void take_answer(struct ws_link *link) {
  size_t consumed = 0;
  switch (wsp_client_handshake_feed(link->handshake, link->room + link->room_start, link->room_end - link->room_start,
                                    &consumed)) {
  case WSP_HANDSHAKE_DONE:
    link->room_start += consumed;
    open_frames(link);
    break;
  case WSP_HANDSHAKE_REFUSED:
    fail(link, explain_refusal(link->handshake));
    break;
  default:
    link->room_start += consumed;
    break;
  }
}

static void take_octets(struct ws_link *link) {
  if (link->phase == PHASE_HANDSHAKE)
    take_answer(link);
  if (link->phase == PHASE_OPEN && link->user != NULL)
    take_frames(link);
}

static void take_end(struct ws_link *link) {
  if (link->phase == PHASE_ENDING)
    link->phase = PHASE_OVER;
  else if (link->phase == PHASE_HANDSHAKE)
    fail(link,
         g_error_new_literal(WS_ERROR, WS_ERROR_FAILED, "the server closed the connection before it had answered"));
  else
    lose(link, NULL);
}

static void read_once(struct ws_link *link) {
  if (link->room == NULL)
    link->room = g_malloc(WS_CLIENT_ROOM);
  if (link->room_start == link->room_end || link->phase == PHASE_ENDING) {
    gssize length = ws_stream_receive(&link->stream, link->room, WS_CLIENT_ROOM);
    if (length == WS_STREAM_AGAIN)
      return;
    if (length <= 0) {
      take_end(link);
      return;
    }
    link->room_start = 0;
    link->room_end = (gsize)length;
  }
  if (link->phase != PHASE_ENDING) /* what comes behind the Close frame is nobody's */
    take_octets(link);
}

/* --- Beginning --- */

static bool put_request(struct ws_link *link, GError **error) {
  guint8 key[16];
  const char *fault = "the system has no random octets";
  const struct wsp_client_request request = {
      .host = link->url->authority,
      .target = link->url->target,
      .origin = link->terms->origin,
      .protocols = link->terms->protocol,
      .headers = (const char *const *)link->terms->headers,
      .compression = link->terms->compression,
  };
  if (getrandom(key, sizeof key, 0) == sizeof key)
    link->handshake = wsp_client_handshake_new(&request, key, &link->out, &fault);
  link->sent = wsp_buffer_length(&link->out);
  if (link->handshake == NULL)
    g_set_error(error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT, "the request cannot be sent: %s", fault);
  return link->handshake != NULL;
}

static bool begin_tls(struct ws_link *link, GError **error) {
  const struct ws_client_terms *terms = link->terms;
  const struct ws_tls_terms tls = {terms->ca_path,         terms->certificate,
                                   terms->private_key,     terms->private_key_password,
                                   terms->tls_min_version, terms->skip_verification};
  link->context = ws_tls_context_new(&tls, error);
  if (link->context == NULL)
    return false;
  if (ws_stream_begin_tls(&link->stream, link->context, link->url->host, terms->skip_verification))
    return true;
  g_set_error(error, WS_ERROR, WS_ERROR_FAILED, "TLS to %s cannot be begun", link->url->host);
  return false;
}

static void shake_hands(struct ws_link *link) {
  GError *error = NULL;
  int result = ws_stream_shake_hands(&link->stream, &error);
  if (result == WS_STREAM_FAILED)
    fail(link, error);
  else if (result == 1)
    link->phase = PHASE_HANDSHAKE;
}

/* --- Time --- */

static void act_in_time(struct ws_link *link) {
  gint64 now = g_get_monotonic_time();
  g_autoptr(GError) error = NULL;
  if (now >= link->deadline) {
    if (link->phase == PHASE_ENDING)
      link->phase = PHASE_OVER;
    else
      lose(link, NULL); /* the server does not answer our Close frame */
    return;
  }
  if (link->phase != PHASE_OPEN || link->close_code != 0)
    return;
  switch (ws_heartbeat_act(&link->heartbeat, now)) {
  case WS_HEARTBEAT_PING: {
    size_t before = wsp_buffer_length(&link->out);
    (void)wsp_connection_ping(&link->frames, NULL, 0, &link->out);
    count_sent(link, before);
    break;
  }
  case WS_HEARTBEAT_GONE:
    error = g_error_new(WS_ERROR, WS_ERROR_FAILED,
                        "the server did not answer a Ping within %u seconds: the connection is dropped",
                        link->terms->pong_timeout);
    lose(link, error);
    break;
  default:
    break;
  }
}

static gint64 next_deadline(const struct ws_link *link) {
  gint64 next = link->deadline;
  if (link->phase == PHASE_OPEN && link->close_code == 0)
    next = MIN(next, ws_heartbeat_next(&link->heartbeat));
  return next == G_MAXINT64 ? -1 : next;
}

/* --- The source --- */

static bool has_room_left(const struct ws_link *link) {
  return link->room_start < link->room_end && listens(link);
}

static void poll_for(struct link_source *source) {
  struct ws_link *link = source->link;
  bool reads = link->phase != PHASE_OPEN || (listens(link) && link->room_start == link->room_end);
  GIOCondition wanted =
      ws_stream_wants(&link->stream, reads, wsp_buffer_length(&link->out) > 0 && link->phase != PHASE_TLS);
  if (wanted != source->polled)
    g_source_modify_unix_fd(&source->source, source->tag, wanted);
  source->polled = wanted;
  gint64 next = next_deadline(link);
  if (g_source_get_ready_time(&source->source) != next)
    g_source_set_ready_time(&source->source, next);
}

static bool has_news(const struct ws_link *link) {
  return link->phase == PHASE_OPEN && link->has_written && (link->wants_written || link->refused);
}

static gboolean prepare(GSource *base, gint *timeout) {
  struct link_source *source = (struct link_source *)base;
  struct ws_link *link = source->link;
  *timeout = -1;
  if (!link->blocked)
    flush(link);
  poll_for(source);
  return link->phase == PHASE_OVER || has_news(link) || has_room_left(link) ||
         (listens(link) && ws_stream_has_pending(&link->stream));
}

static gboolean check(GSource *base) {
  struct link_source *source = (struct link_source *)base;
  return g_source_query_unix_fd(base, source->tag) != 0;
}

static void work(struct ws_link *link) {
  act_in_time(link);
  if (link->phase == PHASE_TLS)
    shake_hands(link);
  else if (link->phase != PHASE_OVER && (link->phase != PHASE_OPEN || listens(link)))
    read_once(link);
  if (link->user != NULL || link->phase == PHASE_ENDING)
    flush(link);
  if (link->user != NULL)
    tell_room(link);
}

static gboolean dispatch(GSource *base, GSourceFunc callback, gpointer user) {
  struct ws_link *link = ((struct link_source *)base)->link;
  (void)callback;
  (void)user;
  link->in_dispatch = true;
  work(link);
  link->in_dispatch = false;
  if (link->phase == PHASE_OVER && link->user == NULL) {
    end_link(link);
    return G_SOURCE_REMOVE;
  }
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = {.prepare = prepare, .check = check, .dispatch = dispatch};

static void attach(struct ws_link *link, GMainContext *context) {
  link->source = g_source_new(&source_functions, sizeof(struct link_source));
  struct link_source *source = (struct link_source *)link->source;
  source->link = link;
  source->polled = G_IO_IN | G_IO_OUT; /* TLS begins with writing */
  source->tag = g_source_add_unix_fd(link->source, link->stream.fd, source->polled);
  g_source_set_static_name(link->source, "WsClient connection");
  g_source_attach(link->source, context);
}

/* --- What its user may ask for --- */

static void fresh_mask(void *user, uint8_t key[4]) {
  (void)user;
  if (getrandom(key, 4, 0) != 4)
    g_error("the system has no random octets");
}

struct ws_link *ws_link_new(GSocketConnection *connection, const struct ws_url *url,
                            const struct ws_client_terms *terms, GMainContext *context,
                            const struct ws_link_events *events, void *user, GError **error) {
  struct ws_link *link = g_new0(struct ws_link, 1);
  GSocket *socket = g_socket_connection_get_socket(connection);
  link->connection = g_object_ref(connection);
  link->url = url;
  link->terms = terms;
  link->events = events;
  link->user = user;
  link->deadline = G_MAXINT64;
  link->settings.max_message_size = terms->max_message_size;
  link->settings.fresh_mask = fresh_mask;
  ws_stream_init(&link->stream, g_socket_get_fd(socket));
  link->phase = url->tls ? PHASE_TLS : PHASE_HANDSHAKE;
  if (!put_request(link, error) || (url->tls && !begin_tls(link, error))) {
    free_link(link);
    return NULL;
  }
  (void)g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL); /* what is to be gathered is gathered here */
  attach(link, context);
  return link;
}

enum ws_channel_result ws_link_send(struct ws_link *link, bool text, const guint8 *data, gsize length) {
  size_t before = wsp_buffer_length(&link->out);
  if (link->phase != PHASE_OPEN)
    return WS_CHANNEL_GONE;
  if (length > link->terms->max_message_size)
    return WS_CHANNEL_TOO_BIG;
  if (before >= WS_CLIENT_QUEUE_HIGH) {
    link->refused = true;
    return WS_CHANNEL_WOULD_BLOCK;
  }
  enum wsp_send_result result = wsp_connection_send_checked(&link->frames, text, data, length, &link->out);
  count_sent(link, before);
  if (result == WSP_SENT)
    return WS_CHANNEL_SENT;
  return result == WSP_SEND_NO_MEMORY ? WS_CHANNEL_NO_MEMORY : WS_CHANNEL_GONE;
}

enum ws_channel_result ws_link_close(struct ws_link *link, guint16 code, const char *reason) {
  size_t before = wsp_buffer_length(&link->out);
  if (link->phase != PHASE_OPEN || link->close_code != 0)
    return WS_CHANNEL_GONE;
  code = code != 0 ? code : WSP_CLOSE_NORMAL;
  enum wsp_send_result result =
      wsp_connection_close(&link->frames, code, (const guint8 *)reason, strlen(reason), &link->out);
  count_sent(link, before);
  if (result != WSP_SENT)
    return result == WSP_SEND_INVALID ? WS_CHANNEL_INVALID : WS_CHANNEL_GONE;
  link->close_code = code;
  link->close_reason = g_strdup(reason);
  link->deadline = g_get_monotonic_time() + (gint64)WS_CLIENT_CLOSE_MS * G_TIME_SPAN_MILLISECOND;
  return WS_CHANNEL_SENT;
}

void ws_link_set_paused(struct ws_link *link, bool paused) {
  link->paused = paused;
}

void ws_link_want_written(struct ws_link *link, bool wants) {
  link->wants_written = wants;
}

guint64 ws_link_get_sent(const struct ws_link *link) {
  return link->sent;
}

guint64 ws_link_get_written(const struct ws_link *link) {
  return link->written;
}

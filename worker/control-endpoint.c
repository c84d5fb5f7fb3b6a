/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/control-endpoint.h"

#include "channel/record.h"
#include "worker/certificates.h"
#include "worker/notices.h"
#include "worker/peer.h"
#include "worker/sending.h"
#include "worker/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The guide's codes: of what is wrong with a certificate, and of everything that has no code of its own. */
#define CERTIFICATE_ERROR 2302002u
#define FAILED_ERROR 2302999u

_Static_assert(WSW_RECEIVE_ROOM >= WSC_CONTROL_PACKET_MAX, "requests are read into the room for peers' octets");

static void ready(struct wsw_watch *watch, uint32_t events);

bool wsw_control_open(struct wsw_server *server, int fd) {
  struct wsw_control *control = &server->control;
  control->watch = (struct wsw_watch){.fd = fd, .kind = WSW_WATCH_OF_CONTROL};
  server->loop.ready[WSW_WATCH_OF_CONTROL] = ready;
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) >= 0 &&
         wsw_loop_watch(&server->loop, &control->watch, WSW_READABLE);
}

void wsw_control_close(struct wsw_server *server) {
  struct wsw_control *control = &server->control;
  if (control->watch.fd >= 0) {
    wsw_loop_watch(&server->loop, &control->watch, 0);
    close(control->watch.fd);
  }
  control->watch.fd = -1;
  control->answer_length = 0;
  control->channel_ended = NULL;
  control->stopped_owed = false;
}

/* --- Out --- */

/* False when it does not fit now. A socket that is broken takes everything. */
static bool send_packet(struct wsw_control *control, const uint8_t *octets, size_t length) {
  return wsc_control_send(control->watch.fd, octets, length, NULL, 0) >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void begin_answer(struct wsw_server *server, struct wsc_control_writer *writer, uint16_t type, uint32_t tag) {
  wsc_control_begin(writer, server->control.answer, sizeof server->control.answer, type, tag);
}

static void answer(struct wsw_server *server, const struct wsc_control_writer *writer) {
  server->control.answer_length = wsc_control_finish(writer);
  wsw_control_flush(server);
}

static bool send_channel_ended(struct wsw_control *control) {
  uint8_t room[WSC_ERROR_TEXT_MAX + 64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_CHANNEL_ENDED, 0);
  wsc_control_add_text(&writer, WSC_FIELD_TEXT, control->channel_ended);
  return send_packet(control, room, wsc_control_finish(&writer));
}

void wsw_control_notify(struct wsw_server *server, const struct wsc_control_writer *writer) {
  struct wsw_control *control = &server->control;
  bool waits = control->answer_length || control->channel_ended || control->stopped_owed;
  if (control->watch.fd >= 0 && !waits && !control->stopped_sent)
    (void)send_packet(control, writer->octets, wsc_control_finish(writer));
}

static bool send_stopped(struct wsw_server *server) {
  uint8_t room[WSC_COUNTERS_SIZE + 64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_STOPPED, server->control.stop_tag);
  wsc_control_add_counters(&writer, &server->counters);
  return send_packet(&server->control, room, wsc_control_finish(&writer));
}

void wsw_control_flush(struct wsw_server *server) {
  struct wsw_control *control = &server->control;
  if (control->watch.fd < 0)
    return;
  if (control->answer_length && send_packet(control, control->answer, control->answer_length))
    control->answer_length = 0;
  if (control->channel_ended && !control->answer_length && send_channel_ended(control))
    control->channel_ended = NULL;
  if (control->stopped_owed && !control->answer_length && !control->channel_ended && send_stopped(server)) {
    control->stopped_owed = false;
    control->stopped_sent = true;
  }
  bool waits = control->answer_length || control->channel_ended || control->stopped_owed;
  if (!wsw_loop_watch(&server->loop, &control->watch, waits ? WSW_WRITABLE : WSW_READABLE))
    wsw_server_fail(server, WSW_EXIT_SYSTEM, "the control socket cannot be watched");
}

void wsw_control_channel_ended(struct wsw_server *server, const char *sentence) {
  if (server->control.watch.fd < 0)
    return;
  server->control.channel_ended = sentence;
  wsw_control_flush(server);
}

void wsw_control_tell_stopped_again(struct wsw_server *server) {
  server->control.stopped_sent = false;
}

bool wsw_control_tell_stopped(struct wsw_server *server) {
  struct wsw_control *control = &server->control;
  if (control->watch.fd < 0 || control->stopped_sent)
    return true;
  control->stopped_owed = true;
  wsw_control_flush(server);
  return control->stopped_sent;
}

/* --- In --- */

static void tell_failed(struct wsw_server *server, const struct wsc_control_record *record, const char *sentence) {
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_FAILED, record->tag);
  wsc_control_add_u32(&writer, WSC_FIELD_ERROR, sentence == server->tls.fault ? CERTIFICATE_ERROR : FAILED_ERROR);
  wsc_control_add_text(&writer, WSC_FIELD_TEXT, sentence);
  answer(server, &writer);
}

static void tell_ready(struct wsw_server *server, const struct wsc_control_record *record) {
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_READY, record->tag);
  wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  wsc_control_add_u32(&writer, WSC_FIELD_LAST_REQUEST, WSC_CONTROL_ADJUST);
  answer(server, &writer);
}

static void close_all(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++)
    close(fds[i]);
}

/* A password has done its work once the record was served. */
static void wipe_request(struct wsw_server *server, const struct wsc_control_record *record) {
  explicit_bzero(server->received, WSC_CONTROL_HEADER + record->fields_length);
}

static const char *set_up(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                          size_t count) {
  const char *fault = wsw_configuration_read(&server->configuration, record);
  if (!fault && count != (server->configuration.tls ? 2 : 1))
    fault = "CONFIGURE: its descriptors are not those that it needs";
  if (!fault)
    return wsw_server_configure(server, fds[0], server->configuration.tls ? fds[1] : -1);
  close(fds[0]);
  return fault;
}

static void configure(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                      size_t count) {
  const char *fault = set_up(server, record, fds, count);
  close_all(fds + 1, count - 1);
  if (!fault) {
    tell_ready(server, record);
    return;
  }
  tell_failed(server, record, fault);
  wsw_server_fail(server, WSW_EXIT_REFUSED, fault);
}

static void prepare_certificate(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                                size_t count) {
  const char *fault = wsw_certificates_prepare(server, record, fds, count);
  close_all(fds, count);
  wipe_request(server, record);
  if (fault)
    tell_failed(server, record, fault);
  else
    tell_ready(server, record);
  wsw_server_finish(server, WSW_EXIT_STOPPED);
}

static void replace_certificate(struct wsw_server *server, const struct wsc_control_record *record, int vault) {
  const char *fault = wsw_certificates_replace(server, vault);
  close(vault);
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_REPLACED, record->tag);
  if (fault) {
    wsc_control_add_u32(&writer, WSC_FIELD_ERROR, CERTIFICATE_ERROR);
    wsc_control_add_text(&writer, WSC_FIELD_TEXT, fault);
  }
  answer(server, &writer);
}

static int socket_option(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

/* Takes the two descriptors of the arenas over. After a fault the process ends, and what it holds with it. */
static const char *map_arenas(const struct wsc_control_record *record, const int *fds, struct wsw_shared **shared) {
  uint64_t size = 0;
  const char *fault = NULL;
  if (!wsc_control_get_u64(record, WSC_FIELD_ARENA, &size) || size == 0 || size > WSC_ARENA_SIZE_MAX)
    fault = "ATTACH_SHARED: the size of the arenas is missing or out of range";
  else if (!(*shared = wsw_shared_new(fds[0], fds[1], (size_t)size)))
    fault = "ATTACH_SHARED: the arenas cannot be mapped";
  close_all(fds, 2);
  return fault;
}

static const char *read_terms(const struct wsc_control_record *record, int fd, struct wsw_channel_terms *terms) {
  uint32_t acknowledged;
  *terms = (struct wsw_channel_terms){.window_events = WSC_WINDOW_EVENTS, .window_octets = WSC_WINDOW_OCTETS};
  if (!wsc_control_get_u32(record, WSC_FIELD_ACKNOWLEDGED, &acknowledged) || acknowledged > 1)
    return "ATTACH: does not say whether events are acknowledged";
  (void)wsc_control_get_u32(record, WSC_FIELD_WINDOW_EVENTS, &terms->window_events);
  (void)wsc_control_get_u64(record, WSC_FIELD_WINDOW_OCTETS, &terms->window_octets);
  if (!terms->window_events || !terms->window_octets)
    return "ATTACH: a window without room";
  if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
    return "ATTACH: the descriptor is no Unix stream socket";
  terms->acknowledged = acknowledged;
  return NULL;
}

static const char *attach(struct wsw_server *server, const struct wsc_control_record *record, int fd) {
  struct wsw_channel_terms terms;
  const char *fault = read_terms(record, fd, &terms);
  if (!fault)
    wsw_channel_attach(server, fd, &terms);
  return fault;
}

static const char *attach_shared(struct wsw_server *server, const struct wsc_control_record *record, const int *fds) {
  struct wsw_channel_terms terms;
  const char *fault = read_terms(record, fds[0], &terms);
  if (!fault && terms.acknowledged)
    fault = "ATTACH_SHARED: a channel with acknowledgement has no shared memory";
  if (!fault)
    fault = map_arenas(record, fds + 1, &terms.shared);
  if (!fault)
    wsw_channel_attach(server, fds[0], &terms);
  return fault;
}

static void tell_counters(struct wsw_server *server, const struct wsc_control_record *record) {
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_COUNTERS, record->tag);
  wsc_control_add_counters(&writer, &server->counters);
  answer(server, &writer);
}

/* False when it does not fit behind the others. */
static bool add_entry(struct wsc_control_writer *writer, const struct wsw_peer *peer) {
  uint8_t entry[8 + WSC_CONNECT_FIXED + WSP_HEAD_MAX + WSW_PROTOCOLS_MAX];
  struct wsc_connect connect;
  wsw_peer_describe(peer, &connect);
  size_t length = 8 + wsc_connect_size(&connect);
  size_t more = wsc_control_field_size(0);
  if (length > sizeof entry || writer->length + wsc_control_field_size(length) + more > writer->capacity)
    return false;
  wsc_put_u64(entry, peer->id);
  wsc_connect_encode(&connect, entry + 8);
  wsc_control_add(writer, WSC_FIELD_CONNECTION_ENTRY, entry, length);
  return true;
}

static const char *list(struct wsw_server *server, const struct wsc_control_record *record) {
  uint64_t after;
  if (!wsc_control_get_u64(record, WSC_FIELD_AFTER, &after))
    return "LIST: does not say where to begin";
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_CONNECTIONS, record->tag);
  for (const struct wsw_peer *peer = wsw_peers_first_after(&server->peers, after); peer; peer = peer->younger) {
    if (add_entry(&writer, peer))
      continue;
    wsc_control_add(&writer, WSC_FIELD_MORE, "", 0);
    break;
  }
  answer(server, &writer);
  return NULL;
}

static void tell_result(struct wsw_server *server, const struct wsc_control_record *record, bool found) {
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_RESULT, record->tag);
  wsc_control_add_u32(&writer, WSC_FIELD_FOUND, found);
  answer(server, &writer);
}

static const char *close_connection(struct wsw_server *server, const struct wsc_control_record *record) {
  uint64_t id;
  uint32_t code;
  struct wsc_control_field reason;
  if (!wsc_control_get_u64(record, WSC_FIELD_CONNECTION, &id) || !wsc_control_get_u32(record, WSC_FIELD_CODE, &code) ||
      code > UINT16_MAX || !wsp_close_code_is_sendable((uint16_t)code))
    return "CLOSE: connection or code are missing or not possible";
  if (!wsc_control_find(record, WSC_FIELD_REASON, &reason))
    reason = (struct wsc_control_field){0};
  struct wsw_peer *peer = wsw_peers_find(&server->peers, id);
  bool found = peer && !wsw_peer_is_closing(peer);
  if (found) {
    const char *fault = wsw_sending_close(peer, (uint16_t)code, reason.value, reason.length);
    if (fault)
      return fault;
  }
  tell_result(server, record, found);
  return NULL;
}

_Static_assert(WSC_CONTROL_HEADER + WSW_BANS_MAX * (8 + WSC_BAN_SIZE) <= WSC_CONTROL_PACKET_MAX, "all bans in one");

static void tell_bans(struct wsw_server *server, const struct wsc_control_record *record) {
  struct wsc_control_writer writer;
  begin_answer(server, &writer, WSC_CONTROL_BANS, record->tag);
  uint64_t now = server->loop.now;
  for (const struct wsw_visitor *banned = wsw_visitors_bans(&server->visitors, now); banned; banned = banned->newer)
    wsw_notices_add_ban(&writer, banned, now);
  answer(server, &writer);
}

static const char *clear_ban(struct wsw_server *server, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  struct wsc_address named;
  if (!wsc_control_find(record, WSC_FIELD_ADDRESS, &field) || !wsc_control_read_address(&field, &named))
    return "CLEAR_BAN: the address is missing or none";
  struct wsw_address address = {.family = named.family, .scope = named.scope};
  memcpy(address.octets, named.octets, sizeof address.octets);
  tell_result(server, record, wsw_visitors_pardon(&server->visitors, &address, server->loop.now));
  return NULL;
}

static const char *adjust(struct wsw_server *server, const struct wsc_control_record *record) {
  const char *fault = wsw_configuration_adjust(&server->configuration, record);
  if (!fault)
    wsw_server_adjust(server);
  return fault;
}

static const char *stop(struct wsw_server *server, const struct wsc_control_record *record) {
  uint32_t code, deadline;
  if (!wsc_control_get_u32(record, WSC_FIELD_CODE, &code) || code > UINT16_MAX ||
      !wsp_close_code_is_sendable((uint16_t)code))
    return "STOP: the code is missing or not possible";
  if (!wsc_control_get_u32(record, WSC_FIELD_DEADLINE, &deadline) || deadline > WSW_STOP_DEADLINE_MS_MAX)
    return "STOP: the deadline is missing or out of range";
  server->control.stop_tag = record->tag;
  wsw_server_stop(server, (uint16_t)code, deadline);
  return NULL;
}

static bool has_unknown_critical_field(const struct wsc_control_record *record) {
  static const uint16_t known[] = {WSC_FIELD_ACKNOWLEDGED, WSC_FIELD_WINDOW_EVENTS,     WSC_FIELD_WINDOW_OCTETS,
                                   WSC_FIELD_AFTER,        WSC_FIELD_CONNECTION,        WSC_FIELD_CODE,
                                   WSC_FIELD_REASON,       WSC_FIELD_DEADLINE,          WSC_FIELD_ADDRESS,
                                   WSC_FIELD_ARENA,        WSC_FIELD_MAX_CLIENTS,       WSC_FIELD_MAX_PER_CLIENT,
                                   WSC_FIELD_MAX_MESSAGE,  WSC_FIELD_HANDSHAKE_TIMEOUT, WSC_FIELD_CONNECTION_RATE,
                                   WSC_FIELD_BAN_SECONDS,  WSC_FIELD_MAX_CONNECTIONS,   WSC_FIELD_MAX_QUEUE,
                                   WSC_FIELD_MAX_MEMORY,   WSC_FIELD_ORIGIN_REQUIRED};
  uint16_t key;
  return wsc_control_unknown_critical(record, known, sizeof known / sizeof *known, &key);
}

/* How many descriptors a record has at least; none has more but the two that begin everything. */
static size_t descriptors_of(uint16_t type) {
  if (type == WSC_CONTROL_ATTACH_SHARED)
    return 3;
  bool wants_one = type == WSC_CONTROL_CONFIGURE || type == WSC_CONTROL_PREPARE || type == WSC_CONTROL_ATTACH ||
                   type == WSC_CONTROL_REPLACE_CERTIFICATE;
  return wants_one ? 1 : 0;
}

/* CONFIGURE, or PREPARE. */
static void begin(struct wsw_server *server, const struct wsc_control_record *record, const int *fds, size_t count) {
  if (record->type == WSC_CONTROL_PREPARE)
    prepare_certificate(server, record, fds, count);
  else
    configure(server, record, fds, count);
}

/* Takes over the descriptors. NULL, or what is wrong with the record. */
static const char *serve(struct wsw_server *server, const struct wsc_control_record *record, const int *fds,
                         size_t count) {
  bool is_first = record->type == WSC_CONTROL_CONFIGURE || record->type == WSC_CONTROL_PREPARE;
  if (count < descriptors_of(record->type))
    return "a record without its descriptor";
  if (count > descriptors_of(record->type) && !is_first)
    return "a descriptor where the record has none";
  if (is_first != (server->phase == WSW_PHASE_WAITING))
    return is_first ? "a second CONFIGURE" : "a record before CONFIGURE";
  if (is_first) {
    begin(server, record, fds, count);
    return NULL;
  }
  if (has_unknown_critical_field(record))
    return "a field that this version must know and does not";
  switch (record->type) {
  case WSC_CONTROL_ATTACH:
    return attach(server, record, fds[0]);
  case WSC_CONTROL_ATTACH_SHARED:
    return attach_shared(server, record, fds);
  case WSC_CONTROL_REPLACE_CERTIFICATE:
    replace_certificate(server, record, fds[0]);
    return NULL;
  case WSC_CONTROL_STATISTICS:
    tell_counters(server, record);
    return NULL;
  case WSC_CONTROL_LIST:
    return list(server, record);
  case WSC_CONTROL_CLOSE:
    return close_connection(server, record);
  case WSC_CONTROL_LIST_BANS:
    tell_bans(server, record);
    return NULL;
  case WSC_CONTROL_CLEAR_BAN:
    return clear_ban(server, record);
  case WSC_CONTROL_ADJUST:
    return adjust(server, record);
  case WSC_CONTROL_STOP:
    return stop(server, record);
  default:
    return "a record of a type that this worker does not know";
  }
}

static void take_packet(struct wsw_server *server, size_t length, const int *fds, size_t count) {
  struct wsc_control_record record;
  const char *fault = wsc_control_decode(server->received, length, &record);
  if (!fault)
    fault = serve(server, &record, fds, count);
  if (fault) /* the descriptors go with the process */
    wsw_server_fail(server, WSW_EXIT_CONTROL, fault);
}

static void lose(struct wsw_server *server) {
  wsw_control_close(server);
  if (server->phase == WSW_PHASE_WAITING)
    wsw_server_finish(server, WSW_EXIT_STOPPED);
  else
    wsw_server_stop(server, WSP_CLOSE_GOING_AWAY, WSW_ORPHAN_DEADLINE_MS);
}

static void ready(struct wsw_watch *watch, uint32_t events) {
  struct wsw_control *control = (struct wsw_control *)(void *)((char *)watch - offsetof(struct wsw_control, watch));
  struct wsw_server *server = (struct wsw_server *)(void *)((char *)control - offsetof(struct wsw_server, control));
  if (events & WSW_WRITABLE)
    wsw_control_flush(server);
  for (int i = 0; i < WSW_CONTROL_PER_WAKE && watch->interest == WSW_READABLE; i++) {
    if (server->phase == WSW_PHASE_FINISHED)
      return;
    int fds[WSC_CONTROL_FDS_MAX];
    size_t count;
    ssize_t length = wsc_control_receive(watch->fd, server->received, WSC_CONTROL_PACKET_MAX, fds, &count);
    if (length < 0 && (errno == EAGAIN))
      return;
    if (length < 0 && errno == EMSGSIZE) {
      wsw_server_fail(server, WSW_EXIT_CONTROL, "a record that is too long, or descriptors that did not arrive");
      return;
    }
    if (length <= 0) {
      lose(server);
      return;
    }
    take_packet(server, (size_t)length, fds, count);
  }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker-process.h"

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/peer-address.h"
#include "daemon/pidfd.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct request {
  guint32 tag;
  guint16 expected; /* record type of the answer */
  wsd_worker_answer answer;
  void *user;
};

/* The process outlives the worker object until it is reaped. */
struct process {
  GPid pid;
  bool exited;
  bool forgotten;
  guint overdue; /* source: it has closed its control socket and should have exited */
  void (*on_exit)(void *user);
  void *user;
};

struct wsd_worker {
  struct wsd_worker_events events;
  void *user;
  struct process *process; /* NULL: adopted, not our child */
  int control;
  int pidfd;
  bool synchronised; /* what it says is meant for us */
  bool begun;        /* it has said that it is ready, or has failed: it says neither again */
  guint32 last_request;
  guint source;
  guint gone_source;
  guint32 last_tag;
  GQueue requests; /* of struct request, oldest first: answers come in this order */
  guint32 stop_tag;
  bool stopping; /* STOPPED is to come */
};

static void on_exited(GPid pid, gint status, gpointer data) {
  struct process *process = data;
  process->exited = true;
  g_clear_handle_id(&process->overdue, g_source_remove);
  if (WIFSIGNALED(status))
    g_message("worker %d was ended by signal %d", (int)pid, WTERMSIG(status));
  else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    g_message("worker %d exited with status %d", (int)pid, WEXITSTATUS(status));
  g_spawn_close_pid(pid);
  if (process->on_exit)
    process->on_exit(process->user);
  if (process->forgotten)
    g_free(process);
}

static void fail_requests(struct wsd_worker *worker) {
  struct request *request;
  while ((request = g_queue_pop_head(&worker->requests))) {
    request->answer(request->user, NULL);
    g_free(request);
  }
}

static gboolean report_gone(gpointer data) {
  struct wsd_worker *worker = data;
  worker->gone_source = 0;
  fail_requests(worker);
  worker->events.gone(worker->user);
  return G_SOURCE_REMOVE;
}

static gboolean end_overdue(gpointer data) {
  struct process *process = data;
  process->overdue = 0;
  g_warning("worker %d has closed its control socket and goes on: it is ended", (int)process->pid);
  kill(process->pid, SIGKILL); /* not reaped yet, so the id is still its own */
  return G_SOURCE_REMOVE;
}

/* The same for one that is not our child. */
static gboolean end_overdue_adopted(gpointer data) {
  int pidfd = GPOINTER_TO_INT(data);
  syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  close(pidfd);
  return G_SOURCE_REMOVE;
}

static void expect_exit(struct wsd_worker *worker) {
  if (worker->process && !worker->process->exited) {
    worker->process->overdue = g_timeout_add(WSD_EXIT_GRACE_MS, end_overdue, worker->process);
  } else if (!worker->process && worker->pidfd >= 0) {
    g_timeout_add(WSD_EXIT_GRACE_MS, end_overdue_adopted, GINT_TO_POINTER(worker->pidfd));
    worker->pidfd = -1;
  }
}

/* Closes the control socket; a worker that still runs ends by that, or it is made to. */
static void lose(struct wsd_worker *worker) {
  if (worker->control < 0)
    return;
  g_clear_handle_id(&worker->source, g_source_remove);
  close(worker->control);
  worker->control = -1;
  expect_exit(worker);
  worker->gone_source = g_idle_add_full(G_PRIORITY_DEFAULT, report_gone, worker, NULL);
}

void wsd_worker_break_off(struct wsd_worker *worker, const char *fault) {
  g_warning("worker %d broke the rules of the control socket and is ended: %s",
            worker->process ? (int)worker->process->pid : 0, fault);
  wsd_worker_kill(worker);
  lose(worker);
}

static char *record_text(const struct wsc_control_record *record) {
  struct wsc_control_field field;
  if (!wsc_control_find(record, WSC_FIELD_TEXT, &field))
    return g_strdup("no reason given");
  return g_utf8_make_valid((const char *)field.value, (gssize)MIN(field.length, WSC_ERROR_TEXT_MAX));
}

/* Fields that stand in every answer of the type. */
static const char *answer_fault(const struct wsc_control_record *record) {
  struct wsc_counters counters;
  guint32 found;
  if (record->type == WSC_CONTROL_COUNTERS && !wsc_control_get_counters(record, &counters))
    return "COUNTERS without counters";
  if (record->type == WSC_CONTROL_RESULT && (!wsc_control_get_u32(record, WSC_FIELD_FOUND, &found) || found > 1))
    return "RESULT without one";
  return NULL;
}

static void handle_answer(struct wsd_worker *worker, const struct wsc_control_record *record) {
  struct request *request = g_queue_peek_head(&worker->requests);
  bool fits = request && request->tag == record->tag && request->expected == record->type;
  if (!fits && !worker->synchronised)
    return;
  const char *fault = fits ? answer_fault(record) : "an answer that nobody asked for";
  if (fault) {
    wsd_worker_break_off(worker, fault);
    return;
  }
  g_queue_pop_head(&worker->requests);
  request->answer(request->user, record);
  g_free(request);
}

static void handle_stopped(struct wsd_worker *worker, const struct wsc_control_record *record) {
  struct wsc_counters counters = {0};
  if (!worker->stopping || record->tag != worker->stop_tag) {
    wsd_worker_break_off(worker, "STOPPED, which nobody asked for");
  } else if (!wsc_control_get_counters(record, &counters)) {
    wsd_worker_break_off(worker, "STOPPED without counters");
  } else {
    worker->stopping = false;
    worker->events.stopped(worker->user, &counters);
  }
}

static void handle_notice(struct wsd_worker *worker, const struct wsc_control_record *record) {
  struct wsc_control_field field;
  struct wsc_address address;
  struct wsc_ban ban;
  struct wsd_notice notice = {0};
  g_autofree char *text = NULL, *peer = NULL;
  if (wsc_control_find(record, WSC_FIELD_BAN_ENTRY, &field) && wsc_control_read_ban(&field, &ban)) {
    notice.is_ban = true;
    notice.number = ban.seconds;
    notice.text = wsd_ban_reason(ban.reason);
    notice.peer = peer = wsd_peer_address_show(&ban.address);
  } else if (wsc_control_get_u32(record, WSC_FIELD_COUNT, &notice.number) &&
             wsc_control_get_u32(record, WSC_FIELD_CODE, &notice.status) &&
             wsc_control_find(record, WSC_FIELD_ADDRESS, &field) && wsc_control_read_address(&field, &address)) {
    notice.text = text = record_text(record);
    notice.peer = peer = wsd_host_address_show(&address);
  } else {
    wsd_worker_break_off(worker, "a NOTICE of nothing");
    return;
  }
  if (worker->events.notice)
    worker->events.notice(worker->user, &notice);
}

static void handle_beginning(struct wsd_worker *worker, const struct wsc_control_record *record) {
  guint32 number = 0, version = 0;
  const char *fault = worker->begun || record->tag != 0 ? "READY or FAILED, which nobody asked for" : NULL;
  if (!fault && record->type == WSC_CONTROL_READY &&
      (!wsc_control_get_u32(record, WSC_FIELD_VERSION, &version) || version != WSC_CONTROL_VERSION))
    fault = "READY of another version";
  if (fault) {
    wsd_worker_break_off(worker, fault);
    return;
  }
  worker->begun = true;
  if (record->type == WSC_CONTROL_READY) {
    (void)wsc_control_get_u32(record, WSC_FIELD_LAST_REQUEST, &worker->last_request);
    worker->events.ready(worker->user);
    return;
  }
  g_autofree char *text = record_text(record);
  (void)wsc_control_get_u32(record, WSC_FIELD_ERROR, &number);
  worker->events.failed(worker->user, number, text);
}

/* All fields that this release knows, whichever record they belong in: the others of a record may be passed over. */
static bool has_unknown_critical_field(const struct wsc_control_record *record) {
  static const uint16_t known[] = {
      WSC_FIELD_VERSION,          WSC_FIELD_LAST_REQUEST, WSC_FIELD_ERROR, WSC_FIELD_TEXT,      WSC_FIELD_COUNTERS,
      WSC_FIELD_CONNECTION_ENTRY, WSC_FIELD_MORE,         WSC_FIELD_FOUND, WSC_FIELD_BAN_ENTRY,
  };
  uint16_t key;
  return wsc_control_unknown_critical(record, known, G_N_ELEMENTS(known), &key);
}

static void handle_record(struct wsd_worker *worker, const struct wsc_control_record *record) {
  g_autofree char *text = NULL;
  if (!worker->synchronised && record->type != WSC_CONTROL_COUNTERS)
    return;
  if (has_unknown_critical_field(record)) {
    wsd_worker_break_off(worker, "a critical field that this release does not know");
    return;
  }
  switch (record->type) {
  case WSC_CONTROL_READY:
  case WSC_CONTROL_FAILED:
    handle_beginning(worker, record);
    break;
  case WSC_CONTROL_STOPPED:
    handle_stopped(worker, record);
    break;
  case WSC_CONTROL_CHANNEL_ENDED:
    text = record_text(record);
    worker->events.channel_ended(worker->user, text);
    break;
  case WSC_CONTROL_NOTICE:
    handle_notice(worker, record);
    break;
  case WSC_CONTROL_COUNTERS:
  case WSC_CONTROL_CONNECTIONS:
  case WSC_CONTROL_REPLACED:
  case WSC_CONTROL_BANS:
  case WSC_CONTROL_RESULT:
    handle_answer(worker, record);
    break;
  default:
    wsd_worker_break_off(worker, "a record of unknown type");
  }
}

static gboolean on_control(gint fd, GIOCondition condition, gpointer data) {
  (void)condition;
  struct wsd_worker *worker = data;
  guint8 packet[WSC_CONTROL_PACKET_MAX];
  int fds[WSC_CONTROL_FDS_MAX];
  size_t fd_count = 0;
  ssize_t length = wsc_control_receive(fd, packet, sizeof packet, fds, &fd_count);
  for (size_t i = 0; i < fd_count; i++)
    close(fds[i]);
  if (length < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (length < 0 && errno == EMSGSIZE) {
    wsd_worker_break_off(worker, "more octets or descriptors than a control record has");
    return G_SOURCE_CONTINUE;
  }
  if (length <= 0) {
    worker->source = 0;
    lose(worker);
    return G_SOURCE_REMOVE;
  }
  struct wsc_control_record record;
  const char *fault = wsc_control_decode(packet, (size_t)length, &record);
  if (!fault && fd_count > 0)
    fault = "a file descriptor where none belongs";
  if (fault)
    wsd_worker_break_off(worker, fault);
  else
    handle_record(worker, &record);
  return G_SOURCE_CONTINUE;
}

/* Nothing of the daemon's environment, but what sanitizers of a test build need. */
static char **worker_environment(void) {
  static const char *const kept[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"};
  g_auto(GStrv) environment = g_new0(char *, 1);
  for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
    if (g_getenv(kept[i]))
      environment = g_environ_setenv(environment, kept[i], g_getenv(kept[i]), TRUE);
  return g_steal_pointer(&environment);
}

static bool spawn(const char *path, int control, GPid *pid, GError **error) {
  g_auto(GStrv) environment = worker_environment();
  const char *arguments[] = {path, NULL};
  const int target = WSC_CONTROL_FD;
  g_autoptr(GError) problem = NULL;
  if (g_spawn_async_with_pipes_and_fds("/", arguments, (const char *const *)environment,
                                       G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES, NULL, NULL, -1, -1, -1,
                                       &control, &target, 1, pid, NULL, NULL, NULL, &problem))
    return true;
  g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot start the server's process: %s; try again later",
              problem->message);
  return false;
}

static struct wsd_worker *worker_new(int control, int pidfd, const struct wsd_worker_events *events, void *user) {
  struct wsd_worker *worker = g_new0(struct wsd_worker, 1);
  worker->events = *events;
  worker->user = user;
  worker->control = control;
  worker->pidfd = pidfd;
  worker->last_request = WSC_CONTROL_STOP;
  worker->last_tag = g_random_int(); /* answers that an earlier process was owed do not fit ours */
  g_queue_init(&worker->requests);
  worker->source = g_unix_fd_add(control, G_IO_IN | G_IO_HUP | G_IO_ERR, on_control, worker);
  return worker;
}

struct wsd_worker *wsd_worker_spawn(const char *path, const struct wsd_worker_events *events, void *user,
                                    GError **error) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0) {
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot start the server's process: %s; try again later",
                g_strerror(errno));
    return NULL;
  }
  GPid pid = 0;
  bool spawned = spawn(path, sockets[1], &pid, error);
  close(sockets[1]);
  if (!spawned) {
    close(sockets[0]);
    return NULL;
  }
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct wsd_worker *worker = worker_new(sockets[0], pidfd, events, user);
  worker->synchronised = true;
  worker->process = g_new0(struct process, 1);
  worker->process->pid = pid;
  g_child_watch_add(pid, on_exited, worker->process);
  return worker;
}

struct wsd_worker *wsd_worker_adopt(int control, int pidfd, const struct wsd_worker_events *events, void *user) {
  return worker_new(control, pidfd, events, user);
}

guint32 wsd_worker_last_request(const struct wsd_worker *worker) {
  return worker->last_request;
}

void wsd_worker_set_last_request(struct wsd_worker *worker, guint32 type) {
  worker->last_request = type;
}

void wsd_worker_on_exit(struct wsd_worker *worker, void (*on_exit)(void *user), void *user) {
  worker->process->on_exit = on_exit;
  worker->process->user = user;
}

int wsd_worker_control(const struct wsd_worker *worker) {
  return worker->control;
}
int wsd_worker_pidfd(const struct wsd_worker *worker) {
  return worker->pidfd;
}

/* A process that cannot die, or whose child holds its sockets, would keep its end of the control socket: so the connection ends too. */
void wsd_worker_kill(struct wsd_worker *worker) {
  if (worker->pidfd >= 0)
    syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
  else if (worker->process && !worker->process->exited)
    kill(worker->process->pid, SIGKILL);
  if (worker->control >= 0)
    shutdown(worker->control, SHUT_RDWR);
}

void wsd_worker_let_go(struct wsd_worker *worker) {
  g_clear_handle_id(&worker->source, g_source_remove);
  g_clear_handle_id(&worker->gone_source, g_source_remove);
  if (worker->control >= 0)
    close(worker->control);
  if (worker->pidfd >= 0)
    close(worker->pidfd);
  fail_requests(worker);
  if (worker->process && worker->process->exited)
    g_free(worker->process);
  else if (worker->process)
    worker->process->forgotten = true;
  g_free(worker);
}

void wsd_worker_dismiss(struct wsd_worker *worker) {
  if (worker->control >= 0)
    expect_exit(worker);
  wsd_worker_let_go(worker);
}

void wsd_worker_free(struct wsd_worker *worker) {
  if (worker->control >= 0)
    wsd_worker_kill(worker);
  wsd_worker_let_go(worker);
}

static bool send_record(struct wsd_worker *worker, const struct wsc_control_writer *writer, const int *fds,
                        size_t fd_count) {
  size_t length = wsc_control_finish(writer);
  if (length > 0 && worker->control >= 0 &&
      wsc_control_send(worker->control, writer->octets, length, fds, fd_count) == (ssize_t)length)
    return true;
  if (worker->control < 0)
    return false;
  if (length == 0 || errno == EAGAIN)
    wsd_worker_break_off(worker, length == 0 ? "a record that does not fit" : "it does not read its control socket");
  else
    lose(worker); /* it has just died */
  return false;
}

bool wsd_worker_attach_app(struct wsd_worker *worker, const struct wsd_app_channel *channel) {
  guint8 room[64];
  struct wsc_control_writer writer;
  bool shared = wsd_app_channel_is_shared(channel);
  wsc_control_begin(&writer, room, sizeof room, shared ? WSC_CONTROL_ATTACH_SHARED : WSC_CONTROL_ATTACH, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_ACKNOWLEDGED | WSC_CRITICAL, 0);
  if (shared)
    wsc_control_add_u64(&writer, WSC_FIELD_ARENA | WSC_CRITICAL, WSC_ARENA_SIZE);
  return send_record(worker, &writer, channel->fds, wsd_app_channel_count(channel));
}

static bool attach(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int channel) {
  guint8 room[128];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_ATTACH, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_ACKNOWLEDGED | WSC_CRITICAL, 1);
  wsc_control_add_u32(&writer, WSC_FIELD_WINDOW_EVENTS, settings->window_events);
  wsc_control_add_u64(&writer, WSC_FIELD_WINDOW_OCTETS, settings->window_octets);
  return send_record(worker, &writer, &channel, 1);
}

/* A worker that does not know the field must not serve as if there were none. */
static void add_origins(struct wsc_control_writer *writer, const struct wsd_worker_settings *settings) {
  if (!settings->allowed_origins)
    return;
  g_autofree char *list = g_strjoinv(" ", (GStrv)settings->allowed_origins);
  wsc_control_add_text(writer, WSC_FIELD_ALLOWED_ORIGINS | WSC_CRITICAL, list);
}

/* What can be adjusted while it runs, and the size of messages, without which limits are none. */
static void add_terms(struct wsc_control_writer *writer, const struct wsd_worker_settings *settings) {
  wsc_control_add_u32(writer, WSC_FIELD_MAX_CLIENTS, settings->max_clients);
  wsc_control_add_u32(writer, WSC_FIELD_MAX_PER_CLIENT, settings->max_per_client);
  wsc_control_add_u64(writer, WSC_FIELD_MAX_MESSAGE, settings->max_message);
  wsc_control_add_u32(writer, WSC_FIELD_HANDSHAKE_TIMEOUT, settings->handshake_timeout);
  wsc_control_add_u32(writer, WSC_FIELD_CONNECTION_RATE, settings->connection_rate);
  wsc_control_add_u32(writer, WSC_FIELD_BAN_SECONDS, settings->ban_seconds);
  wsc_control_add_u32(writer, WSC_FIELD_MAX_CONNECTIONS, settings->max_connections);
  wsc_control_add_u32(writer, WSC_FIELD_MAX_QUEUE, settings->max_queue);
  wsc_control_add_u64(writer, WSC_FIELD_MAX_MEMORY, settings->max_memory);
  /* A worker that does not know of it must not let such peers in. */
  if (settings->require_origin)
    wsc_control_add_u32(writer, WSC_FIELD_ORIGIN_REQUIRED | WSC_CRITICAL, 1);
  else
    wsc_control_add_u32(writer, WSC_FIELD_ORIGIN_REQUIRED, 0);
}

/* The pid of one that an earlier process started is in no way ours to guess: see proc(5), fdinfo of a pidfd. */
static pid_t pid_of(const struct wsd_worker *worker) {
  if (worker->process)
    return worker->process->exited ? 0 : worker->process->pid;
  return worker->pidfd >= 0 ? (pid_t)wsd_pidfd_number(worker->pidfd) : 0;
}

static void renice(const struct wsd_worker *worker, guint32 nice_value) {
  pid_t pid = pid_of(worker);
  if (pid > 0 && getpriority(PRIO_PROCESS, (id_t)pid) != (int)nice_value)
    (void)setpriority(PRIO_PROCESS, (id_t)pid, (int)nice_value); /* back to a lower value only where that is allowed */
}

void wsd_worker_adjust(struct wsd_worker *worker, const struct wsd_worker_settings *settings) {
  guint8 room[512];
  struct wsc_control_writer writer;
  renice(worker, settings->nice);
  if (worker->last_request < WSC_CONTROL_ADJUST) /* of a release whose limits stay */
    return;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_ADJUST, 0);
  add_terms(&writer, settings);
  send_record(worker, &writer, NULL, 0);
}

bool wsd_worker_configure(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int listener,
                          int channel) {
  guint8 room[4096 + WSD_ORIGINS_MAX * (WSD_ORIGIN_TEXT_MAX + 1)];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_CONFIGURE, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  wsc_control_add_text(&writer, WSC_FIELD_NAME, settings->name);
  wsc_control_add_u64(&writer, WSC_FIELD_GENERATION, settings->generation);
  wsc_control_add_text(&writer, WSC_FIELD_PROTOCOL, settings->protocol);
  wsc_control_add_u32(&writer, WSC_FIELD_PING_INTERVAL, settings->ping_interval);
  wsc_control_add_u32(&writer, WSC_FIELD_PONG_TIMEOUT, settings->pong_timeout);
  add_terms(&writer, settings);
  add_origins(&writer, settings);
  wsc_control_add_u32(&writer, WSC_FIELD_COMPRESSION, settings->compression);
  bool tls = settings->vault >= 0;
  if (tls) { /* a worker that does not know of TLS must not serve without */
    wsc_control_add_u32(&writer, WSC_FIELD_TLS | WSC_CRITICAL, 1);
    wsc_control_add_u32(&writer, WSC_FIELD_TLS_MIN_VERSION | WSC_CRITICAL, settings->tls_min_version);
  }
  const int fds[] = {listener, settings->vault};
  renice(worker, settings->nice);
  return send_record(worker, &writer, fds, tls ? 2 : 1) && (channel < 0 || attach(worker, settings, channel));
}

bool wsd_worker_prepare(struct wsd_worker *worker, int vault, const struct wsd_certificate_files *files,
                        int former_vault) {
  guint8 room[WSC_KEY_PASSWORD_MAX + 64];
  struct wsc_control_writer writer;
  bool has_file = files->client_ca >= 0, has_former = !has_file && former_vault >= 0;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_PREPARE, 0);
  if (files->password)
    wsc_control_add_text(&writer, WSC_FIELD_KEY_PASSWORD, files->password);
  wsc_control_add_u32(&writer, WSC_FIELD_CLIENT_CA,
                      has_file     ? WSC_CLIENT_CA_FILE
                      : has_former ? WSC_CLIENT_CA_VAULT
                                   : WSC_CLIENT_CA_NONE);
  const int fds[] = {vault, files->certificate, files->private_key, has_file ? files->client_ca : former_vault};
  bool sent = send_record(worker, &writer, fds, has_file || has_former ? 4 : 3);
  explicit_bzero(room, sizeof room);
  return sent;
}

bool wsd_worker_stop(struct wsd_worker *worker, guint16 code, guint32 deadline_ms) {
  guint8 room[64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_STOP, ++worker->last_tag);
  wsc_control_add_u32(&writer, WSC_FIELD_CODE, code);
  wsc_control_add_u32(&writer, WSC_FIELD_DEADLINE, deadline_ms);
  worker->stop_tag = worker->last_tag;
  worker->stopping = true;
  return send_record(worker, &writer, NULL, 0);
}

static void ask_with(struct wsd_worker *worker, struct wsc_control_writer *writer, guint16 expected,
                     wsd_worker_answer answer, void *user, const int *fds, size_t fd_count) {
  struct request *request = g_new(struct request, 1);
  *request = (struct request){worker->last_tag, expected, answer, user};
  g_queue_push_tail(&worker->requests, request);
  /* When sending fails, the worker is lost and report_gone() answers. */
  send_record(worker, writer, fds, fd_count);
}

static void ask(struct wsd_worker *worker, struct wsc_control_writer *writer, guint16 expected,
                wsd_worker_answer answer, void *user) {
  ask_with(worker, writer, expected, answer, user, NULL, 0);
}

/* The answer to a question of ours stands behind everything that was meant for an earlier process. */
static void on_synchronised(void *user, const struct wsc_control_record *record) {
  struct wsd_worker *worker = user;
  if (!record)
    return;
  worker->synchronised = worker->begun = true;
  worker->events.ready(worker->user);
}

void wsd_worker_synchronise(struct wsd_worker *worker) {
  wsd_worker_ask_counters(worker, on_synchronised, worker);
}

bool wsd_worker_attach(struct wsd_worker *worker, const struct wsd_worker_settings *settings, int channel) {
  bool attached = attach(worker, settings, channel);
  wsd_worker_synchronise(worker);
  return attached;
}

void wsd_worker_ask_counters(struct wsd_worker *worker, wsd_worker_answer answer, void *user) {
  guint8 room[16];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_STATISTICS, ++worker->last_tag);
  ask(worker, &writer, WSC_CONTROL_COUNTERS, answer, user);
}

void wsd_worker_ask_connections(struct wsd_worker *worker, guint64 after, wsd_worker_answer answer, void *user) {
  guint8 room[32];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_LIST, ++worker->last_tag);
  wsc_control_add_u64(&writer, WSC_FIELD_AFTER, after);
  ask(worker, &writer, WSC_CONTROL_CONNECTIONS, answer, user);
}

void wsd_worker_replace_certificate(struct wsd_worker *worker, int vault, wsd_worker_answer answer, void *user) {
  guint8 room[16];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_REPLACE_CERTIFICATE, ++worker->last_tag);
  ask_with(worker, &writer, WSC_CONTROL_REPLACED, answer, user, &vault, 1);
}

char *wsd_worker_replacement_fault(const struct wsc_control_record *record) {
  struct wsc_control_field field;
  return wsc_control_find(record, WSC_FIELD_TEXT, &field) ? record_text(record) : NULL;
}

void wsd_worker_ask_bans(struct wsd_worker *worker, wsd_worker_answer answer, void *user) {
  guint8 room[16];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_LIST_BANS, ++worker->last_tag);
  ask(worker, &writer, WSC_CONTROL_BANS, answer, user);
}

void wsd_worker_ask_to_clear_ban(struct wsd_worker *worker, const struct wsc_address *address, wsd_worker_answer answer,
                                 void *user) {
  guint8 room[64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_CLEAR_BAN, ++worker->last_tag);
  wsc_control_add_address(&writer, address);
  ask(worker, &writer, WSC_CONTROL_RESULT, answer, user);
}

void wsd_worker_ask_to_close(struct wsd_worker *worker, guint64 connection, guint16 code, const char *reason,
                             wsd_worker_answer answer, void *user) {
  guint8 room[WSC_REASON_MAX + 64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_CLOSE, ++worker->last_tag);
  wsc_control_add_u64(&writer, WSC_FIELD_CONNECTION, connection);
  wsc_control_add_u32(&writer, WSC_FIELD_CODE, code);
  wsc_control_add_text(&writer, WSC_FIELD_REASON, reason);
  ask(worker, &writer, WSC_CONTROL_RESULT, answer, user);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side of the control socket against workers that keep no rule. The program plays both: run with
 * the name "worker" it is the hostile worker, which does what its file name says. */
#include "daemon/worker-process.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct seen {
  guint notices;
  bool ready, gone, stopped;
  char *failed;
  guint answers, empty_answers;
};

static void on_ready(void *user) {
  ((struct seen *)user)->ready = true;
}
static void on_failed(void *user, guint32 number, const char *text) {
  (void)number;
  ((struct seen *)user)->failed = g_strdup(text);
}
static void on_stopped(void *user, const struct wsc_counters *counters) {
  (void)counters;
  ((struct seen *)user)->stopped = true;
}
static void on_channel_ended(void *user, const char *text) {
  (void)user;
  (void)text;
}
static void on_gone(void *user) {
  ((struct seen *)user)->gone = true;
}
static void on_notice(void *user, const struct wsd_notice *notice) {
  (void)notice;
  ((struct seen *)user)->notices++;
}
static void on_answer(void *user, const struct wsc_control_record *record) {
  struct seen *seen = user;
  seen->answers++;
  seen->empty_answers += record == NULL;
}
static const struct wsd_worker_events events = {on_ready, on_failed, on_stopped, on_channel_ended, on_gone, on_notice};

/* The worker's part */

static void put(guint16 type, guint32 tag) {
  guint8 room[256];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, type, tag);
  if (type == WSC_CONTROL_READY)
    wsc_control_add_u32(&writer, WSC_FIELD_VERSION, WSC_CONTROL_VERSION);
  if (type == WSC_CONTROL_FAILED)
    wsc_control_add_text(&writer, WSC_FIELD_TEXT, "no\xffway");
  wsc_control_send(WSC_CONTROL_FD, room, wsc_control_finish(&writer), NULL, 0);
}

static int play_worker(const char *part) {
  if (g_str_equal(part, "garbage"))
    wsc_control_send(WSC_CONTROL_FD, (const guint8 *)"nonsense", 3, NULL, 0);
  else if (g_str_equal(part, "unknown"))
    put(999, 0);
  else if (g_str_equal(part, "unasked"))
    put(WSC_CONTROL_COUNTERS, 7);
  else if (g_str_equal(part, "stopped"))
    put(WSC_CONTROL_STOPPED, 0);
  else if (g_str_equal(part, "failed"))
    put(WSC_CONTROL_FAILED, 0);
  else if (g_str_equal(part, "descriptor"))
    wsc_control_send(WSC_CONTROL_FD, (const guint8 *)"\x20\0\0\0\0\0\0\0", 8, &(const int){0}, 1);
  else if (g_str_equal(part, "ready"))
    put(WSC_CONTROL_READY, 0);
  else if (g_str_equal(part, "ready-ready") || g_str_equal(part, "ready-failed")) {
    put(WSC_CONTROL_READY, 0);
    put(g_str_equal(part, "ready-ready") ? WSC_CONTROL_READY : WSC_CONTROL_FAILED, 0);
  } else if (g_str_equal(part, "stays")) {
    put(WSC_CONTROL_READY, 0);
    for (;;)
      pause();
  } else if (g_str_equal(part, "exit"))
    return 0;
  else if (g_str_equal(part, "rogue")) {
    close(WSC_CONTROL_FD);
    for (;;)
      pause();
  }
  guint8 octet;
  while (read(WSC_CONTROL_FD, &octet, 1) > 0) /* until the daemon lets go */
    continue;
  return 0;
}

/* The test's part */

struct player {
  char *folder, *path;
};

static struct player player_new(const char *part) {
  struct player player;
  g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
  g_autofree char *name = g_strconcat("worker-", part, NULL);
  player.folder = g_dir_make_tmp("wsserverd-worker-XXXXXX", NULL);
  player.path = g_build_filename(player.folder, name, NULL);
  g_assert_cmpint(symlink(self, player.path), ==, 0);
  return player;
}

static void player_free(struct player *player) {
  g_unlink(player->path);
  g_rmdir(player->folder);
  g_free(player->path);
  g_free(player->folder);
}

static void wait_for(const bool *flag) {
  while (!*flag)
    g_main_context_iteration(NULL, TRUE);
}

static void test_rule_breaker_is_ended(gconstpointer data) {
  struct seen seen = {0};
  struct player player = player_new(data);
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  g_assert_nonnull(worker);
  wait_for(&seen.gone);
  g_assert_false(seen.stopped);
  g_assert_false(seen.ready);
  wsd_worker_free(worker);
  player_free(&player);
}

static void test_reason_is_made_text(void) {
  struct seen seen = {0};
  struct player player = player_new("failed");
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  while (!seen.failed)
    g_main_context_iteration(NULL, TRUE);
  g_assert_cmpstr(seen.failed, ==, "no\xef\xbf\xbdway");
  g_free(seen.failed);
  wsd_worker_free(worker);
  player_free(&player);
}

static void test_exit_answers_requests(void) {
  struct seen seen = {0};
  struct player player = player_new("exit");
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  wsd_worker_ask_counters(worker, on_answer, &seen);
  wsd_worker_ask_connections(worker, 0, on_answer, &seen);
  wait_for(&seen.gone);
  g_assert_cmpuint(seen.answers, ==, 2);
  g_assert_cmpuint(seen.empty_answers, ==, 2);
  wsd_worker_free(worker);
  player_free(&player);
}

static void test_rogue_is_ended(void) {
  struct seen seen = {0};
  struct player player = player_new("rogue");
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  wait_for(&seen.gone);
  int pidfd = dup(wsd_worker_pidfd(worker));
  wsd_worker_free(worker);
  struct pollfd ended = {.fd = pidfd, .events = POLLIN};
  while (poll(&ended, 1, 0) == 0) /* readable once the process has ended */
    g_main_context_iteration(NULL, TRUE);
  close(pidfd);
  player_free(&player);
}

/* It is ready once, or it has failed once. */
static void test_second_answer_is_a_fault(gconstpointer data) {
  struct seen seen = {0};
  struct player player = player_new(data);
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  wait_for(&seen.gone);
  g_assert_true(seen.ready);
  g_assert_null(seen.failed);
  wsd_worker_free(worker);
  player_free(&player);
}

static void test_who_should_leave_and_stays_is_ended(void) {
  struct seen seen = {0};
  struct player player = player_new("stays");
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  wait_for(&seen.ready);
  struct pollfd ended = {.fd = dup(wsd_worker_pidfd(worker)), .events = POLLIN};
  wsd_worker_dismiss(worker);
  while (poll(&ended, 1, 0) == 0)
    g_main_context_iteration(NULL, TRUE);
  close(ended.fd);
  player_free(&player);
}

static void test_free_answers_requests(void) {
  struct seen seen = {0};
  struct player player = player_new("ready");
  struct wsd_worker *worker = wsd_worker_spawn(player.path, &events, &seen, NULL);
  wait_for(&seen.ready);
  wsd_worker_ask_counters(worker, on_answer, &seen);
  wsd_worker_free(worker);
  g_assert_cmpuint(seen.empty_answers, ==, 1);
  g_assert_false(seen.gone);
  player_free(&player);
}

static void test_missing_program(void) {
  struct seen seen = {0};
  g_autoptr(GError) error = NULL;
  g_assert_null(wsd_worker_spawn("/nonexistent/worker", &events, &seen, &error));
  g_assert_nonnull(error);
}

int main(int argc, char **argv) {
  g_autofree char *name = g_path_get_basename(argv[0]);
  if (g_str_has_prefix(name, "worker-"))
    return play_worker(name + strlen("worker-"));
  g_test_init(&argc, &argv, NULL);
  g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* warnings are what the daemon owes here */
  static const char *const parts[] = {"garbage", "unknown", "unasked", "stopped", "descriptor"};
  for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
    g_autofree char *path = g_strconcat("/worker-process/a worker that breaks the rules is ended/", parts[i], NULL);
    g_test_add_data_func(path, parts[i], test_rule_breaker_is_ended);
  }
  g_test_add_data_func("/worker-process/a worker is ready but once", "ready-ready", test_second_answer_is_a_fault);
  g_test_add_data_func("/worker-process/a worker that is ready has not failed", "ready-failed",
                       test_second_answer_is_a_fault);
  g_test_add_func("/worker-process/a worker that should leave by itself and stays is ended",
                  test_who_should_leave_and_stays_is_ended);
  g_test_add_func("/worker-process/its reason becomes valid text", test_reason_is_made_text);
  g_test_add_func("/worker-process/whoever asked a worker that died is answered", test_exit_answers_requests);
  g_test_add_func("/worker-process/a worker that closes its control socket and goes on is ended", test_rogue_is_ended);
  g_test_add_func("/worker-process/whoever asked a worker that is dropped is answered", test_free_answers_requests);
  g_test_add_func("/worker-process/a program that is not there is an error", test_missing_program);
  return g_test_run();
}

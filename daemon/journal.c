/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/journal.h"

#include "daemon/app.h"
#include "daemon/limits.h"
#include "daemon/printable.h"
#include "daemon/server.h"

/* Message id, and priority as syslog(3) numbers it. */
static const struct {
  const char *id;
  const char *priority;
} events[WSD_EVENT_COUNT] = {
    [WSD_EVENT_READY] = {"aa15f2876536b4aa35bb003d8892f51f", "5"},
    [WSD_EVENT_RELOADED] = {"a9fde3fa700562ef75440aebbcf7394f", "5"},
    [WSD_EVENT_NOT_RELOADED] = {"5a6f74d1defd1e4a617e747e4c0dc133", "3"},
    [WSD_EVENT_RULE_IDLE] = {"19816233ae3e7db98c93212380e2b413", "4"},
    [WSD_EVENT_STARTED] = {"620e03a142415f3f936fb94548e5ec56", "6"},
    [WSD_EVENT_STOPPED] = {"61618fe71a521f2a39a84ff07cf8bb45", "6"},
    [WSD_EVENT_START_REFUSED] = {"814b424bbaa8deb8631d9619f28b4951", "5"},
    [WSD_EVENT_FORBIDDEN] = {"0964c4dce8b243fc67110668ac67cfce", "4"},
    [WSD_EVENT_QUOTA] = {"a95c0d632b9ee0d0c5ae5b9685cb43a5", "4"},
    [WSD_EVENT_WORKER_DIED] = {"47f74d5ff963bb6175196fda056a72e6", "4"},
    [WSD_EVENT_WORKER_FAULT] = {"e0e54a858fa41badbfbd6333d4ea7ef6", "4"},
    [WSD_EVENT_SERVER_FAILED] = {"6525681d31e12e6ea99b9e11f81c58a0", "3"},
    [WSD_EVENT_BANNED] = {"a31c719d095d89413f801be1147400cc", "5"},
    [WSD_EVENT_PEERS_REFUSED] = {"30ed80c3548f4fc83afc48cf41a9c894", "6"},
    [WSD_EVENT_ADMINISTERED] = {"b431345670148e1558e320a48c523301", "5"},
    [WSD_EVENT_LEFT_OUT] = {"baf1c56bbfed5c9cf9569d3858e9659b", "4"},
};

struct wsd_scene wsd_scene_of_app(const struct wsd_app *app) {
  return (struct wsd_scene){
      .account = app->account,
      .sender = app->name,
      .unit = app->identity ? app->identity->unit : NULL,
  };
}

struct wsd_scene wsd_scene_of_server(const struct wsd_server *server) {
  struct wsd_scene scene = wsd_scene_of_app(wsd_server_app(server));
  scene.server = wsd_server_path(server);
  scene.rule = wsd_server_rule(server);
  return scene;
}

#define FIELDS_MAX 12

struct line {
  GLogField fields[FIELDS_MAX];
  char *texts[FIELDS_MAX]; /* escaped; owned */
  gsize count;
};

/* `value` is a constant, or a text that is escaped first. */
static void add_constant(struct line *line, const char *key, const char *value) {
  line->fields[line->count++] = (GLogField){key, value, -1};
}

static void add(struct line *line, const char *key, const char *value) {
  if (!value)
    return;
  line->texts[line->count] = wsd_printable(value, WSD_LOG_TEXT_MAX);
  add_constant(line, key, line->texts[line->count]);
}

static void write_line(enum wsd_event event, const struct wsd_scene *scene, const char *message) {
  struct line line = {.count = 0};
  add(&line, "MESSAGE", message);
  add_constant(&line, "MESSAGE_ID", events[event].id);
  add_constant(&line, "PRIORITY", events[event].priority);
  add_constant(&line, "GLIB_DOMAIN", G_LOG_DOMAIN);
  add_constant(&line, "SYSLOG_IDENTIFIER", "wsserverd");
  add(&line, "WSSERVERD_APP", scene->account ? scene->account->app_id : NULL);
  add(&line, "WSSERVERD_SENDER", scene->sender);
  add(&line, "WSSERVERD_UNIT", scene->unit);
  add(&line, "WSSERVERD_SERVER", scene->server);
  add(&line, "WSSERVERD_PEER", scene->peer);
  add(&line, "WSSERVERD_RULE", scene->rule);
  add(&line, "WSSERVERD_ERROR", scene->error);
  g_log_structured_array(G_LOG_LEVEL_MESSAGE, line.fields, line.count);
  for (gsize i = 0; i < line.count; i++)
    g_free(line.texts[i]);
}

/* Whether the account may cause another line. What it may comes back as time goes by. */
static bool take_turn(struct wsd_account *account) {
  gint64 now = g_get_monotonic_time();
  gint64 earned = (now - account->log_since) / (WSD_LOG_LINE_MS * 1000);
  if (earned > 0) {
    account->log_lines -= (guint)MIN(earned, account->log_lines);
    account->log_since += earned * WSD_LOG_LINE_MS * 1000;
  }
  if (account->log_lines >= WSD_LOG_LINES_MAX) {
    account->log_left_out++;
    return false;
  }
  account->log_lines++;
  return true;
}

static void settle(struct wsd_account *account) {
  const struct wsd_scene scene = {.account = account};
  if (account->log_left_out == 0)
    return;
  g_autofree char *text =
      g_strdup_printf("%s caused %u more lines, which were left out", account->app_id, account->log_left_out);
  account->log_left_out = 0;
  write_line(WSD_EVENT_LEFT_OUT, &scene, text);
}

void wsd_journal_settle_last(struct wsd_account *account) {
  gint64 now = g_get_monotonic_time();
  if (account->log_told != 0 && now - account->log_told < WSD_LOG_TOLD_MS * 1000)
    return;
  if (account->log_left_out > 0)
    account->log_told = now;
  settle(account);
}

void wsd_journal(enum wsd_event event, const struct wsd_scene *scene, const char *format, ...) {
  static const struct wsd_scene nothing = {0};
  scene = scene ? scene : &nothing;
  if (scene->account && !take_turn(scene->account))
    return;
  if (scene->account)
    settle(scene->account);
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *message = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  write_line(event, scene, message);
}

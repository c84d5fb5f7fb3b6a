/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What D-Bus signals cost by themselves: one process that sends them with GDBus, one that receives and unpacks them, and nothing
 * else. The receiver acknowledges in steps, or the sender would fill the bus. The sender measures; it obeys the same
 * commands as the load generator.
 */
#include "tools/bench/load/clock.h"
#include "tools/bench/load/failure.h"
#include "tools/bench/load/result.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WINDOW 256u /* signals on their way */
#define STEP 32u    /* acknowledged at a time */
#define SIZE_MAX_HERE 65536u
#define PATH "/org/wsserver1/bench"
#define INTERFACE "org.wsserver1.Bench"

struct side {
  GDBusConnection *bus;
  guint64 count; /* of the receiver: received; of the sender: acknowledged */
  guint64 sent;  /* of the sender */
  char *other;   /* unique name of the receiver */
  unsigned size;
  struct load_processes processes;
};

static void subscribe(struct side *side, GDBusSignalCallback on_signal) {
  g_autoptr(GError) error = NULL;
  side->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
  if (side->bus == NULL)
    load_fail(LOAD_STATUS_SYSTEM, "%s", error->message);
  g_dbus_connection_signal_subscribe(side->bus, NULL, INTERFACE, NULL, PATH, NULL, G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE,
                                     on_signal, side, NULL);
}

static void emit(struct side *side, const char *to, const char *name, GVariant *arguments) {
  g_autoptr(GError) error = NULL;
  if (!g_dbus_connection_emit_signal(side->bus, to, PATH, INTERFACE, name, arguments, &error))
    load_fail(LOAD_STATUS_SYSTEM, "%s", error->message);
}

/* ---- The receiver ---- */

static void on_message(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                       const char *name, GVariant *arguments, gpointer user) {
  struct side *side = user;
  guint64 connection;
  gboolean text;
  g_autoptr(GVariant) data = NULL;
  (void)bus;
  (void)path;
  (void)interface;
  (void)name;
  g_variant_get(arguments, "(tb@ay)", &connection, &text, &data);
  if (g_variant_get_size(data) == 0 || connection != ++side->count)
    load_fail(LOAD_STATUS_SERVER, "a signal is missing");
  if (side->count % STEP == 0)
    emit(side, sender, "Acknowledge", g_variant_new("(t)", side->count));
}

static _Noreturn void receive(int name) {
  struct side side = {0};
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  subscribe(&side, on_message);
  dprintf(name, "%s\n", g_dbus_connection_get_unique_name(side.bus));
  close(name);
  g_main_loop_run(g_main_loop_new(NULL, FALSE));
  abort();
}

/* ---- The sender ---- */

static void on_acknowledge(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                           const char *name, GVariant *arguments, gpointer user) {
  struct side *side = user;
  (void)bus;
  (void)sender;
  (void)path;
  (void)interface;
  (void)name;
  g_variant_get(arguments, "(t)", &side->count);
}

/* Sends until `end`, or with 0 until all has arrived. */
static void go_on(struct side *side, uint64_t end) {
  static const uint8_t payload[SIZE_MAX_HERE];
  while (end ? load_now() < end : side->count + STEP <= side->sent) {
    for (unsigned i = 0; end && i < STEP && side->sent - side->count < WINDOW; i++) {
      GVariant *data = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, payload, side->size, 1);
      emit(side, side->other, "MessageReceive", g_variant_new("(tb@ay)", ++side->sent, FALSE, data));
    }
    g_main_context_iteration(NULL, end == 0 || side->sent - side->count >= WINDOW);
  }
}

static void run(struct side *side, uint64_t warmup, uint64_t duration) {
  struct load_result result;
  go_on(side, load_now() + warmup);
  const uint64_t before = side->count;
  load_account_read(&side->processes, &result.begin);
  go_on(side, result.begin.at + duration);
  load_account_read(&side->processes, &result.end);
  result.messages = side->count - before;
  go_on(side, 0);
  load_result_print(&result, &side->processes, NULL);
}

static void send_as_told(struct side *side) {
  char line[128];
  unsigned long warmup, duration;
  subscribe(side, on_acknowledge);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "run %lu %lu", &warmup, &duration) != 2)
      load_fail(LOAD_STATUS_USAGE, "there is no command %s", line);
    run(side, warmup * LOAD_MILLISECOND, duration * LOAD_MILLISECOND);
  }
}

int main(int argc, char **argv) {
  struct side side = {0};
  int name[2];
  char text[64] = "";
  if (argc != 3 || !load_processes_parse(&side.processes, argv[1]) || side.processes.count + 2 > LOAD_PROCESSES_MAX ||
      (side.size = (unsigned)strtoul(argv[2], NULL, 10)) == 0 || side.size > SIZE_MAX_HERE)
    load_fail(LOAD_STATUS_USAGE, "which processes does the bus have, and how many octets has a message?");
  if (pipe(name) != 0)
    load_fail(LOAD_STATUS_SYSTEM, "no pipe");
  const pid_t receiver = fork();
  if (receiver < 0)
    load_fail(LOAD_STATUS_SYSTEM, "no process");
  if (receiver == 0)
    receive(name[1]);
  close(name[1]);
  if (read(name[0], text, sizeof text - 1) <= 0)
    load_fail(LOAD_STATUS_SYSTEM, "the receiver is not on the bus");
  text[strcspn(text, "\n")] = 0;
  side.other = text;
  side.processes.pids[side.processes.count++] = getpid();
  side.processes.pids[side.processes.count++] = receiver;
  send_as_told(&side);
  return 0;
}

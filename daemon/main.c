/* SPDX-License-Identifier: Apache-2.0 */
/* wsserverd: options, signals, main loop. Everything else is in the library. */
#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/departure.h"
#include "daemon/device-profile.h"
#include "daemon/explain.h"
#include "daemon/journal.h"
#include "daemon/limits.h"
#include "daemon/policy.h"
#include "daemon/service.h"
#include "daemon/supervisor.h"

#include <glib-unix.h>
#include <glib.h>
#include <locale.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef WSD_WORKER_PATH
#define WSD_WORKER_PATH "/usr/libexec/wsserverd/wsserver-worker"
#endif

enum { EXIT_USAGE = 2, EXIT_MAY_NOT = 3, EXIT_IDLE = 77 };

#define IDLE_CHECK_MS 250u

struct options {
  gboolean session;
  gboolean check_config;
  gboolean version;
  gboolean explain;
  char *label;
  char *address;
  char *config;
};

struct program {
  GMainLoop *loop;
  struct wsd_supervisor *supervisor;
  struct wsd_service *service;
  struct wsd_bus *bus;
  struct wsd_departure *departure; /* NULL: not leaving */
  gint64 idle_since;               /* monotonic microseconds */
  guint64 left_seen;               /* clients that had left when memory was given back last */
  int status;
};

static bool parse_options(int *argc, char ***argv, struct options *options) {
  const GOptionEntry entries[] = {
      {"session", 0, 0, G_OPTION_ARG_NONE, &options->session, "Serve the session bus instead of the system bus", NULL},
      {"address", 0, 0, G_OPTION_ARG_STRING, &options->address, "Serve the bus at this D-Bus address", "ADDRESS"},
      {"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config, "Read this configuration file and no other", "FILE"},
      {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check_config, "Check the configuration and exit", NULL},
      {"explain", 0, 0, G_OPTION_ARG_NONE, &options->explain,
       "Tell what the policy says of USER, on PORT, on ADDRESS (default: 0.0.0.0), and exit", NULL},
      {"label", 0, 0, G_OPTION_ARG_STRING, &options->label, "With --explain: of a process with this security label",
       "LABEL"},
      {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL},
      G_OPTION_ENTRY_NULL,
  };
  g_autoptr(GOptionContext) context =
      g_option_context_new("[USER [PORT [ADDRESS]]] - WebSocket servers for apps, over D-Bus");
  g_option_context_add_main_entries(context, entries, NULL);
  g_option_context_set_description(
      context,
      "Exit status: 0 ended in order, 1 failed (the configuration is faulty, the bus name is taken), 2 wrong usage, "
      "3 --explain: may not serve, "
      "77 idle for as long as configured.\n"
      "Environment: WSSERVERD_WORKER is the path of wsserver-worker, for running from a build folder.\n");
  g_autoptr(GError) error = NULL;
  if (!g_option_context_parse(context, argc, argv, &error)) {
    g_printerr("wsserverd: %s; see wsserverd --help\n", error->message);
    return false;
  }
  int expected = options->explain ? 4 : 1;
  if (*argc > expected) {
    g_printerr("wsserverd: unexpected argument %s; see wsserverd --help\n", (*argv)[expected]);
    return false;
  }
  if (options->explain ? *argc < 2 : options->label != NULL) {
    g_printerr("wsserverd: --explain and a user belong together, and --label to them; see wsserverd --help\n");
    return false;
  }
  if (options->session && options->address) {
    g_printerr("wsserverd: --session and --address exclude each other\n");
    return false;
  }
  return true;
}

static char *bus_address(const struct options *options, GError **error) {
  if (options->address)
    return g_strdup(options->address);
  return g_dbus_address_get_for_bus_sync(options->session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, NULL, error);
}

static void on_departed(void *user) {
  struct program *program = user;
  g_main_loop_quit(program->loop);
}

static void leave(struct program *program, int status) {
  if (program->departure)
    return;
  program->status = status;
  program->departure = wsd_departure_begin(program->service, program->bus, on_departed, program);
}

static gboolean on_terminate(gpointer data) {
  leave(data, EXIT_SUCCESS);
  return G_SOURCE_CONTINUE;
}

/* Leaves when there was no server for as long as configured; the next call starts the service again. */
static gboolean check_idle(gpointer data) {
  struct program *program = data;
  guint limit = program->service->config->idle_exit_seconds;
  gint64 now = g_get_monotonic_time();
  if (limit == 0 || wsd_service_calls(program->service) > 0 || g_tree_nnodes(program->service->servers) > 0)
    program->idle_since = now;
  else if (now - program->idle_since >= limit * G_TIME_SPAN_SECOND)
    leave(program, EXIT_IDLE);
  return G_SOURCE_CONTINUE;
}

static gboolean on_hangup(gpointer data) {
  struct program *program = data;
  wsd_supervisor_reloading(program->supervisor);
  (void)wsd_service_reload(program->service, NULL); /* which says what came of it */
  wsd_supervisor_ready(program->supervisor);
  return G_SOURCE_CONTINUE;
}

static void on_bus_ready(void *user) {
  struct program *program = user;
  program->idle_since = g_get_monotonic_time();
  wsd_supervisor_ready(program->supervisor);
  const struct wsd_config *config = program->service->config;
  wsd_journal(WSD_EVENT_READY, NULL, "wsserverd " WSSERVERD_VERSION " is ready: device profile %s, %u rules",
              wsd_device_profile(config), wsd_policy_size(config->policy));
}

static void on_bus_refused(void *user, const char *text) {
  struct program *program = user;
  g_printerr("wsserverd: %s\n", text);
  program->status = EXIT_FAILURE;
  g_main_loop_quit(program->loop);
}

/* As many descriptors as may be had: servers cost a few each, workers inherit the limit. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/* What an ambient capability is for, binding ports below 1024, is done here: a worker starts without any. */
static void keep_capabilities_from_workers(void) {
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* What clients made us take goes back to the system some time after they have left, wherever in the heap it was. */
static gboolean give_memory_back(gpointer data) {
  struct program *program = data;
  guint64 left = program->service->apps_left;
  if (left != program->left_seen)
    (void)malloc_trim(0);
  program->left_seen = left;
  return G_SOURCE_CONTINUE;
}

/* Memory of large messages goes back at once; left alone, the allocator would learn to keep it after the first one. One heap
 * for both threads: calls are read by one and freed by the other. */
static void tidy_memory(void) {
  (void)mallopt(M_ARENA_MAX, 1);
  (void)mallopt(M_MMAP_THRESHOLD, WSD_KEPT_MEMORY);
  (void)mallopt(M_TRIM_THRESHOLD, WSD_KEPT_MEMORY);
}

static int run(struct program *program, const char *address) {
  static const struct wsd_bus_events bus_events = {on_bus_ready, on_bus_refused};
  program->loop = g_main_loop_new(NULL, FALSE);
  guint sources[] = {
      g_unix_signal_add(SIGTERM, on_terminate, program),     g_unix_signal_add(SIGINT, on_terminate, program),
      g_unix_signal_add(SIGHUP, on_hangup, program),         g_timeout_add(IDLE_CHECK_MS, check_idle, program),
      g_timeout_add(WSD_TRIM_MS, give_memory_back, program),
  };
  program->bus = wsd_bus_new(program->service, address, &bus_events, program);
  g_main_loop_run(program->loop);
  wsd_departure_free(program->departure);
  wsd_bus_free(program->bus);
  for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
    g_source_remove(sources[i]);
  g_main_loop_unref(program->loop);
  return program->status;
}

static int explain(const struct wsd_config *config, const struct options *options, char **arguments) {
  const struct wsd_question question = {
      .user = arguments[1],
      .label = options->label,
      .port = arguments[2],
      .address = arguments[2] ? arguments[3] : NULL,
  };
  g_autoptr(GError) error = NULL;
  GString *words = g_string_new(NULL);
  enum wsd_verdict verdict = wsd_explain(config, &question, words, &error);
  if (verdict == WSD_VERDICT_FAULT)
    g_printerr("wsserverd: %s\n", error->message);
  else
    g_print("%s", words->str);
  g_string_free(words, TRUE);
  return verdict == WSD_VERDICT_FAULT ? EXIT_FAILURE : verdict == WSD_VERDICT_MAY ? EXIT_SUCCESS : EXIT_MAY_NOT;
}

static int start(const struct options *options, char **arguments) {
  struct wsd_config_source source = wsd_config_default_source();
  source.file = options->config;
  g_autoptr(GError) error = NULL;
  struct wsd_config *config = wsd_config_load(&source, &error);
  if (!config) {
    g_printerr("wsserverd: %s\n", error->message);
    return EXIT_FAILURE;
  }
  if (options->explain) {
    int status = explain(config, options, arguments);
    wsd_config_free(config);
    return status;
  }
  if (options->check_config) {
    wsd_config_free(config);
    g_print("wsserverd: the configuration is right\n");
    return EXIT_SUCCESS;
  }
  g_autofree char *address = bus_address(options, &error);
  if (!address) {
    wsd_config_free(config);
    g_printerr("wsserverd: %s\n", error->message);
    return EXIT_FAILURE;
  }
  const char *worker = g_getenv("WSSERVERD_WORKER");
  bool system_bus = !options->session && !options->address;
  struct program program = {.supervisor = wsd_supervisor_new()};
  program.service = wsd_service_new(&source, config, worker ? worker : WSD_WORKER_PATH, system_bus, program.supervisor);
  int status = run(&program, address);
  wsd_service_free(program.service);
  wsd_supervisor_free(program.supervisor);
  return status;
}

int main(int argc, char **argv) {
  setlocale(LC_ALL, "");
  struct options options = {0};
  int status = EXIT_SUCCESS;
  if (!parse_options(&argc, &argv, &options))
    status = EXIT_USAGE;
  else if (options.version)
    g_print("wsserverd " WSSERVERD_VERSION "\n");
  else {
    raise_descriptor_limit();
    tidy_memory();
    keep_capabilities_from_workers();
    status = start(&options, argv);
  }
  g_free(options.address);
  g_free(options.config);
  g_free(options.label);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app for tests: does with libwsserver what it is told on its standard input, one JSON object a line, and prints every event and answer as another.
 *
 *   {"do": "new", "server": NAME, "system": use ws_server_new(), "thread": in a thread of its own}
 *   {"do": "restart", "server": NAME, "restart": whether it comes back by itself, which these servers do not at first}
 *   {"do": "cancel", "cancellable": NAME}   at once, whatever the main loop is at
 *   {"do": "figures"}                       heap in use, open descriptors, and how often the main loop has polled
 *   {"do": "quit"}                          as the end of the input: everything is let go of
 *   {"do": "return"}                        main() returns as it is
 *
 * All others, of commands.c, are about the server whose name they carry. "tag" comes back with the answer.
 */
#include "tests/client-lib/actor.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
  GMainLoop *loop;
  GDBusConnection *bus;
  GHashTable *actors;
  GHashTable *cancellables;
  GMutex mutex; /* of both tables */
  gboolean lets_go;
} driver;

GCancellable *driver_get_cancellable(const char *name) {
  g_mutex_lock(&driver.mutex);
  GCancellable *cancellable = g_hash_table_lookup(driver.cancellables, name);
  if (cancellable == NULL) {
    cancellable = g_cancellable_new();
    g_hash_table_insert(driver.cancellables, g_strdup(name), cancellable);
  }
  g_mutex_unlock(&driver.mutex);
  return cancellable;
}

struct actor *driver_find_actor(const char *name) {
  g_mutex_lock(&driver.mutex);
  struct actor *actor = name != NULL ? g_hash_table_lookup(driver.actors, name) : NULL;
  g_mutex_unlock(&driver.mutex);
  return actor;
}

/* How often the main loop went to sleep: one that spins does so all the time. */
static gint polls;

static gint count_poll(GPollFD *descriptors, guint count, gint timeout) {
  g_atomic_int_inc(&polls);
  return g_poll(descriptors, count, timeout);
}

static guint64 count_descriptors(void) {
  g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
  guint64 count = 0;
  while (folder != NULL && g_dir_read_name(folder) != NULL)
    count++;
  return count - 1; /* the folder's own */
}

static void print_figures(struct json_object *command) {
  struct json_object *line = line_new("do", "figures");
  struct mallinfo2 info = mallinfo2();
  line_add(line, "tag", json_object_get(json_object_object_get(command, "tag")));
  line_add_number(line, "heap", info.uordblks + info.hblkhd);
  line_add_number(line, "descriptors", count_descriptors());
  line_add_number(line, "polls", (guint64)g_atomic_int_get(&polls));
  line_print(line);
}

static void make_actor(struct json_object *command) {
  const char *name = json_object_get_string(json_object_object_get(command, "server"));
  gboolean is_system = json_object_get_boolean(json_object_object_get(command, "system"));
  gboolean has_thread = json_object_get_boolean(json_object_object_get(command, "thread"));
  struct actor *actor = actor_new(name, is_system ? NULL : driver.bus, has_thread);
  g_mutex_lock(&driver.mutex);
  g_hash_table_replace(driver.actors, g_strdup(name), actor);
  g_mutex_unlock(&driver.mutex);
  struct json_object *line = line_new("do", "new");
  line_add(line, "tag", json_object_get(json_object_object_get(command, "tag")));
  line_print(line);
}

/* In the thread of the actor, or (data without one) in the main thread. */
static gboolean run_command(gpointer data) {
  struct json_object *command = data;
  const char *what = json_object_get_string(json_object_object_get(command, "do"));
  struct actor *actor = driver_find_actor(json_object_get_string(json_object_object_get(command, "server")));
  if (g_str_equal(what, "new")) {
    make_actor(command);
  } else if (g_str_equal(what, "figures")) {
    print_figures(command);
  } else if (g_str_equal(what, "quit") || g_str_equal(what, "return")) {
    driver.lets_go = g_str_equal(what, "quit");
    g_main_loop_quit(driver.loop);
  } else if (actor != NULL) {
    command_run(actor, command);
  } else {
    g_error("no such server: %s", json_object_to_json_string(command));
  }
  json_object_put(command);
  return G_SOURCE_REMOVE;
}

static void post(struct json_object *command) {
  struct actor *actor = driver_find_actor(json_object_get_string(json_object_object_get(command, "server")));
  if (actor != NULL) {
    actor_post(actor, run_command, command);
    return;
  }
  g_autoptr(GSource) source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_set_callback(source, run_command, command, NULL);
  g_source_attach(source, NULL);
}

static gpointer read_commands(gpointer unused) {
  g_autofree char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    struct json_object *command = json_tokener_parse(line);
    if (command == NULL)
      g_error("not JSON: %s", line);
    if (g_strcmp0(json_object_get_string(json_object_object_get(command, "do")), "cancel") != 0) {
      post(command);
      continue;
    }
    g_cancellable_cancel(
        driver_get_cancellable(json_object_get_string(json_object_object_get(command, "cancellable"))));
    json_object_put(command);
  }
  post(json_tokener_parse("{\"do\":\"quit\"}"));
  return unused;
}

static void let_go(void) {
  GHashTableIter iterator;
  gpointer actor;
  g_hash_table_iter_init(&iterator, driver.actors);
  while (g_hash_table_iter_next(&iterator, NULL, &actor))
    actor_free(actor);
  g_hash_table_unref(driver.actors);
  while (g_main_context_iteration(NULL, FALSE))
    ;
  g_hash_table_unref(driver.cancellables);
  /* GDBus's thread rests before leaks are looked for: in the middle of its work it holds what nobody else knows. */
  g_dbus_connection_flush_sync(driver.bus, NULL, NULL);
  g_dbus_connection_close_sync(driver.bus, NULL, NULL);
  g_clear_object(&driver.bus);
}

int main(void) {
  g_autoptr(GError) error = NULL;
  driver.loop = g_main_loop_new(NULL, FALSE);
  driver.actors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  driver.cancellables = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
  driver.bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
  if (driver.bus == NULL) {
    g_printerr("driver: %s\n", error->message);
    return EXIT_FAILURE;
  }
  g_dbus_connection_set_exit_on_close(driver.bus, FALSE);
  g_main_context_set_poll_func(NULL, count_poll);
  g_thread_unref(g_thread_new("reader", read_commands, NULL));
  line_print(line_new("event", "ready"));
  g_main_loop_run(driver.loop);
  if (driver.lets_go)
    let_go();
  return EXIT_SUCCESS;
}

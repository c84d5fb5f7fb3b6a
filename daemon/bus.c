/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bus.h"

#include "daemon/adoption.h"
#include "daemon/caller-unit.h"
#include "daemon/credentials.h"
#include "daemon/door.h"
#include "daemon/limits.h"
#include "daemon/names.h"

/* Of RequestName in the D-Bus specification. */
#define NAME_FLAG_DO_NOT_QUEUE 4u
#define NAME_REPLY_PRIMARY_OWNER 1u

struct wsd_bus {
  struct wsd_service *service;
  char *address;
  struct wsd_bus_events events;
  void *user;
  GDBusConnection *connection;
  GCancellable *cancellable;
  struct wsd_door *door;
  struct wsd_adoption *adoption; /* what an earlier process left; NULL once that is settled */
  guint subscription;            /* to NameOwnerChanged */
  gulong closed_handler;
  guint roll_source;
  guint retry_source;
  guint retry_delay;        /* milliseconds */
  bool settling;            /* the name is asked for, or the servers of an earlier process are being adopted */
  void (*left)(void *user); /* set while the service leaves */
  void *left_user;
};

static void connect_now(struct wsd_bus *bus);

static gboolean on_retry(gpointer data) {
  struct wsd_bus *bus = data;
  bus->retry_source = 0;
  connect_now(bus);
  return G_SOURCE_REMOVE;
}

static void retry_later(struct wsd_bus *bus) {
  bus->retry_source = g_timeout_add(bus->retry_delay, on_retry, bus);
  bus->retry_delay = MIN(bus->retry_delay * 2, WSD_RECONNECT_DELAY_MAX_MS);
}

static void disconnect(struct wsd_bus *bus) {
  if (!bus->connection)
    return;
  g_cancellable_cancel(bus->cancellable);
  g_clear_object(&bus->cancellable);
  g_dbus_connection_signal_unsubscribe(bus->connection, bus->subscription);
  g_signal_handler_disconnect(bus->connection, bus->closed_handler);
  g_clear_handle_id(&bus->roll_source, g_source_remove);
  g_clear_pointer(&bus->door, wsd_door_free);
  bus->settling = false;
  if (bus->adoption)
    wsd_adoption_interrupt(bus->adoption);
  wsd_service_set_connection(bus->service, NULL);
  g_clear_object(&bus->connection);
  void (*left)(void *user) = g_steal_pointer(&bus->left);
  if (left)
    left(bus->left_user);
}

static void on_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer data) {
  (void)connection;
  (void)vanished;
  struct wsd_bus *bus = data;
  g_warning("the bus is gone (%s): all servers end, because their owners are gone with it",
            error ? error->message : "closed");
  disconnect(bus);
  retry_later(bus);
}

static void on_name_owner_changed(GDBusConnection *connection, const gchar *sender, const gchar *path,
                                  const gchar *interface, const gchar *signal, GVariant *arguments, gpointer data) {
  (void)connection;
  (void)sender;
  (void)path;
  (void)interface;
  (void)signal;
  struct wsd_bus *bus = data;
  const char *name;
  const char *new_owner;
  if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)")))
    return;
  g_variant_get(arguments, "(&s&s&s)", &name, NULL, &new_owner);
  if (name[0] == ':' && new_owner[0] == '\0')
    wsd_service_name_vanished(bus->service, name);
}

/* ---- The roll ----
 * A bus drops NameOwnerChanged for a service whose queue other clients have filled. So now and then we ask who is still there. */

struct roll {
  struct wsd_bus *bus;
  GPtrArray *names; /* of the clients that we knew when we asked */
};

static void roll_free(struct roll *roll) {
  g_ptr_array_unref(roll->names);
  g_free(roll);
}

static void on_names(GObject *source, GAsyncResult *result, gpointer data) {
  struct roll *roll = data;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
  if (reply) { /* not cancelled, so the bus is still ours */
    g_autofree const char **names = NULL;
    g_autoptr(GHashTable) present = g_hash_table_new(g_str_hash, g_str_equal);
    g_variant_get(reply, "(^a&s)", &names);
    for (gsize i = 0; names[i]; i++)
      g_hash_table_add(present, (gpointer)names[i]);
    for (guint i = 0; i < roll->names->len; i++)
      if (!g_hash_table_contains(present, roll->names->pdata[i]))
        wsd_service_name_vanished(roll->bus->service, roll->names->pdata[i]);
  }
  roll_free(roll);
}

static gboolean call_roll(gpointer data) {
  struct wsd_bus *bus = data;
  if (g_hash_table_size(bus->service->apps) == 0 || bus->settling)
    return G_SOURCE_CONTINUE;
  struct roll *roll = g_new(struct roll, 1);
  *roll = (struct roll){bus, g_ptr_array_new_with_free_func(g_free)};
  GHashTableIter iterator;
  gpointer name;
  g_hash_table_iter_init(&iterator, bus->service->apps);
  while (g_hash_table_iter_next(&iterator, &name, NULL))
    g_ptr_array_add(roll->names, g_strdup(name));
  g_dbus_connection_call(bus->connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "ListNames", NULL, G_VARIANT_TYPE("(as)"),
                         G_DBUS_CALL_FLAGS_NONE, WSD_ROLL_MS, bus->cancellable, on_names, roll);
  return G_SOURCE_CONTINUE;
}

static void release_name(struct wsd_bus *bus);

/* From here on calls are taken: those that waited first. */
static void on_adopted(void *user) {
  struct wsd_bus *bus = user;
  g_clear_pointer(&bus->adoption, wsd_adoption_free);
  bus->settling = false;
  wsd_service_reconsider(bus->service); /* policy and profile may be others than those they were started under */
  wsd_door_open(bus->door);
  bus->events.ready(bus->user);
  if (!bus->left)
    return;
  wsd_service_hold(bus->service);
  release_name(bus);
}

/* The servers come back only now: an app's library drops signals of a sender that does not own the name at that moment. */
static void on_name_owned(struct wsd_bus *bus) {
  bus->retry_delay = WSD_RECONNECT_DELAY_MIN_MS;
  if (bus->adoption)
    wsd_adoption_run(bus->adoption, on_adopted, bus);
  else
    on_adopted(bus);
}

static void on_name_requested(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  struct wsd_bus *bus = data;
  guint32 outcome = 0;
  if (reply)
    g_variant_get(reply, "(u)", &outcome);
  if (outcome == NAME_REPLY_PRIMARY_OWNER) {
    on_name_owned(bus);
    return;
  }
  if (error && !g_dbus_error_is_remote_error(error))
    return; /* the connection broke: on_closed() follows */
  g_autofree char *text =
      error ? g_strdup_printf("the bus does not let this service own " WSD_BUS_NAME ": %s", error->message)
            : g_strdup("another process owns " WSD_BUS_NAME " already; end it first");
  bus->events.refused(bus->user, text);
}

static void request_name(struct wsd_bus *bus) {
  bus->settling = true;
  bus->door = wsd_door_new(bus->service, bus->connection);
  g_dbus_connection_call(bus->connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "RequestName",
                         g_variant_new("(su)", WSD_BUS_NAME, NAME_FLAG_DO_NOT_QUEUE), G_VARIANT_TYPE("(u)"),
                         G_DBUS_CALL_FLAGS_NONE, G_MAXINT, bus->cancellable, on_name_requested, bus);
}

/* Whether this bus hands out pidfds: then the unit of a client is certain. */
static void on_own_credentials(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GUnixFDList) fds = NULL;
  g_autoptr(GVariant) credentials = wsd_credentials_finish(source, result, &fds, &error);
  if (error && !g_dbus_error_is_remote_error(error))
    return; /* the connection broke, or we let go of it */
  struct wsd_bus *bus = data;
  g_autoptr(GVariant) pidfd = credentials ? g_variant_lookup_value(credentials, "ProcessFD", NULL) : NULL;
  bus->service->units_are_certain = pidfd != NULL && wsd_caller_unit_is_readable();
  wsd_service_report_idle_rules(bus->service);
  if (!bus->left)
    request_name(bus);
}

static void on_bus_id(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  if (!reply)
    return; /* the connection broke, or we let go of it: on_closed() follows where it matters */
  struct wsd_bus *bus = data;
  g_clear_pointer(&bus->service->bus_guid, g_free);
  g_variant_get(reply, "(s)", &bus->service->bus_guid);
  wsd_credentials_ask(bus->connection, g_dbus_connection_get_unique_name(bus->connection), G_MAXINT, bus->cancellable,
                      on_own_credentials, bus);
}

static void use_connection(struct wsd_bus *bus, GDBusConnection *connection) {
  bus->connection = connection;
  bus->cancellable = g_cancellable_new();
  bus->closed_handler = g_signal_connect(connection, "closed", G_CALLBACK(on_closed), bus);
  wsd_service_set_connection(bus->service, connection);
  /* One rule for all names: a bus allows a client only a few hundred rules, and no name can leave before its own rule is in place. */
  bus->subscription =
      g_dbus_connection_signal_subscribe(connection, DBUS_NAME, DBUS_NAME, "NameOwnerChanged", DBUS_PATH, NULL,
                                         G_DBUS_SIGNAL_FLAGS_NONE, on_name_owner_changed, bus, NULL);
  bus->roll_source = g_timeout_add(WSD_ROLL_MS, call_roll, bus);
  g_dbus_connection_call(connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetId", NULL, G_VARIANT_TYPE("(s)"),
                         G_DBUS_CALL_FLAGS_NONE, G_MAXINT, bus->cancellable, on_bus_id, bus);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data) {
  (void)source;
  g_autoptr(GError) error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  struct wsd_bus *bus = data;
  g_clear_object(&bus->cancellable);
  if (connection && !g_dbus_connection_is_closed(connection)) {
    use_connection(bus, connection);
    return;
  }
  g_clear_object(&connection);
  if (bus->retry_delay == WSD_RECONNECT_DELAY_MIN_MS)
    g_warning("cannot reach the bus at %s (%s); trying again and again", bus->address,
              error ? error->message : "closed");
  retry_later(bus);
}

static void connect_now(struct wsd_bus *bus) {
  bus->cancellable = g_cancellable_new();
  g_dbus_connection_new_for_address(
      bus->address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
      NULL, bus->cancellable, on_connected, bus);
}

struct wsd_bus *wsd_bus_new(struct wsd_service *service, const char *address, const struct wsd_bus_events *events,
                            void *user) {
  struct wsd_bus *bus = g_new0(struct wsd_bus, 1);
  bus->service = service;
  bus->address = g_strdup(address);
  bus->events = *events;
  bus->user = user;
  bus->retry_delay = WSD_RECONNECT_DELAY_MIN_MS;
  bus->adoption = wsd_adoption_new(service);
  connect_now(bus);
  return bus;
}

static void on_name_released(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
  g_clear_pointer(&reply, g_variant_unref);
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the bus is lost: disconnect() has called */
  struct wsd_bus *bus = data;
  void (*left)(void *user) = g_steal_pointer(&bus->left);
  if (left)
    left(bus->left_user);
}

static void release_name(struct wsd_bus *bus) {
  g_dbus_connection_call(bus->connection, DBUS_NAME, DBUS_PATH, DBUS_NAME, "ReleaseName",
                         g_variant_new("(s)", WSD_BUS_NAME), NULL, G_DBUS_CALL_FLAGS_NONE, -1, bus->cancellable,
                         on_name_released, bus);
}

/* While it settles, calls that the bus has routed here already wait for the servers: they get those, and answers, first. */
void wsd_bus_leave(struct wsd_bus *bus, void (*done)(void *user), void *user) {
  if (!bus->connection) {
    done(user);
    return;
  }
  bus->left = done;
  bus->left_user = user;
  if (!bus->settling)
    release_name(bus);
}

void wsd_bus_free(struct wsd_bus *bus) {
  GDBusConnection *connection = bus->connection ? g_object_ref(bus->connection) : NULL;
  disconnect(bus);
  if (connection) {
    g_dbus_connection_flush_sync(connection, NULL, NULL);
    g_dbus_connection_close_sync(connection, NULL, NULL);
    g_object_unref(connection);
  }
  if (bus->cancellable)
    g_cancellable_cancel(bus->cancellable);
  g_clear_object(&bus->cancellable);
  g_clear_handle_id(&bus->retry_source, g_source_remove);
  g_clear_pointer(&bus->adoption, wsd_adoption_free);
  g_free(bus->address);
  g_free(bus);
}

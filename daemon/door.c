/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/door.h"

#include "daemon/account.h"
#include "daemon/call.h"
#include "daemon/credentials.h"
#include "daemon/delivery.h"
#include "daemon/inbox.h"
#include "daemon/journal.h"
#include "daemon/limits.h"
#include "daemon/names.h"
#include "daemon/properties.h"
#include "daemon/server.h"

#define UNKNOWN_OBJECT "org.freedesktop.DBus.Error.UnknownObject"
#define UNKNOWN_INTERFACE "org.freedesktop.DBus.Error.UnknownInterface"
#define UNKNOWN_METHOD "org.freedesktop.DBus.Error.UnknownMethod"

struct wsd_door {
  struct wsd_service *service;
  GDBusConnection *connection;
  GCancellable *cancellable;
  struct wsd_inbox *inbox;
};

/* Methods of the standard interfaces, with the types of their arguments. */
static const struct standard_method {
  const char *interface;
  const char *member;
  const char *signature;
} standard_methods[] = {
    {DBUS_INTROSPECTABLE_INTERFACE, "Introspect", "()"},
    {DBUS_PROPERTIES_INTERFACE, "Get", "(ss)"},
    {DBUS_PROPERTIES_INTERFACE, "GetAll", "(s)"},
    {DBUS_PROPERTIES_INTERFACE, "Set", "(ssv)"},
};

static const char *body_signature(GDBusMessage *message) {
  GVariant *body = g_dbus_message_get_body(message);
  return body ? g_variant_get_type_string(body) : "()";
}

/* The answer for calls that never become one of a handler. */
G_GNUC_PRINTF(4, 5)
static void refuse(struct wsd_door *door, GDBusMessage *message, const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  if (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED)
    return;
  g_autofree char *bounded = wsd_error_text(text);
  g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_error_literal(message, name, bounded);
  const char *sender = g_dbus_message_get_sender(message);
  const struct wsd_app *app = sender ? g_hash_table_lookup(door->service->apps, sender) : NULL;
  if (app)
    wsd_delivery_charge(app->delivery, reply);
  g_dbus_connection_send_message(door->connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* Over one of the bounds of a client. */
G_GNUC_PRINTF(4, 5)
static void refuse_quota(struct wsd_door *door, const struct wsd_app *app, GDBusMessage *message, const char *format,
                         ...) {
  struct wsd_scene scene = wsd_scene_of_app(app);
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  scene.error = wsd_error_name(WSD_ERROR_LIMIT_EXCEEDED);
  wsd_journal(WSD_EVENT_QUOTA, &scene, "a call of %s is refused: %s", app->name, text);
  refuse(door, message, scene.error, "%s", text);
}

static void refuse_signature(struct wsd_door *door, GDBusMessage *message, const char *expected) {
  refuse(door, message, wsd_error_name(WSD_ERROR_INVALID_ARGUMENT), "%s: the arguments are of type %s, must be %s",
         g_dbus_message_get_member(message), body_signature(message), expected);
}

static char *method_signature(const GDBusMethodInfo *method) {
  GString *signature = g_string_new("(");
  for (GDBusArgInfo **argument = method->in_args; argument && *argument; argument++)
    g_string_append(signature, (*argument)->signature);
  g_string_append_c(signature, ')');
  return g_string_free(signature, FALSE);
}

static const struct wsd_method *find_method(const struct wsd_object *object, const char *member) {
  const struct wsd_method *methods = object->server ? wsd_server_methods : wsd_manager_methods;
  while (methods->name && !g_str_equal(methods->name, member))
    methods++;
  return methods->name ? methods : NULL;
}

static const struct standard_method *find_standard(const char *interface, const char *member) {
  for (size_t i = 0; i < G_N_ELEMENTS(standard_methods); i++)
    if ((!interface || g_str_equal(interface, standard_methods[i].interface)) &&
        g_str_equal(member, standard_methods[i].member))
      return &standard_methods[i];
  return NULL;
}

static bool may_call(struct wsd_door *door, const struct wsd_object *object, const struct wsd_app *app,
                     const struct wsd_method *method) {
  if (method->who != WSD_FOR_ADMINISTRATORS && wsd_object_is_own(object, app))
    return true;
  return method->who != WSD_FOR_OWNER && wsd_service_is_administrator(door->service, app);
}

/* What an administrator changes is told: of another app's server, or of the service. */
static void log_administration(const struct wsd_app *app, const struct wsd_object *object, const char *member) {
  struct wsd_scene scene = object->server ? wsd_scene_of_server(object->server) : wsd_scene_of_app(app);
  if (g_str_has_prefix(member, "List"))
    return;
  if (object->server)
    wsd_journal(WSD_EVENT_ADMINISTERED, &scene, "%s calls %s of server %" G_GUINT64_FORMAT " of %s",
                app->identity->app_id, member, wsd_server_number(object->server),
                wsd_server_app(object->server)->identity->app_id);
  else
    wsd_journal(WSD_EVENT_ADMINISTERED, &scene, "%s calls %s", app->identity->app_id, member);
}

static void call_own(struct wsd_door *door, struct wsd_app *app, const struct wsd_object *object,
                     GDBusMessage *message) {
  const char *member = g_dbus_message_get_member(message);
  const struct wsd_method *method = find_method(object, member);
  GDBusMethodInfo *info = g_dbus_interface_info_lookup_method((GDBusInterfaceInfo *)object->interface, member);
  if (!method || !info) {
    refuse(door, message, UNKNOWN_METHOD, "the interface %s has no method %s", object->interface->name, member);
    return;
  }
  g_autofree char *signature = method_signature(info);
  if (!g_str_equal(signature, body_signature(message)))
    refuse_signature(door, message, signature);
  else if (!may_call(door, object, app, method))
    refuse(door, message, wsd_error_name(WSD_ERROR_PERMISSION_DENIED),
           method->who == WSD_FOR_ADMINISTRATORS ? "%s is for administrators; see administrators in wsserverd.json(5)"
                                                 : "%s is for the owner of the server alone",
           member);
  else {
    if (method->who == WSD_FOR_ADMINISTRATORS || !wsd_object_is_own(object, app))
      log_administration(app, object, member);
    method->handle(door->service, object, wsd_call_new(app, door->connection, message));
  }
}

static void call_standard(struct wsd_door *door, struct wsd_app *app, const struct wsd_object *object,
                          const struct standard_method *method, GDBusMessage *message) {
  if (!g_str_equal(method->signature, body_signature(message))) {
    refuse_signature(door, message, method->signature);
    return;
  }
  struct wsd_call *call = wsd_call_new(app, door->connection, message);
  if (g_str_equal(method->interface, DBUS_PROPERTIES_INTERFACE)) {
    wsd_properties_handle(door->service, object, call, method->member);
    return;
  }
  g_autofree char *xml = wsd_object_introspect(door->service, app, object, g_dbus_message_get_path(message));
  wsd_call_return(call, g_variant_new("(s)", xml));
}

/* The steps of the door, for a caller whose identity is known. */
static void dispatch(struct wsd_door *door, struct wsd_app *app, GDBusMessage *message) {
  const char *path = g_dbus_message_get_path(message);
  const char *interface = g_dbus_message_get_interface(message);
  const char *member = g_dbus_message_get_member(message);
  struct wsd_object object = wsd_object_find(door->service, app, path);
  const struct standard_method *standard = find_standard(interface, member);
  bool without_interface = object.kind == WSD_OBJECT_FOLDER;
  if (app->calls >= WSD_CALLS_PER_APP_MAX)
    refuse_quota(door, app, message, "you have %u calls in flight, at most %u are allowed; wait for answers",
                 app->calls, WSD_CALLS_PER_APP_MAX);
  else if (app->account->calls >= WSD_CALLS_PER_ACCOUNT_MAX)
    refuse_quota(
        door, app, message,
        "%s has %u calls in flight, counting all its bus connections, at most %u are allowed; wait for answers",
        app->account->app_id, app->account->calls, WSD_CALLS_PER_ACCOUNT_MAX);
  else if (object.kind == WSD_OBJECT_NONE)
    refuse(door, message, UNKNOWN_OBJECT, "there is no object %s", path);
  else if (standard && !(without_interface && g_str_equal(standard->interface, DBUS_PROPERTIES_INTERFACE)))
    call_standard(door, app, &object, standard, message);
  else if (!without_interface && (!interface || g_str_equal(interface, object.interface->name)))
    call_own(door, app, &object, message);
  else if (interface)
    refuse(door, message, UNKNOWN_INTERFACE, "the object %s has no interface %s", path, interface);
  else
    refuse(door, message, UNKNOWN_METHOD, "the object %s has no method %s", path, member);
}

/* Calls wait, in order, for two things: identity, asked of the bus at a client's first call, and for a client that does not
 * read to go on reading. */

struct introduction {
  struct wsd_door *door;
  struct wsd_app *app;
};

static void dispatch_waiting(struct wsd_door *door, struct wsd_app *app);

static void on_caught_up(void *user) {
  struct wsd_app *app = user;
  dispatch_waiting(app->door, app);
}

static void dispatch_waiting(struct wsd_door *door, struct wsd_app *app) {
  GDBusMessage *message;
  wsd_app_ref(app);
  while (!wsd_delivery_is_behind(app->delivery) && (message = wsd_app_take_call(app))) {
    dispatch(door, app, message);
    g_object_unref(message);
  }
  app->door = door;
  if (!g_queue_is_empty(&app->waiting))
    wsd_delivery_on_caught_up(app->delivery, on_caught_up, app);
  wsd_app_unref(app);
}

/* For an app with an identity. */
static void take(struct wsd_door *door, struct wsd_app *app, GDBusMessage *message) {
  if (wsd_app_hold_call(app, message)) /* one that does not read would not read a refusal either */
    dispatch_waiting(door, app);
}

static void refuse_waiting(struct wsd_door *door, struct wsd_app *app, const GError *error) {
  GDBusMessage *message;
  while ((message = wsd_app_take_call(app))) {
    bool ours = error->domain == WSD_ERROR;
    refuse(door, message, wsd_error_name(ours ? wsd_error_code(error) : WSD_ERROR_PERMISSION_DENIED), "%s",
           error->message);
    g_object_unref(message);
  }
}

static void on_credentials(GObject *source, GAsyncResult *result, gpointer data) {
  g_autofree struct introduction *introduction = data;
  struct wsd_app *app = introduction->app;
  g_autoptr(GError) error = NULL;
  g_autoptr(GUnixFDList) fds = NULL;
  g_autoptr(GVariant) credentials = wsd_credentials_finish(source, result, &fds, &error);
  if (credentials && !app->gone) {
    struct wsd_identity *identity = wsd_identity_new(credentials, fds, &error);
    if (identity)
      wsd_service_introduce(introduction->door->service, app, identity, &error);
  }
  if (app->identity)
    dispatch_waiting(introduction->door, app);
  else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    if (error)
      refuse_waiting(introduction->door, app, error);
    if (!app->gone)
      wsd_service_name_vanished(introduction->door->service, app->name);
  }
  wsd_app_unref(app);
}

static void ask_identity(struct wsd_door *door, struct wsd_app *app) {
  struct introduction *introduction = g_new(struct introduction, 1);
  *introduction = (struct introduction){door, wsd_app_ref(app)};
  wsd_credentials_ask(door->connection, app->name, -1, door->cancellable, on_credentials, introduction);
}

static void on_message(void *user, GDBusMessage *message) {
  struct wsd_door *door = user;
  const char *sender = g_dbus_message_get_sender(message);
  struct wsd_app *app = sender ? wsd_service_app(door->service, sender) : NULL;
  if (!app) {
    refuse(door, message, wsd_error_name(WSD_ERROR_LIMIT_EXCEEDED),
           "the service knows as many bus clients as it may; try again later");
  } else if (app->identity) {
    take(door, app, message);
  } else {
    bool first = g_queue_is_empty(&app->waiting);
    if (!wsd_app_hold_call(app, message))
      refuse(door, message, wsd_error_name(WSD_ERROR_LIMIT_EXCEEDED),
             "at most %u calls may be in flight; wait for answers", WSD_CALLS_PER_APP_MAX);
    else if (first)
      ask_identity(door, app);
  }
  g_object_unref(message);
}

struct wsd_door *wsd_door_new(struct wsd_service *service, GDBusConnection *connection) {
  struct wsd_door *door = g_new0(struct wsd_door, 1);
  door->service = service;
  door->connection = g_object_ref(connection);
  door->cancellable = g_cancellable_new();
  door->inbox = wsd_inbox_new(connection, on_message, door);
  wsd_inbox_hold(door->inbox);
  return door;
}

void wsd_door_open(struct wsd_door *door) {
  wsd_inbox_continue(door->inbox);
}

void wsd_door_free(struct wsd_door *door) {
  if (!door)
    return;
  wsd_inbox_free(door->inbox);
  g_cancellable_cancel(door->cancellable);
  g_object_unref(door->cancellable);
  g_object_unref(door->connection);
  g_free(door);
}

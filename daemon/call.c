/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/call.h"

#include "daemon/account.h"
#include "daemon/app.h"
#include "daemon/delivery.h"

struct wsd_call *wsd_call_new(struct wsd_app *app, GDBusConnection *connection, GDBusMessage *message) {
  struct wsd_call *call = g_new0(struct wsd_call, 1);
  call->app = wsd_app_ref(app);
  call->connection = g_object_ref(connection);
  call->message = g_object_ref(message);
  call->arguments = g_dbus_message_get_body(message);
  app->calls++;
  app->account->calls++;
  return call;
}

static void end(struct wsd_call *call, GDBusMessage *reply) {
  bool expected = !(g_dbus_message_get_flags(call->message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
  if (expected)
    wsd_delivery_charge(call->app->delivery, reply);
  g_autoptr(GError) error = NULL;
  if (expected &&
      !g_dbus_connection_send_message(call->connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, &error) &&
      !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED)) {
    /* D-Bus has bounds too: no caller may wait for ever because of them. */
    g_autoptr(GDBusMessage) refusal = g_dbus_message_new_method_error_literal(
        call->message, wsd_error_name(WSD_ERROR_FAILED), "the answer is too large for D-Bus");
    g_dbus_connection_send_message(call->connection, refusal, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  }
  g_object_unref(reply);
  call->app->calls--;
  call->app->account->calls--;
  wsd_app_unref(call->app);
  g_object_unref(call->message);
  g_object_unref(call->connection);
  g_free(call);
}

void wsd_call_return(struct wsd_call *call, GVariant *values) {
  GDBusMessage *reply = g_dbus_message_new_method_reply(call->message);
  if (values)
    g_dbus_message_set_body(reply, values);
  end(call, reply);
}

void wsd_call_return_with_fds(struct wsd_call *call, GVariant *values, GUnixFDList *fds) {
  GDBusMessage *reply = g_dbus_message_new_method_reply(call->message);
  g_dbus_message_set_body(reply, values);
  g_dbus_message_set_unix_fd_list(reply, fds);
  end(call, reply);
}

static void end_with_error(struct wsd_call *call, const char *name, const char *text) {
  g_autofree char *bounded = wsd_error_text(text);
  end(call, g_dbus_message_new_method_error_literal(call->message, name, bounded));
}

void wsd_call_fail(struct wsd_call *call, enum wsd_error code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  end_with_error(call, wsd_error_name(code), text);
}

void wsd_call_take_error(struct wsd_call *call, GError *error) {
  end_with_error(call, wsd_error_name(wsd_error_code(error)), error->message);
  g_error_free(error);
}

void wsd_call_fail_name(struct wsd_call *call, const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  end_with_error(call, name, text);
}

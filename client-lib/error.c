/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/error-private.h"

#define PREFIX "org.wsserver1.Error."

static const GDBusErrorEntry entries[] = {
    {WS_ERROR_FAILED, PREFIX "Failed"},
    {WS_ERROR_PERMISSION_DENIED, PREFIX "PermissionDenied"},
    {WS_ERROR_INVALID_ARGUMENT, PREFIX "InvalidArgument"},
    {WS_ERROR_MESSAGE_TOO_BIG, PREFIX "MessageTooBig"},
    {WS_ERROR_NOT_SUPPORTED, PREFIX "NotSupported"},
    {WS_ERROR_INVALID_URL, PREFIX "InvalidUrl"},
    {WS_ERROR_CERTIFICATE_NOT_FOUND, PREFIX "CertificateNotFound"},
    {WS_ERROR_ALREADY_CONNECTED, PREFIX "AlreadyConnected"},
    {WS_ERROR_INVALID_ADDRESS, PREFIX "InvalidAddress"},
    {WS_ERROR_INVALID_PORT, PREFIX "InvalidPort"},
    {WS_ERROR_CONNECTION_NOT_FOUND, PREFIX "ConnectionNotFound"},
    {WS_ERROR_PORT_IN_USE, PREFIX "PortInUse"},
    {WS_ERROR_DOMAIN_NOT_ALLOWED, PREFIX "DomainNotAllowed"},
    {WS_ERROR_ALREADY_RUNNING, PREFIX "AlreadyRunning"},
    {WS_ERROR_NOT_RUNNING, PREFIX "NotRunning"},
    {WS_ERROR_LIMIT_EXCEEDED, PREFIX "LimitExceeded"},
    {WS_ERROR_WOULD_BLOCK, PREFIX "WouldBlock"},
    {WS_ERROR_CHANNEL_IN_USE, PREFIX "ChannelInUse"},
    {WS_ERROR_SHUTTING_DOWN, PREFIX "ShuttingDown"},
};

/* The guide has one number for several of them. */
static const struct {
  WsError code;
  guint number;
} numbers[] = {
    {WS_ERROR_PERMISSION_DENIED, 201},     {WS_ERROR_INVALID_ARGUMENT, 401},
    {WS_ERROR_MESSAGE_TOO_BIG, 401},       {WS_ERROR_NOT_SUPPORTED, 801},
    {WS_ERROR_INVALID_URL, 2302001},       {WS_ERROR_CERTIFICATE_NOT_FOUND, 2302002},
    {WS_ERROR_ALREADY_CONNECTED, 2302003}, {WS_ERROR_INVALID_ADDRESS, 2302004},
    {WS_ERROR_INVALID_PORT, 2302005},      {WS_ERROR_CONNECTION_NOT_FOUND, 2302006},
    {WS_ERROR_PORT_IN_USE, 2302007},       {WS_ERROR_DOMAIN_NOT_ALLOWED, 2302998},
};

#define NUMBER_OF_OTHERS 2302999

GQuark ws_error_quark(void) {
  static gsize quark = 0;
  g_dbus_error_register_error_domain("ws-error-quark", &quark, entries, G_N_ELEMENTS(entries));
  return (GQuark)quark;
}

guint ws_error_get_number(const GError *error) {
  g_return_val_if_fail(error != NULL, 0);
  for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
    if (g_error_matches(error, WS_ERROR, (gint)numbers[i].code))
      return numbers[i].number;
  return NUMBER_OF_OTHERS;
}

WsError ws_error_of_number(guint number) {
  for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
    if (numbers[i].number == number)
      return numbers[i].code;
  return WS_ERROR_FAILED;
}

#define ABSENT_TEXT "nobody offers org.wsserver1 on this bus: is wsserverd installed and running?"

/* What the bus itself says is about the service as a whole. */
static const char *explain(const GError *error) {
  if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
      g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
    return ABSENT_TEXT;
  if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
    return "the bus does not let this process call wsserverd: is its bus policy installed?";
  if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT))
    return WS_ERROR_FORGOTTEN_TEXT;
  return NULL;
}

bool ws_error_is_absence(const GError *error) {
  return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
         (g_error_matches(error, WS_ERROR, WS_ERROR_FAILED) && g_str_has_prefix(error->message, ABSENT_TEXT));
}

GError *ws_error_of_call(GError *error) {
  g_dbus_error_strip_remote_error(error);
  const char *explanation = explain(error);
  if (explanation == NULL)
    return error;
  GError *ours = g_error_new(WS_ERROR, WS_ERROR_FAILED, "%s (%s)", explanation, error->message);
  g_error_free(error);
  return ours;
}

void ws_error_set_result(GError **error, enum ws_channel_result result) {
  switch (result) {
  case WS_CHANNEL_WOULD_BLOCK:
    g_set_error_literal(error, WS_ERROR, WS_ERROR_WOULD_BLOCK,
                        "too much waits for this peer: send again when drained is emitted for it");
    return;
  case WS_CHANNEL_GONE:
    g_set_error_literal(error, WS_ERROR, WS_ERROR_CONNECTION_NOT_FOUND, "the connection is closed, or about to be");
    return;
  case WS_CHANNEL_TOO_BIG:
    g_set_error_literal(error, WS_ERROR, WS_ERROR_MESSAGE_TOO_BIG,
                        "the message is above max-message-size: raise that, or send it in parts");
    return;
  case WS_CHANNEL_INVALID:
    g_set_error_literal(error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT, "the text is not valid UTF-8");
    return;
  default:
    g_set_error_literal(error, WS_ERROR, WS_ERROR_FAILED, "there is no memory for the message");
    return;
  }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/error.h"

#include "daemon/limits.h"
#include "daemon/names.h"

#include <string.h>

static const struct {
  const char *name;
  guint32 number;
} errors[WSD_ERROR_COUNT] = {
    [WSD_ERROR_PERMISSION_DENIED] = {WSD_ERROR_PREFIX "PermissionDenied", 201},
    [WSD_ERROR_INVALID_ARGUMENT] = {WSD_ERROR_PREFIX "InvalidArgument", 401},
    [WSD_ERROR_MESSAGE_TOO_BIG] = {WSD_ERROR_PREFIX "MessageTooBig", 401},
    [WSD_ERROR_NOT_SUPPORTED] = {WSD_ERROR_PREFIX "NotSupported", 801},
    [WSD_ERROR_CERTIFICATE_NOT_FOUND] = {WSD_ERROR_PREFIX "CertificateNotFound", 2302002},
    [WSD_ERROR_INVALID_ADDRESS] = {WSD_ERROR_PREFIX "InvalidAddress", 2302004},
    [WSD_ERROR_INVALID_PORT] = {WSD_ERROR_PREFIX "InvalidPort", 2302005},
    [WSD_ERROR_CONNECTION_NOT_FOUND] = {WSD_ERROR_PREFIX "ConnectionNotFound", 2302006},
    [WSD_ERROR_PORT_IN_USE] = {WSD_ERROR_PREFIX "PortInUse", 2302007},
    [WSD_ERROR_ALREADY_RUNNING] = {WSD_ERROR_PREFIX "AlreadyRunning", 2302999},
    [WSD_ERROR_NOT_RUNNING] = {WSD_ERROR_PREFIX "NotRunning", 2302999},
    [WSD_ERROR_LIMIT_EXCEEDED] = {WSD_ERROR_PREFIX "LimitExceeded", 2302999},
    [WSD_ERROR_WOULD_BLOCK] = {WSD_ERROR_PREFIX "WouldBlock", 2302999},
    [WSD_ERROR_CHANNEL_IN_USE] = {WSD_ERROR_PREFIX "ChannelInUse", 2302999},
    [WSD_ERROR_SHUTTING_DOWN] = {WSD_ERROR_PREFIX "ShuttingDown", 2302999},
    [WSD_ERROR_FAILED] = {WSD_ERROR_PREFIX "Failed", 2302999},
};

G_DEFINE_QUARK(wsd - error - quark, wsd_error)

const char *wsd_error_name(enum wsd_error code) {
  return errors[code < WSD_ERROR_COUNT ? code : WSD_ERROR_FAILED].name;
}

guint32 wsd_error_number(enum wsd_error code) {
  return errors[code < WSD_ERROR_COUNT ? code : WSD_ERROR_FAILED].number;
}

enum wsd_error wsd_error_code(const GError *error) {
  return error->domain == WSD_ERROR ? (enum wsd_error)error->code : WSD_ERROR_FAILED;
}

char *wsd_error_text(const char *text) {
  static const char left_out[] = "...";
  if (strnlen(text, WSD_ERROR_TEXT_MAX + 1) <= WSD_ERROR_TEXT_MAX)
    return g_strdup(text);
  const char *end = g_utf8_find_prev_char(text, text + WSD_ERROR_TEXT_MAX - strlen(left_out) + 1);
  return g_strdup_printf("%.*s%s", (int)(end ? end - text : 0), text, left_out);
}

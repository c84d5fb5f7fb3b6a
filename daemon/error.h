/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The errors of the contract: one GError domain whose codes are D-Bus error names, each with the numeric code that the
 * Error signal carries.
 */
#pragma once

#include <gio/gio.h>

enum wsd_error {
  WSD_ERROR_PERMISSION_DENIED,
  WSD_ERROR_INVALID_ARGUMENT,
  WSD_ERROR_MESSAGE_TOO_BIG,
  WSD_ERROR_NOT_SUPPORTED,
  WSD_ERROR_CERTIFICATE_NOT_FOUND,
  WSD_ERROR_INVALID_ADDRESS,
  WSD_ERROR_INVALID_PORT,
  WSD_ERROR_CONNECTION_NOT_FOUND,
  WSD_ERROR_PORT_IN_USE,
  WSD_ERROR_ALREADY_RUNNING,
  WSD_ERROR_NOT_RUNNING,
  WSD_ERROR_LIMIT_EXCEEDED,
  WSD_ERROR_WOULD_BLOCK,
  WSD_ERROR_CHANNEL_IN_USE,
  WSD_ERROR_SHUTTING_DOWN,
  WSD_ERROR_FAILED,
  WSD_ERROR_COUNT
};

#define WSD_ERROR (wsd_error_quark())
GQuark wsd_error_quark(void);

/* The code of an error of whatever domain: others count as Failed. */
enum wsd_error wsd_error_code(const GError *error);
/* The text of an error as it goes over the bus: at most WSD_ERROR_TEXT_MAX octets, since it may repeat what a caller said, and a bus throws out
 * who sends it more than it takes. Free with g_free(). */
char *wsd_error_text(const char *text);
/* "org.wsserver1.Error.X" */
const char *wsd_error_name(enum wsd_error code);
/* The guide's number, as in the Error signal. */
guint32 wsd_error_number(enum wsd_error code);

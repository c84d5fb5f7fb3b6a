/* SPDX-License-Identifier: Apache-2.0 */
/* How errors of the bus and of the channel become errors of this library. */
#pragma once

#include <wsserver/ws-channel.h>
#include <wsserver/ws-error.h>

#include <stdbool.h>

/* The code that the guide's number stands for; WS_ERROR_FAILED where it stands for several. */
WsError ws_error_of_number(guint number);

/* How the sentence begins when the service has forgotten an object. */
#define WS_ERROR_FORGOTTEN_TEXT "wsserverd was stopped meanwhile, and the server with it"

/* Whether a call was not answered because the service has left the bus, in the words that ws_error_of_call() gives it. */
bool ws_error_is_absence(const GError *error);

/* What a D-Bus call came to, as an app is told: takes `error`, returns it or another. */
GError *ws_error_of_call(GError *error);

/* Sets the error for every result but WS_CHANNEL_SENT. */
void ws_error_set_result(GError **error, enum ws_channel_result result);

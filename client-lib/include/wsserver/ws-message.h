/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <wsserver/ws-macros.h>

G_BEGIN_DECLS

/**
 * WsMessage:
 *
 * One WebSocket message, text or binary (RFC 6455 section 5.6). It does not change.
 *
 * A message that arrives costs no copy and no allocation: it lies where it was read. Who wants to keep it takes a reference, and only that makes
 * it a thing of its own: small ones are copied then, large ones keep their memory. A message may be sent as it came.
 */
typedef struct _WsMessage WsMessage;

#define WS_TYPE_MESSAGE (ws_message_get_type())
WS_API
GType ws_message_get_type(void) G_GNUC_CONST;

/**
 * ws_message_new_text:
 * @text: UTF-8, terminated
 *
 * A text message. Text that holds U+0000 goes by [ctor@Message.new_text_from_bytes].
 *
 * Returns: (transfer full) (nullable): the message; %NULL and a critical warning when @text is not UTF-8
 */
WS_API
WsMessage *ws_message_new_text(const char *text) G_GNUC_WARN_UNUSED_RESULT;

/**
 * ws_message_new_text_from_bytes:
 * @bytes: UTF-8, which may hold U+0000
 * @error: return location for an error
 *
 * Returns: (transfer full): the message; %WS_ERROR_INVALID_ARGUMENT when it is not UTF-8
 */
WS_API
WsMessage *ws_message_new_text_from_bytes(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * ws_message_new_binary:
 * @bytes: the payload
 *
 * Returns: (transfer full): a binary message
 */
WS_API
WsMessage *ws_message_new_binary(GBytes *bytes) G_GNUC_WARN_UNUSED_RESULT;

/**
 * ws_message_ref:
 * @message: a message
 *
 * In the thread of its server only.
 *
 * Returns: (transfer full): @message
 */
WS_API
WsMessage *ws_message_ref(WsMessage *message);

/**
 * ws_message_unref:
 * @message: (transfer full): a message
 *
 * Gives a reference back; with the last one the message goes.
 */
WS_API
void ws_message_unref(WsMessage *message);

/**
 * ws_message_is_text:
 * @message: a message
 *
 * Returns: whether it is text, which is valid UTF-8 then
 */
WS_API
gboolean ws_message_is_text(const WsMessage *message);

/**
 * ws_message_get_length:
 * @message: a message
 *
 * Returns: its octets
 */
WS_API
gsize ws_message_get_length(const WsMessage *message);

/**
 * ws_message_peek: (skip)
 * @message: a message
 * @length: (out) (optional): its octets
 *
 * The payload where it lies, not terminated. Costs nothing. Lives as long as the caller's reference; in a signal handler without one, until
 * the handler returns.
 *
 * Returns: (transfer none): the payload, never %NULL
 */
WS_API
const guint8 *ws_message_peek(const WsMessage *message, gsize *length);

/**
 * ws_message_get_bytes:
 * @message: a message
 *
 * The payload. Of a message that has just arrived it is copied where it is small, and keeps the memory it lies in where it is large.
 *
 * Returns: (transfer full): the payload
 */
WS_API
GBytes *ws_message_get_bytes(WsMessage *message);

/**
 * ws_message_get_text:
 * @message: a message
 *
 * Returns: (transfer full) (nullable): the text, terminated, up to the first U+0000 in it; %NULL of a binary message
 */
WS_API
char *ws_message_get_text(WsMessage *message);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsMessage, ws_message_unref)

G_END_DECLS

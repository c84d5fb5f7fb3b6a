/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/message-private.h"

#include "client-lib/channel-private.h"
#include "client-lib/limits.h"
#include "websocket/utf8.h"
#include <wsserver/ws-error.h>

#include <stdlib.h>
#include <string.h>

G_DEFINE_BOXED_TYPE(WsMessage, ws_message, ws_message_ref, ws_message_unref)

static WsMessage *new_from_bytes(GBytes *bytes, bool text) {
  WsMessage *message = g_new0(WsMessage, 1);
  message->references = 1;
  message->text = text;
  message->bytes = bytes;
  message->data = g_bytes_get_data(bytes, &message->length);
  return message;
}

WsMessage *ws_message_new_text(const char *text) {
  g_return_val_if_fail(text != NULL, NULL);
  gsize length = strlen(text);
  g_return_val_if_fail(wsp_utf8_is_valid((const guint8 *)text, length), NULL);
  return new_from_bytes(g_bytes_new(text, length), true);
}

WsMessage *ws_message_new_text_from_bytes(GBytes *bytes, GError **error) {
  gsize length;
  g_return_val_if_fail(bytes != NULL, NULL);
  const guint8 *data = g_bytes_get_data(bytes, &length);
  if (wsp_utf8_is_valid(data, length))
    return new_from_bytes(g_bytes_ref(bytes), true);
  g_set_error_literal(error, WS_ERROR, WS_ERROR_INVALID_ARGUMENT, "bytes: the text is not valid UTF-8");
  return NULL;
}

WsMessage *ws_message_new_binary(GBytes *bytes) {
  g_return_val_if_fail(bytes != NULL, NULL);
  return new_from_bytes(g_bytes_ref(bytes), false);
}

WsMessage *ws_message_ref(WsMessage *message) {
  g_return_val_if_fail(message != NULL, NULL);
  message->references++;
  return message;
}

void ws_message_unref(WsMessage *message) {
  g_return_if_fail(message != NULL && message->references > 0);
  if (--message->references > 0)
    return;
  if (message->bytes != NULL)
    g_bytes_unref(message->bytes);
  g_free(message);
}

gboolean ws_message_is_text(const WsMessage *message) {
  g_return_val_if_fail(message != NULL, FALSE);
  return message->text;
}

gsize ws_message_get_length(const WsMessage *message) {
  g_return_val_if_fail(message != NULL, 0);
  return message->length;
}

const guint8 *ws_message_peek(const WsMessage *message, gsize *length) {
  static const guint8 nothing[1];
  g_return_val_if_fail(message != NULL, NULL);
  if (length != NULL)
    *length = message->length;
  return message->data != NULL ? message->data : nothing;
}

/* Large data stays where it is, and the block it lies in with it; the channel goes on in another. */
static GBytes *keep(WsMessage *message) {
  void *block = NULL;
  if (message->lent && message->channel != NULL && message->length >= WS_MESSAGE_KEPT_IN_PLACE)
    block = ws_channel_take_block(message->channel, message->data, message->length);
  if (block == NULL)
    return g_bytes_new(message->data, message->length);
  return g_bytes_new_with_free_func(message->data, message->length, free, block);
}

GBytes *ws_message_get_bytes(WsMessage *message) {
  g_return_val_if_fail(message != NULL, NULL);
  if (message->bytes == NULL) {
    message->bytes = keep(message);
    message->data = g_bytes_get_data(message->bytes, NULL);
  }
  return g_bytes_ref(message->bytes);
}

char *ws_message_get_text(WsMessage *message) {
  g_return_val_if_fail(message != NULL, NULL);
  return message->text ? g_strndup((const char *)ws_message_peek(message, NULL), message->length) : NULL;
}

void ws_message_lend(WsMessage **message, bool text, const guint8 *data, gsize length, GBytes *bytes,
                     struct ws_channel *channel) {
  if (*message == NULL)
    *message = g_new(WsMessage, 1);
  **message = (WsMessage){1, text, true, data, length, bytes != NULL ? g_bytes_ref(bytes) : NULL, channel};
}

void ws_message_settle(WsMessage **message) {
  WsMessage *lent = *message;
  if (lent->references > 1) {
    g_bytes_unref(ws_message_get_bytes(lent));
    lent->lent = false;
    lent->channel = NULL;
    lent->references--;
    *message = NULL;
    return;
  }
  g_clear_pointer(&lent->bytes, g_bytes_unref);
}

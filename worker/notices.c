/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/notices.h"

#include "worker/server.h"

#include <string.h>

static struct wsc_address channel_address(const struct wsw_address *address) {
  struct wsc_address shown = {.family = address->family, .scope = address->scope};
  memcpy(shown.octets, address->octets, sizeof shown.octets);
  return shown;
}

void wsw_notices_add_ban(struct wsc_control_writer *writer, const struct wsw_visitor *visitor, uint64_t now) {
  const struct wsc_ban ban = {.address = channel_address(&visitor->address),
                              .seconds = wsw_visitors_seconds_left(visitor, now),
                              .reason = visitor->reason};
  wsc_control_add_ban(writer, &ban);
}

void wsw_notices_banned(struct wsw_server *server, const struct wsw_visitor *visitor) {
  uint8_t room[WSC_BAN_SIZE + 64];
  struct wsc_control_writer writer;
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_NOTICE, 0);
  wsw_notices_add_ban(&writer, visitor, server->loop.now);
  wsw_control_notify(server, &writer);
}

void wsw_notices_refused(struct wsw_server *server, const struct wsw_address *address, unsigned status,
                         const char *sentence) {
  uint8_t room[WSC_ERROR_TEXT_MAX + 128];
  struct wsc_control_writer writer;
  size_t at = 0;
  while (at < WSW_NOTICE_KINDS - 1 && server->notices.refused[at].status &&
         server->notices.refused[at].status != status)
    at++;
  bool known = server->notices.refused[at].status != 0;
  server->notices.refused[at].status = status;
  server->notices.refused[at].count++;
  if (known && server->loop.now - server->notices.refused[at].told_at < WSW_NOTICE_MS)
    return;
  const struct wsc_address shown = channel_address(address);
  wsc_control_begin(&writer, room, sizeof room, WSC_CONTROL_NOTICE, 0);
  wsc_control_add_u32(&writer, WSC_FIELD_COUNT, server->notices.refused[at].count);
  wsc_control_add_u32(&writer, WSC_FIELD_CODE, status);
  wsc_control_add_address(&writer, &shown);
  wsc_control_add(&writer, WSC_FIELD_TEXT, sentence, strnlen(sentence, WSC_ERROR_TEXT_MAX));
  server->notices.refused[at].told_at = server->loop.now;
  server->notices.refused[at].count = 0;
  wsw_control_notify(server, &writer);
}

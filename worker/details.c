/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/details.h"

#include <stdlib.h>
#include <string.h>

static uint16_t append(char *text, size_t *length, struct wsp_slice slice) {
  if (slice.length)
    memcpy(text + *length, slice.text, slice.length);
  *length += slice.length;
  return (uint16_t)slice.length;
}

struct wsw_details *wsw_details_new(const struct wsp_server_handshake *handshake, struct wsp_slice protocol,
                                    struct wsp_slice subject) {
  struct wsp_slice path = wsp_server_handshake_path(handshake);
  struct wsp_slice query = wsp_server_handshake_query(handshake);
  struct wsp_slice origin = wsp_server_handshake_origin(handshake);
  struct wsw_details *details =
      malloc(sizeof *details + path.length + query.length + origin.length + protocol.length + subject.length);
  if (!details)
    return NULL;
  size_t length = 0;
  details->path = append(details->text, &length, path);
  details->query = append(details->text, &length, query);
  details->origin = append(details->text, &length, origin);
  details->protocol = append(details->text, &length, protocol);
  details->subject = append(details->text, &length, subject);
  return details;
}

static struct wsc_text take(const char **text, uint16_t length) {
  struct wsc_text slice = {.text = *text, .length = length};
  *text += length;
  return slice;
}

void wsw_details_describe(const struct wsw_details *details, struct wsc_connect *connect) {
  const char *text = details->text;
  connect->path = take(&text, details->path);
  connect->query = take(&text, details->query);
  connect->origin = take(&text, details->origin);
  connect->protocol = take(&text, details->protocol);
  connect->subject = take(&text, details->subject);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/subprotocol.h"

#include "websocket/http-list.h"

bool wsp_protocol_list_has(const struct wsp_protocol_list *list, struct wsp_slice name) {
  for (size_t i = 0; i < list->count; i++)
    if (wsp_slice_equals(list->names[i], name))
      return true;
  return false;
}

const char *wsp_protocol_list_add(struct wsp_protocol_list *list, struct wsp_slice value) {
  struct wsp_slice name;
  while (wsp_list_next(&value, &name)) {
    if (!wsp_is_token(name))
      return "Sec-WebSocket-Protocol holds an empty or malformed name.";
    if (name.length > WSP_PROTOCOL_NAME_MAX)
      return "Sec-WebSocket-Protocol holds a name that is too long.";
    if (wsp_protocol_list_has(list, name))
      return "Sec-WebSocket-Protocol holds a name twice.";
    if (list->count == WSP_PROTOCOL_OFFERS_MAX)
      return "Sec-WebSocket-Protocol holds too many names.";
    list->names[list->count++] = name;
  }
  return NULL;
}

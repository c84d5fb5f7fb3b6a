/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/close-code.h"

bool wsp_close_code_is_sendable(uint16_t code) {
  if (code >= 3000)
    return code <= 4999; /* 3000-3999 registered by libraries, 4000-4999 private use */
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes of the closing handshake (RFC 6455 section 7.4 and the IANA registry it founded). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum wsp_close_code {
  WSP_CLOSE_NORMAL = 1000,
  WSP_CLOSE_GOING_AWAY = 1001,
  WSP_CLOSE_PROTOCOL_ERROR = 1002,
  WSP_CLOSE_UNSUPPORTED_DATA = 1003,
  WSP_CLOSE_NO_STATUS = 1005, /* reported, never sent: the peer's Close frame had no code */
  WSP_CLOSE_ABNORMAL = 1006,  /* reported, never sent: there was no Close frame */
  WSP_CLOSE_INVALID_DATA = 1007,
  WSP_CLOSE_POLICY_VIOLATION = 1008,
  WSP_CLOSE_TOO_BIG = 1009,
  WSP_CLOSE_EXTENSION_MISSING = 1010,
  WSP_CLOSE_INTERNAL_ERROR = 1011,
  WSP_CLOSE_TRY_AGAIN = 1013,
};

/* True for codes that may stand in a Close frame: 1000-1003, 1007-1014, 3000-4999. */
bool wsp_close_code_is_sendable(uint16_t code);

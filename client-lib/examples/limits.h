/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of the examples, in one place. */
#pragma once

#define SCREEN_MESSAGE_MAX 4096u /* octets of one message of a phone; the server refuses larger ones */
#define SCREEN_CHAT_MAX 500      /* characters of one chat line; the rest is cut off */
#define SCREEN_VOLUME_MAX 100
#define SCREEN_VOLUME_STEP 5

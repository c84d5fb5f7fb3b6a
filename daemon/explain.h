/* SPDX-License-Identifier: Apache-2.0 */
/* wsserverd --explain: what the policy says of a user, in words. */
#pragma once

#include "daemon/config.h"

struct wsd_question {
  const char *user;
  const char *label;   /* security label to assume, or NULL */
  const char *port;    /* or NULL: any */
  const char *address; /* or NULL: 0.0.0.0 where there is a port */
};

enum wsd_verdict {
  WSD_VERDICT_FAULT, /* there is no such user, port or address: see the error */
  WSD_VERDICT_MAY,
  WSD_VERDICT_MAY_NOT,
};

enum wsd_verdict wsd_explain(const struct wsd_config *config, const struct wsd_question *question, GString *words,
                             GError **error);

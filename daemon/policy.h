/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may serve where, and on what terms: the rules of all configuration files in the order in which they are consulted, those
 * of a later file before those of an earlier one. The first rule that is for the caller and covers port and address decides;
 * where none does, the answer is no.
 */
#pragma once

#include "daemon/policy-rule.h"

struct wsd_policy;

struct wsd_policy *wsd_policy_new(void);
void wsd_policy_free(struct wsd_policy *policy);

/* Adds the rules of one file, given as the value of its key policy. On a fault the policy is not to be used. */
bool wsd_policy_read(struct wsd_policy *policy, json_object *value, const struct wsd_place *place, GError **error);
guint wsd_policy_size(const struct wsd_policy *policy);
const struct wsd_rule *wsd_policy_rule(const struct wsd_policy *policy, guint index);
/* The first rule that is about units, or NULL. */
const struct wsd_rule *wsd_policy_about_units(const struct wsd_policy *policy);

/* Whether there is a port and an address that this caller may serve. False with an error of WSD_ERROR, PERMISSION_DENIED. */
bool wsd_policy_may_serve(const struct wsd_policy *policy, const struct wsd_identity *identity, GError **error);
/* The rule that decides; NULL: none does. It lives as long as the policy. */
const struct wsd_rule *wsd_policy_find(const struct wsd_policy *policy, const struct wsd_identity *identity,
                                       const struct sockaddr_storage *address, guint16 port);
/* The rule that allows it; NULL with an error of WSD_ERROR, PERMISSION_DENIED, that names what stands in the way. `address_text`: for the message. */
const struct wsd_rule *wsd_policy_admit(const struct wsd_policy *policy, const struct wsd_identity *identity,
                                        const struct sockaddr_storage *address, const char *address_text, guint16 port,
                                        GError **error);

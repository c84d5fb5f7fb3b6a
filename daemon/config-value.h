/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of a configuration file, with the place where it stands: readers that check type and bounds, and faults that name
 * file, line and key. A reader frees what its target held before; on a fault the target is untouched.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>

struct wsd_place {
  const char *file;
  const char *text; /* the whole file; NULL: there is none yet */
  const char *path; /* in it, as for wsd_json_line(); NULL: the file as a whole */
};

/* "FILE:LINE: PATH: what is wrong", on one line, as an error of WSD_ERROR with code FAILED. Returns false. */
G_GNUC_PRINTF(3, 4)
bool wsd_place_fault(const struct wsd_place *place, GError **error, const char *format, ...);

/* 1 to WSD_CONFIG_NAME_MAX octets of UTF-8 without NUL. */
bool wsd_value_name(json_object *value, const struct wsd_place *place, char **out, GError **error);
/* An array of at most WSD_CONFIG_LIST_MAX such names. */
bool wsd_value_names(json_object *value, const struct wsd_place *place, GStrv *out, GError **error);
bool wsd_value_number(json_object *value, const struct wsd_place *place, guint64 least, guint64 most, guint64 *out,
                      GError **error);
bool wsd_value_flag(json_object *value, const struct wsd_place *place, bool *out, GError **error);
/* Whether it is an array of at most WSD_CONFIG_LIST_MAX entries. */
bool wsd_value_is_list(json_object *value, const struct wsd_place *place, const char *of_what, GError **error);

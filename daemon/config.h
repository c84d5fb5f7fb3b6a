/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: JSON objects from a vendor file, a file of the administrator and drop-ins, read in that order;
 * a key of a later file replaces the same key of an earlier one, but the rules of the policy add up. Every file is checked whole: an
 * unknown key, a wrong type or a value out of range is an error that names file, line and key, and nothing of a faulty
 * configuration is used.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct wsd_policy;

struct wsd_config {
  char *device_profile; /* NULL: neither configured nor told by the device */
  GStrv allowed_profiles;
  bool administrators_configured;
  GStrv administrator_users;
  GStrv administrator_groups;
  struct wsd_policy *policy;
  guint handshake_timeout; /* seconds */
  guint connection_rate;   /* per address and minute, 0: off */
  guint ban_seconds;
  guint idle_exit_seconds; /* 0: the service stays */
};

/* Where configuration comes from. Missing files and folders are fine, unless `file` names it. */
struct wsd_config_source {
  const char *file;         /* this file alone; NULL: the ones below */
  const char *const *files; /* NULL-terminated, in rising priority */
  const char *const
      *drop_in_folders; /* NULL-terminated, in rising priority; in each *.json. A name in a later folder masks the same
                                         name in an earlier one; all are read in the order of their names */
  const char *const *device_files; /* NULL-terminated, see wsd_device_profile_find(); NULL: none */
};

/* The places of the installed service. */
struct wsd_config_source wsd_config_default_source(void);

/* Returns a new configuration, or NULL with an error (domain WSD_ERROR, code FAILED) whose message begins with the file's name. */
struct wsd_config *wsd_config_load(const struct wsd_config_source *source, GError **error);
void wsd_config_free(struct wsd_config *config);

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"
#include "daemon/device-profile.h"
#include "daemon/limits.h"
#include "daemon/policy.h"

#include <glib/gstdio.h>
#include <string.h>

struct fixture {
  char *folder;
  char *vendor, *local, *vendor_drop_ins, *local_drop_ins;
};

static void set_up(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  fixture->folder = g_dir_make_tmp("wsserverd-config-XXXXXX", NULL);
  fixture->vendor = g_build_filename(fixture->folder, "vendor.json", NULL);
  fixture->local = g_build_filename(fixture->folder, "local.json", NULL);
  fixture->vendor_drop_ins = g_build_filename(fixture->folder, "vendor.json.d", NULL);
  fixture->local_drop_ins = g_build_filename(fixture->folder, "local.json.d", NULL);
  g_mkdir(fixture->vendor_drop_ins, 0700);
  g_mkdir(fixture->local_drop_ins, 0700);
}

static void empty_folder(const char *path) {
  g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
  const char *name;
  while (folder && (name = g_dir_read_name(folder))) {
    g_autofree char *file = g_build_filename(path, name, NULL);
    g_remove(file);
  }
}

static void tear_down(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  empty_folder(fixture->vendor_drop_ins);
  empty_folder(fixture->local_drop_ins);
  empty_folder(fixture->folder);
  g_rmdir(fixture->folder);
  g_free(fixture->folder);
  g_free(fixture->vendor);
  g_free(fixture->local);
  g_free(fixture->vendor_drop_ins);
  g_free(fixture->local_drop_ins);
}

static void write_file(const char *folder, const char *name, const char *text) {
  g_autofree char *path = name ? g_build_filename(folder, name, NULL) : g_strdup(folder);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static struct wsd_config *load(struct fixture *fixture, GError **error) {
  const char *files[] = {fixture->vendor, fixture->local, NULL};
  const char *folders[] = {fixture->vendor_drop_ins, fixture->local_drop_ins, NULL};
  struct wsd_config_source source = {.files = files, .drop_in_folders = folders};
  return wsd_config_load(&source, error);
}

static void test_defaults(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  struct wsd_config *config = load(fixture, NULL);
  g_assert_nonnull(config);
  g_assert_cmpstr(wsd_device_profile(config), ==, "unknown");
  g_assert_false(wsd_device_profile_allows_servers(config));
  g_assert_false(config->administrators_configured);
  g_assert_cmpuint(config->handshake_timeout, ==, 10);
  g_assert_cmpuint(config->connection_rate, ==, 50);
  g_assert_cmpuint(config->ban_seconds, ==, 60);
  g_assert_cmpuint(config->idle_exit_seconds, ==, 0);
  wsd_config_free(config);
}

static void test_order(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  write_file(fixture->vendor, NULL, "{\"deviceProfile\": \"phone\", \"handshakeTimeout\": 3, \"banSeconds\": 7}");
  write_file(fixture->local, NULL, "{\"deviceProfile\": \"smart-screen\", \"connectionRate\": 1}");
  write_file(fixture->vendor_drop_ins, "10-a.json", "{\"handshakeTimeout\": 4, \"connectionRate\": 2}");
  write_file(fixture->vendor_drop_ins, "20-b.json", "{\"banSeconds\": 8}");
  write_file(fixture->local_drop_ins, "20-b.json", "{\"connectionRate\": 3}"); /* masks the one above */
  write_file(fixture->local_drop_ins, "30-note.txt", "not ours");
  g_autoptr(GError) error = NULL;
  struct wsd_config *config = load(fixture, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(wsd_device_profile(config), ==, "smart-screen");
  g_assert_true(wsd_device_profile_allows_servers(config));
  g_assert_cmpuint(config->handshake_timeout, ==, 4);
  g_assert_cmpuint(config->connection_rate, ==, 3);
  g_assert_cmpuint(config->ban_seconds, ==, 7);
  wsd_config_free(config);
}

static void test_named_file_alone(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  struct wsd_config_source source = {.file = fixture->local};
  g_autoptr(GError) error = NULL;
  g_assert_null(wsd_config_load(&source, &error)); /* not there: then it was a mistake to name it */
  g_assert_nonnull(strstr(error->message, "local.json"));
  write_file(fixture->local, NULL, "{\"allowedProfiles\": [\"phone\"], \"deviceProfile\": \"phone\"}");
  struct wsd_config *config = wsd_config_load(&source, NULL);
  g_assert_true(wsd_device_profile_allows_servers(config));
  wsd_config_free(config);
}

static void test_administrators(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  write_file(fixture->local, NULL, "{\"administrators\": {\"users\": [\"tv\", \"7\"], \"groups\": [\"wheel\"]}}");
  struct wsd_config *config = load(fixture, NULL);
  g_assert_true(config->administrators_configured);
  g_assert_cmpuint(g_strv_length(config->administrator_users), ==, 2);
  g_assert_cmpstr(config->administrator_groups[0], ==, "wheel");
  wsd_config_free(config);
}

/* Faulty texts, and what the message has to name. */
static const struct {
  const char *text;
  const char *names;
} faults[] = {
    {"", "ends too early"},
    {"{", "ends too early"},
    {"[]", "one JSON object"},
    {"{} {}", "local.json:1: "},
    {"{\n\"deviceProfile\": smart}", "local.json:2: "},
    {"{\"deviceProfil\": \"x\"}", "deviceProfil: unknown key"},
    {"{\"deviceProfile\": 1}", "deviceProfile: must be a string"},
    {"{\"deviceProfile\": \"\"}", "deviceProfile: "},
    {"{\"deviceProfile\": \"a\\u0000b\"}", "local.json:1: \\u0000"},
    {"{\"banSeconds\\u0000x\": 1}", "local.json:1: \\u0000"},
    {"{\"allowedProfiles\": [\"a\\\\u0000b\"],\n\"x\\ny\": 1}", "local.json:2: x y: unknown key"},
    {"{\"idle\xC0\x87\": 1}", "local.json:1: not UTF-8"},
    {"{\n\"deviceProfile\": \"\xff\"}", "local.json:2: not UTF-8"},
    {"{\"deviceProfile\": null}", "deviceProfile: must be a string"},
    {"{\"allowedProfiles\": \"x\"}", "allowedProfiles: must be an array"},
    {"{\"allowedProfiles\": [1]}", "allowedProfiles[0]: must be a string"},
    {"{\"administrators\": []}", "administrators: must be an object"},
    {"{\"administrators\": {\"user\": []}}", "administrators.user: unknown key"},
    {"{\"administrators\": {\"users\": {}}}", "administrators.users: must be an array"},
    {"{\"policy\": {}}", "policy: must be an array"},
    {"{\"policy\": [{\"allow\": true}]}", "policy[0]: is for nobody"},
    {"{\"banSeconds\": 1,\n\"banSeconds\": 2}", "local.json:2: banSeconds: is there twice"},
    {"{\"policy\": [{\"users\": [\"a\"],\n \"us\\u0065rs\": []}]}", "local.json:2: policy[0].users: is there twice"},
    {"{\n\"policy\": [1]}", "local.json:2: policy[0]: must be a rule"},
    {"{\"handshakeTimeout\": 0}", "handshakeTimeout: must be from 1"},
    {"{\"handshakeTimeout\": 3601}", "handshakeTimeout: must be from 1"},
    {"{\"handshakeTimeout\": 1.5}", "handshakeTimeout: must be a whole number"},
    {"{\"handshakeTimeout\": \"10\"}", "handshakeTimeout: must be a whole number"},
    {"{\"connectionRate\": -1}", "connectionRate: must be from 0"},
    {"{\"connectionRate\": 99999999999999999999}", "connectionRate: must be from 0"},
    {"{\"banSeconds\": 86401}", "banSeconds: must be from 0"},
    {"{\"idleExitSeconds\": 86401}", "idleExitSeconds: must be from 0"},
};

static void test_faults(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  for (gsize i = 0; i < G_N_ELEMENTS(faults); i++) {
    g_autoptr(GError) error = NULL;
    write_file(fixture->local, NULL, faults[i].text);
    g_assert_null(load(fixture, &error));
    g_test_message("%s -> %s", faults[i].text, error->message);
    g_assert_true(g_str_has_prefix(error->message, fixture->local));
    g_assert_nonnull(strstr(error->message, faults[i].names));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
  }
}

static void test_bounds(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_autoptr(GString) text = g_string_new("{\"allowedProfiles\": [\"a\"");
  for (guint i = 0; i < WSD_CONFIG_LIST_MAX; i++)
    g_string_append(text, ", \"a\"");
  g_string_append(text, "]}");
  g_autoptr(GError) error = NULL;
  write_file(fixture->local, NULL, text->str);
  g_assert_null(load(fixture, &error));
  g_assert_nonnull(strstr(error->message, "allowedProfiles: has 65 entries"));
  g_clear_error(&error);
  g_autofree char *name = g_strnfill(WSD_CONFIG_NAME_MAX + 1, 'a');
  g_string_printf(text, "{\"deviceProfile\": \"%s\"}", name);
  write_file(fixture->local, NULL, text->str);
  g_assert_null(load(fixture, &error));
  g_assert_nonnull(strstr(error->message, "deviceProfile: must have 1 to"));
  g_clear_error(&error);
  g_autofree char *spaces = g_strnfill(WSD_CONFIG_FILE_MAX + 1, ' ');
  write_file(fixture->local, NULL, spaces);
  g_assert_null(load(fixture, &error));
  g_assert_nonnull(strstr(error->message, "is larger than"));
}

static void test_strange_files(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  struct wsd_config_source source = {.file = fixture->folder};
  g_autoptr(GError) error = NULL;
  g_assert_null(wsd_config_load(&source, &error));
  g_assert_nonnull(strstr(error->message, "not a regular file"));
}

static void test_policy_of_several_files(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  write_file(fixture->vendor, NULL, "{\"policy\": [{\"name\": \"v\", \"users\": [\"*\"]}]}");
  write_file(fixture->local, NULL,
             "{\"policy\": [{\"name\": \"l1\", \"users\": [\"*\"]}, {\"name\": \"l2\", \"users\": [\"*\"]}]}");
  write_file(fixture->local_drop_ins, "50-app.json", "{\"policy\": [{\"name\": \"d\", \"users\": [\"*\"]}]}");
  static const char *const order[] = {"rule \"d\"", "rule \"l1\"", "rule \"l2\"", "rule \"v\""};
  struct wsd_config *config = load(fixture, NULL);
  g_assert_cmpuint(wsd_policy_size(config->policy), ==, G_N_ELEMENTS(order));
  for (guint i = 0; i < G_N_ELEMENTS(order); i++)
    g_assert_true(g_str_has_prefix(wsd_policy_rule(config->policy, i)->title, order[i]));
  wsd_config_free(config);
}

static void test_device_files(struct fixture *fixture, gconstpointer unused) {
  (void)unused;
  g_autofree char *info = g_build_filename(fixture->folder, "machine-info", NULL);
  g_autofree char *release = g_build_filename(fixture->folder, "os-release", NULL);
  const char *devices[] = {info, release, NULL}, *none[] = {NULL};
  struct wsd_config_source source = {.files = none, .drop_in_folders = none, .device_files = devices};
  static const struct {
    const char *info, *release, *profile;
  } cases[] = {
      {"", "", "unknown"},
      {"", "NAME=x\nDEVICE_PROFILE=smart-screen\n", "smart-screen"},
      {"DEVICE_PROFILE='tv set'\n", "DEVICE_PROFILE=other", "tv set"},
      {"DEVICE_PROFILE=\"a\"\n  DEVICE_PROFILE=b", "", "b"},
      {"XDEVICE_PROFILE=a\n#DEVICE_PROFILE=b", "", "unknown"},
      {"DEVICE_PROFILE='unfinished", "", "unknown"},
      {"DEVICE_PROFILE=", "DEVICE_PROFILE=c", "c"},
      {"DEVICE_PROFILE=\xff", "DEVICE_PROFILE=c", "unknown"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    write_file(info, NULL, cases[i].info);
    write_file(release, NULL, cases[i].release);
    struct wsd_config *config = wsd_config_load(&source, NULL);
    g_assert_cmpstr(wsd_device_profile(config), ==, cases[i].profile);
    wsd_config_free(config);
  }
}

#define TEST(name, function) g_test_add("/config/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
  g_test_init(&argc, &argv, NULL);
  TEST("without files the defaults hold and servers are not allowed", test_defaults);
  TEST("later files win, drop-ins last, masked ones never", test_order);
  TEST("a named file is read alone and must be there", test_named_file_alone);
  TEST("administrators are read", test_administrators);
  TEST("every fault names file and key", test_faults);
  TEST("every bound names what is too large", test_bounds);
  TEST("a folder is no configuration", test_strange_files);
  TEST("rules of later files stand before those of earlier ones", test_policy_of_several_files);
  TEST("the device tells its profile where the configuration does not", test_device_files);
  return g_test_run();
}

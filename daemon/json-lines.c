/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json-lines.h"

#include <stdbool.h>
#include <string.h>

/* Walks through a text that is known to be JSON: nothing is checked again, but nothing is read behind its end either. */
struct walk {
  const char *at;
  const char *counted; /* up to here lines were counted: */
  guint present;
  GString *path;      /* of the value that is being walked through */
  const char *wanted; /* or NULL: twins are */
  guint line;         /* of what was found, 0: nothing yet */
  char *twin;
};

guint wsd_text_line(const char *text, gsize offset) {
  guint line = 1;
  for (gsize i = 0; i < offset && text[i]; i++)
    line += text[i] == '\n';
  return line;
}

static guint present_line(struct walk *walk) {
  for (; walk->counted < walk->at; walk->counted++)
    walk->present += *walk->counted == '\n';
  return walk->present;
}

static void skip_space(struct walk *walk) {
  walk->at += strspn(walk->at, " \t\r\n");
}

static void skip_string(struct walk *walk) {
  walk->at++;
  while (*walk->at && *walk->at != '"')
    walk->at += walk->at[0] == '\\' && walk->at[1] ? 2 : 1;
  if (*walk->at)
    walk->at++;
}

/* As the parser reads it, but for \uXXXX beyond ASCII, which stays as it is. */
static char *read_name(struct walk *walk) {
  const char *begin = walk->at + 1;
  skip_string(walk);
  GString *name = g_string_new(NULL);
  for (const char *at = begin; at + 1 < walk->at; at++) {
    guint64 code;
    g_autofree char *digits = at[0] == '\\' && at[1] == 'u' ? g_strndup(at + 2, 4) : NULL;
    if (digits && g_ascii_string_to_unsigned(digits, 16, 1, 127, &code, NULL)) {
      g_string_append_c(name, (char)code);
      at += 5;
    } else if (at[0] == '\\' && at[1] != 'u') {
      static const char written[] = "bfnrt", meant[] = "\b\f\n\r\t";
      const char *known = strchr(written, *++at);
      g_string_append_c(name, known && *known ? meant[known - written] : *at);
    } else {
      g_string_append_c(name, *at);
    }
  }
  return g_string_free(name, FALSE);
}

static void walk_value(struct walk *walk, guint line);

static void walk_member(struct walk *walk, GHashTable *names) {
  gsize length = walk->path->len;
  guint line = present_line(walk);
  char *name = read_name(walk);
  g_string_append_printf(walk->path, "%s%s", length > 0 ? "." : "", name);
  if (!g_hash_table_add(names, name) && !walk->wanted && !walk->twin) {
    walk->twin = g_strdup(walk->path->str);
    walk->line = line;
  }
  skip_space(walk);
  walk->at += *walk->at == ':';
  walk_value(walk, line);
  g_string_truncate(walk->path, length);
}

static void walk_object(struct walk *walk) {
  g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  do {
    walk->at++;
    skip_space(walk);
    if (*walk->at == '"')
      walk_member(walk, names);
    skip_space(walk);
  } while (*walk->at == ',');
  walk->at += *walk->at == '}';
}

static void walk_array(struct walk *walk) {
  gsize length = walk->path->len;
  guint index = 0;
  do {
    walk->at++;
    skip_space(walk);
    if (*walk->at && *walk->at != ']') {
      g_string_append_printf(walk->path, "[%u]", index++);
      walk_value(walk, present_line(walk));
      g_string_truncate(walk->path, length);
    }
    skip_space(walk);
  } while (*walk->at == ',');
  walk->at += *walk->at == ']';
}

static void walk_value(struct walk *walk, guint line) {
  if (walk->wanted && g_str_equal(walk->path->str, walk->wanted))
    walk->line = line;
  skip_space(walk);
  if (*walk->at == '{')
    walk_object(walk);
  else if (*walk->at == '[')
    walk_array(walk);
  else if (*walk->at == '"')
    skip_string(walk);
  else
    walk->at += strcspn(walk->at, ",]} \t\r\n");
}

static guint find(const char *text, const char *wanted, char **twin) {
  struct walk walk = {.at = text, .counted = text, .present = 1, .path = g_string_new(NULL), .wanted = wanted};
  skip_space(&walk);
  walk_value(&walk, present_line(&walk));
  g_string_free(walk.path, TRUE);
  if (twin)
    *twin = walk.twin;
  else
    g_free(walk.twin);
  return walk.line;
}

guint wsd_json_line(const char *text, const char *path) {
  return find(text, path, NULL);
}

char *wsd_json_find_twin(const char *text, guint *line) {
  char *twin = NULL;
  *line = find(text, NULL, &twin);
  return twin;
}

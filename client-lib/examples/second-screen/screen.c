/* SPDX-License-Identifier: Apache-2.0 */
#include "client-lib/examples/second-screen/screen.h"
#include "client-lib/examples/limits.h"

static const char *const tiles[SCREEN_ROWS][SCREEN_COLUMNS] = {
    {"News", "Films", "Series"},
    {"Sports", "Music", "Photos"},
    {"Games", "Weather", "Settings"},
};

void screen_init(struct screen *screen) {
  *screen = (struct screen){.row = 1, .column = 1, .volume = 20};
}

static void move(struct screen *screen, int rows, int columns) {
  if (screen->open)
    return;
  screen->row = CLAMP(screen->row + rows, 0, SCREEN_ROWS - 1);
  screen->column = CLAMP(screen->column + columns, 0, SCREEN_COLUMNS - 1);
}

static void change_volume(struct screen *screen, int step) {
  screen->volume = CLAMP(screen->volume + step, 0, SCREEN_VOLUME_MAX);
  screen->muted = FALSE;
}

static void press_up(struct screen *screen) {
  move(screen, -1, 0);
}
static void press_down(struct screen *screen) {
  move(screen, 1, 0);
}
static void press_left(struct screen *screen) {
  move(screen, 0, -1);
}
static void press_right(struct screen *screen) {
  move(screen, 0, 1);
}
static void press_ok(struct screen *screen) {
  screen->open = TRUE;
}
static void press_back(struct screen *screen) {
  screen->open = FALSE;
}
static void press_volume_up(struct screen *screen) {
  change_volume(screen, SCREEN_VOLUME_STEP);
}
static void press_volume_down(struct screen *screen) {
  change_volume(screen, -SCREEN_VOLUME_STEP);
}
static void press_mute(struct screen *screen) {
  screen->muted = !screen->muted;
}

static const struct {
  const char *name;
  void (*press)(struct screen *screen);
} keys[] = {
    {"up", press_up},     {"down", press_down}, {"left", press_left},           {"right", press_right},
    {"ok", press_ok},     {"back", press_back}, {"volume-up", press_volume_up}, {"volume-down", press_volume_down},
    {"mute", press_mute},
};

gboolean screen_press(struct screen *screen, const char *key) {
  for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
    if (g_str_equal(key, keys[i].name)) {
      keys[i].press(screen);
      return TRUE;
    }
  }
  return FALSE;
}

const char *screen_selected(const struct screen *screen) {
  return tiles[screen->row][screen->column];
}

json_object *screen_state(const struct screen *screen) {
  json_object *state = json_object_new_object();
  json_object_object_add(state, "type", json_object_new_string("state"));
  json_object_object_add(state, "row", json_object_new_int(screen->row));
  json_object_object_add(state, "column", json_object_new_int(screen->column));
  json_object_object_add(state, "selected", json_object_new_string(screen_selected(screen)));
  json_object_object_add(state, "open", json_object_new_boolean(screen->open));
  json_object_object_add(state, "volume", json_object_new_int(screen->volume));
  json_object_object_add(state, "muted", json_object_new_boolean(screen->muted));
  return state;
}

json_object *screen_tiles(void) {
  json_object *list = json_object_new_array();
  for (int i = 0; i < SCREEN_ROWS * SCREEN_COLUMNS; i++)
    json_object_array_add(list, json_object_new_string(tiles[i / SCREEN_COLUMNS][i % SCREEN_COLUMNS]));
  return list;
}

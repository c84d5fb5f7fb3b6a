/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the demo's television shows: a home screen of tiles with a cursor, one tile opened, and the volume. Keys of a remote control move it.
 * No I/O: keys in, state out as the JSON object that every phone gets.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#define SCREEN_COLUMNS 3
#define SCREEN_ROWS 3

struct screen {
  int row, column; /* of the cursor */
  gboolean open;   /* the tile under the cursor fills the screen */
  int volume;      /* 0 to SCREEN_VOLUME_MAX */
  gboolean muted;
};

void screen_init(struct screen *screen);

/* "up", "down", "left", "right", "ok", "back", "volume-up", "volume-down" or "mute"; FALSE for any other. A key
 * that has nothing to do (up in the top row) changes nothing and is fine. */
gboolean screen_press(struct screen *screen, const char *key);

const char *screen_selected(const struct screen *screen);

/* New objects, the caller's to json_object_put(). */
json_object *screen_state(const struct screen *screen);
json_object *screen_tiles(void);

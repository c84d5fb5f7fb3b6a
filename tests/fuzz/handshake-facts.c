/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/handshake-facts.h"

#include <string.h>

bool fuzz_slice_is(struct wsp_slice slice, const char *text) {
  return slice.text && slice.length == strlen(text) && memcmp(slice.text, text, slice.length) == 0;
}

bool fuzz_is_visible(struct wsp_slice slice) {
  for (size_t i = 0; i < slice.length; i++)
    if (slice.text[i] <= ' ' || slice.text[i] > '~')
      return false;
  return true;
}

void fuzz_note_slice(struct fuzz_log *log, struct wsp_slice slice) {
  fuzz_note_number(log, slice.text != NULL);
  fuzz_note(log, slice.text, slice.length);
}

static bool is_blank(char octet) {
  return octet == ' ' || octet == '\t';
}

void fuzz_note_field(struct fuzz_log *log, struct wsp_header field) {
  require(field.name.length > 0 && fuzz_is_visible(field.name));
  for (size_t i = 0; i < field.name.length; i++)
    require(!strchr("()<>@,;:\\\"/[]?={}ABCDEFGHIJKLMNOPQRSTUVWXYZ", field.name.text[i]));
  for (size_t i = 0; i < field.value.length; i++)
    require((uint8_t)field.value.text[i] >= ' ' ? field.value.text[i] != 0x7F : field.value.text[i] == '\t');
  if (field.value.length > 0)
    require(!is_blank(field.value.text[0]) && !is_blank(field.value.text[field.value.length - 1]));
  fuzz_note_slice(log, field.name);
  fuzz_note_slice(log, field.value);
}

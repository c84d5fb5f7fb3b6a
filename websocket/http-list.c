/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/http-list.h"

#include <string.h>

bool wsp_is_token_octet(uint8_t octet) {
  if ((octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z'))
    return true;
  return octet != 0 && strchr("!#$%&'*+-.^_`|~", octet) != NULL;
}

static size_t token_length(const char *text, size_t length) {
  size_t i = 0;
  while (i < length && wsp_is_token_octet((uint8_t)text[i]))
    i++;
  return i;
}

bool wsp_is_token(struct wsp_slice slice) {
  return slice.length > 0 && token_length(slice.text, slice.length) == slice.length;
}

bool wsp_is_host(struct wsp_slice host) {
  for (size_t i = 0; i < host.length; i++) {
    uint8_t octet = (uint8_t)host.text[i];
    bool alphanumeric = (octet >= '0' && octet <= '9') || ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z');
    if (!alphanumeric && (octet == 0 || !strchr("-._~!$&'()*+,;=%[]:", octet)))
      return false;
  }
  return host.length > 0;
}

struct wsp_slice wsp_slice_from(const char *text) {
  return (struct wsp_slice){text, text ? strlen(text) : 0};
}

bool wsp_slice_equals(struct wsp_slice a, struct wsp_slice b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
}

bool wsp_slice_is(struct wsp_slice slice, const char *text) {
  return wsp_slice_equals(slice, wsp_slice_from(text));
}

static char to_lower(char octet) {
  return octet >= 'A' && octet <= 'Z' ? (char)(octet | 0x20) : octet;
}

bool wsp_slice_is_ignoring_case(struct wsp_slice slice, const char *text) {
  if (slice.length != strlen(text))
    return false;
  for (size_t i = 0; i < slice.length; i++)
    if (to_lower(slice.text[i]) != to_lower(text[i]))
      return false;
  return true;
}

static bool is_space(char octet) {
  return octet == ' ' || octet == '\t';
}

static struct wsp_slice trimmed(struct wsp_slice slice) {
  while (slice.length > 0 && is_space(slice.text[0])) {
    slice.text++;
    slice.length--;
  }
  while (slice.length > 0 && is_space(slice.text[slice.length - 1]))
    slice.length--;
  return slice;
}

bool wsp_list_next(struct wsp_slice *rest, struct wsp_slice *element) {
  if (!rest->text)
    return false;
  const char *comma = rest->length > 0 ? memchr(rest->text, ',', rest->length) : NULL;
  size_t length = comma ? (size_t)(comma - rest->text) : rest->length;
  *element = trimmed((struct wsp_slice){rest->text, length});
  if (comma)
    *rest = (struct wsp_slice){comma + 1, rest->length - length - 1};
  else
    *rest = (struct wsp_slice){0};
  return true;
}

/* token [ "/" token ], the protocol of RFC 9110 section 7.8. */
static bool is_token_with_version(struct wsp_slice slice) {
  size_t name = token_length(slice.text, slice.length);
  if (name == slice.length)
    return name > 0;
  return name > 0 && slice.text[name] == '/' &&
         wsp_is_token((struct wsp_slice){slice.text + name + 1, slice.length - name - 1});
}

bool wsp_list_has_token(struct wsp_slice list, const char *token, bool *malformed) {
  struct wsp_slice element;
  bool found = false;
  while (wsp_list_next(&list, &element)) {
    if (element.length == 0)
      continue;
    if (!is_token_with_version(element))
      *malformed = true;
    found = found || wsp_slice_is_ignoring_case(element, token);
  }
  return found;
}

/* ---- Sec-WebSocket-Extensions: a comma may stand in a quoted string, so the list is read octet by octet ---- */

static void skip_space(struct wsp_slice *rest) {
  *rest = trimmed(*rest);
}

static bool skip_octet(struct wsp_slice *rest, char octet) {
  skip_space(rest);
  if (rest->length == 0 || rest->text[0] != octet)
    return false;
  rest->text++;
  rest->length--;
  skip_space(rest);
  return true;
}

static bool skip_token(struct wsp_slice *rest) {
  size_t length = token_length(rest->text, rest->length);
  rest->text += length;
  rest->length -= length;
  return length > 0;
}

/* A quoted string whose content, without the backslashes, is a token: section 9.1 asks for that. */
static bool skip_quoted_token(struct wsp_slice *rest) {
  size_t at = 1, content = 0;
  while (at < rest->length && rest->text[at] != '"') {
    if (rest->text[at] == '\\')
      at++;
    if (at == rest->length || !wsp_is_token_octet((uint8_t)rest->text[at]))
      return false;
    at++;
    content++;
  }
  if (at == rest->length || content == 0)
    return false;
  rest->text += at + 1;
  rest->length -= at + 1;
  return true;
}

static bool skip_parameter(struct wsp_slice *rest) {
  if (!skip_token(rest))
    return false;
  if (!skip_octet(rest, '='))
    return true;
  if (rest->length > 0 && rest->text[0] == '"')
    return skip_quoted_token(rest);
  return skip_token(rest);
}

bool wsp_is_extension_list(struct wsp_slice value) {
  do {
    skip_space(&value);
    if (!skip_token(&value))
      return false;
    while (skip_octet(&value, ';'))
      if (!skip_parameter(&value))
        return false;
  } while (skip_octet(&value, ','));
  return value.length == 0;
}

/* What lies between `from` and the front of `rest`. */
static struct wsp_slice passed(struct wsp_slice from, struct wsp_slice rest) {
  return (struct wsp_slice){from.text, (size_t)(rest.text - from.text)};
}

bool wsp_extension_next(struct wsp_slice *rest, struct wsp_slice *name, struct wsp_slice *parameters) {
  if (!rest->text)
    return false;
  skip_space(rest);
  struct wsp_slice from = *rest;
  if (!skip_token(rest))
    return false;
  *name = passed(from, *rest);
  from = *rest;
  while (skip_octet(rest, ';'))
    if (!skip_parameter(rest))
      return false;
  *parameters = passed(from, *rest);
  if (!skip_octet(rest, ','))
    *rest = (struct wsp_slice){0};
  return true;
}

bool wsp_extension_parameter_next(struct wsp_slice *parameters, struct wsp_slice *name, struct wsp_slice *value) {
  if (!skip_octet(parameters, ';'))
    return false;
  struct wsp_slice from = *parameters;
  if (!skip_token(parameters))
    return false;
  *name = passed(from, *parameters);
  *value = (struct wsp_slice){0};
  if (!skip_octet(parameters, '='))
    return true;
  from = *parameters;
  const bool quoted = from.length > 0 && from.text[0] == '"';
  if (quoted ? !skip_quoted_token(parameters) : !skip_token(parameters))
    return false;
  *value = passed(from, *parameters);
  if (quoted)
    *value = (struct wsp_slice){value->text + 1, value->length - 2};
  return true;
}

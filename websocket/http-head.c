/* SPDX-License-Identifier: Apache-2.0 */
#include "websocket/http-head.h"

#include "websocket/http-list.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

enum head_state {
  METHOD,
  TARGET,
  VERSION,       /* of a request */
  START_LINE_LF, /* CR was read */
  RESPONSE_VERSION,
  RESPONSE_STATUS,
  RESPONSE_REASON,
  LINE_START, /* of a header field, or of the empty line */
  NAME,
  VALUE_START, /* white space before a value */
  VALUE,
  FIELD_LF, /* CR was read */
  END_LF,   /* CR of the empty line was read */
  DONE,
  FAULTY,
};

static const char version_form[] = "HTTP/d.d"; /* d: any digit */

void wsp_http_head_init(struct wsp_http_head *head, bool is_response) {
  memset(head, 0, sizeof *head);
  head->is_response = is_response;
  head->state = is_response ? RESPONSE_VERSION : METHOD;
}

void wsp_http_head_clear(struct wsp_http_head *head) {
  free(head->text);
  head->text = NULL;
  head->length = head->capacity = 0;
  head->header_count = 0;
  head->state = FAULTY;
}

static enum wsp_http_event fail(struct wsp_http_head *head, uint16_t status, const char *fault) {
  head->state = FAULTY;
  head->status = status;
  head->fault = fault;
  return WSP_HTTP_FAULT;
}

static enum wsp_http_event go_to(struct wsp_http_head *head, enum head_state state) {
  head->state = (uint8_t)state;
  return WSP_HTTP_MORE;
}

/* Where in `text` the octet being judged lies: it is stored already. */
static uint16_t here(const struct wsp_http_head *head) {
  return (uint16_t)(head->length - 1);
}

static bool is_digit(uint8_t octet) {
  return octet >= '0' && octet <= '9';
}

/* field-vchar, SP and HTAB of RFC 9110 section 5.5. */
static bool is_value_octet(uint8_t octet) {
  return octet == '\t' || (octet >= 0x20 && octet != 0x7F);
}

static const char *line_end_fault(uint8_t octet) {
  if (octet == '\n')
    return "Bare line feed in the HTTP head: lines end in CR LF.";
  return "Control character in the HTTP head.";
}

/* ---- First line. `from` of a part is kept in target.start; target is free in a response ---- */

/* One octet of "HTTP/1.1" at place `at`. */
static bool version_octet_is_right(struct wsp_http_head *head, size_t at, uint8_t octet) {
  if (version_form[at] != 'd')
    return octet == (uint8_t)version_form[at];
  if (!is_digit(octet))
    return false;
  if (at == 5)
    head->major = (uint8_t)(octet - '0');
  else
    head->minor = (uint8_t)(octet - '0');
  return true;
}

static enum wsp_http_event read_method(struct wsp_http_head *head, uint8_t octet) {
  if (octet == ' ' && head->method.length > 0)
    return go_to(head, TARGET);
  if (!wsp_is_token_octet(octet) || ++head->method.length > WSP_METHOD_MAX)
    return fail(head, 400, "This is not an HTTP request.");
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_target(struct wsp_http_head *head, uint8_t octet) {
  if (head->target.length == 0)
    head->target.start = here(head);
  if (octet == ' ' && head->target.length > 0)
    return go_to(head, VERSION);
  if (octet <= ' ' || octet >= 0x7F)
    return fail(head, 400, "The request-target holds an octet that no URL may hold, or the HTTP version is missing.");
  if (octet == '#')
    return fail(head, 400, "The request-target holds a fragment.");
  if (++head->target.length > WSP_TARGET_MAX)
    return fail(head, 431, "The request-target is too long.");
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_version(struct wsp_http_head *head, uint8_t octet) {
  const size_t at = here(head) - (head->target.start + head->target.length + 1u);
  if (at == sizeof version_form - 1 && octet == '\r')
    return go_to(head, START_LINE_LF);
  if (at >= sizeof version_form - 1 || !version_octet_is_right(head, at, octet))
    return fail(head, 400, "The request line does not end in an HTTP version and CR LF.");
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_response_version(struct wsp_http_head *head, uint8_t octet) {
  const size_t at = here(head);
  if (at == sizeof version_form - 1 && octet == ' ')
    return go_to(head, RESPONSE_STATUS);
  if (at >= sizeof version_form - 1 || !version_octet_is_right(head, at, octet))
    return fail(head, 400, "The answer does not begin with an HTTP version.");
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_response_status(struct wsp_http_head *head, uint8_t octet) {
  const size_t at = here(head) - sizeof version_form;
  if (at == 3 && octet == ' ' && head->response_status >= 100)
    return go_to(head, RESPONSE_REASON);
  if (at >= 3 || !is_digit(octet))
    return fail(head, 400, "The answer's status is not three digits and a space.");
  head->response_status = (uint16_t)(head->response_status * 10 + (octet - '0'));
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_response_reason(struct wsp_http_head *head, uint8_t octet) {
  if (octet == '\r')
    return go_to(head, START_LINE_LF);
  if (!is_value_octet(octet))
    return fail(head, 400, line_end_fault(octet));
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_start_line(struct wsp_http_head *head, uint8_t octet) {
  switch (head->state) {
  case METHOD:
    return read_method(head, octet);
  case TARGET:
    return read_target(head, octet);
  case VERSION:
    return read_version(head, octet);
  case RESPONSE_VERSION:
    return read_response_version(head, octet);
  case RESPONSE_STATUS:
    return read_response_status(head, octet);
  case RESPONSE_REASON:
    return read_response_reason(head, octet);
  default: /* START_LINE_LF */
    if (octet != '\n')
      return fail(head, 400, "Bare carriage return in the HTTP head.");
    head->start_line_read = true;
    go_to(head, LINE_START);
    return WSP_HTTP_START_LINE;
  }
}

/* ---- Header fields ---- */

static struct wsp_http_field *current_field(struct wsp_http_head *head) {
  return &head->fields[head->header_count];
}

static enum wsp_http_event read_name(struct wsp_http_head *head, uint8_t octet) {
  struct wsp_http_field *field = current_field(head);
  if (octet == ':' && field->name.length > 0)
    return go_to(head, VALUE_START);
  if (octet == ' ' || octet == '\t')
    return fail(head, 400, "White space in or before a header's name (folded lines are not accepted).");
  if (octet == '\r')
    return fail(head, 400, "A header line without a colon.");
  if (!wsp_is_token_octet(octet))
    return fail(head, 400, octet == '\n' ? line_end_fault(octet) : "Illegal octet in a header's name.");
  if (octet >= 'A' && octet <= 'Z')
    head->text[here(head)] = (char)(octet | 0x20);
  field->name.length++;
  return WSP_HTTP_MORE;
}

static enum wsp_http_event read_line_start(struct wsp_http_head *head, uint8_t octet) {
  if (octet == '\r')
    return go_to(head, END_LF);
  if (head->header_count == WSP_HEADERS_MAX)
    return fail(head, 431, "Too many header fields.");
  *current_field(head) = (struct wsp_http_field){.name.start = here(head)};
  head->state = NAME;
  return read_name(head, octet);
}

static enum wsp_http_event read_value(struct wsp_http_head *head, uint8_t octet) {
  struct wsp_http_span *value = &current_field(head)->value;
  if (octet == '\r')
    return go_to(head, FIELD_LF);
  if (!is_value_octet(octet))
    return fail(head, 400, line_end_fault(octet));
  if (octet == ' ' || octet == '\t')
    return WSP_HTTP_MORE;
  if (head->state == VALUE_START)
    value->start = here(head);
  value->length = (uint16_t)(head->length - value->start); /* white space behind the value is never reached */
  return go_to(head, VALUE);
}

static enum wsp_http_event read_field(struct wsp_http_head *head, uint8_t octet) {
  switch (head->state) {
  case LINE_START:
    return read_line_start(head, octet);
  case NAME:
    return read_name(head, octet);
  case VALUE_START:
  case VALUE:
    return read_value(head, octet);
  default: /* FIELD_LF, END_LF */
    if (octet != '\n')
      return fail(head, 400, "Bare carriage return in the HTTP head.");
    if (head->state == END_LF) {
      go_to(head, DONE);
      return WSP_HTTP_DONE;
    }
    head->header_count++;
    go_to(head, LINE_START);
    return WSP_HTTP_FIELD;
  }
}

/* ---- The whole ---- */

static bool store(struct wsp_http_head *head, uint8_t octet) {
  if (head->length == head->capacity) {
    size_t capacity = head->capacity ? head->capacity * 2u : FIRST_CAPACITY;
    capacity = capacity < WSP_HEAD_MAX ? capacity : WSP_HEAD_MAX;
    char *text = realloc(head->text, capacity);
    if (!text)
      return false;
    head->text = text;
    head->capacity = (uint16_t)capacity;
  }
  head->text[head->length++] = (char)octet;
  return true;
}

static enum wsp_http_event read_octet(struct wsp_http_head *head, uint8_t octet) {
  if (head->length == WSP_HEAD_MAX)
    return fail(head, 431, "The HTTP head is too large.");
  if (!store(head, octet))
    return fail(head, 503, "Out of memory.");
  return head->state < LINE_START ? read_start_line(head, octet) : read_field(head, octet);
}

enum wsp_http_event wsp_http_head_feed(struct wsp_http_head *head, const uint8_t *octets, size_t length,
                                       size_t *consumed) {
  if (head->state == DONE)
    return WSP_HTTP_DONE;
  if (head->state == FAULTY)
    return WSP_HTTP_FAULT;
  enum wsp_http_event event = WSP_HTTP_MORE;
  size_t at = 0;
  while (at < length && event == WSP_HTTP_MORE)
    event = read_octet(head, octets[at++]);
  *consumed += at;
  return event;
}

struct wsp_slice wsp_http_head_slice(const struct wsp_http_head *head, struct wsp_http_span span) {
  return (struct wsp_slice){head->text + span.start, span.length};
}

struct wsp_header wsp_http_head_header(const struct wsp_http_head *head, size_t index) {
  if (index >= head->header_count)
    return (struct wsp_header){0};
  return (struct wsp_header){
      .name = wsp_http_head_slice(head, head->fields[index].name),
      .value = wsp_http_head_slice(head, head->fields[index].value),
  };
}

struct wsp_slice wsp_http_head_find(const struct wsp_http_head *head, const char *name) {
  for (size_t i = 0; i < head->header_count; i++) {
    struct wsp_header header = wsp_http_head_header(head, i);
    if (wsp_slice_is(header.name, name))
      return header.value;
  }
  return (struct wsp_slice){0};
}

size_t wsp_http_head_count(const struct wsp_http_head *head, const char *name) {
  size_t count = 0;
  for (size_t i = 0; i < head->header_count; i++)
    count += wsp_slice_is(wsp_http_head_header(head, i).name, name);
  return count;
}

bool wsp_http_field_means_body(struct wsp_header field) {
  if (wsp_slice_is(field.name, "transfer-encoding"))
    return true;
  if (!wsp_slice_is(field.name, "content-length"))
    return false;
  for (size_t i = 0; i < field.value.length; i++)
    if (field.value.text[i] != '0')
      return true;
  return field.value.length == 0;
}

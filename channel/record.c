/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/record.h"

#include <string.h>

enum subject { NO_CONNECTION, ONE_CONNECTION, ANY_CONNECTION };
enum code { NO_CODE, CODE_OF_CLOSE, CODE_OF_CLOSED };

/* What a header of each type may say. */
struct rule {
  bool known;
  bool payload; /* a message's payload may follow, beside size_max */
  uint8_t direction;
  uint8_t subject;
  uint8_t code;
  uint8_t flags;
  uint32_t size_min, size_max;
};

enum {
  CREDIT_SIZE = 8,
  ACKNOWLEDGE_SIZE = 8,
  STANDING_SIZE = 16,
  ERROR_FIXED = 4,
  BROADCAST_FIXED = 8,
  TARGET_SIZE = 8,
  RELEASE_SIZE = 8,
  WELCOME_ACKNOWLEDGED = 1,
};

static const struct rule rules[] = {
    [WSC_WELCOME] = {true, false, WSC_TO_APP, NO_CONNECTION, NO_CODE, 0, WSC_WELCOME_MIN, WSC_WELCOME_MAX},
    [WSC_STANDING] = {true, false, WSC_TO_APP, ONE_CONNECTION, NO_CODE, 0, STANDING_SIZE, STANDING_SIZE},
    [WSC_ASK] = {true, false, WSC_TO_APP, NO_CONNECTION, NO_CODE, 0, ACKNOWLEDGE_SIZE, ACKNOWLEDGE_SIZE},
    [WSC_CREDIT] = {true, false, WSC_TO_APP, ONE_CONNECTION, NO_CODE, 0, CREDIT_SIZE, CREDIT_SIZE},
    [WSC_CONNECT] = {true, false, WSC_TO_APP, ONE_CONNECTION, NO_CODE, 0, WSC_CONNECT_FIXED, WSC_CONNECT_MAX},
    [WSC_MESSAGE] = {true, true, WSC_TO_APP, ONE_CONNECTION, NO_CODE, WSC_FLAG_TEXT, 0, 0},
    [WSC_CLOSED] = {true, false, WSC_TO_APP, ONE_CONNECTION, CODE_OF_CLOSED, WSC_FLAG_CLEAN, 0, WSC_REASON_MAX},
    [WSC_ERROR] = {true, false, WSC_TO_APP, ANY_CONNECTION, NO_CODE, 0, ERROR_FIXED, ERROR_FIXED + WSC_ERROR_TEXT_MAX},
    [WSC_DRAINED] = {true, false, WSC_TO_APP, ONE_CONNECTION, NO_CODE, 0, 0, 0},
    [WSC_RELEASED] = {true, false, WSC_TO_APP, NO_CONNECTION, NO_CODE, 0, RELEASE_SIZE, RELEASE_SIZE *WSC_RELEASES_MAX},
    [WSC_SHARED_MESSAGE] = {true, false, WSC_TO_APP, ONE_CONNECTION, NO_CODE, WSC_FLAG_TEXT, WSC_SHARED_SIZE,
                            WSC_SHARED_SIZE},
    [WSC_SHARED_SEND] = {true, false, WSC_TO_WORKER, ONE_CONNECTION, NO_CODE, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT,
                         WSC_SHARED_SIZE, WSC_SHARED_SIZE},
    [WSC_RELEASE] = {true, false, WSC_TO_WORKER, NO_CONNECTION, NO_CODE, 0, RELEASE_SIZE,
                     RELEASE_SIZE *WSC_RELEASES_MAX},
    [WSC_SHARED_FORWARD] = {true, false, WSC_TO_WORKER, ONE_CONNECTION, NO_CODE, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT,
                            WSC_SHARED_SIZE, WSC_SHARED_SIZE},
    [WSC_SEND] = {true, true, WSC_TO_WORKER, ONE_CONNECTION, NO_CODE, WSC_FLAG_TEXT | WSC_FLAG_WANT_CREDIT, 0, 0},
    [WSC_BROADCAST] = {true, true, WSC_TO_WORKER, NO_CONNECTION, NO_CODE, WSC_FLAG_TEXT, BROADCAST_FIXED + TARGET_SIZE,
                       BROADCAST_FIXED + TARGET_SIZE *WSC_BROADCAST_TARGETS_MAX},
    [WSC_CLOSE] = {true, false, WSC_TO_WORKER, ONE_CONNECTION, CODE_OF_CLOSE, 0, 0, WSC_REASON_MAX},
    [WSC_ACKNOWLEDGE] = {true, false, WSC_TO_WORKER, NO_CONNECTION, NO_CODE, 0, ACKNOWLEDGE_SIZE, ACKNOWLEDGE_SIZE},
    [WSC_WANT_DRAINED] = {true, false, WSC_TO_WORKER, ONE_CONNECTION, NO_CODE, 0, 0, 0},
};

static const struct rule *rule_of(uint8_t type, enum wsc_direction direction) {
  if (type >= sizeof rules / sizeof rules[0] || !rules[type].known || rules[type].direction != direction)
    return NULL;
  return &rules[type];
}

/* RFC 6455 section 7.4: what may stand in a Close frame. */
static bool code_is_sendable(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* Section 7.1.5: and what is reported where there was no code, or no frame. */
static bool code_is_reportable(uint16_t code) {
  return code_is_sendable(code) || code == 1005 || code == 1006;
}

static const char *code_fault(const struct wsc_header *header, uint8_t kind) {
  if (kind == NO_CODE)
    return header->code == 0 ? NULL : "a code where the record has none";
  if (kind == CODE_OF_CLOSE)
    return code_is_sendable(header->code) ? NULL : "a code that no Close frame may carry";
  if (!code_is_reportable(header->code))
    return "a code that no connection closes with";
  if (header->code == 1006 && (header->flags & WSC_FLAG_CLEAN) != 0)
    return "clean although there was no Close frame";
  return NULL;
}

static uint64_t payload_max(uint64_t max_message) {
  return max_message < WSC_MESSAGE_MAX ? max_message : WSC_MESSAGE_MAX;
}

const char *wsc_header_fault(const struct wsc_header *header, enum wsc_direction direction, uint64_t max_message) {
  const struct rule *rule = rule_of(header->type, direction);
  if (rule == NULL)
    return "a type of record that does not exist in this direction";
  if ((header->flags & ~rule->flags) != 0)
    return "a flag that the type does not have";
  if (rule->subject == NO_CONNECTION && header->connection != 0)
    return "a connection where the record is about none";
  if (rule->subject == ONE_CONNECTION && header->connection == 0)
    return "no connection where the record is about one";
  const char *fault = code_fault(header, rule->code);
  if (fault != NULL)
    return fault;
  if (header->size < rule->size_min)
    return "a body shorter than the type's";
  if (header->size > rule->size_max + (rule->payload ? payload_max(max_message) : 0))
    return rule->payload ? "a message above the limit" : "a body longer than the type's";
  return NULL;
}

static const char *broadcast_fault(const uint8_t *body, uint32_t size, uint64_t max_message) {
  uint32_t count = wsc_get_u32(body);
  if (count == 0 || count > WSC_BROADCAST_TARGETS_MAX)
    return "a broadcast to none or to too many";
  if (wsc_get_u32(body + 4) != 0)
    return "a reserved octet that is not zero";
  if (TARGET_SIZE * count > size - BROADCAST_FIXED)
    return "a broadcast shorter than its targets";
  if (size - BROADCAST_FIXED - TARGET_SIZE * count > payload_max(max_message))
    return "a message above the limit";
  for (uint32_t i = 0; i < count; i++)
    if (wsc_get_u64(body + BROADCAST_FIXED + TARGET_SIZE * (size_t)i) == 0)
      return "no connection where the record is about one";
  return NULL;
}

static const char *shared_fault(const uint8_t *body, uint64_t max_message) {
  uint64_t offset = wsc_get_u64(body), length = wsc_get_u64(body + 8);
  if (offset % WSC_ARENA_UNIT != 0)
    return "a range that begins where none may";
  if (length == 0)
    return "a range without octets";
  return length > payload_max(max_message) ? "a message above the limit" : NULL;
}

const char *wsc_record_fault(const struct wsc_record *record, enum wsc_direction direction, uint64_t max_message) {
  const struct wsc_header *header = &record->header;
  struct wsc_welcome welcome;
  struct wsc_connect connect;
  if (rule_of(header->type, direction) == NULL)
    return "a type of record that does not exist in this direction";
  switch (header->type) {
  case WSC_WELCOME:
    return wsc_welcome_decode(record->body, header->size, &welcome) ? NULL : "a malformed WELCOME";
  case WSC_STANDING:
    return wsc_get_u64(record->body + 8) <= wsc_get_u64(record->body) ? NULL : "more released than charged";
  case WSC_CONNECT:
    return wsc_connect_decode(record->body, header->size, &connect) ? NULL : "a malformed CONNECT";
  case WSC_BROADCAST:
    return broadcast_fault(record->body, header->size, max_message);
  case WSC_SHARED_MESSAGE:
  case WSC_SHARED_SEND:
  case WSC_SHARED_FORWARD:
    return shared_fault(record->body, max_message);
  case WSC_RELEASE:
  case WSC_RELEASED:
    return header->size % RELEASE_SIZE == 0 ? NULL : "a list of ranges that ends within one";
  default:
    return NULL;
  }
}

void wsc_header_encode(const struct wsc_header *header, uint8_t out[WSC_RECORD_HEADER]) {
  wsc_put_u32(out, header->size);
  out[4] = header->type;
  out[5] = header->flags;
  wsc_put_u16(out + 6, header->code);
  wsc_put_u64(out + 8, header->connection);
}

void wsc_header_decode(const uint8_t in[WSC_RECORD_HEADER], struct wsc_header *header) {
  header->size = wsc_get_u32(in);
  header->type = in[4];
  header->flags = in[5];
  header->code = wsc_get_u16(in + 6);
  header->connection = wsc_get_u64(in + 8);
}

void wsc_welcome_encode(const struct wsc_welcome *welcome, uint8_t out[WSC_WELCOME_SIZE]) {
  wsc_put_u16(out, welcome->version);
  out[2] = welcome->acknowledged ? WELCOME_ACKNOWLEDGED : 0;
  out[3] = 0;
  wsc_put_u32(out + 4, welcome->repeats);
  wsc_put_u64(out + 8, welcome->generation);
  wsc_put_u64(out + 16, welcome->first_event);
  wsc_put_u64(out + 24, welcome->max_message);
  wsc_put_u32(out + 32, welcome->queue_high);
  wsc_put_u32(out + 36, welcome->queue_low);
  wsc_put_u32(out + 40, welcome->standing);
  wsc_put_u32(out + 44, welcome->abilities);
}

bool wsc_welcome_decode(const uint8_t *body, size_t size, struct wsc_welcome *welcome) {
  if (size < WSC_WELCOME_MIN || size > WSC_WELCOME_MAX || (body[2] & ~WELCOME_ACKNOWLEDGED) != 0 || body[3] != 0)
    return false;
  welcome->version = wsc_get_u16(body);
  welcome->acknowledged = body[2] & WELCOME_ACKNOWLEDGED;
  welcome->repeats = wsc_get_u32(body + 4);
  welcome->generation = wsc_get_u64(body + 8);
  welcome->first_event = wsc_get_u64(body + 16);
  welcome->max_message = wsc_get_u64(body + 24);
  welcome->queue_high = wsc_get_u32(body + 32);
  welcome->queue_low = wsc_get_u32(body + 36);
  welcome->standing = size >= WSC_WELCOME_SIZE_STANDING ? wsc_get_u32(body + 40) : 0;
  welcome->abilities = size >= WSC_WELCOME_SIZE ? wsc_get_u32(body + 44) : 0;
  return welcome->version >= WSC_VERSION && welcome->version <= WSC_VERSION_SHARED &&
         welcome->generation <= UINT32_MAX && welcome->first_event > 0 && welcome->max_message <= WSC_MESSAGE_MAX &&
         welcome->queue_low > 0 && welcome->queue_low <= welcome->queue_high;
}

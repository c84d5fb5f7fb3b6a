/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's memory of events. Each octet of the input is a step: an event, a release, an acknowledgement of whatever
 * number, a new channel. Held against a plain count of what was appended: the channel sees every unacknowledged event,
 * in order, within the window, and nothing is kept beyond its acknowledgement. */
#include "channel/event-store.h"
#include "tests/fuzz/harness.h"

#include <string.h>

enum step { APPEND, RELEASE, ACKNOWLEDGE, RESUME, RELEASE_ALL, PASS, CLEAR, STEPS };

struct run {
  struct wsc_event_store store;
  uint64_t acknowledged, next; /* the model: the number that the channel sees next */
  size_t octets;               /* kept */
  size_t sizes[256];           /* of event N at N modulo 256; more are never kept */
};

static void append(struct run *run, uint8_t size) {
  const struct wsc_header header = {.type = WSC_MESSAGE, .connection = run->store.appended + 1};
  if (run->store.appended - run->acknowledged == 255)
    return;
  uint8_t *body = wsc_event_store_append(&run->store, &header, size);
  require(body);
  memset(body, (int)header.connection & 0xFF, size);
  run->sizes[header.connection % 256] = WSC_RECORD_HEADER + size;
  run->octets += WSC_RECORD_HEADER + size;
}

/* The records in `out` are the next events, each as it was appended. */
static void read_released(struct run *run, const struct wsc_queue *out) {
  const uint8_t *at = wsc_queue_front(out), *end = at + wsc_queue_length(out);
  for (; at < end; run->next++) {
    struct wsc_header header;
    wsc_header_decode(at, &header);
    require(header.connection == run->next && run->next <= run->store.appended);
    require(WSC_RECORD_HEADER + header.size == run->sizes[run->next % 256]);
    require(header.size == 0 || at[WSC_RECORD_HEADER] == (run->next & 0xFF));
    at += WSC_RECORD_HEADER + header.size;
  }
  require(at == end && run->next == run->store.released + 1);
}

static void release(struct run *run, bool all) {
  struct wsc_queue out = {0};
  const uint64_t before = run->store.released;
  require(all ? wsc_event_store_release_all(&run->store, &out) : wsc_event_store_release(&run->store, &out));
  if (wsc_queue_length(&out) > 0)
    read_released(run, &out);
  if (all)
    require(run->store.released == run->store.appended);
  else if (run->store.released > before + 1)
    require(run->store.released - run->acknowledged <= run->store.window_events &&
            run->store.released_octets <= run->store.window_octets);
  require(run->store.released > run->acknowledged || run->store.appended == run->acknowledged);
  wsc_queue_clear(&out);
}

static void acknowledge(struct run *run, uint64_t event) {
  const bool right = event <= run->acknowledged || event < run->next;
  require(wsc_event_store_acknowledge(&run->store, event) == right);
  for (; right && run->acknowledged < event; run->octets -= run->sizes[run->acknowledged % 256])
    run->acknowledged++;
}

static void step(struct run *run, uint8_t octet) {
  const uint8_t value = octet / STEPS;
  switch ((enum step)(octet % STEPS)) {
  case APPEND:
    append(run, value);
    break;
  case RELEASE:
  case RELEASE_ALL:
    release(run, octet % STEPS == RELEASE_ALL);
    break;
  case ACKNOWLEDGE:
    acknowledge(run, run->acknowledged + value - 2);
    break;
  case RESUME:
    require(wsc_event_store_resume(&run->store) == run->store.released_before - run->acknowledged);
    run->next = run->acknowledged + 1;
    break;
  case PASS:
    if (run->store.appended != run->acknowledged)
      break;
    wsc_event_store_pass(&run->store);
    run->acknowledged++;
    run->next = run->acknowledged + 1;
    break;
  default:
    wsc_event_store_clear(&run->store);
    run->acknowledged = run->store.appended;
    run->next = run->acknowledged + 1;
    run->octets = 0;
  }
}

static void check_counts(const struct run *run) {
  const struct wsc_event_store *store = &run->store;
  require(store->acknowledged == run->acknowledged && store->released + 1 == run->next);
  require(store->released <= store->released_before && store->released_before <= store->appended);
  require(wsc_queue_length(&store->records) == run->octets && store->released_octets <= run->octets);
}

static void check_kept(const struct run *run) {
  struct wsc_header header;
  uint64_t kept = run->acknowledged;
  for (size_t offset = 0; wsc_event_store_next(&run->store, &offset, &header);)
    require(header.connection == ++kept);
  require(kept == run->store.appended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct run run = {.next = 1};
  if (size < 2)
    return 0;
  wsc_event_store_init(&run.store, data[0] % 8 + 1u, data[1] * 4u + 1u);
  for (size_t i = 2; i < size; i++) {
    step(&run, data[i]);
    check_counts(&run);
  }
  check_kept(&run);
  wsc_event_store_clear(&run.store);
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server-query.h"

#include "channel/record.h"
#include "daemon/connection-details.h"
#include "daemon/limits.h"

struct waiter {
  wsd_query_done done;
  void *user;
};

/* The references that questions under way hold keep both sides alive. */
struct counters_question {
  struct wsd_query *query;
  struct wsd_server *server;
  GArray *waiters; /* of struct waiter */
  guint timer;     /* 0: the answer is late, and nobody waits for it any more */
};

struct list_question {
  struct wsd_query *query;
  struct wsd_server *server;
  GPtrArray *calls;   /* of struct wsd_call */
  GPtrArray *entries; /* of GVariant (tsqa{sv}) */
  guint64 after;
  gsize octets; /* of the entries */
  guint timer;  /* as above */
};

struct wsd_query {
  guint references;
  struct counters_question *counters; /* under way */
  GArray *counters_next;              /* who asked since; of struct waiter */
  struct list_question *list;
  GPtrArray *list_next;
};

static void ask_counters(struct wsd_query *query, struct wsd_server *server, GArray *waiters);
static void ask_list(struct wsd_query *query, struct wsd_server *server, GPtrArray *calls);

struct wsd_query *wsd_query_new(void) {
  struct wsd_query *query = g_new0(struct wsd_query, 1);
  query->references = 1;
  query->counters_next = g_array_new(FALSE, FALSE, sizeof(struct waiter));
  query->list_next = g_ptr_array_new();
  return query;
}

void wsd_query_free(struct wsd_query *query) {
  if (--query->references > 0)
    return;
  g_array_unref(query->counters_next);
  g_ptr_array_unref(query->list_next);
  g_free(query);
}

/* Counters */

static void tell_waiters(struct counters_question *question) {
  g_autoptr(GArray) waiters = g_steal_pointer(&question->waiters);
  question->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
  for (guint i = 0; i < waiters->len; i++) {
    const struct waiter *waiter = &g_array_index(waiters, struct waiter, i);
    waiter->done(waiter->user);
  }
}

/* A worker that hangs must not hold up who asks about all servers: they get what was known last. */
static gboolean on_counters_late(gpointer data) {
  struct counters_question *question = data;
  struct wsd_query *query = question->query;
  question->timer = 0;
  g_array_append_vals(question->waiters, query->counters_next->data, query->counters_next->len);
  g_array_set_size(query->counters_next, 0);
  tell_waiters(question);
  return G_SOURCE_REMOVE;
}

static void on_counters(void *user, const struct wsc_control_record *record) {
  struct counters_question *question = user;
  struct wsd_query *query = question->query;
  struct wsc_counters counters;
  if (record && wsc_control_get_counters(record, &counters))
    wsd_server_keep_counters(question->server, &counters);
  g_clear_handle_id(&question->timer, g_source_remove);
  query->counters = NULL;
  if (query->counters_next->len > 0) {
    GArray *next = g_steal_pointer(&query->counters_next);
    query->counters_next = g_array_new(FALSE, FALSE, sizeof(struct waiter));
    ask_counters(query, question->server, next);
  }
  tell_waiters(question);
  g_array_unref(question->waiters);
  wsd_server_unref(question->server);
  wsd_query_free(query);
  g_free(question);
}

static void ask_counters(struct wsd_query *query, struct wsd_server *server, GArray *waiters) {
  struct counters_question *question = g_new(struct counters_question, 1);
  *question = (struct counters_question){.query = query, .server = wsd_server_ref(server), .waiters = waiters};
  question->timer = g_timeout_add(WSD_ANSWER_TIMEOUT_MS, on_counters_late, question);
  query->references++;
  query->counters = question;
  struct wsd_worker *worker = wsd_server_worker(server);
  if (worker)
    wsd_worker_ask_counters(worker, on_counters, question);
  else
    on_counters(question, NULL);
}

void wsd_query_counters(struct wsd_query *query, struct wsd_server *server, wsd_query_done done, void *user) {
  struct waiter waiter = {done, user};
  if (query->counters && query->counters->timer == 0) {
    done(user);
    return;
  }
  g_array_append_val(query->counters_next, waiter);
  if (query->counters)
    return;
  GArray *waiters = g_steal_pointer(&query->counters_next);
  query->counters_next = g_array_new(FALSE, FALSE, sizeof(struct waiter));
  ask_counters(query, server, waiters);
}

/* Connections */

static void answer_list(struct list_question *question) {
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(tsqa{sv})"));
  for (guint i = 0; i < question->entries->len; i++)
    g_variant_builder_add_value(&builder, question->entries->pdata[i]);
  g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new("(a(tsqa{sv}))", &builder));
  for (guint i = 0; i < question->calls->len; i++)
    wsd_call_return(question->calls->pdata[i], values);
}

static void refuse_list(struct list_question *question) {
  for (guint i = 0; i < question->calls->len; i++)
    if (question->octets > WSD_LIST_OCTETS_MAX)
      wsd_call_fail(question->calls->pdata[i], WSD_ERROR_LIMIT_EXCEEDED,
                    "what is known of the open connections is more than an answer carries; Connect told it of each");
    else if (question->timer == 0)
      wsd_call_fail(question->calls->pdata[i], WSD_ERROR_FAILED,
                    "the server's process does not answer; ask again later, or Stop it");
    else if (wsd_server_state(question->server) == WSD_SERVER_RUNNING)
      wsd_call_fail(question->calls->pdata[i], WSD_ERROR_FAILED,
                    "the server's process ended unexpectedly; ask again, it is started anew");
    else
      wsd_call_fail(question->calls->pdata[i], WSD_ERROR_SHUTTING_DOWN,
                    "the server was stopped meanwhile; call again once it runs");
}

static void end_list(struct list_question *question, bool complete) {
  struct wsd_query *query = question->query;
  if (complete)
    answer_list(question);
  else
    refuse_list(question);
  g_clear_handle_id(&question->timer, g_source_remove);
  query->list = NULL;
  if (query->list_next->len > 0) {
    GPtrArray *next = g_steal_pointer(&query->list_next);
    query->list_next = g_ptr_array_new();
    ask_list(query, question->server, next);
  }
  g_ptr_array_unref(question->calls);
  g_ptr_array_unref(question->entries);
  wsd_server_unref(question->server);
  wsd_query_free(query);
  g_free(question);
}

/* In its serialised form, which takes a small part of the memory. */
static void add_entry(struct list_question *question, GVariant *entry) {
  g_variant_ref_sink(entry);
  (void)g_variant_get_data(entry);
  question->octets += g_variant_get_size(entry);
  g_ptr_array_add(question->entries, entry);
}

/* Adds one page's entries; false when the worker breaks the rules: ids not ascending or not its own, too many, malformed. */
static bool add_entries(struct list_question *question, const struct wsc_control_record *record, bool *more) {
  struct wsc_control_field field;
  size_t offset = 0;
  guint64 before = question->after;
  *more = false;
  while (wsc_control_next_field(record, &offset, &field)) {
    struct wsc_connect connect;
    if (field.key == WSC_FIELD_MORE)
      *more = true;
    if (field.key != WSC_FIELD_CONNECTION_ENTRY)
      continue;
    guint64 id = field.length > 8 ? wsc_get_u64(field.value) : 0;
    if (id <= question->after || id >> 32 != wsd_server_generation(question->server) ||
        question->entries->len >= WSD_CONNECTIONS_MAX ||
        !wsc_connect_decode(field.value + 8, field.length - 8, &connect))
      return false;
    question->after = id;
    add_entry(question, wsd_connection_details(id, &connect, false));
  }
  return !*more || question->after > before;
}

static gboolean on_list_late(gpointer data) {
  struct list_question *question = data;
  struct wsd_query *query = question->query;
  question->timer = 0;
  g_ptr_array_extend_and_steal(question->calls, g_steal_pointer(&query->list_next));
  query->list_next = g_ptr_array_new();
  refuse_list(question);
  g_ptr_array_set_size(question->calls, 0);
  return G_SOURCE_REMOVE;
}

static void on_connections(void *user, const struct wsc_control_record *record) {
  struct list_question *question = user;
  struct wsd_worker *worker = wsd_server_worker(question->server);
  bool more = false;
  bool right = record && add_entries(question, record, &more);
  if (record && !right && worker)
    wsd_worker_break_off(worker, "a list of connections that cannot be");
  if (!right || question->octets > WSD_LIST_OCTETS_MAX)
    end_list(question, false);
  else if (!more || question->timer == 0)
    end_list(question, !more);
  else if (worker)
    wsd_worker_ask_connections(worker, question->after, on_connections, question);
  else
    end_list(question, false);
}

static void ask_list(struct wsd_query *query, struct wsd_server *server, GPtrArray *calls) {
  struct list_question *question = g_new0(struct list_question, 1);
  question->query = query;
  question->server = wsd_server_ref(server);
  question->calls = calls;
  question->entries = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
  question->timer = g_timeout_add(WSD_ANSWER_TIMEOUT_MS, on_list_late, question);
  query->references++;
  query->list = question;
  struct wsd_worker *worker = wsd_server_worker(server);
  if (worker) {
    wsd_worker_ask_connections(worker, 0, on_connections, question);
    return;
  }
  /* Running, but its worker is just being started again: nobody is connected. */
  end_list(question, wsd_server_state(server) == WSD_SERVER_RUNNING);
}

void wsd_query_connections(struct wsd_query *query, struct wsd_server *server, struct wsd_call *call) {
  g_ptr_array_add(query->list_next, call);
  if (query->list && query->list->timer == 0)
    on_list_late(query->list);
  if (query->list)
    return;
  GPtrArray *calls = g_steal_pointer(&query->list_next);
  query->list_next = g_ptr_array_new();
  ask_list(query, server, calls);
}

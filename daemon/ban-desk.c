/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ban-desk.h"

#include "daemon/limits.h"
#include "daemon/peer-address.h"
#include "daemon/server.h"
#include "daemon/service.h"

/* A call, and what workers have said to it. Held by the desk until it is answered, and by each worker that was asked. */
struct question {
  guint references;
  struct wsd_ban_desk *desk; /* NULL once it is answered: what comes then is too late */
  struct wsd_call *call;
  bool clears;
  struct wsc_address address; /* whose ban to clear */
  GPtrArray *asked;           /* of struct asked, in the order of their servers: as the answer shows them */
  guint left;                 /* workers that have not answered */
  guint timer;
};

/* One of the workers that were asked. */
struct asked {
  struct question *question;
  struct wsd_server *server;
  GVariant *bans; /* a(osst); NULL until it has answered */
};

struct wsd_ban_desk {
  struct wsd_service *service;
  GQueue waiting; /* of struct question */
  struct question *present;
};

static void ask_next(struct wsd_ban_desk *desk);

static void asked_free(gpointer data) {
  struct asked *asked = data;
  g_clear_pointer(&asked->bans, g_variant_unref);
  wsd_server_unref(asked->server);
  g_free(asked);
}

static void question_unref(struct question *question) {
  if (--question->references > 0)
    return;
  g_ptr_array_unref(question->asked);
  g_free(question);
}

struct wsd_ban_desk *wsd_ban_desk_new(struct wsd_service *service) {
  struct wsd_ban_desk *desk = g_new0(struct wsd_ban_desk, 1);
  desk->service = service;
  g_queue_init(&desk->waiting);
  return desk;
}

static void dismiss(struct question *question) {
  wsd_call_fail(question->call, WSD_ERROR_SHUTTING_DOWN, "the service is leaving; call again");
  g_clear_handle_id(&question->timer, g_source_remove);
  question->desk = NULL;
  question_unref(question);
}

void wsd_ban_desk_free(struct wsd_ban_desk *desk) {
  struct question *question;
  if (desk->present)
    dismiss(desk->present);
  while ((question = g_queue_pop_head(&desk->waiting)))
    dismiss(question);
  g_free(desk);
}

/* Answers */

static GVariant *collect(const struct question *question) {
  GVariantBuilder bans;
  g_variant_builder_init(&bans, G_VARIANT_TYPE("a(osst)"));
  for (guint i = 0; i < question->asked->len; i++) {
    const struct asked *asked = question->asked->pdata[i];
    for (gsize k = 0; asked->bans && k < g_variant_n_children(asked->bans); k++) {
      g_autoptr(GVariant) ban = g_variant_get_child_value(asked->bans, k);
      g_variant_builder_add_value(&bans, ban);
    }
  }
  return g_variant_new("(a(osst))", &bans);
}

static void finish(struct question *question) {
  struct wsd_ban_desk *desk = question->desk;
  question->desk = NULL;
  g_clear_handle_id(&question->timer, g_source_remove);
  if (question->clears)
    wsd_call_return(question->call, NULL);
  else
    wsd_call_return(question->call, collect(question));
  desk->present = NULL;
  question_unref(question);
  ask_next(desk);
}

static gboolean on_late(gpointer data) {
  struct question *question = data;
  question->timer = 0;
  finish(question);
  return G_SOURCE_REMOVE;
}

/* What a worker says is checked: it cannot name more bans than there may be, nor what is no address. */
static GVariant *read_bans(const struct wsd_server *server, const struct wsc_control_record *record) {
  GVariantBuilder bans;
  struct wsc_control_field field;
  size_t offset = 0;
  g_variant_builder_init(&bans, G_VARIANT_TYPE("a(osst)"));
  for (guint count = 0; count < WSD_BANS_OF_SERVER_MAX && wsc_control_next_field(record, &offset, &field);) {
    struct wsc_ban ban;
    if (field.key != WSC_FIELD_BAN_ENTRY || !wsc_control_read_ban(&field, &ban))
      continue;
    g_autofree char *address = wsd_peer_address_show(&ban.address);
    g_variant_builder_add(&bans, "(osst)", wsd_server_path(server), address, wsd_ban_reason(ban.reason),
                          (guint64)ban.seconds);
    count++;
  }
  return g_variant_ref_sink(g_variant_builder_end(&bans));
}

static void on_answer(void *user, const struct wsc_control_record *record) {
  struct asked *asked = user;
  struct question *question = asked->question;
  if (question->desk && record && !question->clears)
    asked->bans = read_bans(asked->server, record);
  if (question->desk && --question->left == 0)
    finish(question);
  question_unref(question);
}

static void ask_worker(struct question *question, struct wsd_server *server) {
  struct wsd_worker *worker = wsd_server_worker(server);
  if (!worker || wsd_worker_last_request(worker) < WSC_CONTROL_CLEAR_BAN) /* of a release that banned nobody */
    return;
  struct asked *asked = g_new(struct asked, 1);
  *asked = (struct asked){question, wsd_server_ref(server), NULL};
  g_ptr_array_add(question->asked, asked);
  question->references++;
  question->left++;
  if (question->clears)
    wsd_worker_ask_to_clear_ban(worker, &question->address, on_answer, asked);
  else
    wsd_worker_ask_bans(worker, on_answer, asked);
}

static void ask_next(struct wsd_ban_desk *desk) {
  struct question *question = desk->present ? NULL : g_queue_pop_head(&desk->waiting);
  if (!question)
    return;
  desk->present = question;
  for (GTreeNode *node = g_tree_node_first(desk->service->servers); node; node = g_tree_node_next(node))
    ask_worker(question, g_tree_node_value(node));
  if (question->left == 0)
    finish(question);
  else
    question->timer = g_timeout_add(WSD_ANSWER_TIMEOUT_MS, on_late, question);
}

static struct question *question_new(struct wsd_ban_desk *desk, struct wsd_call *call) {
  struct question *question = g_new0(struct question, 1);
  question->references = 1;
  question->desk = desk;
  question->call = call;
  question->asked = g_ptr_array_new_with_free_func(asked_free);
  return question;
}

void wsd_ban_desk_list(struct wsd_ban_desk *desk, struct wsd_call *call) {
  g_queue_push_tail(&desk->waiting, question_new(desk, call));
  ask_next(desk);
}

void wsd_ban_desk_clear(struct wsd_ban_desk *desk, struct wsd_call *call) {
  const char *text;
  struct wsc_address address;
  g_variant_get(g_dbus_message_get_body(call->message), "(&s)", &text);
  if (!wsd_peer_address_read(text, &address)) {
    wsd_call_fail(call, WSD_ERROR_INVALID_ARGUMENT,
                  "address: is no numeric address; write it as ListBans does (with the %%interface if link-local)");
    return;
  }
  struct question *question = question_new(desk, call);
  question->clears = true;
  question->address = address;
  g_queue_push_tail(&desk->waiting, question);
  ask_next(desk);
}

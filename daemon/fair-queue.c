/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fair-queue.h"

#include "daemon/limits.h"

#include <stdbool.h>

/* There only while it has something to say. */
struct sender {
  char *name;
  GQueue messages; /* of GDBusMessage, oldest first */
  gsize octets;    /* of these */
};

struct wsd_fair_queue {
  GHashTable *senders; /* by name; owns them */
  GQueue turns;        /* of struct sender, the next one first */
  guint length, most;
  gsize octets, most_octets;
};

static void sender_free(gpointer data) {
  struct sender *sender = data;
  g_queue_clear_full(&sender->messages, g_object_unref);
  g_free(sender->name);
  g_free(sender);
}

struct wsd_fair_queue *wsd_fair_queue_new(guint most, gsize most_octets) {
  struct wsd_fair_queue *queue = g_new0(struct wsd_fair_queue, 1);
  queue->senders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, sender_free);
  queue->most = most;
  queue->most_octets = most_octets;
  g_queue_init(&queue->turns);
  return queue;
}

void wsd_fair_queue_free(struct wsd_fair_queue *queue) {
  g_queue_clear(&queue->turns);
  g_hash_table_unref(queue->senders);
  g_free(queue);
}

guint wsd_fair_queue_length(const struct wsd_fair_queue *queue) {
  return queue->length;
}

static struct sender *sender_of(struct wsd_fair_queue *queue, GDBusMessage *message) {
  const char *name = g_dbus_message_get_sender(message);
  struct sender *sender = g_hash_table_lookup(queue->senders, name ? name : "");
  if (sender)
    return sender;
  sender = g_new0(struct sender, 1);
  sender->name = g_strdup(name ? name : "");
  g_queue_init(&sender->messages);
  g_hash_table_insert(queue->senders, sender->name, sender);
  g_queue_push_tail(&queue->turns, sender);
  return sender;
}

static gsize share_of(const struct sender *sender, bool by_octets) {
  return by_octets ? sender->octets : g_queue_get_length((GQueue *)&sender->messages);
}

/* Only a queue that is too full is searched. */
static struct sender *largest(struct wsd_fair_queue *queue, bool by_octets) {
  struct sender *found = queue->turns.head->data;
  for (GList *link = queue->turns.head->next; link; link = link->next)
    if (share_of(link->data, by_octets) > share_of(found, by_octets))
      found = link->data;
  return found;
}

static GDBusMessage *take(struct wsd_fair_queue *queue, struct sender *sender, GDBusMessage *message) {
  gsize octets = wsd_message_octets(message);
  sender->octets -= octets;
  queue->octets -= octets;
  queue->length--;
  return message;
}

gsize wsd_message_octets(GDBusMessage *message) {
  GVariant *body = g_dbus_message_get_body(message);
  gsize octets = WSD_MESSAGE_HEADER_COST + (body ? g_variant_get_size(body) : 0);
  g_autofree guchar *fields = g_dbus_message_get_header_fields(message); /* a path has no limit of its own */
  for (const guchar *field = fields; *field; field++)
    octets += g_variant_get_size(g_dbus_message_get_header(message, *field));
  return octets;
}

void wsd_fair_queue_push(struct wsd_fair_queue *queue, GDBusMessage *message) {
  struct sender *sender = sender_of(queue, message);
  gsize octets = wsd_message_octets(message);
  g_queue_push_tail(&sender->messages, message);
  sender->octets += octets;
  queue->octets += octets;
  queue->length++;
}

GDBusMessage *wsd_fair_queue_take_surplus(struct wsd_fair_queue *queue) {
  bool by_octets = queue->octets > queue->most_octets;
  if (queue->length <= 1 || (queue->length <= queue->most && !by_octets))
    return NULL;
  struct sender *sender = largest(queue, by_octets);
  GDBusMessage *surplus = take(queue, sender, g_queue_pop_tail(&sender->messages));
  if (g_queue_is_empty(&sender->messages)) {
    g_queue_remove(&queue->turns, sender);
    g_hash_table_remove(queue->senders, sender->name);
  }
  return surplus;
}

GDBusMessage *wsd_fair_queue_pop(struct wsd_fair_queue *queue) {
  struct sender *sender = g_queue_pop_head(&queue->turns);
  if (!sender)
    return NULL;
  GDBusMessage *message = take(queue, sender, g_queue_pop_head(&sender->messages));
  if (g_queue_is_empty(&sender->messages))
    g_hash_table_remove(queue->senders, sender->name);
  else
    g_queue_push_tail(&queue->turns, sender);
  return message;
}

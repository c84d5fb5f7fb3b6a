/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/adoption.h"

#include "daemon/credentials.h"
#include "daemon/keeper.h"
#include "daemon/limits.h"
#include "daemon/names.h"
#include "daemon/server.h"
#include "daemon/state.h"
#include "daemon/supervisor.h"
#include "daemon/vault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct wsd_adoption {
  struct wsd_service *service;
  struct wsd_state *state; /* NULL: nothing to adopt */
  GCancellable *cancellable;
  guint next; /* server looked at next */
  void (*done)(void *user);
  void *user;
};

/* The kept descriptor of that name, or NULL. */
static struct wsd_kept *find(struct wsd_adoption *adoption, const char *name) {
  GArray *kept = wsd_supervisor_kept(adoption->service->supervisor);
  for (guint i = 0; i < kept->len; i++) {
    struct wsd_kept *entry = &g_array_index(kept, struct wsd_kept, i);
    if (entry->fd >= 0 && g_str_equal(entry->name, name))
      return entry;
  }
  return NULL;
}

static void discard(struct wsd_adoption *adoption, struct wsd_kept *kept, const char *why) {
  g_warning("the kept descriptor %s is dropped: %s", kept->name, why);
  wsd_supervisor_drop(adoption->service->supervisor, kept->name);
  close(kept->fd);
  kept->fd = -1;
}

/* State: the newest valid one */

static void take_newest_state(struct wsd_adoption *adoption) {
  GArray *kept = wsd_supervisor_kept(adoption->service->supervisor);
  for (guint i = 0; i < kept->len; i++) {
    struct wsd_kept *entry = &g_array_index(kept, struct wsd_kept, i);
    g_autoptr(GError) error = NULL;
    if (!g_str_has_prefix(entry->name, "state-"))
      continue;
    struct wsd_state *state = wsd_state_read(entry->fd, &error);
    g_autofree char *name = state ? g_strdup_printf("state-%" G_GUINT64_FORMAT, state->sequence) : NULL;
    if (!state || !g_str_equal(name, entry->name)) {
      discard(adoption, entry, state ? "its name does not fit its content" : error->message);
      wsd_state_free(state);
      continue;
    }
    bool newer = !adoption->state || state->sequence > adoption->state->sequence;
    wsd_state_free(newer ? adoption->state : state);
    if (newer)
      adoption->state = state;
    close(entry->fd);
    entry->fd = -1;
  }
}

/* Those that are older than the newest; that one the keeper replaces. */
static void drop_older_states(struct wsd_adoption *adoption) {
  GArray *kept = wsd_supervisor_kept(adoption->service->supervisor);
  g_autofree char *newest =
      g_strdup_printf("state-%" G_GUINT64_FORMAT, adoption->state ? adoption->state->sequence : 0);
  for (guint i = 0; i < kept->len; i++) {
    const struct wsd_kept *entry = &g_array_index(kept, struct wsd_kept, i);
    if (g_str_has_prefix(entry->name, "state-") && entry->fd < 0 && !g_str_equal(entry->name, newest))
      wsd_supervisor_drop(adoption->service->supervisor, entry->name);
  }
}

/* Checks of single descriptors: NULL, or what is wrong */

static int socket_option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

static const char *control_fault(int fd) {
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_SEQPACKET)
    return "it is not a control socket";
  if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0)
    return "its worker has ended";
  return NULL;
}

/* Whether the socket is bound to that address, which may have a zone, and port. */
static bool is_bound_to(int fd, const struct wsd_start_options *options) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  char text[INET6_ADDRSTRLEN] = "";
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 || !options->server_ip)
    return false;
  const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address;
  const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address;
  bool is_ipv4 = address.ss_family == AF_INET;
  inet_ntop(address.ss_family, is_ipv4 ? (const void *)&ipv4->sin_addr : (const void *)&ipv6->sin6_addr, text,
            sizeof text);
  guint16 port = ntohs(is_ipv4 ? ipv4->sin_port : ipv6->sin6_port);
  g_auto(GStrv) parts = g_strsplit(options->server_ip, "%", 2);
  unsigned char expected[16], actual[16];
  int family = is_ipv4 ? AF_INET : AF_INET6;
  return port == options->server_port && inet_pton(family, parts[0], expected) == 1 &&
         inet_pton(family, text, actual) == 1 && memcmp(expected, actual, is_ipv4 ? 4 : 16) == 0;
}

static const char *listener_fault(int fd, const struct wsd_start_options *options) {
  int domain = socket_option(fd, SO_DOMAIN);
  if ((domain != AF_INET && domain != AF_INET6) || socket_option(fd, SO_TYPE) != SOCK_STREAM ||
      socket_option(fd, SO_ACCEPTCONN) != 1)
    return "it is not a listening socket";
  return is_bound_to(fd, options) ? NULL : "it listens elsewhere than the server should";
}

static const char *pidfd_fault(int fd) {
  return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno == ESRCH ? NULL : "it is not a pidfd";
}

/* CHANNEL is the first of the parts that an app's channel has. */
enum kind { CONTROL, LISTENER, PIDFD, VAULT, CHANNEL };

static const char *kind_name(enum kind kind, const struct wsd_kept_server *server) {
  static const char *const names[] = {"control", "listener", "pidfd"};
  if (kind >= CHANNEL)
    return wsd_app_channel_kinds[kind - CHANNEL];
  return kind == VAULT ? wsd_server_vault_kind(&server->options) : names[kind];
}

static const char *kind_fault(enum kind kind, int fd, const struct wsd_kept_server *server) {
  switch (kind) {
  case CONTROL:
    return control_fault(fd);
  case LISTENER:
    return listener_fault(fd, &server->options);
  case PIDFD:
    return pidfd_fault(fd);
  case VAULT:
    return wsd_vault_fault(fd);
  default:
    return wsd_app_channel_part_fault((enum wsd_channel_part)(kind - CHANNEL), fd);
  }
}

/* The descriptor of that kind, or -1; a faulty one is dropped. */
static int take(struct wsd_adoption *adoption, enum kind kind, const struct wsd_kept_server *server) {
  g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, kind_name(kind, server), server->number);
  struct wsd_kept *kept = find(adoption, name);
  if (!kept)
    return -1;
  const char *fault = kind_fault(kind, kept->fd, server);
  if (fault) {
    discard(adoption, kept, fault);
    return -1;
  }
  int fd = kept->fd;
  kept->fd = -1;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

/* All of its parts, or none. */
static struct wsd_app_channel take_channel(struct wsd_adoption *adoption, const struct wsd_kept_server *server) {
  struct wsd_app_channel channel;
  for (unsigned part = 0; part < WSD_CHANNEL_PARTS; part++)
    channel.fds[part] = take(adoption, (enum kind)(CHANNEL + part), server);
  bool has_half = (channel.fds[WSD_CHANNEL_EVENTS] < 0) != (channel.fds[WSD_CHANNEL_COMMANDS] < 0);
  if (wsd_app_channel_is_there(&channel) && !has_half)
    return channel;
  for (unsigned part = 0; part < WSD_CHANNEL_PARTS; part++) {
    g_autofree char *name = g_strdup_printf("%s-%" G_GUINT64_FORMAT, wsd_app_channel_kinds[part], server->number);
    if (channel.fds[part] >= 0)
      wsd_supervisor_drop(adoption->service->supervisor, name);
  }
  wsd_app_channel_close(&channel);
  return channel;
}

static void discard_rest(struct wsd_adoption *adoption) {
  GArray *kept = wsd_supervisor_kept(adoption->service->supervisor);
  for (guint i = 0; i < kept->len; i++) {
    struct wsd_kept *entry = &g_array_index(kept, struct wsd_kept, i);
    if (entry->fd >= 0 && !g_str_equal(entry->name, WSD_KEEPER_RESERVE))
      discard(adoption, entry, "no server that goes on owns it");
  }
}

/* Owners */

static void look_at_next(struct wsd_adoption *adoption);

static void finish(struct wsd_adoption *adoption) {
  discard_rest(adoption);
  drop_older_states(adoption);
  wsd_keeper_continue(adoption->service->keeper, adoption->state ? adoption->state->sequence : 0);
  g_clear_pointer(&adoption->state, wsd_state_free);
  adoption->done(adoption->user);
}

static bool is_owner(const struct wsd_kept_server *kept, const struct wsd_identity *identity) {
  return identity->uid == kept->owner_uid && g_strcmp0(identity->label, kept->owner_label) == 0;
}

/* The app with its identity, which it gets here unless an earlier server of its brought it along; NULL when it is not the owner. */
static struct wsd_app *app_of(struct wsd_adoption *adoption, const struct wsd_kept_server *kept, GVariant *credentials,
                              GUnixFDList *fds) {
  struct wsd_identity *identity = wsd_identity_new(credentials, fds, NULL);
  struct wsd_app *app = identity && is_owner(kept, identity) ? wsd_service_app(adoption->service, kept->owner) : NULL;
  if (app && !app->identity && !wsd_service_introduce(adoption->service, app, g_steal_pointer(&identity), NULL))
    app = NULL;
  wsd_identity_free(identity);
  return app;
}

static void adopt(struct wsd_adoption *adoption, const struct wsd_kept_server *kept, GVariant *credentials,
                  GUnixFDList *fds) {
  struct wsd_app *app = app_of(adoption, kept, credentials, fds);
  bool known = g_tree_lookup(adoption->service->servers, &kept->number) != NULL;
  if (!app || known || app->servers->len >= WSD_SERVERS_PER_APP_MAX)
    return; /* what it had is dropped with the rest */
  struct wsd_server *server = wsd_service_restore_server(adoption->service, app, kept->number);
  struct wsd_server_remains remains = {
      .control = take(adoption, CONTROL, kept),
      .listener = take(adoption, LISTENER, kept),
      .pidfd = take(adoption, PIDFD, kept),
      .vault = kept->options.tls ? take(adoption, VAULT, kept) : -1,
      .channel = take_channel(adoption, kept),
  };
  wsd_server_adopt(server, kept, &remains);
}

static void on_credentials(GObject *source, GAsyncResult *result, gpointer data) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GUnixFDList) fds = NULL;
  g_autoptr(GVariant) credentials = wsd_credentials_finish(source, result, &fds, &error);
  if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  struct wsd_adoption *adoption = data;
  const struct wsd_kept_server *kept = adoption->state->servers->pdata[adoption->next++];
  if (credentials)
    adopt(adoption, kept, credentials, fds);
  look_at_next(adoption);
}

static void look_at_next(struct wsd_adoption *adoption) {
  if (!adoption->state || adoption->next >= adoption->state->servers->len) {
    finish(adoption);
    return;
  }
  const struct wsd_kept_server *kept = adoption->state->servers->pdata[adoption->next];
  wsd_credentials_ask(adoption->service->connection, kept->owner, -1, adoption->cancellable, on_credentials, adoption);
}

struct wsd_adoption *wsd_adoption_new(struct wsd_service *service) {
  struct wsd_adoption *adoption = g_new0(struct wsd_adoption, 1);
  adoption->service = service;
  adoption->cancellable = g_cancellable_new();
  wsd_keeper_hold(service->keeper);
  take_newest_state(adoption);
  if (adoption->state)
    service->last_number = adoption->state->last_number;
  return adoption;
}

void wsd_adoption_free(struct wsd_adoption *adoption) {
  if (!adoption)
    return;
  g_cancellable_cancel(adoption->cancellable);
  g_object_unref(adoption->cancellable);
  wsd_state_free(adoption->state);
  g_free(adoption);
}

void wsd_adoption_interrupt(struct wsd_adoption *adoption) {
  g_cancellable_cancel(adoption->cancellable);
  g_object_unref(adoption->cancellable);
  adoption->cancellable = g_cancellable_new();
  adoption->next = 0;
  if (adoption->state)
    g_ptr_array_set_size(adoption->state->servers, 0);
}

void wsd_adoption_run(struct wsd_adoption *adoption, void (*done)(void *user), void *user) {
  adoption->done = done;
  adoption->user = user;
  /* Unique names begin anew on another bus: the same name is not the same app there. */
  bool same_bus = adoption->state && g_strcmp0(adoption->state->bus_guid, adoption->service->bus_guid) == 0;
  if (adoption->state && !same_bus && adoption->state->servers->len > 0) {
    g_message("the bus is another one than before: the owners of %u servers are gone with it",
              adoption->state->servers->len);
    g_ptr_array_set_size(adoption->state->servers, 0);
  }
  look_at_next(adoption);
}

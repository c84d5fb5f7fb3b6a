/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listener.h"

#include "daemon/error.h"
#include "daemon/limits.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_bind_error(const struct wsd_start_options *options, int problem, GError **error) {
  const char *ip = options->server_ip;
  guint port = options->server_port;
  switch (problem) {
  case EADDRINUSE:
    if (port == 0)
      g_set_error(error, WSD_ERROR, WSD_ERROR_PORT_IN_USE, "serverPort: %s has no free port left; try again later", ip);
    else
      g_set_error(error, WSD_ERROR, WSD_ERROR_PORT_IN_USE,
                  "serverPort: port %u of %s is in use; choose another one, or 0 for any free one", port, ip);
    break;
  case EADDRNOTAVAIL:
  case ENODEV:
  case EINVAL:
  case EAFNOSUPPORT:
    g_set_error(error, WSD_ERROR, WSD_ERROR_INVALID_ADDRESS,
                "serverIP: %s is not an address of this machine; use one of its own, or 0.0.0.0 for all", ip);
    break;
  case EACCES:
  case EPERM:
    g_set_error(error, WSD_ERROR, WSD_ERROR_PERMISSION_DENIED,
                "serverPort: the service may not listen on port %u; choose one from 1024 on", port);
    break;
  default:
    g_set_error(error, WSD_ERROR, WSD_ERROR_FAILED, "cannot listen on port %u of %s: %s; try again later", port, ip,
                g_strerror(problem));
  }
}

static void read_real_port(int listener, struct wsd_start_options *options) {
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0)
    return;
  if (address.ss_family == AF_INET)
    options->server_port = ntohs(((struct sockaddr_in *)&address)->sin_port);
  else
    options->server_port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}

static bool bind_and_listen(int listener, const struct wsd_start_options *options) {
  const int on = 1;
  /* SO_REUSEADDR lets a server come back while connections of its predecessor are in TIME_WAIT; two listeners on
   * one port it does not allow. */
  if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    return false;
  if (options->address.ss_family == AF_INET6) {
    const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&options->address;
    const int only = !IN6_IS_ADDR_UNSPECIFIED(&address->sin6_addr);
    if (setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0)
      return false;
  }
  return bind(listener, (const struct sockaddr *)&options->address, options->address_length) == 0 &&
         listen(listener, WSD_LISTEN_BACKLOG) == 0;
}

int wsd_listener_open(struct wsd_start_options *options, GError **error) {
  int listener = socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0 || !bind_and_listen(listener, options)) {
    set_bind_error(options, errno, error);
    if (listener >= 0)
      close(listener);
    return -1;
  }
  read_real_port(listener, options);
  return listener;
}

void wsd_listener_close(int listener) {
  shutdown(listener, SHUT_RDWR);
  close(listener);
}

int wsd_listener_renew(int listener, struct wsd_start_options *options, GError **error) {
  options->address_length = sizeof options->address;
  if (getsockname(listener, (struct sockaddr *)&options->address, &options->address_length) < 0)
    options->address_length = 0;
  wsd_listener_close(listener);
  return wsd_listener_open(options, error);
}

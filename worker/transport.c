/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t outcome(ssize_t result) {
  if (result >= 0)
    return result;
  return errno == EAGAIN ? WSW_TRANSPORT_AGAIN : WSW_TRANSPORT_FAILED;
}

ssize_t wsw_transport_receive(struct wsw_transport *transport, uint8_t *room, size_t size) {
  ssize_t result;
  do
    result = recv(transport->fd, room, size, MSG_DONTWAIT);
  while (result < 0 && errno == EINTR);
  return outcome(result);
}

ssize_t wsw_transport_send(struct wsw_transport *transport, const uint8_t *octets, size_t length) {
  ssize_t result;
  do
    result = send(transport->fd, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  result = outcome(result);
  return result == 0 ? WSW_TRANSPORT_AGAIN : result;
}

void wsw_transport_finish(struct wsw_transport *transport) {
  (void)shutdown(transport->fd, SHUT_WR);
}

void wsw_transport_close(struct wsw_transport *transport) {
  if (transport->fd >= 0)
    close(transport->fd);
  transport->fd = -1;
}

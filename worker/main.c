/* SPDX-License-Identifier: Apache-2.0 */
/* wsserver-worker: one running WebSocket server, locked in. Started by wsserverd, with the control socket as descriptor 3. */
#include "worker/heap.h"
#include "worker/server.h"
#include "worker/title.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct wsw_server server;

static const char help[] =
    "Usage: wsserver-worker [--help | --version]\n"
    "Serves the WebSocket connections of one server. Started by wsserverd only, which hands it a control socket as\n"
    "descriptor 3; see wsserverd(8).\n"
    "\n"
    "Exit status: 0 stopped, 1 the system lacks something, 2 not started by wsserverd, 3 malformed control record,\n"
    "4 the configuration is impossible, 5 out of memory.\n";

/* An exit status when the options already say everything, else -1. */
static int read_options(int count, char **arguments) {
  if (count <= 1)
    return -1;
  if (strcmp(arguments[1], "--version") == 0) {
    (void)puts("wsserver-worker " WSSERVERD_VERSION);
    return WSW_EXIT_STOPPED;
  }
  if (strcmp(arguments[1], "--help") == 0) {
    (void)fputs(help, stdout);
    return WSW_EXIT_STOPPED;
  }
  return -1;
}

static bool has_control_socket(void) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(WSC_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

/* Standard descriptors must be taken, or a peer's socket would become standard error. */
static bool tidy_descriptors(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
      return false;
  return close_range(WSC_CONTROL_FD + 1, ~0U, 0) == 0;
}

static void tidy_signals(void) {
  for (int number = 1; number < NSIG; number++)
    (void)signal(number, SIG_DFL);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGXFSZ, SIG_IGN); /* a log that is a file is lost, not the worker */
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(int count, char **arguments) {
  int status = read_options(count, arguments);
  if (status >= 0)
    return status;
  if (!has_control_socket()) {
    (void)fputs("wsserver-worker: is started by wsserverd only; descriptor 3 is no control socket.\n", stderr);
    return WSW_EXIT_USAGE;
  }
  if (!tidy_descriptors()) {
    perror("wsserver-worker");
    return WSW_EXIT_SYSTEM;
  }
  tidy_signals();
  wsw_heap_prepare();
  wsw_title_prepare(count, arguments);
  if (!wsw_server_open(&server, WSC_CONTROL_FD, wsw_clock_monotonic())) {
    perror("wsserver-worker");
    return WSW_EXIT_SYSTEM;
  }
  while (wsw_server_turn(&server, -1))
    ;
  wsw_server_close(&server);
  return server.exit_status;
}

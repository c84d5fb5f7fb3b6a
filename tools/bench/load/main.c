/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator of tools/wsbench, which talks to it in lines: commands come on standard input, each is answered with one
 * line of JSON on standard output. */
#include "tools/bench/load/clock.h"
#include "tools/bench/load/crowd.h"
#include "tools/bench/load/failure.h"
#include "tools/bench/load/rate.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char help[] =
    "Usage: load --port N [OPTION...]\n"
    "\n"
    "WebSocket clients for a server on 127.0.0.1. Checks each octet and the order of what comes back.\n"
    "\n"
    "  --mode MODE      echo (default), broadcast, sink or rate\n"
    "  --connections N  of echo, broadcast and sink (default: 1); of rate: handshakes at a time\n"
    "  --in-flight N    messages of each connection on their way (default: 1); of sink: batches of 32\n"
    "  --size N         octets of a message, 12 to 64 Mi (default: 20)\n"
    "  --text           text messages, not binary ones\n"
    "  --processes LIST process ids of the server, with commas: their processor time is measured\n"
    "  --help           this text\n"
    "\n"
    "Commands, one a line: \"open N\" opens connections until there are N; \"run WARMUP DURATION\", in milliseconds, "
    "opens\n"
    "what --connections says and measures. The end of the input ends everything. Status: 1 wrong arguments, 2 this\n"
    "machine has not enough of something, 3 the server answers wrongly.\n";

struct options {
  const char *mode;
  unsigned long port, connections, in_flight, size;
  bool text;
  struct load_processes processes;
};

static unsigned long number(const char *name, const char *text, unsigned long least, unsigned long most) {
  char *end;
  errno = 0;
  const unsigned long value = strtoul(text, &end, 10);
  if (errno || end == text || *end || value < least || value > most)
    load_fail(LOAD_STATUS_USAGE, "%s is a number from %lu to %lu, not %s", name, least, most, text);
  return value;
}

static struct options parse(int argc, char **argv) {
  static const struct option known[] = {
      {"port", 1, NULL, 'p'},      {"mode", 1, NULL, 'm'}, {"connections", 1, NULL, 'c'},
      {"in-flight", 1, NULL, 'f'}, {"size", 1, NULL, 's'}, {"text", 0, NULL, 't'},
      {"processes", 1, NULL, 'P'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
  };
  struct options options = {.mode = "echo", .connections = 1, .in_flight = 1, .size = 20};
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    if (option == 'p')
      options.port = number("--port", optarg, 1, 65535);
    else if (option == 'm')
      options.mode = optarg;
    else if (option == 'c')
      options.connections = number("--connections", optarg, 1, LOAD_PEERS_MAX);
    else if (option == 'f')
      options.in_flight = number("--in-flight", optarg, 1, 65535);
    else if (option == 's')
      options.size = number("--size", optarg, LOAD_SIZE_MIN, LOAD_SIZE_MAX);
    else if (option == 't')
      options.text = true;
    else if (option == 'P' && !load_processes_parse(&options.processes, optarg))
      load_fail(LOAD_STATUS_USAGE, "--processes is a list of at most %d process ids, not %s", LOAD_PROCESSES_MAX,
                optarg);
    else if (option == 'h') {
      fputs(help, stdout);
      exit(0);
    } else if (option == '?')
      exit(LOAD_STATUS_USAGE);
  }
  if (options.port == 0 || optind < argc)
    load_fail(LOAD_STATUS_USAGE, "%s (see --help)", optind < argc ? "takes options only" : "which port?");
  return options;
}

static enum load_mode mode_of(const char *name) {
  static const char *const names[] = {[LOAD_ECHO] = "echo", [LOAD_BROADCAST] = "broadcast", [LOAD_SINK] = "sink"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return (enum load_mode)i;
  if (strcmp(name, "rate") == 0)
    return LOAD_ECHO;
  load_fail(LOAD_STATUS_USAGE, "there is no mode %s (see --help)", name);
}

static void obey(struct load_crowd *crowd, const struct options *options, const char *line) {
  unsigned long warmup, duration, count;
  struct load_result result;
  if (sscanf(line, "run %lu %lu", &warmup, &duration) == 2) {
    if (strcmp(options->mode, "rate") == 0) {
      load_rate_run(crowd, (uint32_t)options->connections, warmup * LOAD_MILLISECOND, duration * LOAD_MILLISECOND,
                    &result);
    } else {
      load_crowd_open(crowd, (uint32_t)options->connections);
      load_crowd_run(crowd, warmup * LOAD_MILLISECOND, duration * LOAD_MILLISECOND, &result);
    }
    load_result_print(&result, &crowd->processes, &crowd->latency);
  } else if (sscanf(line, "open %lu", &count) == 1 && count <= LOAD_PEERS_MAX) {
    load_crowd_open(crowd, (uint32_t)count);
    printf("{\"open\": %u}\n", crowd->count);
    fflush(stdout);
  } else {
    load_fail(LOAD_STATUS_USAGE, "there is no command %s", line);
  }
}

/* Between commands Pings are answered, and connections that end are noticed. */
static void serve(struct load_crowd *crowd, const struct options *options) {
  char line[256];
  for (;;) {
    struct pollfd ready[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = crowd->epoll, .events = POLLIN}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR)
      load_fail(LOAD_STATUS_SYSTEM, "cannot wait for commands: %s", strerror(errno));
    if (ready[1].revents)
      load_crowd_turn(crowd, 0);
    if (!ready[0].revents)
      continue;
    if (!fgets(line, sizeof line, stdin))
      return;
    line[strcspn(line, "\n")] = 0;
    obey(crowd, options, line);
  }
}

int main(int argc, char **argv) {
  static struct load_crowd crowd;
  const struct options options = parse(argc, argv);
  struct rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  if (strcmp(options.mode, "rate") == 0 && options.connections > LOAD_RATE_SLOTS_MAX)
    load_fail(LOAD_STATUS_USAGE, "at most %u handshakes at a time", LOAD_RATE_SLOTS_MAX);
  setvbuf(stdin, NULL, _IONBF, 0); /* poll() knows nothing of lines that were read ahead */
  load_crowd_init(&crowd, mode_of(options.mode), (uint16_t)options.port, (uint32_t)options.in_flight, options.size,
                  options.text);
  crowd.processes = options.processes;
  serve(&crowd, &options);
  return 0;
}

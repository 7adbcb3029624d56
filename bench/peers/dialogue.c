// How long a client waits: dialogue PORT MESSAGES RATE. A message of 1 KB on a connection of its
// own; RATE messages a second at even times, whether or not the earlier ones are done (0: one at a
// time). Prints microseconds from connect to the reply to EHLO, and from connect to the reply that
// takes the message: p50 p99 p99.9 of each, a line each. Exit code 3 on a reply that is not 2xx or
// 3xx, 4 after 10 s without an event.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { client_max = 4096, body_octets = 1024 };

struct client {
  int fd;
  int step;
  long number;
  double start_us;
  size_t line_octets;
  char line[512];
};

static const char* const commands[] = {
    "EHLO client.example\r\n", "MAIL FROM:<a@x.org>\r\n", "RCPT TO:<b@example.org>\r\n",
    "DATA\r\n",                NULL,                       "QUIT\r\n",
};
enum { step_ehlo = 1, step_taken = 5, step_left = 6 };

static char body[body_octets + 256];
static struct client clients[client_max];
static int set, port;
static long done, begun;
static double *ehlo_us, *taken_us;

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int begin(double start_us) {
  struct client* one = clients;
  while (one->fd != 0 && ++one < clients + client_max) {
  }
  if (one == clients + client_max) return 0;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0 && errno != EINPROGRESS) exit(1);
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) exit(1);
  *one = (struct client){.fd = fd, .number = begun++, .start_us = start_us};
  return 1;
}

static void end(struct client* one) {
  close(one->fd);
  one->fd = 0;
  ++done;
}

// A whole reply: the next command goes out. Replies are counted from the greeting, step 0.
static void answer(struct client* one) {
  if (one->line[0] != '2' && one->line[0] != '3') {
    fprintf(stderr, "dialogue: step %d: %.*s\n", one->step, (int)one->line_octets, one->line);
    exit(3);
  }
  if (one->step == step_ehlo) ehlo_us[one->number] = now_us() - one->start_us;
  if (one->step == step_taken) taken_us[one->number] = now_us() - one->start_us;
  if (one->step == step_left) return;
  const char* const text = commands[one->step] != NULL ? commands[one->step] : body;
  const size_t octets = strlen(text);
  if (send(one->fd, text, octets, MSG_NOSIGNAL) != (ssize_t)octets) exit(1);
  ++one->step;
}

static void hear(struct client* one) {
  char block[4096];
  const ssize_t got = recv(one->fd, block, sizeof block, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    if (one->step != step_left) exit(3);
    end(one);
    return;
  }
  for (ssize_t at = 0; at < got; ++at) {
    if (one->line_octets < sizeof one->line) one->line[one->line_octets++] = block[at];
    if (block[at] != '\n') continue;
    if (one->line_octets > 3 && one->line[3] != '-') answer(one);
    one->line_octets = 0;
  }
}

static int by_value(const void* one, const void* other) {
  const double difference = *(const double*)one - *(const double*)other;
  return difference < 0 ? -1 : difference > 0;
}

static void print(double* values) {
  qsort(values, begun, sizeof *values, by_value);
  printf("%.0f %.0f %.0f\n", values[begun / 2], values[begun * 99 / 100], values[begun * 999 / 1000]);
}

int main(int count, char** words) {
  if (count < 4) return 2;
  port = atoi(words[1]);
  const long wanted = atol(words[2]);
  const double rate = atof(words[3]);
  ehlo_us = calloc(wanted, sizeof *ehlo_us);
  taken_us = calloc(wanted, sizeof *taken_us);
  size_t octets = sprintf(body, "From: <a@x.org>\r\nDate: Sun, 22 Nov 2026 00:00:00 +0000\r\n\r\n");
  while (octets < body_octets) {
    octets += sprintf(body + octets, "A line that says as much as any other of its kind.\r\n");
  }
  strcpy(body + octets, ".\r\n");
  set = epoll_create1(0);
  const double start = now_us();
  double heard = start;
  while (done < wanted) {
    double due = rate > 0 ? start + begun * 1e6 / rate : 0;
    while (begun < wanted && (rate > 0 ? now_us() >= due : begun == done)) {
      // Timed from when it was due: a generator that is late hides no wait.
      if (!begin(rate > 0 ? due : now_us())) break;
      due = start + begun * 1e6 / rate;
    }
    struct epoll_event ready[256];
    const double rest_us = rate > 0 && begun < wanted ? due - now_us() : 1e6;
    const long rest_ns = rest_us > 0 ? (long)(rest_us * 1e3) : 0;
    const struct timespec rest = {rest_ns / 1000000000, rest_ns % 1000000000};
    const int events = epoll_pwait2(set, ready, 256, &rest, NULL);
    if (events > 0) heard = now_us();
    if (now_us() - heard > 10e6) return 4;
    for (int at = 0; at < events; ++at) hear(ready[at].data.ptr);
  }
  print(ehlo_us);
  print(taken_us);
}

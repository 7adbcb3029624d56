// Clients that hold a server's places: slow PORT COUNT. Each comes from an address of 127.10.0.0/20
// and waits for the greeting; half of them say nothing then, half send an octet every second and
// never a line. None closes: behind the server's end each sends on until the server has closed too.
// Prints `ready` when all are greeted and, when all are gone, the milliseconds that the longest had
// from its connect to its end. Exit code 1 on a fault.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
  int fd;  // -1 = gone
  int is_greeted;
  int has_server_ended;
  int64_t begun_ms;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int begin(struct client* client, int set, int port, uint32_t number) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(0x7f0a0000u + number % 4096);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
  const int on = 1;
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  client->begun_ms = now_ms();
  setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  return client->fd >= 0 && bind(client->fd, (struct sockaddr*)&from, sizeof from) == 0 &&
         connect(client->fd, (struct sockaddr*)&to, sizeof to) == 0 &&
         epoll_ctl(set, EPOLL_CTL_ADD, client->fd, &event) == 0;
}

// Milliseconds that it lasted.
static int64_t end(struct client* client) {
  close(client->fd);
  client->fd = -1;
  return now_ms() - client->begun_ms;
}

int main(int count, char** words) {
  if (count < 3) return 2;
  const uint32_t wanted = (uint32_t)atol(words[2]);
  struct client* const clients = calloc(wanted, sizeof *clients);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const int set = epoll_create1(0);
  int64_t longest = 0, next_drip = 0;
  for (uint32_t begun = 0, greeted = 0, gone = 0; gone < wanted;) {
    // A hundred at a time: the listener's backlog stays out of it.
    while (begun < wanted && begun - greeted < 100) {
      if (!begin(&clients[begun], set, atoi(words[1]), begun)) return 1;
      ++begun;
    }
    struct epoll_event ready[256];
    const int events = epoll_wait(set, ready, 256, 50);
    for (int at = 0; at < events; ++at) {
      struct client* const client = &clients[ready[at].data.u32];
      char block[4096];
      const ssize_t got = client->fd < 0 ? 0 : recv(client->fd, block, sizeof block, 0);
      if (client->fd < 0) continue;
      if (got > 0 && !client->is_greeted) {
        client->is_greeted = 1;
        if (++greeted == wanted) {
          puts("ready");
          fflush(stdout);
        }
      } else if (got == 0) {
        client->has_server_ended = 1;
        epoll_ctl(set, EPOLL_CTL_DEL, client->fd, NULL);
      } else if (got < 0) {
        const int64_t lasted = end(client);
        if (lasted > longest) longest = lasted;
        ++gone;
      }
    }
    const int is_drip_due = now_ms() >= next_drip;
    if (is_drip_due) next_drip = now_ms() + 1000;
    for (uint32_t at = 0; at < begun; ++at) {
      struct client* const client = &clients[at];
      const int drips = is_drip_due && client->is_greeted && at % 2 == 0;
      if (client->fd < 0 || !(client->has_server_ended || drips)) continue;
      if (send(client->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 || errno == EAGAIN) continue;
      const int64_t lasted = end(client);
      if (lasted > longest) longest = lasted;
      ++gone;
    }
  }
  printf("%lld\n", (long long)longest);
  return 0;
}

// Connections that are there and say nothing: hold PORT COUNT greeted|waiting. Each comes from an
// address of 127.10.0.0/20. `greeted`: each has said EHLO and heard the reply; `waiting`: each only
// stands. Prints `ready` then and ends with its input. Exit code 1 on a fault, 3 when one was
// ended, 4 after 10 s without an event.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int begin(int set, int port, uint32_t number) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(0x7f0a0000u + number % 4096);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (struct sockaddr*)&from, sizeof from) != 0 ||
      connect(fd, (struct sockaddr*)&to, sizeof to) != 0 ||
      epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) {
    return -1;
  }
  return fd;
}

int main(int count, char** words) {
  if (count < 4) return 2;
  const long wanted = atol(words[2]);
  const int is_greeted = strcmp(words[3], "greeted") == 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const int set = epoll_create1(0);
  for (long begun = 0, done = 0; begun < wanted || (is_greeted && done < wanted);) {
    // A hundred at a time: the listener's backlog stays out of it.
    while (begun < wanted && (!is_greeted || begun - done < 100)) {
      if (begin(set, atoi(words[1]), (uint32_t)begun++) < 0) return 1;
    }
    struct epoll_event ready[256];
    const int events = is_greeted ? epoll_wait(set, ready, 256, 10000) : 0;
    if (is_greeted && events <= 0) return 4;
    for (int at = 0; at < events; ++at) {
      char block[4096];
      const int fd = ready[at].data.fd;
      const ssize_t got = recv(fd, block, sizeof block, 0);
      if (got <= 0) return 3;
      if (memcmp(block, "220", 3) == 0) {
        if (send(fd, "EHLO x\r\n", 8, MSG_NOSIGNAL) != 8) return 1;
      } else {
        ++done;
      }
    }
  }
  puts("ready");
  fflush(stdout);
  char end;
  return read(0, &end, 1) < 0;
}

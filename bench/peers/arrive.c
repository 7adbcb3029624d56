// Connections that arrive: arrive PORT CONNECTIONS IN_FLIGHT. Each comes from an address of
// 127.10.0.0/20, reads to the end, and closes. Prints connections, octets read and seconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int begin(int set, int port, uint32_t number) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(0x7f0a0000u + number % 4096);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (bind(fd, (struct sockaddr*)&from, sizeof from) != 0 ||
      (connect(fd, (struct sockaddr*)&to, sizeof to) != 0 && errno != EINPROGRESS) ||
      epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int main(int count, char** words) {
  if (count < 4) return 2;
  const int port = atoi(words[1]);
  const long wanted = atol(words[2]);
  const long in_flight_max = atol(words[3]);
  const int set = epoll_create1(0);
  long begun = 0, done = 0, octets = 0;
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  while (done < wanted) {
    while (begun < wanted && begun - done < in_flight_max) {
      if (begin(set, port, (uint32_t)begun) < 0) return 1;
      ++begun;
    }
    struct epoll_event ready[256];
    const int events = epoll_wait(set, ready, 256, 10000);
    if (events == 0) return 3;
    for (int at = 0; at < events; ++at) {
      char block[4096];
      const int fd = ready[at].data.fd;
      const ssize_t got = recv(fd, block, sizeof block, 0);
      if (got > 0) octets += got;
      if (got < 0 && errno == EAGAIN) continue;
      if (got > 0) continue;
      close(fd);
      ++done;
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double seconds = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
  printf("%ld %ld %.6f\n", done, octets, seconds);
}

// The bare limit: one thread, epoll, accept4, send a refusal, one non-blocking read, close.
// refuse PORT: listens on 127.0.0.1, prints "ready".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char reply[] =
    "554 5.7.1 Refused, see https://example.net/why?id=0123456789ab 127.10.0.1\r\n";

int main(int count, char** words) {
  if (count < 2) return 2;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0) return 1;
  if (listen(listener, 4096) != 0) return 1;
  const int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
  puts("ready");
  fflush(stdout);
  for (;;) {
    if (epoll_wait(set, &event, 1, -1) < 1) continue;
    for (;;) {
      struct sockaddr_in peer;
      socklen_t length = sizeof peer;
      const int fd = accept4(listener, (struct sockaddr*)&peer, &length, SOCK_NONBLOCK);
      if (fd < 0) break;
      char dropped[4096];
      send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
      recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
      close(fd);
    }
  }
}

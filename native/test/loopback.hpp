// What the tests of gate and engine share: blocking clients on loopback, a worker thread that runs
// an engine as JavaScript would, and a count of this process's descriptors.
#pragma once

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "checks.hpp"
#include "core/ip_address.hpp"
#include "engine/engine.hpp"
#include "engine/registry.hpp"

namespace activemx::test {

inline constexpr EngineLimits engine_limits{65'536, 262'144, 8'388'608, 2'000, 200, 5'000};

inline std::size_t open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// A client with blocking calls; waits at the most 20 s for anything.
class TestClient {
 public:
  // fd() is -1 where the connection was refused or reset at once.
  explicit TestClient(std::uint16_t port, const char* from = "127.0.0.1") {
    Endpoint local;
    Endpoint remote;
    check(read_address(from, local.address), "client address");
    check(read_address("127.0.0.1", remote.address), "server address");
    remote.port = port;
    // Where a test left one descriptor, accept4 of the gate may hold it for an instant.
    for (int tries = 0; fd_ < 0 && tries < 1000; ++tries) {
      if (tries > 0) ::usleep(100);
      fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    check(fd_ >= 0, "client socket");
    const timeval wait{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    sockaddr_storage address;
    socklen_t length = fill_sockaddr(local, address);
    check(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0, "bind client");
    length = fill_sockaddr(remote, address);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), length) != 0) close();
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  void send(std::string_view text) const { ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  void finish() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  // All octets until the text has come, or the end.
  std::string until(std::string_view text) const {
    std::string all;
    char block[4096];
    while (all.find(text) == std::string::npos) {
      const ssize_t got = ::recv(fd_, block, sizeof block, 0);
      if (got <= 0) break;
      all.append(block, static_cast<std::size_t>(got));
    }
    return all;
  }
  std::string rest() const { return until(std::string_view("\xff\xff never", 8)); }

 private:
  int fd_ = -1;
};

// An engine with its buffers.
struct TestEngine {
  std::vector<std::uint8_t> input = std::vector<std::uint8_t>(1 << 20);
  std::vector<std::uint8_t> output = std::vector<std::uint8_t>(1 << 20);
  std::vector<std::int32_t> events = std::vector<std::int32_t>(1024 * event_stride);
  std::vector<std::int32_t> operations = std::vector<std::int32_t>(4096 * operation_stride);
  std::vector<std::int32_t> backlogs = std::vector<std::int32_t>(Slab::slots_max);
  std::shared_ptr<Engine> engine;
  std::uint32_t token = 0;
  std::size_t operation_count = 0;

  TestEngine() {
    int fault = 0;
    engine = Engine::create(engine_limits, {input, output, events, operations, backlogs}, fault);
    check(engine != nullptr, "engine stands");
    token = register_engine(engine);
  }
  ~TestEngine() {
    forget_engine(token);
    engine->shut();
  }

  void operate(OperationKind kind, std::int32_t slot, std::int32_t generation,
               std::int32_t first = 0, std::int32_t second = 0) {
    const std::int32_t words[] = {static_cast<std::int32_t>(kind), slot, generation, first, second};
    std::copy(std::begin(words), std::end(words),
              operations.begin() + static_cast<std::ptrdiff_t>(operation_count++ * event_stride));
    const bool is_send = kind == OperationKind::send_output || kind == OperationKind::forward_input;
    if (is_send) backlogs[static_cast<std::size_t>(slot)] += second;
  }

  // One turn: waits, hands each event to `handle`, carries out the operations.
  void turn(const std::function<void(const std::int32_t*)>& handle, int wait_ms = 1000) {
    pollfd wait{engine->descriptor(), POLLIN, 0};
    if (engine->pending() == 0) ::poll(&wait, 1, wait_ms);
    const std::size_t count = engine->collect();
    for (std::size_t at = 0; at < count; ++at) handle(events.data() + at * event_stride);
    engine->execute(operation_count);
    operation_count = 0;
  }
};

// A worker that echoes, closes when the client ends, and dies when told to.
class EchoWorker {
 public:
  EchoWorker() : thread_([this] { run(); }) {
    while (token_.load() == 0) std::this_thread::yield();
  }
  ~EchoWorker() { die(); }
  EchoWorker(const EchoWorker&) = delete;
  EchoWorker& operator=(const EchoWorker&) = delete;

  [[nodiscard]] std::uint32_t token() const { return token_.load(); }
  void die() {
    is_dying_.store(true);
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    TestEngine made;
    token_.store(made.token);
    while (!is_dying_.load()) {
      made.turn(
          [&](const std::int32_t* event) {
            const auto kind = static_cast<EventKind>(event[0]);
            if (kind == EventKind::data) {
              made.operate(OperationKind::forward_input, event[1], event[2], event[3], event[4]);
            } else if (kind == EventKind::end || kind == EventKind::deadline) {
              made.operate(OperationKind::close, event[1], event[2]);
            }
          },
          20);
    }
  }

  std::atomic<std::uint32_t> token_{0};
  std::atomic<bool> is_dying_{false};
  std::thread thread_;
};

}  // namespace activemx::test

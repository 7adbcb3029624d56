// Gate: the main thread's side and the turns of its own thread. The way of one connection:
// gate_journey.cpp.
#include "gate/gate.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "core/clock.hpp"
#include "engine/registry.hpp"

namespace activemx {
namespace {

constexpr std::uint64_t wake_data = UINT64_MAX;
constexpr std::uint64_t listener_data = 1ULL << 63;  // the index stands below
constexpr int ready_max = 256;
// Connections taken in a row from one listener before guests and orders get their turn.
constexpr int accepts_max = 256;
// Rest of this thread where not even the spare descriptor is to be had.
constexpr int starved_rest_ms = 10;
// Reads of what a tarpitted client says, before others get their turn; the rest comes with the
// next octets.
constexpr int tarpit_reads_max = 16;

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

// The kernel gives the lowest free number: one at or above this means that little is left.
int first_kept_descriptor(int kept) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) return INT_MAX;
  const int all = static_cast<int>(limit.rlim_cur);
  return all - std::min(kept, all / 8);
}

}  // namespace

std::unique_ptr<Gate> Gate::create(const GateLimits& limits, int& system_error) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int spare = open_spare();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = wake_data;
  if (epoll < 0 || wake < 0 || spare < 0 ||
      ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) {
    system_error = errno;
    for (const int fd : {epoll, wake, spare}) {
      if (fd >= 0) ::close(fd);
    }
    return nullptr;
  }
  const int descriptors_max = first_kept_descriptor(limits.descriptors_kept);
  return std::unique_ptr<Gate>(new Gate(limits, descriptors_max, epoll, wake, spare));
}

Gate::Gate(const GateLimits& limits, int descriptors_max, int epoll, int wake, int spare)
    : limits_(limits),
      descriptors_max_(descriptors_max),
      epoll_(epoll),
      wake_(wake),
      spare_(spare),
      orders_(std::make_shared<Orders>()),
      refusals_(limits.refusals_max),
      ledger_(std::make_shared<Ledger>(limits.addresses_max)),
      current_(orders_) {
  thread_ = std::thread([this] { run(); });
}

Gate::~Gate() {
  close();
  ::close(epoll_);
  ::close(wake_);
  if (spare_ >= 0) ::close(spare_);
}

int Gate::listen(const Endpoint& at, std::uint16_t& bound_port) {
  sockaddr_storage address;
  socklen_t length = fill_sockaddr(at, address);
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  // Not SO_REUSEPORT: a second instance of the same user would silently get half of the clients.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);  // what it accepts inherits this
  if (address.ss_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(fd, limits_.listen_backlog_max) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    const int fault = errno;
    ::close(fd);
    return fault;
  }
  const Endpoint bound = endpoint_of(address);
  bound_port = bound.port;
  const std::lock_guard lock(mutex_);
  listeners_.push_back({fd, bound});
  if (orders_->policy != nullptr) start_accepting(listeners_.size() - 1);
  return 0;
}

void Gate::start_accepting(std::size_t listener) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = listener_data | listener;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listeners_[listener].fd, &event);
}

void Gate::configure(std::shared_ptr<const Policy> policy) {
  const std::lock_guard lock(mutex_);
  const bool is_first = orders_->policy == nullptr;
  Orders orders = *orders_;
  orders.policy = std::move(policy);
  publish(orders);
  for (std::size_t at = 0; is_first && at < listeners_.size(); ++at) start_accepting(at);
}

void Gate::add_worker(std::uint32_t token) {
  auto engine = find_engine(token);
  if (engine == nullptr) return;
  const std::lock_guard lock(mutex_);
  Orders orders = *orders_;
  orders.workers.push_back({token, std::move(engine)});
  publish(orders);
}

void Gate::remove_worker(std::uint32_t token) {
  const std::lock_guard lock(mutex_);
  Orders orders = *orders_;
  std::erase_if(orders.workers, [&](const Worker& worker) { return worker.token == token; });
  publish(orders);
}

void Gate::drain() {
  const std::lock_guard lock(mutex_);
  Orders orders = *orders_;
  orders.is_draining = true;
  publish(orders);
}

// The gate's thread looks at the version before each accept; the wake-up is for its tables' sake.
void Gate::publish(const Orders& orders) {
  orders_ = std::make_shared<const Orders>(orders);
  orders_version_.fetch_add(1, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

CounterValues Gate::counters() const {
  CounterValues values = counters_.values();
  const std::lock_guard lock(mutex_);
  values[static_cast<std::size_t>(Counter::connections)] = ledger_->connections();
  values[static_cast<std::size_t>(Counter::workers)] = orders_->workers.size();
  return values;
}

void Gate::close() {
  if (!thread_.joinable()) return;
  is_closing_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  thread_.join();
  const std::lock_guard lock(mutex_);
  for (const Listener& listener : listeners_) ::close(listener.fd);
  listeners_.clear();
}

void Gate::run() {
  // It takes its turn and interrupts no worker: where they share a core, each switch there and back
  // costs a connection more than its accept does. Needs no privilege; refused, nothing is lost.
  const sched_param no_priority{};
  ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &no_priority);
  while (!is_closing_.load(std::memory_order_acquire)) {
    epoll_event ready[ready_max];
    const int count = ::epoll_wait(epoll_, ready, ready_max, time_to_next());
    now_ms_ = coarse_monotonic_ms();
    wall_ms_ = coarse_wall_ms();
    follow_orders();
    for (int at = 0; at < count; ++at) {
      const std::uint64_t data = ready[at].data.u64;
      if (data == wake_data) {
        std::uint64_t wakes = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_, &wakes, sizeof wakes);
      } else if ((data & listener_data) != 0) {
        Listener listener;
        {
          const std::lock_guard lock(mutex_);
          listener = listeners_[data & ~listener_data];
        }
        accept_all(listener);
      } else {
        const std::uint32_t index = guests_.find(static_cast<std::uint32_t>(data),
                                                 static_cast<std::uint32_t>(data >> 32));
        if (index != Guests::none) handle_guest(index, ready[at].events);
      }
    }
    expire_guests();
    revise_filter();
  }
  for (const Wait wait : {Wait::header, Wait::greeting, Wait::tarpit}) {
    while (guests_.first(wait) != Guests::none) {
      const Guest guest = release_guest(guests_.first(wait));
      end(guest.fd, guest.client);
    }
  }
  current_.reset();
  for (TableReader* table : {&blacklist_, &trusted_, &balancers_}) *table = TableReader{};
}

void Gate::follow_orders() {
  const std::uint32_t version = orders_version_.load(std::memory_order_acquire);
  if (version == current_version_) return;
  const std::shared_ptr<const Policy> before = current_->policy;
  {
    const std::lock_guard lock(mutex_);
    current_ = orders_;
    current_version_ = orders_version_.load(std::memory_order_relaxed);
  }
  const std::shared_ptr<const Policy>& policy = current_->policy;
  if (policy == before || policy == nullptr) return;
  blacklist_ = TableReader(find_shared_table(policy->blacklist));
  trusted_ = TableReader(find_shared_table(policy->trusted));
  balancers_ = TableReader(find_shared_table(policy->proxy_protocol_from));
}

// Milliseconds until something is due, -1 = nothing is.
int Gate::time_to_next() const {
  std::int64_t next = INT64_MAX;
  const auto consider = [&](Wait wait, std::int64_t length_ms) {
    const std::uint32_t first = guests_.first(wait);
    if (first == Guests::none) return;
    next = std::min(next, guests_.at(first).since_ms + length_ms);
  };
  consider(Wait::header, limits_.proxy_header_wait_ms);
  consider(Wait::tarpit, limits_.tarpit_octet_ms);
  if (current_->policy != nullptr) consider(Wait::greeting, current_->policy->greet_delay_ms);
  if (next_revision_ms_ > 0) next = std::min(next, next_revision_ms_);
  if (next == INT64_MAX) return -1;
  const std::int64_t left = next - coarse_monotonic_ms();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Gate::accept_all(const Listener& listener) {
  if (spare_ < 0) spare_ = open_spare();
  for (int taken = 0; taken < accepts_max; ++taken) {
    sockaddr_storage address;
    socklen_t length = sizeof address;
    const int fd = ::accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      begin(fd, listener, endpoint_of(address));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      accept_without_descriptor(listener);
      return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

// No descriptor is free: the spare one is given up for as long as it takes to say so to one client.
void Gate::accept_without_descriptor(const Listener& listener) {
  if (spare_ >= 0) ::close(spare_);
  sockaddr_storage address;
  socklen_t length = sizeof address;
  const int fd = ::accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    Client client;
    client.peer = endpoint_of(address);
    counters_.add(Counter::accepted);
    ledger_->begin();
    follow_orders();
    overload(fd, client);
  } else {
    // Another thread was quicker: the listener stays readable, and this thread would spin.
    ::poll(nullptr, 0, starved_rest_ms);
  }
  spare_ = open_spare();
}

void Gate::handle_guest(std::uint32_t index, std::uint32_t events) {
  const Guest& guest = guests_.at(index);
  switch (guest.wait) {
    case Wait::header:
      read_header(guest.fd, guest.client, index, (events & (EPOLLRDHUP | EPOLLHUP)) != 0);
      break;
    case Wait::greeting:
      hear_early(index);
      break;
    case Wait::tarpit:
      // What it says is dropped in the kernel; that it has gone is seen here.
      if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        const Guest gone = release_guest(index);
        end(gone.fd, gone.client);
      } else {
        for (int reads = 0; reads < tarpit_reads_max; ++reads) {
          if (::recv(guest.fd, nullptr, 65'536, MSG_DONTWAIT | MSG_TRUNC) <= 0) break;
        }
      }
      break;
  }
}

void Gate::expire_guests() {
  if (current_->policy == nullptr) return;
  const auto is_due = [&](Wait wait, std::int64_t length_ms) {
    const std::uint32_t first = guests_.first(wait);
    return first != Guests::none && guests_.at(first).since_ms + length_ms <= now_ms_;
  };
  while (is_due(Wait::header, limits_.proxy_header_wait_ms)) {
    const Guest late = release_guest(guests_.first(Wait::header));
    record(late.client, RefusalCause::proxy_header, RefusalAction::reset);
    end(late.fd, late.client);
  }
  while (is_due(Wait::greeting, current_->policy->greet_delay_ms)) {
    const std::uint32_t index = guests_.first(Wait::greeting);
    const std::uint32_t generation = guests_.at(index).generation;
    // His octets may be among the events of the next turn, or came when they did not count.
    hear_early(index);
    if (guests_.find(index, generation) == Guests::none) continue;
    const Guest patient = release_guest(index);
    pass(patient.fd, patient.client);
  }
  while (is_due(Wait::tarpit, limits_.tarpit_octet_ms)) {
    continue_tarpit(guests_.first(Wait::tarpit));
  }
}

// The revision runs only while clients of `drop` rules come or blocks are filtered.
void Gate::revise_filter() {
  if (next_revision_ms_ == 0 || now_ms_ < next_revision_ms_) return;
  const bool has_changed =
      filter_.revise(now_ms_, [this](const IpAddress& address) { return is_dropped(address); });
  counters_.set(Counter::filtered_blocks, filter_.blocks());
  next_revision_ms_ = filter_.blocks() > 0 ? now_ms_ + revision_ms : 0;
  if (!has_changed) return;
  const std::lock_guard lock(mutex_);
  for (const Listener& listener : listeners_) attach_filter(listener);
}

void Gate::attach_filter(const Listener& listener) const {
  const auto program = filter_.program(listener.at.address.is_ipv4());
  if (program.empty()) {
    const int none = 0;
    ::setsockopt(listener.fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    return;
  }
  const sock_fprog filter{static_cast<unsigned short>(program.size()),
                          const_cast<sock_filter*>(program.data())};
  ::setsockopt(listener.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

}  // namespace activemx

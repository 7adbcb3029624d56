// Gate: the way of one connection, from accept to its refusal or its engine. See gate.hpp.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "core/proxy_header.hpp"
#include "gate/gate.hpp"

namespace activemx {
namespace {

constexpr std::uint32_t guest_events = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr std::size_t dropped_octets_max = 4096;

void send_now(int fd, std::string_view octets, int flags = 0) {
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL | flags);
}

[[nodiscard]] std::uint16_t class_of(TableReader& table, const IpAddress& address) {
  return address.is_ipv4() ? table.lookup4(address.ipv4())
                           : table.lookup6(address.high, address.low);
}

[[nodiscard]] std::uint32_t unread_octets(int fd) {
  int octets = 0;
  ::ioctl(fd, FIONREAD, &octets);
  return static_cast<std::uint32_t>(octets);
}

// Answers the reply's length.
std::size_t fill_reply(const ReplyTemplate& reply, const IpAddress& client, RefusalId id,
                       std::span<char, ReplyTemplate::octets_max> text) {
  char id_text[refusal_id_octets];
  id.write(id_text);
  char address[address_text_max];
  const std::size_t length = reply.names_address() ? write_address(client, address) : 0;
  return reply.fill({address, length}, {id_text, sizeof id_text}, text);
}

}  // namespace

void Gate::begin(int fd, const Listener& listener, const Endpoint& peer) {
  counters_.add(Counter::accepted);
  ledger_->begin();
  follow_orders();
  Client client;
  client.peer = peer;
  client.local = listener.at;
  client.accepted_at_ms = now_ms_;
  client.is_behind_balancer = class_of(balancers_, peer.address) != 0;
  if (!client.is_behind_balancer) {
    judge(fd, client);
    return;
  }
  read_header(fd, client, Guests::none, false);
}

// Peeked at until it is whole, then exactly its octets are taken: what follows stays in the socket.
// Guests are watched edge-triggered, so a part of a header does not wake the thread again.
void Gate::read_header(int fd, Client client, std::uint32_t guest, bool has_ended) {
  std::uint8_t octets[proxy_header_octets_max];
  const ssize_t got = ::recv(fd, octets, sizeof octets, MSG_PEEK | MSG_DONTWAIT);
  const bool is_pending = got < 0 && (errno == EAGAIN || errno == EINTR);
  ProxyHeader header;
  if (is_pending) header.kind = ProxyHeaderKind::incomplete;
  if (got > 0) header = parse_proxy_header({octets, static_cast<std::size_t>(got)});
  if (header.kind == ProxyHeaderKind::incomplete && !has_ended) {
    if (guest == Guests::none) hold(fd, Wait::header, client);
    return;
  }
  if (guest != Guests::none) release_guest(guest);
  if (header.kind == ProxyHeaderKind::invalid || header.kind == ProxyHeaderKind::incomplete) {
    record(client, RefusalCause::proxy_header, RefusalAction::reset);
    end(fd, client);
    return;
  }
  [[maybe_unused]] const ssize_t taken = ::recv(fd, octets, header.octets, MSG_DONTWAIT);
  if (header.kind == ProxyHeaderKind::proxied) {
    client.peer = header.source;
    client.local = header.destination;
  }
  judge(fd, client);
}

// Trusted > blacklist > stopping > total, descriptors > per address and rate.
void Gate::judge(int fd, Client& client) {
  client.is_trusted = class_of(trusted_, client.peer.address) != 0;
  if (!client.is_trusted) client.verdict_class = class_of(blacklist_, client.peer.address);
  // The rules of a class are ordered before a table that has it: whoever has met it has them too.
  follow_orders();
  const Policy& policy = *current_->policy;
  if (client.verdict_class != 0) {
    const ClassRule& rule = policy.rule_of(client.verdict_class);
    if (rule.action != RuleAction::observe) {
      apply(fd, client, rule);
      return;
    }
  }
  if (current_->is_draining) {
    refuse_stopping(fd, client);
    return;
  }
  const bool is_full =
      policy.connections_max > 0 && ledger_->connections() > policy.connections_max;
  if (is_full || fd >= descriptors_max_) {
    overload(fd, client);
    return;
  }
  if (!client.is_trusted) {
    const Admission admission =
        ledger_->admit(client.peer.address, policy.limits, now_ms_, client.is_counted);
    if (admission != Admission::admitted) {
      counters_.add(Counter::limited);
      const bool is_rate = admission == Admission::rate;
      refuse(fd, client, policy.limit_reply,
             is_rate ? RefusalCause::rate : RefusalCause::per_address, RefusalAction::tempfail);
      return;
    }
  }
  await_greeting(fd, client);
}

void Gate::apply(int fd, const Client& client, const ClassRule& rule) {
  switch (rule.action) {
    case RuleAction::reset:
      counters_.add(Counter::reset);
      record(client, RefusalCause::blacklist, RefusalAction::reset);
      end_with_reset(fd, client);
      return;
    case RuleAction::drop:
      counters_.add(Counter::dropped, static_cast<std::int32_t>(note_dropped(client)));
      record(client, RefusalCause::blacklist, RefusalAction::drop);
      end_with_reset(fd, client);
      return;
    case RuleAction::tarpit:
      if (guests_.count(Wait::tarpit) < current_->policy->tarpit_max && fd < descriptors_max_) {
        start_tarpit(fd, client, rule);
        return;
      }
      break;
    case RuleAction::refuse:
    case RuleAction::observe:
      break;
  }
  counters_.add(Counter::refused);
  refuse(fd, client, rule.reply, RefusalCause::blacklist, RefusalAction::refuse);
}

void Gate::start_tarpit(int fd, const Client& client, const ClassRule& rule) {
  counters_.add(Counter::tarpitted);
  const RefusalId id = record(client, RefusalCause::blacklist, RefusalAction::tarpit);
  char reply[ReplyTemplate::octets_max];
  const std::size_t octets = fill_reply(rule.reply, client.peer.address, id, reply);
  const std::uint32_t index = hold(fd, Wait::tarpit, client);
  if (index != Guests::none) guests_.at(index).reply.assign(reply, octets);
}

void Gate::continue_tarpit(std::uint32_t index) {
  Guest& guest = guests_.at(index);
  if (guest.reply_at < guest.reply.size()) {
    send_now(guest.fd, std::string_view(guest.reply).substr(guest.reply_at, 1));
    ++guest.reply_at;
  }
  if (guest.reply_at < guest.reply.size()) {
    guests_.requeue(index, now_ms_);
    return;
  }
  const Guest gone = release_guest(index);
  end(gone.fd, gone.client);
}

// Who talks before the greeting is an early talker, with and without a delay; a trusted host does
// not wait.
void Gate::await_greeting(int fd, Client& client) {
  const Policy& policy = *current_->policy;
  if (client.is_trusted || (policy.greet_delay_ms == 0 &&
                            policy.early_talker == EarlyTalkerMode::off)) {
    pass(fd, client);
    return;
  }
  if (policy.greet_delay_ms > 0) {
    hold(fd, Wait::greeting, client);
    return;
  }
  std::uint8_t octet = 0;
  const ssize_t got = ::recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) {
    counters_.add(Counter::early_talkers);
    client.is_early_talker = true;
    if (policy.early_talker == EarlyTalkerMode::observe) {
      pass(fd, client);
    } else {
      refuse_early(fd, client);
    }
  } else if (got == 0) {
    end(fd, client);
  } else {
    pass(fd, client);
  }
}

void Gate::hear_early(std::uint32_t index) {
  Guest& guest = guests_.at(index);
  std::uint8_t octet = 0;
  const ssize_t got = ::recv(guest.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    const Guest gone = release_guest(index);
    end(gone.fd, gone.client);
    return;
  }
  const EarlyTalkerMode mode = current_->policy->early_talker;
  if (mode == EarlyTalkerMode::off || guest.client.is_early_talker) return;
  counters_.add(Counter::early_talkers);
  guest.client.is_early_talker = true;
  if (mode == EarlyTalkerMode::observe) return;
  const Guest early = release_guest(index);
  refuse_early(early.fd, early.client);
}

// Greets and hands over to the worker with the fewest clients.
void Gate::pass(int fd, const Client& client) {
  if (current_->is_draining) {
    refuse_stopping(fd, client);
  } else if (!hand_over(fd, client)) {
    overload(fd, client);
  }
}

// False: no worker has room. An engine whose worker dies just now hands the client to the next.
// Counted before the greeting: who has been greeted finds himself in the counters.
bool Gate::hand_over(int fd, const Client& client) {
  const Policy& policy = *current_->policy;
  Client greeted = client;
  bool is_greeted = false;
  for (std::size_t tries = current_->workers.size(); tries > 0; --tries) {
    Engine* const engine = least_busy(policy.sessions_per_worker_max);
    if (engine == nullptr) break;
    if (!is_greeted) {
      counters_.add(Counter::passed);
      greet(fd, greeted);
      is_greeted = true;
    }
    if (engine->adopt(fd, greeted, ledger_)) return true;
  }
  if (is_greeted) counters_.add(Counter::passed, -1);
  return false;
}

Engine* Gate::least_busy(std::uint32_t sessions_max) const {
  Engine* best = nullptr;
  for (const Worker& worker : current_->workers) {
    Engine* const engine = worker.engine.get();
    if (!engine->is_taking() || engine->clients() >= sessions_max) continue;
    if (best == nullptr || engine->clients() < best->clients()) best = engine;
  }
  return best;
}

void Gate::greet(int fd, Client& client) {
  const bool is_any = client.local.address == IpAddress{} ||
                      client.local.address == IpAddress::from_ipv4(0);
  sockaddr_storage address;
  socklen_t length = sizeof address;
  if (is_any && ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    client.local = endpoint_of(address);
  }
  if (filter_.blocks() > 0) {
    // The connection inherited the listener's filter, which it does not need.
    const int none = 0;
    ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
  }
  // His first command is acknowledged by its reply, as all others are: one segment less.
  const int off = 0;
  ::setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
  send_now(fd, current_->policy->greeting);
}

std::uint32_t Gate::hold(int fd, Wait wait, const Client& client) {
  const std::uint32_t index = guests_.add(fd, wait, client, now_ms_);
  epoll_event event{};
  event.events = guest_events;
  event.data.u64 = static_cast<std::uint64_t>(guests_.at(index).generation) << 32 | index;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    guests_.take(index);
    end(fd, client);
    return Guests::none;
  }
  if (wait == Wait::tarpit) counters_.add(Counter::tarpits);
  if (wait == Wait::greeting) counters_.add(Counter::waiting);
  return index;
}

Guest Gate::release_guest(std::uint32_t index) {
  Guest guest = guests_.take(index);
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, guest.fd, nullptr);
  if (guest.wait == Wait::tarpit) counters_.add(Counter::tarpits, -1);
  if (guest.wait == Wait::greeting) counters_.add(Counter::waiting, -1);
  return guest;
}

void Gate::overload(int fd, const Client& client) {
  counters_.add(Counter::overloaded);
  refuse(fd, client, current_->policy->overload_reply, RefusalCause::overload,
         RefusalAction::tempfail);
}

void Gate::refuse_stopping(int fd, const Client& client) {
  counters_.add(Counter::stopping);
  refuse(fd, client, current_->policy->stopping_reply, RefusalCause::stopping,
         RefusalAction::tempfail);
}

void Gate::refuse_early(int fd, const Client& client) {
  const bool is_temporary = current_->policy->early_talker == EarlyTalkerMode::tempfail;
  refuse(fd, client, current_->policy->early_talker_reply, RefusalCause::early_talker,
         is_temporary ? RefusalAction::tempfail : RefusalAction::refuse, unread_octets(fd));
}

void Gate::refuse(int fd, const Client& client, const ReplyTemplate& reply, RefusalCause cause,
                  RefusalAction action, std::uint32_t early_octets) {
  const RefusalId id = record(client, cause, action, early_octets);
  char text[ReplyTemplate::octets_max];
  const std::size_t octets = fill_reply(reply, client.peer.address, id, text);
  // The reply waits for the end: one segment carries both. Two cost a third more (bench gate).
  send_now(fd, {text, octets}, MSG_MORE);
  // Before the close, which becomes a reset where octets are unread, even such as come just now:
  // it would take the reply with it.
  ::shutdown(fd, SHUT_WR);
  char dropped[dropped_octets_max];
  [[maybe_unused]] const ssize_t taken = ::recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
  end(fd, client);
}

void Gate::end(int fd, const Client& client) {
  ::close(fd);
  ledger_->release(client.peer.address, client.is_counted);
}

void Gate::end_with_reset(int fd, const Client& client) {
  const linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  end(fd, client);
}

RefusalId Gate::record(const Client& client, RefusalCause cause, RefusalAction action,
                       std::uint32_t early_octets) {
  RefusalEntry entry;
  entry.time_ms = static_cast<double>(wall_ms_);
  entry.address_high = client.peer.address.high;
  entry.address_low = client.peer.address.low;
  entry.id = RefusalId::make(wall_ms_, ++refusal_count_);
  entry.octets = early_octets;
  entry.port = client.peer.port;
  entry.verdict_class = client.verdict_class;
  entry.cause = cause;
  entry.action = action;
  if (!refusals_.push(entry)) counters_.add(Counter::refusals_lost);
  return entry.id;
}

// Below accept a balancer's clients all have the balancer's address: the filter knows none of them.
std::uint32_t Gate::note_dropped(const Client& client) {
  if (client.is_behind_balancer) return 1;
  if (next_revision_ms_ == 0) next_revision_ms_ = now_ms_ + revision_ms;
  return filter_.note(client.peer.address, now_ms_);
}

bool Gate::is_dropped(const IpAddress& address) {
  if (class_of(trusted_, address) != 0 || class_of(balancers_, address) != 0) return false;
  const std::uint16_t verdict_class = class_of(blacklist_, address);
  return verdict_class != 0 &&
         current_->policy->rule_of(verdict_class).action == RuleAction::drop;
}

}  // namespace activemx

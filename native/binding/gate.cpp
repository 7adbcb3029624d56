// The accept gate in JavaScript: newGate(limits) and its calls by handle. No call waits for a
// client, and the gate's thread never calls JavaScript: refusals and counters are fetched.
#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>

#include "binding/parts.hpp"
#include "core/proxy_header.hpp"
#include "gate/gate.hpp"

namespace activemx {
namespace {

using Handle = Napi::External<Gate>;

Gate& gate_of(const Napi::CallbackInfo& info) { return *info[0].As<Handle>().Data(); }

// newGate(limits) → handle
Napi::Value new_gate(const Napi::CallbackInfo& info) {
  const auto limits = info[0].As<Napi::Object>();
  const auto number = [&](const char* name) { return limits.Get(name).ToNumber().Int64Value(); };
  int system_error = 0;
  auto gate = Gate::create({static_cast<int>(number("listenBacklogMax")),
                            static_cast<std::size_t>(number("refusalsMax")),
                            static_cast<std::size_t>(number("countedAddressesMax")),
                            number("proxyHeaderWaitMs"), number("tarpitOctetMs"),
                            static_cast<int>(number("descriptorsKept"))},
                           system_error);
  if (gate == nullptr) {
    throw_native_error(info.Env(), "accept gate", system_error);
    return info.Env().Undefined();
  }
  return Handle::New(info.Env(), gate.release(), [](Napi::Env, Gate* owned) { delete owned; });
}

// gateListen(handle, address, port, bound) → 0 or errno; bound[0] = the port taken
Napi::Value gate_listen(const Napi::CallbackInfo& info) {
  Endpoint at;
  const std::string address = info[1].As<Napi::String>();
  at.port = static_cast<std::uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  std::uint16_t bound_port = 0;
  const int fault = read_address(address.c_str(), at.address)
                        ? gate_of(info).listen(at, bound_port)
                        : EAFNOSUPPORT;
  auto bound = info[3].As<Napi::Int32Array>();
  bound.Data()[0] = bound_port;
  return Napi::Number::New(info.Env(), fault);
}

std::string text_of(const Napi::Object& object, const char* name) {
  // One octet a code unit, as every text that goes over the wire here.
  const std::u16string units = object.Get(name).ToString().Utf16Value();
  std::string octets;
  for (const char16_t unit : units) octets.push_back(static_cast<char>(unit));
  return octets;
}

std::uint32_t number_of(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().Uint32Value();
}

// The rule of class 0 comes first: it is that of every class without one of its own.
void fill_rules(const Napi::Array& rules, Policy& policy) {
  policy.rules.emplace_back();
  for (std::uint32_t at = 0; at < rules.Length(); ++at) {
    const auto rule = rules.Get(at).As<Napi::Object>();
    const std::uint32_t verdict_class = number_of(rule, "verdictClass") & 0xffff;
    ClassRule made{static_cast<RuleAction>(number_of(rule, "action")),
                   ReplyTemplate(text_of(rule, "reply"))};
    if (verdict_class == 0) {
      policy.rules[0] = std::move(made);
      continue;
    }
    auto& rule_of_class = policy.rule_of_class;
    if (rule_of_class.size() <= verdict_class) rule_of_class.resize(verdict_class + 1);
    rule_of_class[verdict_class] = static_cast<std::uint16_t>(policy.rules.size());
    policy.rules.push_back(std::move(made));
  }
}

// gateConfigure(handle, policy): actions and modes as numbers
void gate_configure(const Napi::CallbackInfo& info) {
  const auto given = info[1].As<Napi::Object>();
  auto policy = std::make_shared<Policy>();
  policy->greeting = text_of(given, "greeting");
  policy->greet_delay_ms = given.Get("greetDelayMs").ToNumber().Int64Value();
  policy->early_talker = static_cast<EarlyTalkerMode>(number_of(given, "earlyTalker"));
  policy->early_talker_reply = ReplyTemplate(text_of(given, "earlyTalkerReply"));
  policy->limit_reply = ReplyTemplate(text_of(given, "limitReply"));
  policy->overload_reply = ReplyTemplate(text_of(given, "overloadReply"));
  policy->stopping_reply = ReplyTemplate(text_of(given, "stoppingReply"));
  policy->blacklist = number_of(given, "blacklist");
  policy->trusted = number_of(given, "trusted");
  policy->proxy_protocol_from = number_of(given, "proxyProtocolFrom");
  policy->connections_max = number_of(given, "connectionsMax");
  policy->tarpit_max = number_of(given, "tarpitMax");
  policy->sessions_per_worker_max = number_of(given, "sessionsPerWorkerMax");
  policy->limits = {number_of(given, "perAddressMax"), number_of(given, "rateMax"),
                    given.Get("rateWindowMs").ToNumber().Int64Value()};
  fill_rules(given.Get("classRules").As<Napi::Array>(), *policy);
  gate_of(info).configure(std::move(policy));
}

void gate_add_worker(const Napi::CallbackInfo& info) {
  gate_of(info).add_worker(info[1].As<Napi::Number>().Uint32Value());
}

void gate_remove_worker(const Napi::CallbackInfo& info) {
  gate_of(info).remove_worker(info[1].As<Napi::Number>().Uint32Value());
}

// gateRefusals(handle, entries) → how many; struct RefusalEntry each
Napi::Value gate_refusals(const Napi::CallbackInfo& info) {
  auto octets = info[1].As<Napi::Uint8Array>();
  const std::span entries(reinterpret_cast<RefusalEntry*>(octets.Data()),
                          octets.ByteLength() / sizeof(RefusalEntry));
  return Napi::Number::New(info.Env(), static_cast<double>(gate_of(info).take_refusals(entries)));
}

// gateCounters(handle, values): in the order of enum Counter
void gate_counters(const Napi::CallbackInfo& info) {
  auto values = info[1].As<Napi::Float64Array>();
  const CounterValues counters = gate_of(info).counters();
  for (std::size_t at = 0; at < counters.size() && at < values.ElementLength(); ++at) {
    values.Data()[at] = static_cast<double>(counters[at]);
  }
}

void gate_drain(const Napi::CallbackInfo& info) { gate_of(info).drain(); }

void gate_close(const Napi::CallbackInfo& info) { gate_of(info).close(); }

// parseProxyHeader(octets) → { kind, octets, address, port, localAddress, localPort }: for the
// contract suite, which holds both parsers to the same answers.
Napi::Value parse_header(const Napi::CallbackInfo& info) {
  const auto octets = info[0].As<Napi::Uint8Array>();
  const ProxyHeader header = parse_proxy_header({octets.Data(), octets.ByteLength()});
  Napi::Object made = Napi::Object::New(info.Env());
  char text[address_text_max];
  made.Set("kind", Napi::Number::New(info.Env(), static_cast<int>(header.kind)));
  made.Set("octets", Napi::Number::New(info.Env(), static_cast<double>(header.octets)));
  write_address(header.source.address, text);
  made.Set("address", Napi::String::New(info.Env(), text));
  made.Set("port", Napi::Number::New(info.Env(), header.source.port));
  write_address(header.destination.address, text);
  made.Set("localAddress", Napi::String::New(info.Env(), text));
  made.Set("localPort", Napi::Number::New(info.Env(), header.destination.port));
  return made;
}

}  // namespace

void add_gate(Napi::Env env, Napi::Object exports) {
  exports.Set("newGate", Napi::Function::New(env, new_gate));
  exports.Set("gateListen", Napi::Function::New(env, gate_listen));
  exports.Set("gateConfigure", Napi::Function::New(env, gate_configure));
  exports.Set("gateAddWorker", Napi::Function::New(env, gate_add_worker));
  exports.Set("gateRemoveWorker", Napi::Function::New(env, gate_remove_worker));
  exports.Set("gateRefusals", Napi::Function::New(env, gate_refusals));
  exports.Set("gateCounters", Napi::Function::New(env, gate_counters));
  exports.Set("gateDrain", Napi::Function::New(env, gate_drain));
  exports.Set("gateClose", Napi::Function::New(env, gate_close));
  exports.Set("parseProxyHeader", Napi::Function::New(env, parse_header));
}

}  // namespace activemx

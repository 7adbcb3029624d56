// Policy: everything the gate judges by. Immutable once published; replaced as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gate/ledger.hpp"
#include "gate/reply_template.hpp"

namespace activemx {

// As src/io/native-gate.ts numbers them; the first five are RefusalAction's too.
enum class RuleAction : std::uint8_t { refuse, tarpit, reset, drop, observe };
enum class EarlyTalkerMode : std::uint8_t { off, observe, tempfail, enforce };

struct ClassRule {
  RuleAction action = RuleAction::refuse;
  ReplyTemplate reply;
};

struct Policy {
  std::string greeting;
  std::int64_t greet_delay_ms = 0;
  EarlyTalkerMode early_talker = EarlyTalkerMode::off;
  ReplyTemplate early_talker_reply;
  ReplyTemplate limit_reply;
  ReplyTemplate overload_reply;
  ReplyTemplate stopping_reply;
  std::uint32_t blacklist = 0;  // table handles, 0 = none
  std::uint32_t trusted = 0;
  std::uint32_t proxy_protocol_from = 0;
  std::uint32_t connections_max = 0;  // 0 = no limit
  std::uint32_t tarpit_max = 0;  // 0 = none is held
  std::uint32_t sessions_per_worker_max = 0;
  AddressLimits limits;

  std::vector<ClassRule> rules;  // the first is the rule of a class without one of its own
  std::vector<std::uint16_t> rule_of_class;  // index into rules, by verdict class; 0 beyond its end

  [[nodiscard]] const ClassRule& rule_of(std::uint16_t verdict_class) const noexcept {
    return rules[verdict_class < rule_of_class.size() ? rule_of_class[verdict_class] : 0];
  }
};

}  // namespace activemx

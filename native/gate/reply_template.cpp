// ReplyTemplate: see reply_template.hpp.
#include "gate/reply_template.hpp"

#include <algorithm>
#include <cstring>

namespace activemx {

ReplyTemplate::ReplyTemplate(std::string_view text) {
  constexpr std::string_view address = "{address}";
  constexpr std::string_view id = "{id}";
  while (!text.empty()) {
    const std::size_t next = std::min(text.find(address), text.find(id));
    if (next != 0) parts_.push_back({Kind::text, std::string(text.substr(0, next))});
    if (next == std::string_view::npos) return;
    text.remove_prefix(next);
    const bool is_address = text.starts_with(address);
    parts_.push_back({is_address ? Kind::address : Kind::id, {}});
    names_address_ = names_address_ || is_address;
    text.remove_prefix(is_address ? address.size() : id.size());
  }
}

std::size_t ReplyTemplate::fill(std::string_view address, std::string_view id,
                                std::span<char, octets_max> reply) const noexcept {
  std::size_t length = 0;
  for (const Part& part : parts_) {
    const std::string_view text = part.kind == Kind::text ? std::string_view(part.text)
                                  : part.kind == Kind::id ? id
                                                          : address;
    const std::size_t taken = std::min(text.size(), octets_max - length);
    std::memcpy(reply.data() + length, text.data(), taken);
    length += taken;
  }
  return length;
}

}  // namespace activemx

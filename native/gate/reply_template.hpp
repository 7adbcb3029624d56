// ReplyTemplate: a reply whose {address} and {id} are filled in for each connection.
//
// A value; made once, read by any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace activemx {

class ReplyTemplate {
 public:
  // Longest reply that is sent; what exceeds it is cut. RFC 5321 §4.5.3.1.5 says 512 octets a line;
  // a reply may have several lines.
  static constexpr std::size_t octets_max = 2048;

  ReplyTemplate() = default;
  explicit ReplyTemplate(std::string_view text);

  // Writes the reply; answers its length. No allocation.
  std::size_t fill(std::string_view address, std::string_view id,
                   std::span<char, octets_max> reply) const noexcept;
  // Does the reply name the address? (Its text is made only then.)
  [[nodiscard]] bool names_address() const noexcept { return names_address_; }

 private:
  enum class Kind : std::uint8_t { text, address, id };
  struct Part {
    Kind kind;
    std::string text;
  };
  std::vector<Part> parts_;
  bool names_address_ = false;
};

}  // namespace activemx

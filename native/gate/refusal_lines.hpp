// RefusalLines: refusals as finished lines of the log, without a JavaScript object for each.
//
// A form is the line of all refusals of one cause, action and verdict class, with places to fill
// in; JavaScript makes it once (src/log/refusal-form.ts), from a line that its own formats wrote.
// The second of a time stamp is JavaScript's text too, since its form is the log's. What no form
// knows is left to JavaScript.
//
// Threads: the main thread only. No allocation per line.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "gate/refusal_ring.hpp"

namespace activemx {

class RefusalLines {
 public:
  // As src/io/native-gate.ts numbers them; `text` is the form's own.
  enum class Place : std::uint8_t { text, second, millisecond, id, address, port };
  struct Part {
    Place place = Place::text;
    std::string text;
  };
  // Why `write` stopped before an entry.
  enum class Stop : std::uint8_t {
    none,     // all are written
    full,     // the next line might not fit
    second,   // its second has no text: set_second
    form,     // its form is not known: set_form
    outside,  // it has no form: it is JavaScript's
  };
  struct Written {
    std::size_t entries = 0;
    std::size_t octets = 0;
    Stop stop = Stop::none;
  };

  // Refusals that look alike but for what is filled in.
  static std::uint32_t kind_of(const RefusalEntry& entry) noexcept {
    return static_cast<std::uint32_t>(entry.cause) << 24 |
           static_cast<std::uint32_t>(entry.action) << 16 | entry.verdict_class;
  }

  // Without parts: refusals of this kind have no form.
  void set_form(std::uint32_t kind, std::vector<Part> parts);
  void set_second(std::int64_t second, std::string text);
  void clear() noexcept;

  // Writes the lines of the first entries, in order.
  Written write(std::span<const RefusalEntry> entries, std::span<char> lines) const noexcept;

 private:
  struct Form {
    std::vector<Part> parts;
    std::size_t octets_max = 0;
  };

  [[nodiscard]] const Form* find(std::uint32_t kind) const noexcept;
  char* fill(const Form& form, const RefusalEntry& entry, char* at) const noexcept;

  std::unordered_map<std::uint32_t, Form> forms_;
  std::int64_t second_ = std::numeric_limits<std::int64_t>::min();
  std::string second_text_;
};

}  // namespace activemx

// RefusalLines: see refusal_lines.hpp.
#include "gate/refusal_lines.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace activemx {
namespace {

constexpr std::size_t second_octets_max = 64;
constexpr std::size_t port_octets_max = 5;

char* put(std::string_view text, char* at) noexcept {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

std::size_t octets_max_of(const RefusalLines::Part& part) noexcept {
  switch (part.place) {
    case RefusalLines::Place::text:
      return part.text.size();
    case RefusalLines::Place::second:
      return second_octets_max;
    case RefusalLines::Place::millisecond:
      return 3;
    case RefusalLines::Place::id:
      return refusal_id_octets;
    case RefusalLines::Place::address:
      return address_text_max;
    case RefusalLines::Place::port:
      return port_octets_max;
  }
  return 0;
}

std::int64_t second_of(const RefusalEntry& entry) noexcept {
  return static_cast<std::int64_t>(std::floor(entry.time_ms / 1000));
}

}  // namespace

void RefusalLines::set_form(std::uint32_t kind, std::vector<Part> parts) {
  Form form{std::move(parts), 0};
  for (const Part& part : form.parts) form.octets_max += octets_max_of(part);
  forms_.insert_or_assign(kind, std::move(form));
}

void RefusalLines::set_second(std::int64_t second, std::string text) {
  second_ = second;
  second_text_ = text.substr(0, second_octets_max);
}

void RefusalLines::clear() noexcept {
  forms_.clear();
  second_ = std::numeric_limits<std::int64_t>::min();
}

const RefusalLines::Form* RefusalLines::find(std::uint32_t kind) const noexcept {
  const auto found = forms_.find(kind);
  return found == forms_.end() ? nullptr : &found->second;
}

RefusalLines::Written RefusalLines::write(std::span<const RefusalEntry> entries,
                                          std::span<char> lines) const noexcept {
  Written written;
  const Form* form = nullptr;
  std::uint32_t kind = 0;
  for (const RefusalEntry& entry : entries) {
    if (form == nullptr || kind_of(entry) != kind) {
      kind = kind_of(entry);
      form = find(kind);
    }
    if (form == nullptr) {
      written.stop = Stop::form;
    } else if (form->parts.empty() || entry.octets != 0) {
      written.stop = Stop::outside;
    } else if (second_of(entry) != second_) {
      written.stop = Stop::second;
    } else if (form->octets_max > lines.size() - written.octets) {
      written.stop = Stop::full;
    }
    if (written.stop != Stop::none) break;
    char* const start = lines.data() + written.octets;
    written.octets += static_cast<std::size_t>(fill(*form, entry, start) - start);
    ++written.entries;
  }
  return written;
}

char* RefusalLines::fill(const Form& form, const RefusalEntry& entry, char* at) const noexcept {
  char address[address_text_max];
  std::size_t address_octets = 0;
  for (const Part& part : form.parts) {
    switch (part.place) {
      case Place::text:
        at = put(part.text, at);
        break;
      case Place::second:
        at = put(second_text_, at);
        break;
      case Place::millisecond: {
        const auto rest = static_cast<unsigned>(static_cast<std::int64_t>(entry.time_ms) -
                                                second_ * 1000);
        *at++ = static_cast<char>('0' + rest / 100 % 10);
        *at++ = static_cast<char>('0' + rest / 10 % 10);
        *at++ = static_cast<char>('0' + rest % 10);
        break;
      }
      case Place::id: {
        char id[refusal_id_octets];
        entry.id.write(id);
        at = put({id, sizeof id}, at);
        break;
      }
      case Place::address:
        if (address_octets == 0) {
          address_octets = write_address({entry.address_high, entry.address_low}, address);
        }
        at = put({address, address_octets}, at);
        break;
      case Place::port:
        at = std::to_chars(at, at + port_octets_max, entry.port).ptr;
        break;
    }
  }
  return at;
}

}  // namespace activemx

// Provenance, see provenance.hpp.
#include "core/provenance.hpp"

#include <fcntl.h>

#include <cstddef>
#include <span>
#include <utility>

#include "core/checksum.hpp"
#include "core/read_at.hpp"

namespace activemx {
namespace {

template <class T>
[[nodiscard]] bool read_column(int fd, const StoredColumn& column, std::vector<T>& into) {
  into.resize(column.octets / sizeof(T));
  if (!read_at(fd, column.offset, into.data(), into.size() * sizeof(T))) return false;
  return crc32c(std::as_bytes(std::span(into))) == column.checksum;
}

template <class T>
[[nodiscard]] std::size_t octets_of(const std::vector<T>& column) {
  return column.size() * sizeof(T);
}

}  // namespace

std::shared_ptr<const ProvenanceFile> ProvenanceFile::of(int fd, const StoredPlaces& v4,
                                                         const StoredPlaces& v6) {
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return own < 0 ? nullptr : std::make_shared<const ProvenanceFile>(own, v4, v6);
}

std::shared_ptr<const Places> ProvenanceFile::read(bool is_ipv4) const {
  const StoredPlaces& stored = places_[is_ipv4 ? 0 : 1];
  auto places = std::make_shared<Places>();
  const bool is_whole = read_column(fd_.get(), stored.file_ids, places->file_ids) &&
                        read_column(fd_.get(), stored.lines, places->lines);
  return is_whole ? places : nullptr;
}

void Provenance::keep(Places v4, Places v6) {
  const std::lock_guard lock(mutex_);
  kept_ = {std::make_shared<const Places>(std::move(v4)),
           std::make_shared<const Places>(std::move(v6))};
}

void Provenance::leave_to(std::shared_ptr<const ProvenanceFile> file) const {
  if (file == nullptr) return;
  const std::lock_guard lock(mutex_);
  file_ = std::move(file);
  kept_ = {};
}

std::shared_ptr<const Places> Provenance::places(bool is_ipv4) const {
  std::shared_ptr<const ProvenanceFile> file;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) return kept_[is_ipv4 ? 0 : 1];
    file = file_;
  }
  return file->read(is_ipv4);
}

std::size_t Provenance::octets() const {
  const std::lock_guard lock(mutex_);
  std::size_t octets = 0;
  for (const auto& places : kept_) {
    if (places != nullptr) octets += octets_of(places->file_ids) + octets_of(places->lines);
  }
  return octets;
}

}  // namespace activemx

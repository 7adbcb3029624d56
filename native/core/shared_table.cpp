// The changes of a shared table, see shared_table.hpp. Reading is in table_reader.cpp.
#include "core/shared_table.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace activemx {
namespace {

// Who asks for sizes may be a thread that serves: some milliseconds at most.
constexpr std::size_t swept_by_sizes = 4096;

// What a table holds before its first publication; one for all tables.
[[nodiscard]] std::shared_ptr<const TableImage> empty_image() {
  TableError error = TableError::none;
  static const auto image = compile(IpRules(), error);
  return image;
}

}  // namespace

CompiledTable::CompiledTable(std::shared_ptr<const TableImage> compiled)
    : image(std::move(compiled)), any24(Any24::word_count) {
  if (image != nullptr) image->image4.mark_listed(any24);
}

SharedTable::SharedTable()
    : added_(epochs_, signals_),
      current_(std::make_shared<const Published>(Published{empty_image(), {0}, {}})),
      published_(current_.get()) {}

SharedTable::~SharedTable() = default;

TableError SharedTable::publish(CompiledTable compiled) {
  const std::lock_guard turn(publication_mutex_);
  auto next = std::make_unique<Published>();
  next->image = std::move(compiled.image);
  for (const std::string& name : next->image->lists) {
    next->list_ids.push_back(classes_.list_id(name));
    if (next->list_ids.back() == ClassTable::every_list) return TableError::too_many_classes;
  }
  next->meanings = classes_.adopt(next->image->sets, next->list_ids, current_->meanings);
  if (next->meanings.empty()) return TableError::too_many_classes;
  exchange(share(std::move(next)), compiled.any24);
  return TableError::none;
}

std::shared_ptr<const SharedTable::Published> SharedTable::share(std::unique_ptr<Published> one) {
  constexpr auto free_one = [](void* unused) -> void* {
    delete static_cast<Published*>(unused);
    return nullptr;
  };
  return {one.release(), [free_one](Published* unused) {
            pthread_t thread;
            // Where no thread is to be had, whoever is here does it.
            if (::pthread_create(&thread, nullptr, free_one, unused) != 0) free_one(unused);
            else ::pthread_detach(thread);
          }};
}

void SharedTable::exchange(std::shared_ptr<const Published> next,
                           std::vector<std::uint64_t>& any24) {
  const std::lock_guard lock(writer_mutex_);
  added_.mark_listed(any24);
  any24_.add(any24);
  published_.store(next.get(), std::memory_order_seq_cst);
  signals_.begin_publication();
  any24_.assign(any24);
  epochs_.retire(std::exchange(current_, std::move(next)));
  epochs_.collect().clear();
}

TableError SharedTable::add(Key6 start, std::uint8_t length, bool is_ipv4, std::string_view list,
                            std::int64_t ttl_ms) {
  const std::lock_guard lock(writer_mutex_);
  const ListId id = classes_.list_id(list);
  if (id == ClassTable::every_list) return TableError::too_many_classes;
  return enter({start, 0, id, length, is_ipv4, false}, ttl_ms);
}

TableError SharedTable::remove(Key6 start, std::uint8_t length, bool is_ipv4,
                               std::optional<std::string_view> list, std::int64_t ttl_ms) {
  const std::lock_guard lock(writer_mutex_);
  const ListId id = list ? classes_.list_id(*list) : ClassTable::every_list;
  if (list && id == ClassTable::every_list) return TableError::too_many_classes;
  const AddedPrefix exclusion{start, 0, id, length, is_ipv4, true};
  // The new exclusion first: whom an old one kept off the lists is not listed between the two.
  const TableError error = enter(exclusion, ttl_ms);
  const bool is_entered = error == TableError::none;
  added_.drop_within(start & mask_of<Key6>(length), length, is_ipv4, id, is_entered);
  // Where there was no room, there may be some now.
  return is_entered ? error : enter(exclusion, ttl_ms);
}

TableError SharedTable::enter(AddedPrefix prefix, std::int64_t ttl_ms) {
  prefix.start &= mask_of<Key6>(prefix.length);
  prefix.ends_ms = ttl_ms < 0 || ttl_ms >= AddedPrefix::never - monotonic_ms()
                       ? AddedPrefix::never
                       : monotonic_ms() + ttl_ms;
  const TableError error = added_.enter(prefix);
  if (error != TableError::none || !prefix.is_ipv4 || prefix.is_excluded) return error;
  // The entry first, the bit second: the bit must not promise what is not there yet.
  const auto first = static_cast<std::uint32_t>(prefix.start);
  any24_.add_range(first, first | static_cast<std::uint32_t>(~mask_of<Key6>(prefix.length)));
  return error;
}

TableSizes SharedTable::sizes() {
  const std::lock_guard lock(writer_mutex_);
  added_.sweep(swept_by_sizes);
  const TableImage& image = *published().image;
  return {image.rules4.count(), image.rules6.count(), classes_.count(), added_.count(),
          Any24::octets + TableSignals::octets + image.image4.octets() + image.image6.octets()};
}

HeldImage4 SharedTable::hold_image4() {
  const std::lock_guard lock(writer_mutex_);
  return {current_, signals_.publication(), &current_->image->image4, current_->meanings};
}

std::shared_ptr<const TableImage> SharedTable::image() {
  const std::lock_guard lock(writer_mutex_);
  return published().image;
}

}  // namespace activemx

// The registry of a process: tables and compiled images by number, so that threads can pass them
// on.
//
// Both maps are guarded by one lock; any thread. Numbers are never used again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/shared_table.hpp"

namespace activemx {

// From 1. find_shared_table (shared_table.hpp) leads back.
[[nodiscard]] std::uint32_t register_shared_table(std::shared_ptr<SharedTable> table);
// Who has the table keeps it; nobody finds it any more.
void forget_shared_table(std::uint32_t handle);

// A compiled image on its way to the thread that publishes it.
[[nodiscard]] std::uint32_t register_compiled(CompiledTable compiled);
// Another number for the same image, to publish it once more; 0 for an unknown number.
[[nodiscard]] std::uint32_t register_again(std::uint32_t number);
// The image, no longer registered; none for an unknown number.
[[nodiscard]] std::optional<CompiledTable> take_compiled(std::uint32_t number);

}  // namespace activemx

// Verdict classes: what refused images change, which is nothing.
#include "core/class_table.hpp"

#include <numeric>
#include <string>
#include <vector>

#include "checks.hpp"

namespace activemx::test {
namespace {

// Sets of two of the lists, `count` of them, from the pair `first` on.
std::vector<ListSet> pairs(std::size_t first, std::size_t count) {
  std::vector<ListSet> sets;
  std::size_t at = 0;
  for (ListId higher = 1; sets.size() < count; ++higher) {
    for (ListId lower = 0; lower < higher && sets.size() < count; ++lower) {
      if (at++ >= first) sets.push_back({lower, higher});
    }
  }
  return sets;
}

std::vector<ListId> some_lists(ClassTable& classes, std::size_t count) {
  std::vector<ListId> ids;
  for (std::size_t list = 0; list < count; ++list) {
    ids.push_back(classes.list_id("list " + std::to_string(list)));
  }
  return ids;
}

// Whatever is refused beside it, and however often, the image in force keeps its numbers; what is
// small enough then finds room.
void test_refused_images() {
  ClassTable classes;
  const std::vector<ListId> lists = some_lists(classes, 1000);
  const std::vector<ListSet> in_force = pairs(0, 100);
  const std::vector<VerdictClass> numbers = classes.adopt(in_force, lists, {});
  check(numbers.size() == 100, "there is room");
  const VerdictClass answered = classes.step(numbers[0], 7, false);
  for (std::size_t time = 0; time < 5; ++time) {
    check(classes.adopt(pairs(1000 + time, 70'000), lists, numbers).empty(), "too many classes");
    check(classes.count() == 101, "refused numbers are free again");
    for (std::size_t at = 0; at < numbers.size(); ++at) {
      check(classes.lists_of(numbers[at]) == in_force[at], "numbers in force keep their meaning");
    }
    check(classes.step(numbers[0], 7, false) == answered, "and so do answers");
    check(classes.lists_of(answered) == ListSet({0, 1, 7}), "with what they mean");
  }
  check(classes.adopt(pairs(200, 65'000), lists, numbers).size() == 65'000, "there is room again");
  check(classes.lists_of(answered) == ListSet({0, 1, 7}), "beside those of before");
}

// Images that would not fit three at a time: the third waits until the first has been gone for
// long.
void test_room_comes_back() {
  ClassTable classes;
  const std::vector<ListId> lists = some_lists(classes, 1000);
  std::vector<VerdictClass> in_force;
  for (std::size_t image = 0; image < 2; ++image) {
    in_force = classes.adopt(pairs(image * 30'000, 30'000), lists, in_force);
    check(in_force.size() == 30'000, "there is room for two");
  }
  check(classes.adopt(pairs(60'000, 30'000), lists, in_force).empty(), "not for a third yet");
  check(classes.adopt(pairs(60'000, 30'000), lists, in_force).size() == 30'000, "then there is");
  check(classes.lists_of(in_force[0]) == pairs(30'000, 1)[0], "the one in force is not touched");
}

// What is given back is given out anew from below: the numbers in use stay dense.
void test_numbers_stay_dense() {
  ClassTable classes;
  const std::vector<ListId> lists = some_lists(classes, 1000);
  check(classes.adopt(pairs(0, 70'000), lists, {}).empty(), "too many classes");
  check(classes.count() == 0, "nothing is numbered");
  const std::vector<VerdictClass> numbers = classes.adopt(pairs(0, 10), lists, {});
  std::vector<VerdictClass> dense(10);
  std::iota(dense.begin(), dense.end(), VerdictClass{1});
  check(numbers == dense && classes.count() == 10, "from 1 on");
}

}  // namespace
}  // namespace activemx::test

int main() {
  activemx::test::test_refused_images();
  activemx::test::test_room_comes_back();
  activemx::test::test_numbers_stay_dense();
  return 0;
}

// The sweep over sorted prefixes, see interval_sweep.hpp.
#include "core/interval_sweep.hpp"

namespace activemx {
namespace {

template <class Key>
class Sweep {
 public:
  Sweep(const SortedRules<Key>& rules, ListSets& sets) : rules_(rules), sets_(sets) {
    intervals_.starts.reserve(rules.count() * 2 + 1);
    intervals_.classes.reserve(rules.count() * 2 + 1);
    intervals_.starts.push_back(0);
    intervals_.classes.push_back(0);
  }

  [[nodiscard]] Intervals<Key> run() {
    for (std::size_t i = 0; i < rules_.count(); ++i) {
      const Key start = rules_.starts[i];
      while (!open_.empty() && open_.back().last < start) close();
      const ImageClass around = open_.empty() ? ImageClass{0} : open_.back().set;
      const ImageClass set = sets_.enter(around, rules_.list_ids[i], rules_.excluded[i] != 0);
      const Key last = start | static_cast<Key>(~mask_of<Key>(rules_.lengths[i]));
      open_.push_back({last, set});
      cut(start, set);
    }
    while (!open_.empty()) close();
    return std::move(intervals_);
  }

 private:
  struct Open {
    Key last;
    ImageClass set;
  };

  // The innermost open prefix ends: what surrounds it holds again, unless the key space ends too.
  void close() {
    const Key last = open_.back().last;
    open_.pop_back();
    if (last == static_cast<Key>(~Key{0})) return;
    cut(last + 1, open_.empty() ? ImageClass{0} : open_.back().set);
  }

  // From `start` on the answer is `set`. Cuts come in ascending order; a later one at the same
  // place wins.
  void cut(Key start, ImageClass set) {
    if (intervals_.starts.back() == start) {
      intervals_.starts.pop_back();
      intervals_.classes.pop_back();
    }
    if (!intervals_.classes.empty() && intervals_.classes.back() == set) return;
    intervals_.starts.push_back(start);
    intervals_.classes.push_back(set);
  }

  const SortedRules<Key>& rules_;
  ListSets& sets_;
  Intervals<Key> intervals_;
  std::vector<Open> open_;
};

}  // namespace

template <class Key>
Intervals<Key> sweep(const SortedRules<Key>& rules, ListSets& sets) {
  return Sweep<Key>(rules, sets).run();
}

template Intervals<Key4> sweep<Key4>(const SortedRules<Key4>&, ListSets&);
template Intervals<Key6> sweep<Key6>(const SortedRules<Key6>&, ListSets&);

}  // namespace activemx

// Finds the ranges that contain a key: O(log n + found) whatever the shape of the ranges, so that a commit
// costs the same whether ten or ten thousand other ranges are watched.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "contract/assert.h"
#include "holdfast/types.h"

namespace holdfast {

/// A set of (range, item). A treap ordered by (begin, item) in which every node knows the furthest end below
/// it. Not thread-safe. The items are borrowed.
template <class Item>
class RangeIndex {
 public:
  bool empty() const { return !root_; }

  void add(const Range& range, Item* item) {
    auto node = std::make_unique<Node>(Node{range, item, next_priority(), nullptr, nullptr, nullptr});
    auto [before, after] = split(std::move(root_), range.begin, item);
    root_ = merge(merge(std::move(before), refreshed(std::move(node))), std::move(after));
  }

  /// The pair must be there.
  void remove(const Range& range, Item* item) { root_ = without(std::move(root_), range.begin, item); }

  template <class Visit>
  void each_containing(View key, Visit&& visit) const {
    visit_containing(root_.get(), key, visit);
  }

  template <class Visit>
  void each(Visit&& visit) const {
    visit_all(root_.get(), visit);
  }

 private:
  struct Node {
    Range range;
    Item* item;
    std::uint64_t priority;
    const Node* furthest;  ///< the node at or below this one whose range ends last
    std::unique_ptr<Node> left;
    std::unique_ptr<Node> right;
  };
  using Tree = std::unique_ptr<Node>;

  static bool ends_after(const Range& a, const Range& b) {
    return !b.end.empty() && (a.end.empty() || a.end > b.end);
  }
  static bool reaches(const Range& range, View key) { return range.end.empty() || key < View(range.end); }
  static bool is_before(const Node& node, const Bytes& begin, const Item* item) {
    const int order = node.range.begin.compare(begin);
    return order < 0 || (order == 0 && std::less<const Item*>{}(node.item, item));
  }

  static Tree refreshed(Tree node) {
    node->furthest = node.get();
    for (const Tree* child : {&node->left, &node->right}) {
      if (*child && ends_after((*child)->furthest->range, node->furthest->range)) {
        node->furthest = (*child)->furthest;
      }
    }
    return node;
  }

  static std::pair<Tree, Tree> split(Tree tree, const Bytes& begin, const Item* item) {
    if (!tree) return {};
    if (is_before(*tree, begin, item)) {
      auto [before, after] = split(std::move(tree->right), begin, item);
      tree->right = std::move(before);
      return {refreshed(std::move(tree)), std::move(after)};
    }
    auto [before, after] = split(std::move(tree->left), begin, item);
    tree->left = std::move(after);
    return {std::move(before), refreshed(std::move(tree))};
  }

  static Tree merge(Tree before, Tree after) {
    if (!before) return after;
    if (!after) return before;
    if (before->priority > after->priority) {
      before->right = merge(std::move(before->right), std::move(after));
      return refreshed(std::move(before));
    }
    after->left = merge(std::move(before), std::move(after->left));
    return refreshed(std::move(after));
  }

  static Tree without(Tree tree, const Bytes& begin, const Item* item) {
    HOLDFAST_ASSERT(tree != nullptr);
    if (tree->item == item && tree->range.begin == begin) {
      return merge(std::move(tree->left), std::move(tree->right));
    }
    Tree& child = is_before(*tree, begin, item) ? tree->right : tree->left;
    child = without(std::move(child), begin, item);
    return refreshed(std::move(tree));
  }

  template <class Visit>
  static void visit_containing(const Node* node, View key, Visit& visit) {
    if (!node || !reaches(node->furthest->range, key)) return;
    visit_containing(node->left.get(), key, visit);
    if (View(node->range.begin) > key) return;
    if (reaches(node->range, key)) visit(*node->item);
    visit_containing(node->right.get(), key, visit);
  }

  template <class Visit>
  static void visit_all(const Node* node, Visit& visit) {
    if (!node) return;
    visit_all(node->left.get(), visit);
    visit(*node->item);
    visit_all(node->right.get(), visit);
  }

  /// Scattered, but not random: the shape of the tree is nobody's secret (splitmix64).
  std::uint64_t next_priority() {
    std::uint64_t z = (added_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  Tree root_;
  std::uint64_t added_ = 0;
};

}  // namespace holdfast

#include "backends/file/index.h"

#include <utility>

#include "backends/file/index_page.h"
#include "contract/assert.h"
#include "holdfast/limits.h"

namespace holdfast::file {

namespace {

// Holds several of the longest keys, and either half of it the longest entry.
constexpr std::size_t kLargestSizeClass = PageArena::kSizesBytes.size() - 1;

// A scan asks for entries this far ahead: they lie in the page in the order of their arrival.
constexpr std::size_t kAhead = 4;

// A page below a quarter is merged with a neighbour if both then take three quarters at most, so that neither
// the next insertion nor the next removal undoes it.
bool is_sparse(const IndexPage& page) { return page.used_bytes() < page.capacity_bytes() / 4; }

bool fit_together(const IndexPage& left, const IndexPage& right, std::size_t extra_bytes) {
  return left.used_bytes() + right.used_bytes() + extra_bytes <= left.capacity_bytes() / 4 * 3;
}

/// The shortest key above `lower` that is not above `upper`.
View separator_of(View lower, View upper) { return upper.substr(0, common_prefix_bytes(lower, upper) + 1); }

}  // namespace

Index::Index(Index&& other) noexcept { *this = std::move(other); }

Index& Index::operator=(Index&& other) noexcept {
  arena_ = std::move(other.arena_);
  root_ = std::exchange(other.root_, nullptr);
  last_ = std::exchange(other.last_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

const IndexPage* Index::find_leaf(View key) const {
  const IndexPage* page = root_;
  while (page->level() != 0) {
    page = page->child(page->child_index(key));
    page->prefetch();
  }
  return page;
}

Index::Path Index::find_path(View key) const {
  Path path;
  IndexPage* page = root_;
  while (true) {
    HOLDFAST_ASSERT(path.height < Path::kMaxHeight);
    Step& step = path.steps[path.height++];
    step.page = page;
    if (page->level() == 0) return path;
    step.index = page->child_index(key);
    page = page->child(step.index);
    page->prefetch();
  }
}

std::optional<Stored> Index::find(View key) const {
  if (root_ == nullptr) return std::nullopt;
  const IndexPage* const leaf = find_leaf(key);
  const IndexPage::Place place = leaf->search_exact(key);
  if (!place.found) return std::nullopt;
  return leaf->stored(place.index);
}

void Index::put(View key, const Stored& stored) {
  HOLDFAST_ASSERT(!key.empty() && key.size() <= limits::kKeyBytes);
  HOLDFAST_ASSERT(stored.value.size() <= kMaxInlineValueBytes);
  if (root_ == nullptr) root_ = last_ = IndexPage::create(arena_, 0, 0);
  const std::size_t bytes = IndexPage::entry_bytes(key, stored);
  while (true) {
    Path path = find_path(key);
    IndexPage& leaf = path.leaf();
    const IndexPage::Place place = leaf.search(key);
    if (place.found) {
      if (leaf.replace(place.index, key, stored)) return;
      leaf.remove(place.index);
      --size_;
    }
    if (leaf.fits(bytes)) {
      leaf.insert(place.index, key, stored);
      ++size_;
      return;
    }
    make_room(path, place.index, key);
  }
}

void Index::append(View key, const Stored& stored) {
  if (last_ != nullptr) {
    HOLDFAST_ASSERT(key.size() <= limits::kKeyBytes && stored.value.size() <= kMaxInlineValueBytes);
    HOLDFAST_ASSERT(last_->key(last_->count() - 1) < key);
    if (last_->fits(IndexPage::entry_bytes(key, stored))) {
      last_->insert(last_->count(), key, stored);
      ++size_;
      return;
    }
  }
  put(key, stored);
}

// One step towards room for a new entry at `index` of the leaf; the way there must be found again.
void Index::make_room(Path& path, std::size_t index, View key) {
  if (path.height == 1 && root_->size_class() < kLargestSizeClass) {
    last_ = &enlarged_root();
  } else {
    split_leaf(path, index, key);
  }
}

IndexPage& Index::enlarged_root() {
  IndexPage* const larger = IndexPage::create(arena_, root_->size_class() + 1, root_->level());
  larger->append_from(*root_, 0, root_->count());
  IndexPage::destroy(arena_, root_);
  root_ = larger;
  return *root_;
}

void Index::split_leaf(Path& path, std::size_t index, View key) {
  IndexPage& left = path.leaf();
  // Where keys come in order, forwards or backwards, the full page stays full.
  const bool ahead = (index == left.count() && left.next() == nullptr) || left.continues_run(index);
  const bool behind = index == 0 && left.previous() == nullptr;
  const std::size_t cut = ahead || behind || left.count() < 2 ? index : left.balanced_cut();

  IndexPage& right = *IndexPage::create(arena_, kLargestSizeClass, 0);
  right.set_previous(&left);
  right.set_next(left.next());
  if (left.next() != nullptr) left.next()->set_previous(&right);
  left.set_next(&right);
  if (last_ == &left) last_ = &right;

  left.move_tail(cut, right);
  const View lower = cut == 0 ? key : left.key(cut - 1);
  const View upper = cut != 0 && cut == index ? key : right.key(0);
  add_page(path, Bytes(separator_of(lower, upper)), right);
}

// Enters a new page, right of the one at the end of the path, into the pages above.
void Index::add_page(Path& path, Bytes separator, IndexPage& page) {
  IndexPage* added = &page;
  for (std::size_t step = path.height - 1; step != 0; --step) {
    IndexPage* parent = path.steps[step - 1].page;
    const std::size_t index = path.steps[step - 1].index + 1;
    const std::size_t bytes = IndexPage::entry_bytes(separator, IndexPage::stored_child(added));
    while (!parent->fits(bytes) && step == 1 && parent->size_class() < kLargestSizeClass)
      parent = &enlarged_root();
    if (parent->fits(bytes)) {
      parent->insert(index, separator, IndexPage::stored_child(added));
      return;
    }
    const std::size_t cut = index == parent->count() ? index - 1 : parent->balanced_cut();
    IndexPage* const sibling = IndexPage::create(arena_, kLargestSizeClass, parent->level());
    parent->move_tail(cut, *sibling);
    const Bytes sibling_separator(sibling->key(0));
    if (index <= cut) {
      parent->insert(index, separator, IndexPage::stored_child(added));
    } else {
      sibling->insert(index - cut, separator, IndexPage::stored_child(added));
    }
    separator = sibling_separator;
    added = sibling;
  }
  const Stored before = IndexPage::stored_child(root_);
  const Stored after = IndexPage::stored_child(added);
  const std::size_t bytes = IndexPage::entry_bytes({}, before) + IndexPage::entry_bytes(separator, after);
  std::size_t size_class = 0;
  while (PageArena::kSizesBytes[size_class] - sizeof(IndexPage) < bytes) ++size_class;
  IndexPage* const root = IndexPage::create(arena_, size_class, root_->level() + 1);
  root->insert(0, {}, before);
  root->insert(1, separator, after);
  root_ = root;
}

bool Index::erase(View key) {
  if (root_ == nullptr) return false;
  Path path = find_path(key);
  IndexPage& leaf = path.leaf();
  const IndexPage::Place place = leaf.search_exact(key);
  if (!place.found) return false;
  if (size_ == 1) {
    clear();
    return true;
  }
  leaf.remove(place.index);
  --size_;
  if (leaf.count() == 0 || is_sparse(leaf)) rebalance(path);
  return true;
}

void Index::rebalance(Path& path) {
  for (std::size_t step = path.height - 1; step != 0; --step) {
    IndexPage& page = *path.steps[step].page;
    IndexPage& parent = *path.steps[step - 1].page;
    const std::size_t index = path.steps[step - 1].index;
    const auto merge_with_next = [&](std::size_t left) {
      if (left + 1 >= parent.count()) return false;
      // The key that stands above the right page comes down with it.
      const std::size_t extra_bytes = parent.level() == 1 ? 0 : parent.key(left + 1).size();
      if (!fit_together(*parent.child(left), *parent.child(left + 1), extra_bytes)) return false;
      merge(parent, left);
      return true;
    };
    if (page.count() == 0) {
      parent.remove(index);
      if (page.level() == 0) unlink(page);
      IndexPage::destroy(arena_, &page);
    } else if (!is_sparse(page) || (!merge_with_next(index) && (index == 0 || !merge_with_next(index - 1)))) {
      break;
    }
  }
  while (root_->level() != 0 && root_->count() == 1) {
    IndexPage* const root = root_;
    root_ = root->child(0);
    IndexPage::destroy(arena_, root);
  }
}

// Moves what is in child `index` + 1 into child `index`.
void Index::merge(IndexPage& parent, std::size_t index) {
  IndexPage& left = *parent.child(index);
  IndexPage& right = *parent.child(index + 1);
  if (left.level() == 0) {
    left.append_from(right, 0, right.count());
    unlink(right);
  } else {
    left.insert(left.count(), parent.key(index + 1), IndexPage::stored_child(right.child(0)));
    left.append_from(right, 1, right.count());
  }
  parent.remove(index + 1);
  IndexPage::destroy(arena_, &right);
}

void Index::unlink(IndexPage& leaf) {
  if (leaf.previous() != nullptr) leaf.previous()->set_next(leaf.next());
  if (leaf.next() != nullptr) leaf.next()->set_previous(leaf.previous());
  if (last_ == &leaf) last_ = leaf.previous();
}

void Index::clear() { *this = Index(); }

void Index::Cursor::seek(View key) {
  leaf_ = nullptr;
  if (index_->root_ == nullptr) return;
  leaf_ = index_->find_leaf(key);
  at_ = leaf_->search(key).index;
  if (at_ == leaf_->count()) {
    leaf_ = leaf_->next();
    at_ = 0;
  }
}

void Index::Cursor::seek_before(View key) {
  leaf_ = nullptr;
  if (index_->root_ == nullptr) return;
  leaf_ = index_->find_leaf(key);
  at_ = leaf_->search(key).index;
  prev();
}

void Index::Cursor::seek_to_first() { seek({}); }

void Index::Cursor::seek_to_last() {
  leaf_ = index_->last_;
  if (leaf_ != nullptr) at_ = leaf_->count() - 1;
}

void Index::Cursor::next() {
  if (++at_ < leaf_->count()) {
    leaf_->prefetch_entry(at_ + kAhead);
    return;
  }
  leaf_ = leaf_->next();
  at_ = 0;
  if (leaf_ != nullptr && leaf_->next() != nullptr) leaf_->next()->prefetch();
}

void Index::Cursor::prev() {
  if (at_ != 0) {
    --at_;
    return;
  }
  leaf_ = leaf_->previous();
  if (leaf_ != nullptr) at_ = leaf_->count() - 1;
}

View Index::Cursor::key() const { return leaf_->key(at_); }

Stored Index::Cursor::stored() const { return leaf_->stored(at_); }

}  // namespace holdfast::file

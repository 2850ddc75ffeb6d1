#include "services/record_catalogue.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "holdfast/error.h"

namespace holdfast {
namespace {

using State = DeclaredIndex::State;

constexpr std::array<std::pair<State, const char*>, 4> kStates = {{{State::building, "building"},
                                                                   {State::ready, "ready"},
                                                                   {State::failed, "failed"},
                                                                   {State::dropped, "dropped"}}};

const char* word_of(State state) {
  return std::ranges::find(kStates, state, &std::pair<State, const char*>::first)->second;
}

State state_of(const Bytes& word) {
  for (const auto& [state, its_word] : kStates) {
    if (word == its_word) return state;
  }
  throw Error(Code::corruption, "an index of records has an unknown state; use a newer version to open it");
}

}  // namespace

Bytes IndexCatalogue::text() const {
  nlohmann::ordered_json json{{"next_id", next_id}, {"indexes", nlohmann::ordered_json::array()}};
  for (const DeclaredIndex& index : indexes) {
    json["indexes"].push_back({{"id", index.id},
                               {"name", index.name},
                               {"path", index.path},
                               {"unique", index.is_unique},
                               {"state", word_of(index.state)}});
  }
  return json.dump();
}

IndexCatalogue IndexCatalogue::parse(View text) {
  IndexCatalogue catalogue;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    json.at("next_id").get_to(catalogue.next_id);
    for (const nlohmann::json& item : json.at("indexes")) {
      DeclaredIndex& index = catalogue.indexes.emplace_back();
      item.at("id").get_to(index.id);
      item.at("name").get_to(index.name);
      item.at("path").get_to(index.path);
      index.pointer = JsonPointer::parse(index.path);
      item.at("unique").get_to(index.is_unique);
      index.state = state_of(item.at("state").get<Bytes>());
    }
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::corruption,
                "the list of indexes of records cannot be read; restore the database from a backup");
  }
  return catalogue;
}

const DeclaredIndex* IndexCatalogue::find(View name) const {
  const auto is_it = [&](const DeclaredIndex& index) {
    return index.state != State::dropped && index.name == name;
  };
  const auto found = std::ranges::find_if(indexes, is_it);
  return found == indexes.end() ? nullptr : &*found;
}

DeclaredIndex* IndexCatalogue::find(std::uint64_t id) {
  const auto found = std::ranges::find(indexes, id, &DeclaredIndex::id);
  return found == indexes.end() ? nullptr : &*found;
}

const DeclaredIndex* IndexCatalogue::find(State state) const {
  const auto found = std::ranges::find(indexes, state, &DeclaredIndex::state);
  return found == indexes.end() ? nullptr : &*found;
}

std::shared_ptr<const CatalogueCache::Seen> CatalogueCache::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

std::shared_ptr<const CatalogueCache::Seen> CatalogueCache::see(const std::optional<Entry>& entry) {
  const View text = entry ? View(entry->value) : View();
  std::shared_ptr<const Seen> known = last();
  if (known->text == text) return known;
  auto seen = std::make_shared<Seen>();
  seen->text = text;
  if (entry) seen->catalogue = IndexCatalogue::parse(text);
  const std::lock_guard lock(mutex_);
  last_ = seen;
  return seen;
}

}  // namespace holdfast

// Which store each logical database is kept in: bindings made in code, or read from a file such as
// holdfast.toml.
//
//     store = "sqlite:data/holdfast.db"            # for every database that is bound to none
//
//     [databases.scheduler]                        # quote what has other characters: [databases."a/b"]
//     store = "postgres://db.example/app?schema=scheduler"
//
//     [databases.cache]
//     store = "redis://cache.example"
//
// A file may also name a preset, which binds databases as a known system lays them out; what it binds may be
// bound otherwise beside it. `piri` has the databases scheduler, replicator, aggregator and egress_tracker,
// in the files that Piri uses or in one schema each, and keeps all others beside them:
//
//     [presets.piri]
//     data_dir = "/var/lib/piri"                   # or:
//     store = "postgres://db.example/app"
//
// The URL config:FILE names such a file wherever a store is named by a URL. Relative paths are relative to
// the working folder. A database that was bound elsewhere before is not moved: copy it first.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/layers.h"
#include "holdfast/store.h"

namespace holdfast {

struct Config {
  /// The URL for all databases that are bound to none. Options of a store (timeout_ms, clock_skew_limit_ms,
  /// sweeper) stand here.
  std::string store;
  /// The URL of each database that is bound, by its name. Databases bound to the same URL share one store.
  std::map<Bytes, std::string, std::less<>> databases;
  /// Made, with the folders above them, before the stores are opened.
  std::vector<std::string> folders;

  /// The databases of a preset in files below `data_dir`, or in schemas of `store`; exactly one of the two is
  /// given. Throws invalid_argument, for an unknown name with the nearest known one.
  static Config preset(const std::string& name, const std::string& data_dir, const std::string& store);
  /// Reads the text of a file; `path` is for messages. The table [server] is for the server and passed over.
  /// Throws invalid_argument with the line: for what is not TOML, for an unknown key naming the nearest known
  /// one, for a value of the wrong kind, for a name that no database can have, for a URL that names no store.
  static Config parse(const std::string& text, const std::string& path);
};

/// Opens every store that is named, each once. The whole promises what its weakest store promises. Throws
/// invalid_argument if `config.store` is empty or a database's URL has options of a store, and what
/// open_backend(URL) does, with the database in front.
std::unique_ptr<Backend> open_backend(const Config& config, const Environment& environment = {},
                                      const std::shared_ptr<Metrics>& metrics = {});
/// As Store::open(URL).
std::shared_ptr<Store> open_store(const Config& config, StoreOptions options = {});

}  // namespace holdfast

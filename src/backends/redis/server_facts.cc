#include "backends/redis/server_facts.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "holdfast/error.h"

namespace holdfast::redis {
namespace {

constexpr int kOldestVersion = 7;

int major_of(const std::string& version) {
  int number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  return number;
}

}  // namespace

ServerFacts parse_info(View info) {
  std::map<std::string, std::string, std::less<>> fields;
  while (!info.empty()) {
    const std::size_t end = std::min(info.find('\n'), info.size());
    View line = info.substr(0, end);
    info.remove_prefix(std::min(end + 1, info.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (colon == View::npos || line.starts_with('#')) continue;
    fields.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  ServerFacts facts;
  facts.identity = fields["run_id"] + ":" + fields["master_replid"];
  facts.version = fields["redis_version"];
  facts.role = fields["role"];
  facts.eviction = fields["maxmemory_policy"];
  const std::string& replicas = fields["connected_slaves"];
  std::from_chars(replicas.data(), replicas.data() + replicas.size(), facts.replicas);
  facts.loading = fields["loading"] == "1" || fields["async_loading"] == "1";
  facts.cluster = fields["cluster_enabled"] == "1";
  facts.append_only = fields["aof_enabled"] == "1";
  return facts;
}

void judge_server(const ServerFacts& facts, const Address& address) {
  const std::string who = "the Redis server at " + address.text();
  if (facts.loading) {
    throw Error(Code::unavailable, who + " is loading its data; try again when it is done");
  }
  if (major_of(facts.version) < kOldestVersion) {
    throw Error(Code::capability_missing,
                who + " is older than version " + std::to_string(kOldestVersion) + ".0; it has no functions");
  }
  if (facts.role != "master") {
    throw Error(Code::unavailable,
                who + " is a replica, which may answer what is no longer so; name the primary");
  }
  if (facts.identity.size() < 2) {
    throw Error(Code::capability_missing,
                who + " does not say who it is (run_id in INFO), so that lost commits would not be noticed");
  }
  if (facts.cluster && !address.cluster) {
    throw Error(Code::invalid_argument, who + " is a node of a cluster; add the option cluster=true");
  }
  if (!facts.cluster && address.cluster) {
    throw Error(Code::invalid_argument, who + " is no node of a cluster; leave out cluster=true");
  }
  // The volatile policies evict keys with an expiry, and none of ours has one.
  if (facts.eviction != "noeviction" && !facts.eviction.starts_with("volatile-")) {
    throw Error(Code::capability_missing,
                who + " evicts keys when its memory is full (maxmemory-policy " + facts.eviction +
                    "), which would destroy databases; set maxmemory-policy to noeviction");
  }
}

}  // namespace holdfast::redis

#include "backends/postgres/postgres_backend.h"

#include <mutex>

#include "backends/postgres/administration.h"
#include "backends/postgres/committer.h"
#include "backends/postgres/reader.h"
#include "backends/postgres/schema.h"

namespace holdfast {
namespace postgres {
namespace {

class PostgresBackend final : public Backend {
 public:
  PostgresBackend(std::shared_ptr<Server> server, const std::string& schema)
      : server_(std::move(server)),
        committer_(*server_, schema),
        reader_(*server_, schema),
        administration_(*server_, schema) {
    const Deadline deadline = effective_deadline(*server_->environment().clock, {});
    const Pool::Lease connection = server_->writers().take(deadline);
    migrate(*connection, schema, deadline);
    const ServerFacts& facts = connection->facts();
    traits_.name = "postgres";
    traits_.durability = !facts.is_durable    ? Durability::process
                         : facts.has_replicas ? Durability::replicas
                                              : Durability::disk;
    traits_.shared_by_processes = true;
    traits_.keeps_acknowledged = facts.is_durable && !facts.may_fail_over;
    traits_.wake_bound = kWakeBound;
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View database) const override {
    return static_cast<std::size_t>(lock_number("lane", {}, database)) % server_->settings().lanes;
  }

  ReadAnswer read(View database, const ReadRequest& request) override {
    return reader_.read(database, request);
  }
  Changes changes(View database, const ChangesRequest& request) override {
    return reader_.changes(database, request);
  }
  void commit(std::span<Group> groups) override {
    if (committer_.commit(groups)) server_->signals().notify();
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    return administration_.fence(database, expected, next, deadline);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    administration_.compact(database, before, deadline);
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    return administration_.drop(database, history, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    return reader_.databases(prefix, after, limit, deadline);
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    // The sweeper comes by every second or so: a step at a time is in nobody's way.
    administration_.free_dropped(deadline);
    return reader_.expired(now_ms, limit, deadline);
  }
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    const auto look = [&](Deadline until) { return reader_.behind(cursors, until); };
    return server_->signals().wait(look, deadline);
  }
  void wake() override { server_->signals().wake(); }

 private:
  const std::shared_ptr<Server> server_;
  Committer committer_;
  Reader reader_;
  Administration administration_;
  Traits traits_;
};

/// The connections of one plan of layers: a per_database layer opens a store in it for each database, and
/// they share them.
class SharedServer {
 public:
  std::shared_ptr<Server> get(const Settings& settings, const Environment& environment) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Server> server = server_.lock();
    if (!server || server->settings().connection != settings.connection) {
      server = std::make_shared<Server>(settings, environment);
      server_ = server;
    }
    return server;
  }

 private:
  std::mutex mutex_;
  std::weak_ptr<Server> server_;
};

}  // namespace
}  // namespace postgres

BackendFactory postgres_factory(const std::string& scheme) {
  using namespace postgres;
  BackendFactory factory;
  factory.scheme = scheme;
  factory.takes_authority = true;
  factory.options = option_specs();
  const auto shared = std::make_shared<SharedServer>();
  factory.open = [shared](const Url& url, const Options& options,
                          const Environment& environment) -> std::unique_ptr<Backend> {
    const Settings settings = settings_of(url, options);
    return std::make_unique<PostgresBackend>(shared->get(settings, environment), settings.schema);
  };
  factory.remove = [shared](const Url& url, const Environment& environment) {
    // Layers have options in the URL, too.
    std::map<std::string, std::string> own;
    for (const OptionSpec& spec : option_specs()) {
      const auto given = url.options.find(spec.name);
      if (given != url.options.end()) own.insert(*given);
    }
    const Options options(url.scheme + ":", option_specs(), own);
    const Settings settings = settings_of(url, options);
    const std::shared_ptr<Server> server = shared->get(settings, environment);
    const Deadline deadline = effective_deadline(*environment.clock, {});
    const Pool::Lease connection = server->writers().take(deadline);
    remove_schema(*connection, settings.schema, deadline);
  };
  return factory;
}

}  // namespace holdfast

#include "backends/sqlite/check.h"

#include <algorithm>

#include "backends/sqlite/records.h"
#include "backends/sqlite/schema.h"

namespace holdfast::sqlite {
namespace {

constexpr const char* kChecking = "checking";
/// Of one kind; the first ones say enough.
constexpr std::size_t kMostProblems = 20;

/// What must not be there, each as a query that lists where it is.
struct Rule {
  const char* sql;
  const char* problem;
};
constexpr Rule kRules[] = {
    {"SELECT name FROM db WHERE seq < 0 OR floor < 0 OR floor > seq",
     "the head of database %: seq and floor"},
    {"SELECT d.name FROM db d WHERE EXISTS (SELECT 1 FROM entry e WHERE e.db = d.id AND d.history <> 0 "
     "AND (e.version > d.seq OR e.version < 1))",
     "database % has an entry with a version that was never given"},
    {"SELECT d.name FROM db d WHERE EXISTS (SELECT 1 FROM entry e WHERE e.db = d.id "
     "AND (typeof(e.key) <> 'blob' OR length(e.key) NOT BETWEEN 1 AND 2048))",
     "database % has an entry whose key cannot be one"},
    {"SELECT d.name FROM db d WHERE EXISTS (SELECT 1 FROM entry e WHERE e.db = d.id "
     "AND (e.value IS NULL) <> (e.body IS NOT NULL))",
     "database % has an entry with both or neither of a value and a body"},
    {"SELECT d.name FROM db d WHERE d.history <> 0 AND EXISTS (SELECT 1 FROM log l WHERE l.db = d.id "
     "AND l.last > d.seq)",
     "the change log of database % goes beyond its head"},
    {"SELECT d.name FROM db d WHERE d.sessions <> (SELECT count(*) FROM session s WHERE s.db = d.id) "
     "+ (d.last_session IS NOT NULL)",
     "database % counts its sessions wrongly"},
    {"SELECT id FROM body WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.body = body.id)",
     "body % belongs to no entry"},
    {"SELECT body FROM entry WHERE body IS NOT NULL GROUP BY body HAVING count(*) > 1",
     "body % belongs to several entries"},
    {"SELECT DISTINCT db FROM entry WHERE db NOT IN (SELECT id FROM db UNION ALL SELECT id FROM dropped)",
     "entries of number % belong to no database"},
    {"SELECT DISTINCT db FROM log WHERE db NOT IN (SELECT id FROM db UNION ALL SELECT id FROM dropped)",
     "change log rows of number % belong to no database"},
    {"SELECT id FROM dropped WHERE id IN (SELECT id FROM db)", "number % is both there and dropped"},
};

class Checker {
 public:
  explicit Checker(Connection& connection) : connection_(connection) {}

  CheckReport run() {
    if (judge_schema(connection_, library_migrations()) == SchemaState::outdated) return report_;
    for_rows("PRAGMA integrity_check", [&](const Statement& row) {
      if (row.bytes(0) != "ok") add(Bytes(row.bytes(0)));
    });
    for_rows("PRAGMA foreign_key_check", [&](const Statement& row) {
      add("a row of table " + Bytes(row.bytes(0)) + " refers to one that is not there");
    });
    for (const Rule& rule : kRules) {
      const Bytes problem = rule.problem;
      const std::size_t at = problem.find('%');
      for_rows(rule.sql, [&](const Statement& row) {
        add(problem.substr(0, at) + "\"" + Bytes(row.bytes(0)) + "\"" + problem.substr(at + 1));
      });
    }
    check_logs();
    report_.databases = count("SELECT count(*) FROM db");
    report_.entries = count("SELECT count(*) FROM entry WHERE db IN (SELECT id FROM db)");
    report_.commits = count("SELECT coalesce(sum(seq), 0) FROM db");
    return std::move(report_);
  }

 private:
  template <class Visit>
  void for_rows(const char* sql, Visit&& visit) {
    Statement statement(connection_, sql, kChecking);
    statement.bind();
    const std::size_t before = report_.problems.size();
    while (report_.problems.size() < before + kMostProblems && statement.step()) visit(statement);
  }

  /// Every row can be read, in order; and what the log does not know has not changed since the floor.
  void check_logs() {
    Statement entry(connection_, "SELECT version FROM entry WHERE db = ?1 AND key = ?2", kChecking);
    Statement newer(connection_, "SELECT count(*) FROM entry WHERE db = ?1 AND version > ?2", kChecking);
    Statement log(connection_, "SELECT keys, last FROM log WHERE db = ?1 ORDER BY last", kChecking);
    for_rows("SELECT id, name, floor FROM db WHERE history <> 0", [&](const Statement& row) {
      const std::int64_t id = row.integer(0);
      const Seq floor = row.unsigned_integer(2);
      const Bytes name = "the change log of database \"" + Bytes(row.bytes(1)) + "\" ";
      std::int64_t known = 0;
      Seq previous = 0;
      bool ordered = true;
      bool possible = true;
      Rows rows(log.bind(id));
      while (rows.next()) {
        const bool readable = visit_row(log.bytes(0), [&](Seq seq, const std::vector<View>& keys) {
          ordered = ordered && seq > previous;
          previous = seq;
          for (const View key : keys) {
            const Rows found(entry.bind(id, key));
            if (!entry.step()) continue;
            const Seq version = entry.unsigned_integer(0);
            // A put after this commit is logged later; one from before it would have been erased here.
            if (version < seq && seq > floor) possible = false;
            if (version == seq && seq > floor) ++known;
          }
        });
        if (!readable) return add(name + "cannot be read");
        ordered = ordered && previous == log.unsigned_integer(1);
      }
      if (!ordered) add(name + "is out of order");
      if (!possible) add(name + "has a change that its entry does not have");
      const Rows counted(newer.bind(id, floor));
      if (newer.step() && newer.integer(0) != known) add(name + "does not have every entry above the floor");
    });
  }

  template <class Visit>
  static bool visit_row(View bytes, Visit&& visit) {
    try {
      return for_each_commit(bytes, [&](Seq seq, const std::vector<View>& keys) {
        visit(seq, keys);
        return true;
      });
    } catch (const Error&) {
      return false;
    }
  }

  void add(Bytes problem) { report_.problems.push_back(std::move(problem)); }
  std::uint64_t count(const char* sql) {
    return static_cast<std::uint64_t>(connection_.integer(sql, kChecking));
  }

  Connection& connection_;
  CheckReport report_;
};

}  // namespace

CheckReport check_file(Connection& connection) {
  connection.execute("BEGIN", kChecking);
  try {
    CheckReport report = Checker(connection).run();
    connection.rollback();
    return report;
  } catch (...) {
    connection.rollback();
    throw;
  }
}

}  // namespace holdfast::sqlite

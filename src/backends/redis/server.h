// The functions of a store on its server: loads them where they are not there yet, and gives databases
// another history when the server is not the one that wrote them. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/redis/codec.h"
#include "backends/redis/key_names.h"
#include "backends/redis/nodes.h"
#include "holdfast/backend.h"

namespace holdfast::redis {

/// The head of an answer of a function.
StoredHead head_of(const redisReply& fields);
/// Whether a function refused to answer because the head was written by another server, which is `head`.
bool is_of_another_server(const redisReply& reply);
bool is_missing_function(const redisReply& reply);

void add_check(Arguments& arguments, const Check& check);

/// An answer, and the identity of the server that gave it.
struct Answer {
  Reply reply;
  std::string server;
};

class Server {
 public:
  Server(std::vector<Address> addresses, const Environment& environment, std::string prefix,
         std::size_t connections);

  /// Connects for the first time to every node that keeps databases and tries whether everything that the
  /// functions do is permitted there.
  std::vector<ServerFacts> open(Deadline deadline);

  Nodes& nodes() { return nodes_; }
  const KeyNames& names() const { return names_; }

  /// Calls a function on a database until it answers. An error reply is thrown.
  Reply call(View database, View function, const Arguments& arguments, Deadline deadline);
  /// The same for what must not be done twice: unknown_outcome if the connection is lost on the way.
  Reply call_once(View database, View function, const Arguments& arguments, Deadline deadline);

  /// The head, and what is stored under the key.
  struct Got {
    StoredHead head;
    std::optional<Entry> entry;
  };
  Got get(View database, View key, Deadline deadline);
  StoredHead head(View database, Deadline deadline);
  /// Names of databases, as the command ZRANGEBYLEX takes them; one answer for each tag.
  std::vector<Answer> listed(const std::string& from, const std::string& to, std::size_t limit,
                             Deadline deadline);
  /// Answers of `expired`, one for each tag.
  std::vector<Answer> expired(UnixMs now_ms, std::size_t limit, Deadline deadline);
  /// Which of the cursors `which` are behind.
  std::vector<std::size_t> behind(std::span<const Cursor> cursors, std::span<const std::size_t> which,
                                  Deadline deadline);

  // For those who lead a conversation of their own.

  /// Which keys of a database a function is given.
  enum class Keys : std::uint8_t {
    all,
    own,  ///< without those of the registries, which other databases share
  };
  /// FCALL with keys of the database and the identity of the connection's server. `function` is the whole
  /// name.
  static void add_call(Request& request, const Connection& connection, const DatabaseKeys& keys,
                       View function, const Arguments& arguments, Keys which = Keys::all);
  void load_library(Connection& connection, Deadline deadline);
  /// After an answer that is_of_another_server(): the next call may be judged.
  void adopt(Connection& connection, View database, const redisReply& reply, bool asking, Deadline deadline);
  std::uint64_t new_history();

 private:
  /// Adds one command to what a connection is sent; the index tells commands of one call apart.
  using Add = std::function<void(Request&, const Connection&, std::size_t index)>;
  struct Command {
    std::size_t tag = 0;
    std::size_t index = 0;
    View database = {};  ///< empty where no server is adopted
    bool once = false;
  };
  /// Takes a command to where it is served. An error reply is thrown.
  Answer ask(const Command& command, const Add& add, Deadline deadline);
  /// What get() finds by a transaction of plain commands, which costs the server less than a function:
  /// nothing if anything at all is not as it should be.
  std::optional<Got> get_plainly(const std::string& base, std::size_t tag, View key, Deadline deadline);
  /// A command for each of the tags, in one round trip for each node. They may be repeated.
  std::vector<Answer> ask_each(std::span<const std::size_t> tags, const Add& add, Deadline deadline);

  const Environment environment_;
  const KeyNames names_;
  Nodes nodes_;
  /// Whether the user may use transactions, as far as is known.
  std::atomic<bool> may_transact_{true};
};

}  // namespace holdfast::redis

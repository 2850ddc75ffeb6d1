// One connection to a server: requests out, replies in, by the Redis protocol. Not thread-safe.
#pragma once

#include <hiredis/hiredis.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/redis/server_facts.h"
#include "backends/redis/stream.h"

namespace holdfast::redis {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// Text of a bulk, status or error reply.
View text_of(const redisReply& reply);
inline bool is_error(const redisReply& reply) { return reply.type == REDIS_REPLY_ERROR; }
/// Nothing for nil.
std::optional<View> optional_text(const redisReply& reply);
/// The elements of an array; throws internal if it is none, or has less than `least`.
std::vector<const redisReply*> elements_of(const redisReply& reply, std::size_t least = 0);
/// What an error reply means here. Its own words are not repeated: they may quote the request.
Error error_of(const redisReply& reply);
/// Whether a request that was answered so was surely not carried out, not even in part.
bool is_refusal(const redisReply& reply);

/// Arguments of a command in the form that the server reads.
class Arguments {
 public:
  Arguments() = default;
  Arguments(std::initializer_list<View> arguments) {
    for (const View argument : arguments) add(argument);
  }
  void add(View argument);
  const std::string& bytes() const { return bytes_; }
  std::size_t count() const { return count_; }

 private:
  std::string bytes_;
  std::size_t count_ = 0;
};

/// Commands in the form that the server reads. Several may follow one another.
class Request {
 public:
  void command(const Arguments& arguments) { command(arguments, {}); }
  void command(std::initializer_list<View> arguments);
  void command(const Arguments& first, const Arguments& rest);
  const std::string& bytes() const { return bytes_; }
  std::size_t commands() const { return commands_; }

 private:
  std::string bytes_;
  std::size_t commands_ = 0;
};

class Connection {
 public:
  enum class Purpose : std::uint8_t {
    store,
    map,  ///< asking who keeps what, which any node of a cluster may be
  };
  /// Connects, identifies itself and, for a store, reads and judges the facts of the server.
  Connection(const Address& address, std::shared_ptr<Clock> clock, Deadline deadline,
             Purpose purpose = Purpose::store);

  /// Sends all commands and returns as many replies. After an exception the connection is not usable.
  std::vector<Reply> call(const Request& request, Deadline deadline);
  /// The reply to one command; an error reply is thrown.
  Reply call_one(const Request& request, Deadline deadline);

  void send(const Request& request, Deadline deadline);
  Reply receive(Deadline deadline);
  /// A reply that has arrived already, if there is one.
  Reply take_arrived();

  /// Asks once more who the server is, and throws if a store must not be kept there any longer.
  void refresh(Deadline deadline);
  const ServerFacts& facts() const { return facts_; }
  bool is_broken() const { return broken_; }
  void set_broken() { broken_ = true; }
  const Stream& stream() const { return *stream_; }

  Deadline used_at = {};  ///< for the pool

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  void authenticate(Deadline deadline);
  void learn_facts(Deadline deadline);

  const Address address_;
  const std::shared_ptr<Clock> clock_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  ServerFacts facts_;
  std::string buffer_;
  bool broken_ = false;
};

}  // namespace holdfast::redis

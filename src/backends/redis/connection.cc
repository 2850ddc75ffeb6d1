#include "backends/redis/connection.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast::redis {
namespace {

constexpr std::size_t kReceiveBytes = 64u << 10;

View first_word(View text) { return text.substr(0, text.find_first_of(" \r\n")); }

struct Meaning {
  View word;
  Code code;
  bool refusal;  ///< said before anything was done
  const char* advice;
};

constexpr Meaning kMeanings[] = {
    {"WRONGPASS", Code::permission_denied, true, "user or password is wrong"},
    {"NOAUTH", Code::permission_denied, true, "it wants a user and a password"},
    {"NOPERM", Code::permission_denied, false,
     "the user lacks a permission; docs/backends/redis.md lists them"},
    {"LOADING", Code::unavailable, true, "it is loading its data"},
    {"BUSY", Code::unavailable, true, "it is busy with a script"},
    {"READONLY", Code::unavailable, true, "it has become a replica"},
    {"MASTERDOWN", Code::unavailable, true, "it is a replica without its primary"},
    {"NOREPLICAS", Code::unavailable, true, "it has fewer replicas than min-replicas-to-write demands"},
    {"MISCONF", Code::unavailable, true, "it cannot write to its disk and refuses changes"},
    {"OOM", Code::unavailable, true, "its memory is used up; raise maxmemory, or erase entries"},
    {"CLUSTERDOWN", Code::unavailable, true, "its cluster is down"},
    {"WRONGTYPE", Code::corruption, true,
     "a key of the store holds something else; choose another prefix or remove what is not ours"},
};

const Meaning* meaning_of(const redisReply& reply) {
  const View word = first_word(text_of(reply));
  const auto* found = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                   [&](const Meaning& meaning) { return meaning.word == word; });
  return found == std::end(kMeanings) ? nullptr : found;
}

/// Appends one argument in the form that the server reads.
void append_argument(std::string& bytes, View argument) {
  std::array<char, 24> length{};
  char* at = length.data() + length.size();
  *--at = '\n';
  *--at = '\r';
  std::size_t number = argument.size();
  do {
    *--at = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  *--at = '$';
  bytes.append(at, static_cast<std::size_t>(length.data() + length.size() - at));
  bytes.append(argument);
  bytes.append("\r\n", 2);
}

}  // namespace

View text_of(const redisReply& reply) { return reply.str == nullptr ? View() : View(reply.str, reply.len); }

std::optional<View> optional_text(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_NIL) return std::nullopt;
  return text_of(reply);
}

std::vector<const redisReply*> elements_of(const redisReply& reply, std::size_t least) {
  if (is_error(reply)) throw error_of(reply);
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements < least) {
    throw Error(Code::internal, "the Redis server answered in a form that is not expected");
  }
  return {reply.element, reply.element + reply.elements};
}

Error error_of(const redisReply& reply) {
  if (const Meaning* meaning = meaning_of(reply)) {
    return {meaning->code, "the Redis server refused: " + std::string(meaning->advice)};
  }
  const View text = text_of(reply);
  // What a function may not do is no error of its own kind.
  if (text.find("The user executing the script can't") != View::npos ||
      text.find("ACL failure") != View::npos) {
    return {Code::permission_denied,
            "the user of the Redis server lacks a permission; docs/backends/redis.md lists them"};
  }
  const std::size_t ours = text.find("HOLDFAST ");
  if (ours != View::npos) {
    const View words = text.substr(ours + 9);
    return {Code::corruption, "the store on the Redis server is damaged: " +
                                  std::string(words.substr(0, words.find_first_of("\r\n")))};
  }
  return {Code::internal, "the Redis server answered with an error of kind " + std::string(first_word(text))};
}

bool is_refusal(const redisReply& reply) {
  const Meaning* meaning = meaning_of(reply);
  return meaning != nullptr && meaning->refusal;
}

void Arguments::add(View argument) {
  ++count_;
  append_argument(bytes_, argument);
}

void Request::command(std::initializer_list<View> arguments) {
  bytes_ += "*" + std::to_string(arguments.size()) + "\r\n";
  for (const View argument : arguments) append_argument(bytes_, argument);
  ++commands_;
}

void Request::command(const Arguments& first, const Arguments& rest) {
  bytes_ += "*" + std::to_string(first.count() + rest.count()) + "\r\n";
  bytes_ += first.bytes();
  bytes_ += rest.bytes();
  ++commands_;
}

Connection::Connection(const Address& address, std::shared_ptr<Clock> clock, Deadline deadline,
                       Purpose purpose)
    : address_(address),
      clock_(std::move(clock)),
      stream_(connect(address, clock_, deadline)),
      reader_(redisReaderCreate()),
      buffer_(kReceiveBytes, '\0') {
  authenticate(deadline);
  if (purpose == Purpose::store) learn_facts(deadline);
}

void Connection::authenticate(Deadline deadline) {
  if (!address_.password.empty()) {
    Request request;
    if (address_.user.empty()) {
      request.command(Arguments{"AUTH", address_.password});
    } else {
      request.command(Arguments{"AUTH", address_.user, address_.password});
    }
    const Reply reply = std::move(call(request, deadline).front());
    if (is_error(*reply)) {
      const Error error = error_of(*reply);
      if (error.code() == Code::unavailable) throw error;
      throw Error(Code::permission_denied,
                  "the Redis server at " + address_.text() + " does not accept the user or the password");
    }
  }
  if (address_.database != 0) {
    Request request;
    request.command(Arguments{"SELECT", std::to_string(address_.database)});
    const Reply reply = std::move(call(request, deadline).front());
    if (is_error(*reply) && !is_refusal(*reply)) {
      throw Error(Code::invalid_argument, "the Redis server at " + address_.text() + " has no database " +
                                              std::to_string(address_.database));
    }
    if (is_error(*reply)) throw error_of(*reply);
  }
}

void Connection::learn_facts(Deadline deadline) {
  refresh(deadline);
  Request request;
  request.command(Arguments{"CONFIG", "GET", "append*"});
  request.command(Arguments{"CONFIG", "GET", "no-appendfsync-on-rewrite"});
  // Where that is not allowed the least is assumed.
  for (const Reply& reply : call(request, deadline)) {
    if (reply->type != REDIS_REPLY_ARRAY) continue;
    const std::vector<const redisReply*> settings = elements_of(*reply);
    for (std::size_t i = 0; i + 1 < settings.size(); i += 2) {
      if (text_of(*settings[i]) == "appendfsync")
        facts_.append_fsync = std::string(text_of(*settings[i + 1]));
      if (text_of(*settings[i]) == "no-appendfsync-on-rewrite") {
        facts_.fsync_during_rewrite = text_of(*settings[i + 1]) == "no";
      }
    }
  }
}

void Connection::refresh(Deadline deadline) {
  Request request;
  request.command(Arguments{"INFO"});
  const Reply reply = call_one(request, deadline);
  ServerFacts fresh = parse_info(text_of(*reply));
  fresh.append_fsync = facts_.append_fsync;
  fresh.fsync_during_rewrite = facts_.fsync_during_rewrite;
  facts_ = std::move(fresh);
  judge_server(facts_, address_);
}

std::vector<Reply> Connection::call(const Request& request, Deadline deadline) {
  send(request, deadline);
  std::vector<Reply> replies;
  replies.reserve(request.commands());
  while (replies.size() < request.commands()) replies.push_back(receive(deadline));
  return replies;
}

Reply Connection::call_one(const Request& request, Deadline deadline) {
  Reply reply = std::move(call(request, deadline).front());
  if (is_error(*reply)) throw error_of(*reply);
  return reply;
}

void Connection::send(const Request& request, Deadline deadline) {
  try {
    stream_->send(request.bytes(), deadline);
  } catch (...) {
    broken_ = true;
    throw;
  }
}

Reply Connection::take_arrived() {
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
    broken_ = true;
    throw Error(Code::unavailable,
                "what answers at " + address_.text() + " does not speak the protocol of Redis");
  }
  Reply taken(static_cast<redisReply*>(reply));
  // A server that has become a replica knows less and less: the next call connects anew.
  if (taken && is_error(*taken) && text_of(*taken).starts_with("READONLY")) broken_ = true;
  return taken;
}

Reply Connection::receive(Deadline deadline) {
  try {
    while (true) {
      if (Reply reply = take_arrived()) return reply;
      const std::size_t count = stream_->receive(buffer_.data(), buffer_.size(), deadline);
      redisReaderFeed(reader_.get(), buffer_.data(), count);
    }
  } catch (...) {
    broken_ = true;
    throw;
  }
}

}  // namespace holdfast::redis

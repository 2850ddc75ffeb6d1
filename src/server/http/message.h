// What the HTTP core and the routes say to one another. Plain values: no HTTP library shows through, so that
// a file of routes compiles fast and a test can make a request by hand.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/error.h"
#include "holdfast/types.h"

namespace holdfast::server {

/// The header fields of a request. Names are compared without regard to case.
class Headers {
 public:
  virtual ~Headers() = default;
  /// The value of the first field of that name; empty if there is none.
  virtual View find(View name) const = 0;
  virtual std::size_t count(View name) const = 0;
};

/// The body of a request whose route takes it piece by piece.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next piece, empty at the end. Blocks. Throws unavailable if the client went away or was too slow,
  /// invalid_argument if what it sent is no HTTP.
  virtual Bytes read() = 0;
};

struct Request {
  std::string id;
  std::string method;  ///< as it was sent; a HEAD is a HEAD
  std::string target;
  const Headers* headers = nullptr;
  std::string peer;  ///< the client's address, without its port
  Bytes body;        ///< complete, unless the plan was Mode::upload
  BodyReader* body_reader = nullptr;
  Deadline received_at;
  Deadline deadline;
};

/// One message of a stream of events, as Server-Sent Events or as a WebSocket text message.
struct Event {
  std::string name;
  std::string id;    ///< what a client resumes from; may be empty
  std::string data;  ///< one line
};

/// The client's end of a stream of events. Thread-safe.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Blocks while the client is far behind. False once the stream has ended.
  virtual bool send(Event event) = 0;
  virtual bool is_closed() const = 0;
  /// Called once, from another thread, when the stream ends; at once if it already has. An empty function
  /// takes the last one back, and after that returns nobody calls it any more.
  virtual void on_close(std::function<void()> callback) = 0;
};

using Header = std::pair<std::string, std::string>;

struct Response;

/// Gives the response of a request that is answered later. Called once, from any thread; `make` runs on the
/// thread that does the connection's I/O, before the request and its plan go, and must neither block nor
/// throw. If the last copy goes uncalled the request is answered with 500.
using Respond = std::function<void(std::function<Response()> make)>;

struct Response {
  int status = 200;
  std::string content_type;
  std::vector<Header> headers;
  Bytes body;
  /// In place of `body`: called on a worker for one piece after the other, until it gives an empty one. An
  /// exception cuts the connection, which is how a client learns that the body is not whole.
  std::function<Bytes()> source;
  std::optional<std::uint64_t> source_size_bytes;  ///< unknown: chunked
  /// In place of `body`: runs on a thread of its own and sends events until it returns.
  std::function<void(EventSink&)> events;
  /// In place of all else: called at once, on the thread that does the I/O; what it begins gives the
  /// response. Must neither block nor throw.
  std::function<void(Respond)> later;
  /// In place of all else: called on a worker, and gives the response. Not called if the connection has
  /// ended. Must not throw.
  std::function<Response()> work;
  /// Called on a worker if the client has gone before any of the response was sent: gives back what the
  /// response hands over, and the one that is sent in its place. Must not throw.
  std::function<Response()> if_gone;
  /// Ends the connection after this response.
  bool close = false;

  /// What the log says about a response that is an error.
  std::string error_code;
  std::string error_message;
};

/// How a request is to be carried out, decided as soon as its head is there.
struct Plan {
  enum class Mode : std::uint8_t {
    quick,     ///< takes microseconds as a rule: on the thread that does the I/O while that holds, and
               ///< if its body is small
    blocking,  ///< on a worker, after the whole body has come
    upload,    ///< on a thread of its own, which reads the body
  };
  Mode mode = Mode::quick;
  std::size_t body_limit_bytes = 0;
  /// Never throws.
  std::function<Response(Request&)> run;
  /// What the request is called in logs and metrics: the route's pattern.
  const char* label = "";
  /// The number of the route in metrics.
  std::size_t route = 0;
  /// Whose token it came with.
  std::string principal;
  /// The answer is an event stream, so that a request to upgrade to a WebSocket can be met.
  bool is_event_stream = false;
  /// The client was turned away already; its body is not worth reading.
  bool is_refusal = false;
};

/// What became of a request, for logs and metrics.
struct Exchange {
  const Request& request;
  const Plan& plan;
  int status = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_bytes = 0;
  std::chrono::nanoseconds duration{0};
  /// The connection broke or was cut before the response was out.
  bool cut = false;
  View error_code;
  View error_message;
};

/// What the HTTP core serves. Called from several threads.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Plan plan(const Request& request) noexcept = 0;
  /// The answer to what is no HTTP, or goes beyond a limit of the core.
  virtual Response refusal(int status, View message, View request_id) noexcept = 0;
  virtual void finished(const Exchange& exchange) noexcept = 0;
};

}  // namespace holdfast::server

// One HTTP/1.1 connection, over any stream that Asio can read and write. Only connection_plain.cc,
// connection_tls.cc and the fuzz target include this.
//
// Everything happens on the loop's thread. Handlers that may block run elsewhere and post their response
// back; while they do, the connection's request is theirs and the connection leaves it alone.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/http/body_pipe.h"
#include "server/http/event_channel.h"
#include "server/http/head.h"
#include "server/http/loop.h"

namespace holdfast::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;

/// What differs between streams; specialised beside each instantiation.
///     static void handshake(Stream&, F done);   done(error_code)
///     static void shutdown(Stream&, F done);    tells the peer that there will be no more
///     static void cancel(Stream&);              pending operations end soon, with an error
///     static void close(Stream&);
///     static bool has_gone(Stream&);            whether the peer has said that it sends no more
template <class Stream>
struct StreamOperations;

template <class Stream>
class Connection final : public ConnectionBase, public std::enable_shared_from_this<Connection<Stream>> {
  using Operations = StreamOperations<Stream>;
  using Parser = beast_http::request_parser<beast_http::buffer_body>;
  using ErrorCode = boost::system::error_code;

 public:
  Connection(Loop& loop, Stream stream, std::string peer)
      : loop_(loop), stream_(std::move(stream)), peer_(std::move(peer)) {
    loop_.connections.insert(this);
    loop_.shared.counters.connections_open.fetch_add(1, std::memory_order_relaxed);
  }

  ~Connection() override {
    release_body_memory();
    loop_.connections.erase(this);
    loop_.shared.counters.connections_open.fetch_sub(1, std::memory_order_relaxed);
  }

  void start() override {
    enter(State::handshaking, limits().request_timeout);
    Operations::handshake(stream_, [self = self()](ErrorCode error) {
      if (self->state_ == State::closed) return;
      if (error) return self->close();
      self->begin_request();
    });
  }

  void tick(Deadline now) override {
    const auto keep = self();
    if (state_ == State::streaming && !websocket_ && !is_writing_ && now - last_write_ > kHeartbeat) {
      write_event_bytes(": still here\n\n");
    }
    if (now < deadline_) return;
    deadline_ = Deadline::max();
    switch (state_) {
      case State::reading_head:
      case State::reading_body:
        // The read ends with an error, and its handler answers.
        timed_out_ = true;
        return Operations::cancel(stream_);
      default:
        return close();
    }
  }

  void drain() override {
    const auto keep = self();
    if (state_ == State::idle || state_ == State::handshaking) return close();
    keep_alive_ = false;
    if (channel_) channel_->close();
    if (state_ == State::streaming) pump_events();
  }

  void abort() override {
    const auto keep = self();
    close();
  }

  bool is_idle() const override { return state_ == State::idle; }
  Deadline idle_since() const override { return since_; }

 private:
  enum class State : std::uint8_t {
    handshaking,
    idle,  ///< nothing of the next request has come
    reading_head,
    reading_body,
    handling,
    uploading,  ///< handling, and reading the body when it is asked for
    writing,
    streaming,
    closing,  ///< everything is said; waits for the peer to close
    closed,
  };

  class ParsedHeaders final : public Headers {
   public:
    explicit ParsedHeaders(const std::optional<Parser>& parser) : parser_(parser) {}
    View find(View name) const override {
      const auto value = parser_->get()[beast::string_view(name.data(), name.size())];
      return {value.data(), value.size()};
    }
    std::size_t count(View name) const override {
      return parser_->get().count(beast::string_view(name.data(), name.size()));
    }

   private:
    const std::optional<Parser>& parser_;
  };

  static constexpr std::size_t kReadBytes = 16'384;
  static constexpr std::size_t kPieceBytes = 256u << 10;
  static constexpr std::size_t kSmallBodyBytes = 64u << 10;
  static constexpr std::size_t kQuickBodyBytes = 16u << 10;
  static constexpr std::size_t kUploadPieceBytes = 128u << 10;
  static constexpr std::chrono::seconds kHeartbeat{15};
  static constexpr std::chrono::seconds kClosing{2};

  std::shared_ptr<Connection> self() { return this->shared_from_this(); }
  const HttpLimits& limits() const { return loop_.shared.limits; }

  void enter(State state, std::chrono::milliseconds timeout) {
    state_ = state;
    since_ = loop_.now();
    deadline_ = since_ + timeout;
  }
  void enter(State state) {
    state_ = state;
    deadline_ = Deadline::max();
  }

  // --- reading a request

  void begin_request() {
    if (loop_.is_draining) return close();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(limits().header_bytes));
    parser_->body_limit(boost::none);
    request_ = Request{};
    request_.headers = &headers_;
    request_.peer = peer_;
    plan_ = Plan{};
    received_bytes_ = sent_bytes_ = 0;
    timed_out_ = false;
    keep_alive_ = false;
    enter(State::idle, limits().idle_timeout);
    parse_head();
  }

  /// Calls `then(error)` when there is more in the buffer.
  template <class F>
  void read_some(F then) {
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = self(), then](ErrorCode error, std::size_t bytes) {
                              if (self->state_ == State::closed) return;
                              self->buffer_.commit(bytes);
                              then(*self, error);
                            });
  }

  void parse_head() {
    if (buffer_.size() == 0) {
      return read_some([](Connection& self, ErrorCode error) { self.on_head_bytes(error); });
    }
    if (state_ == State::idle) enter(State::reading_head, limits().request_timeout);
    ErrorCode error;
    const std::size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    received_bytes_ += used;
    if (error == beast_http::error::need_more) {
      if (buffer_.size() > limits().header_bytes) return refuse(431, "the head of the request is too large");
      return read_some([](Connection& self, ErrorCode failure) { self.on_head_bytes(failure); });
    }
    if (error == beast_http::error::header_limit) {
      return refuse(
          431, "the head of the request has more than " + std::to_string(limits().header_bytes) + " bytes");
    }
    if (error) return refuse(400, "this is not HTTP/1.1: " + error.message());
    on_head();
  }

  void on_head_bytes(ErrorCode error) {
    if (timed_out_) return refuse(408, "the head of the request did not come in time");
    if (error) return close();
    parse_head();
  }

  void on_head() {
    const auto& message = parser_->get();
    request_.received_at = loop_.now();
    request_.deadline = request_.received_at + limits().request_timeout;
    request_.method = std::string(message.method_string());
    request_.target = std::string(message.target());
    request_.id = accepted_request_id(headers_.find("X-Request-Id"));
    if (request_.id.empty()) request_.id = loop_.shared.next_request_id();
    keep_alive_ = message.keep_alive() && !loop_.is_draining;
    is_http_1_0_ = message.version() < 11;

    if (headers_.count("Transfer-Encoding") != 0 && !parser_->chunked()) {
      return refuse(501, "the only transfer encoding that is known is chunked");
    }
    if (!is_http_1_0_ && headers_.count("Host") != 1) {
      return refuse(400, "a request of HTTP/1.1 has one Host field");
    }
    plan_ = loop_.shared.handler.plan(request_);

    const std::uint64_t size_bytes = parser_->content_length().value_or(0);
    const bool is_chunked = parser_->chunked();
    if (plan_.mode == Plan::Mode::upload && !plan_.is_refusal) {
      return with_continue([](Connection& self) { self.begin_upload(); });
    }
    if (!is_chunked && size_bytes == 0) return run();
    if (plan_.is_refusal && (is_chunked || size_bytes > kSmallBodyBytes || headers_.count("Expect") != 0)) {
      keep_alive_ = false;
      return run();
    }
    if (size_bytes > body_limit()) return refuse_body();
    // Before a client that waits for it is told to send the body.
    if (!reserve_body_memory(size_bytes)) return;
    with_continue([](Connection& self) { self.begin_body(); });
  }

  std::size_t body_limit() const {
    return std::max(plan_.body_limit_bytes, plan_.is_refusal ? kSmallBodyBytes : 0);
  }

  void refuse_body() {
    refuse(413, "the body of this request may have " + std::to_string(body_limit()) + " bytes at most");
  }

  /// Tells a client that waits for it that its body is welcome.
  template <class F>
  void with_continue(F then) {
    const View expect = headers_.find("Expect");
    if (expect.empty() || is_http_1_0_ || plan_.is_refusal || buffer_.size() > 0) return then(*this);
    if (!equals_ignoring_case(expect, "100-continue")) {
      return refuse(417, "the only expectation that is known is 100-continue");
    }
    enter(State::writing, limits().request_timeout);
    static constexpr View kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = self(), then](ErrorCode error, std::size_t) {
                        if (self->state_ == State::closed) return;
                        if (error) return self->close();
                        then(*self);
                      });
  }

  // --- a body that is buffered

  void begin_body() {
    parser_->eager(true);
    enter(State::reading_body, limits().request_timeout);
    body_begin_ = since_;
    request_.body.reserve(parser_->content_length().value_or(0));
    read_body();
  }

  void read_body() {
    ErrorCode error;
    parse_body(request_.body, body_limit(), error);
    if (error) return refuse(400, "the body of the request is not HTTP/1.1: " + error.message());
    if (request_.body.size() > body_limit()) return refuse_body();
    if (!reserve_body_memory(request_.body.size())) return;
    if (parser_->is_done()) return run();
    const auto pieces = static_cast<std::int64_t>(1 + request_.body.size() / kPieceBytes);
    deadline_ = body_begin_ + limits().request_timeout * pieces;
    read_some([](Connection& self, ErrorCode failure) {
      if (self.timed_out_) return self.refuse(408, "the body of the request did not come in time");
      if (failure) return self.cut();
      self.read_body();
    });
  }

  /// Moves what the buffer holds of the body to `to`, until that has more than `limit` bytes.
  void parse_body(Bytes& to, std::size_t limit, ErrorCode& error) {
    std::array<char, kReadBytes> space;
    auto& body = parser_->get().body();
    while (!parser_->is_done() && buffer_.size() > 0 && to.size() <= limit) {
      body.data = space.data();
      body.size = space.size();
      const std::size_t used = parser_->put(buffer_.data(), error);
      const std::size_t produced = space.size() - body.size;
      buffer_.consume(used);
      received_bytes_ += used;
      to.append(space.data(), produced);
      if (error == beast_http::error::need_more) {
        error = {};
        if (used == 0 && produced == 0) {
          // The line of a chunk has no business being longer than a head.
          if (buffer_.size() > limits().header_bytes) error = beast_http::error::header_limit;
          return;
        }
      }
      if (error == beast_http::error::need_buffer) error = {};
      if (error) return;
    }
  }

  /// Counts `bytes` of this request's body against what all bodies may take; answers 503 and gives false if
  /// that is too much.
  bool reserve_body_memory(std::uint64_t bytes) {
    if (try_reserve_memory(bytes)) return true;
    refuse(503, "the server is busy with other large requests; try again later");
    return false;
  }

  bool try_reserve_memory(std::uint64_t bytes) {
    if (bytes <= reserved_bytes_) return true;
    auto& total = loop_.shared.counters.buffered_bytes;
    const std::size_t more = bytes - reserved_bytes_;
    if (total.fetch_add(more, std::memory_order_relaxed) + more > limits().buffered_bytes) {
      total.fetch_sub(more, std::memory_order_relaxed);
      return false;
    }
    reserved_bytes_ = bytes;
    return true;
  }

  void release_body_memory() {
    loop_.shared.counters.buffered_bytes.fetch_sub(reserved_bytes_, std::memory_order_relaxed);
    reserved_bytes_ = 0;
  }

  // --- a body that is read piece by piece

  void begin_upload() {
    parser_->eager(true);
    enter(State::uploading);
    body_begin_ = loop_.now();
    body_bytes_ = 0;
    pipe_ = std::make_shared<BodyPipe>([weak = this->weak_from_this(), &context = loop_.context] {
      asio::post(context, [weak] {
        if (const auto connection = weak.lock()) connection->want_piece();
      });
    });
    request_.body_reader = pipe_.get();
    const bool started = loop_.shared.executor->run_long([connection = self(), pipe = pipe_]() mutable {
      Response response = connection->plan_.run(connection->request_);
      asio::io_context& context = connection->loop_.context;
      asio::post(context, [connection = std::move(connection), response = std::move(response)]() mutable {
        connection->on_response(std::move(response));
      });
    });
    if (!started) refuse_stream();
  }

  void want_piece() {
    if (state_ != State::uploading || !pipe_) return;
    Bytes piece;
    ErrorCode error;
    parse_body(piece, kUploadPieceBytes, error);
    body_bytes_ += piece.size();
    if (error) {
      keep_alive_ = false;
      return pipe_->fail(Code::invalid_argument, "the body of the request is not HTTP/1.1");
    }
    if (!piece.empty() || parser_->is_done()) {
      deadline_ = Deadline::max();
      return pipe_->deliver(std::move(piece));
    }
    // Time in which the handler did not ask does not count against the client.
    deadline_ = loop_.now() + limits().request_timeout;
    read_some([](Connection& self, ErrorCode failure) {
      if (self.state_ != State::uploading) return;
      if (failure) {
        self.keep_alive_ = false;
        self.deadline_ = Deadline::max();
        return self.pipe_->fail(Code::unavailable, "the client went away before its body was complete");
      }
      self.want_piece();
    });
  }

  void refuse_stream() {
    refuse(503, "the server has as many streams and uploads as it may have; try again later");
  }

  // --- carrying it out

  void run() {
    enter(State::handling);
    const Deadline begin = loop_.now();
    const bool is_quick = plan_.mode == Plan::Mode::quick && request_.body.size() <= kQuickBodyBytes;
    if (is_quick && loop_.quick_requests.may_run_here(begin)) {
      Response response = plan_.run(request_);
      const auto later = std::exchange(response.later, {});
      if (later) begin_later(later);
      loop_.quick_requests.ran_here(begin, loop_.now());
      if (!later) on_response(std::move(response));
      return;
    }
    run_on_worker([this] { return plan_.run(request_); });
  }

  void run_on_worker(std::function<Response()> work) {
    loop_.shared.executor->run([connection = self(), work = std::move(work)]() mutable {
      Response response = work();
      asio::io_context& context = connection->loop_.context;
      asio::post(context, [connection = std::move(connection), response = std::move(response)]() mutable {
        connection->on_response(std::move(response));
      });
    });
  }

  /// What a request that is answered later leaves behind. Its answer, or its end without one, brings the
  /// connection back to its thread, where alone it may go.
  class DueAnswer {
   public:
    explicit DueAnswer(std::shared_ptr<Connection> connection)
        : context_(connection->loop_.shared_context), connection_(std::move(connection)) {}
    ~DueAnswer() {
      if (!connection_) return;
      give([connection = connection_.get()] {
        return connection->loop_.shared.handler.refusal(500, "the request was dropped",
                                                        connection->request_.id);
      });
    }
    DueAnswer(const DueAnswer&) = delete;
    DueAnswer& operator=(const DueAnswer&) = delete;

    void give(std::function<Response()> make) {
      asio::post(*context_, [connection = std::move(connection_), make = std::move(make)] {
        connection->on_response(make());
        connection->loop_.answer_came();
      });
    }

   private:
    // The loop may end as soon as it has the answer, before this thread has left the call that brings it.
    const std::shared_ptr<asio::io_context> context_;
    std::shared_ptr<Connection> connection_;
  };

  void begin_later(const std::function<void(Respond)>& later) {
    ++loop_.answers_due;
    later([due = std::make_shared<DueAnswer>(self())](std::function<Response()> make) {
      due->give(std::move(make));
    });
  }

  void refuse(int status, const std::string& message) {
    keep_alive_ = false;
    if (request_.id.empty()) request_.id = loop_.shared.next_request_id();
    if (request_.received_at == Deadline{}) request_.received_at = loop_.now();
    on_response(loop_.shared.handler.refusal(status, message, request_.id));
  }

  void on_response(Response response) {
    if (response.later) return begin_later(response.later);
    // Nobody waits for a closed connection, and the workers may be gone already.
    if (response.work && state_ != State::closed) return run_on_worker(std::move(response.work));
    if (response.if_gone && state_ != State::closed && Operations::has_gone(stream_)) {
      return run_on_worker(std::move(response.if_gone));
    }
    pipe_.reset();
    request_.body_reader = nullptr;
    request_.body = Bytes();
    release_body_memory();
    response_ = std::move(response);
    if (state_ == State::closed) return finished(true);
    // A client may take its time to read it.
    if (response_.body.size() > kPieceBytes && !try_reserve_memory(response_.body.size())) {
      response_ = loop_.shared.handler.refusal(
          503, "the server is busy with other large answers; try again later", request_.id);
    }
    if (response_.events && request_.method == "HEAD") response_.events = nullptr;
    if (response_.events) return begin_events();
    if (response_.close || !parser_->is_done() || loop_.is_draining) keep_alive_ = false;
    const bool is_head = request_.method == "HEAD";
    const bool has_source = static_cast<bool>(response_.source);
    head_ = response_head(response_, request_.id, loop_.date(),
                          {keep_alive_, is_http_1_0_, has_source && !response_.source_size_bytes});
    if (is_head) {
      response_.body.clear();
      response_.source = nullptr;
    }
    written_ = 0;
    write_next();
  }

  // --- writing a response

  void write_next() {
    enter(State::writing, limits().request_timeout);
    const std::size_t size = std::min(response_.body.size() - written_, kPieceBytes);
    const std::array<asio::const_buffer, 2> pieces = {asio::buffer(head_),
                                                      asio::buffer(response_.body.data() + written_, size)};
    written_ += size;
    asio::async_write(stream_, pieces, [self = self()](ErrorCode error, std::size_t bytes) {
      self->sent_bytes_ += bytes;
      self->head_.clear();
      if (self->state_ == State::closed) return self->finished(true);
      if (error) return self->cut();
      if (self->written_ < self->response_.body.size()) return self->write_next();
      if (self->response_.source) return self->pull();
      self->end_response();
    });
  }

  /// Has a worker fetch the next piece of a body that is made while it is sent.
  void pull() {
    enter(State::handling);
    loop_.shared.executor->run([connection = self()]() mutable {
      std::optional<Bytes> piece;
      try {
        piece = connection->response_.source();
      } catch (const std::exception& error) {
        connection->response_.error_code = "internal";
        connection->response_.error_message = error.what();
      }
      asio::io_context& context = connection->loop_.context;
      asio::post(context, [connection = std::move(connection), piece = std::move(piece)]() mutable {
        connection->on_piece(std::move(piece));
      });
    });
  }

  void on_piece(std::optional<Bytes> piece) {
    if (state_ == State::closed) return finished(true);
    if (!piece) return cut();
    response_.body = std::move(*piece);
    written_ = 0;
    if (response_.source_size_bytes) {
      // One byte more or less than announced, and the client would take the next response for this one's.
      if (response_.body.size() > *response_.source_size_bytes) return cut();
      *response_.source_size_bytes -= response_.body.size();
      if (response_.body.empty()) return *response_.source_size_bytes == 0 ? end_response() : cut();
    } else {
      const bool is_last = response_.body.empty();
      if (!is_http_1_0_) response_.body = chunk(response_.body);
      if (is_last) response_.source = nullptr;
    }
    write_next();
  }

  void end_response() {
    finished(false);
    response_ = Response{};
    release_body_memory();
    if (!keep_alive_) return shut_down();
    begin_request();
  }

  // --- event streams

  void begin_events() {
    const auto events = std::move(response_.events);
    response_.events = nullptr;
    channel_ = std::make_shared<EventChannel>([weak = this->weak_from_this(), &context = loop_.context] {
      asio::post(context, [weak] {
        if (const auto connection = weak.lock()) connection->pump_events();
      });
    });
    auto& open = loop_.shared.counters.streams_open;
    open.fetch_add(1, std::memory_order_relaxed);
    const bool started = loop_.shared.executor->run_long([channel = channel_, events, &open] {
      events(*channel);
      channel->finish();
      open.fetch_sub(1, std::memory_order_relaxed);
    });
    if (!started) {
      open.fetch_sub(1, std::memory_order_relaxed);
      channel_.reset();
      return refuse_stream();
    }
    if (loop_.is_draining) channel_->close();
    enter(State::writing, limits().request_timeout);
    if (plan_.is_event_stream && beast::websocket::is_upgrade(parser_->get())) return accept_websocket();
    keep_alive_ = false;
    response_.content_type = "text/event-stream";
    response_.headers.emplace_back("Cache-Control", "no-store");
    head_ = response_head(response_, request_.id, loop_.date(), {false, is_http_1_0_, true});
    asio::async_write(stream_, asio::buffer(head_), [self = self()](ErrorCode error, std::size_t bytes) {
      self->sent_bytes_ += bytes;
      if (self->state_ == State::closed) return self->finished(true);
      if (error) return self->cut();
      self->enter_streaming();
      self->watch_for_end();
    });
  }

  void enter_streaming() {
    enter(State::streaming);
    last_write_ = loop_.now();
    pump_events();
  }

  void accept_websocket() {
    websocket_.emplace(stream_);
    beast::websocket::stream_base::timeout timeouts{};
    timeouts.handshake_timeout = limits().request_timeout;
    timeouts.idle_timeout = std::chrono::seconds(60);
    timeouts.keep_alive_pings = true;
    websocket_->set_option(timeouts);
    websocket_->read_message_max(4'096);
    websocket_->set_option(beast::websocket::stream_base::decorator(
        [id = request_.id](beast::websocket::response_type& response) {
          response.set("Server", "holdfast");
          response.set("X-Request-Id", id);
        }));
    websocket_->async_accept(parser_->get(), [self = self()](ErrorCode error) {
      if (self->state_ == State::closed) return self->finished(true);
      if (error) return self->cut();
      self->response_.status = 101;
      self->websocket_->text(true);
      self->enter_streaming();
      self->watch_for_end();
    });
  }

  /// A client of an event stream has nothing to say; the read is there to see it go.
  void watch_for_end() {
    const auto on_read = [self = self()](ErrorCode error, std::size_t bytes) {
      if (self->state_ != State::streaming) return;
      self->buffer_.consume(self->buffer_.size());
      self->ignored_bytes_ += bytes;
      if (error || self->ignored_bytes_ > kSmallBodyBytes) return self->end_events();
      self->watch_for_end();
    };
    buffer_.consume(buffer_.size());
    if (websocket_) return websocket_->async_read(buffer_, on_read);
    stream_.async_read_some(buffer_.prepare(1'024), on_read);
  }

  void pump_events() {
    if (state_ != State::streaming || is_writing_) return;
    if (auto event = channel_->take()) {
      return write_event_bytes(websocket_ ? websocket_message(*event) : server_sent_event(*event));
    }
    if (channel_->is_finished() || channel_->is_closed()) end_stream();
  }

  void write_event_bytes(std::string bytes) {
    is_writing_ = true;
    deadline_ = loop_.now() + limits().request_timeout;
    head_ = websocket_ || is_http_1_0_ ? std::move(bytes) : chunk(bytes);
    const auto on_written = [self = self()](ErrorCode error, std::size_t written) {
      self->is_writing_ = false;
      self->sent_bytes_ += written;
      if (self->state_ == State::closed) return;
      if (error || self->state_ != State::streaming) return self->end_events();
      self->deadline_ = Deadline::max();
      self->last_write_ = self->loop_.now();
      self->pump_events();
    };
    if (websocket_) return websocket_->async_write(asio::buffer(head_), on_written);
    asio::async_write(stream_, asio::buffer(head_), on_written);
  }

  /// The maker of events has no more: says goodbye.
  void end_stream() {
    enter(State::closing, kClosing);
    if (websocket_) {
      const beast::websocket::close_reason reason(beast::websocket::close_code::going_away);
      return websocket_->async_close(reason, [self = self()](ErrorCode) { self->end_events(); });
    }
    head_ = is_http_1_0_ ? "" : "0\r\n\r\n";
    asio::async_write(stream_, asio::buffer(head_), [self = self()](ErrorCode, std::size_t bytes) {
      self->sent_bytes_ += bytes;
      self->end_events();
    });
  }

  /// The connection of a stream is over.
  void end_events() {
    if (state_ == State::closed) return;
    finished(false);
    close();
  }

  // --- the end

  /// A response that cannot be completed: the client must not take it for whole.
  void cut() {
    finished(true);
    close();
  }

  void finished(bool was_cut) {
    if (request_.headers == nullptr || request_.id.empty()) return;
    const Exchange exchange{request_,
                            plan_,
                            response_.status,
                            received_bytes_,
                            sent_bytes_,
                            loop_.now() - request_.received_at,
                            was_cut,
                            response_.error_code,
                            response_.error_message};
    loop_.shared.handler.finished(exchange);
    request_.id.clear();
  }

  /// Closes without throwing away what the client has not read yet, which an outright close would do if it
  /// has sent more than was read.
  void shut_down() {
    enter(State::closing, kClosing);
    Operations::shutdown(stream_, [self = self()](ErrorCode error) {
      if (self->state_ != State::closing) return;
      if (error) return self->close();
      self->discard();
    });
  }

  void discard() {
    buffer_.consume(buffer_.size());
    stream_.async_read_some(buffer_.prepare(kReadBytes), [self = self()](ErrorCode error, std::size_t bytes) {
      if (self->state_ != State::closing) return;
      self->ignored_bytes_ += bytes;
      if (error || self->ignored_bytes_ > kDiscardedBytes) return self->close();
      self->discard();
    });
  }

  void close() {
    if (state_ == State::closed) return;
    state_ = State::closed;
    deadline_ = Deadline::max();
    if (channel_) channel_->close();
    if (pipe_) pipe_->fail(Code::unavailable, "the client went away before its body was complete");
    Operations::close(stream_);
    if (channel_) finished(false);
  }

  static constexpr std::size_t kDiscardedBytes = 4u << 20;

  Loop& loop_;
  Stream stream_;
  const std::string peer_;
  State state_ = State::handshaking;
  Deadline since_{};
  Deadline deadline_ = Deadline::max();
  beast::flat_buffer buffer_;

  std::optional<Parser> parser_;
  const ParsedHeaders headers_{parser_};
  Request request_;
  Plan plan_;
  bool keep_alive_ = false;
  bool is_http_1_0_ = false;
  bool timed_out_ = false;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t ignored_bytes_ = 0;

  Deadline body_begin_{};
  std::uint64_t body_bytes_ = 0;
  std::size_t reserved_bytes_ = 0;
  std::shared_ptr<BodyPipe> pipe_;

  Response response_;
  std::string head_;
  std::size_t written_ = 0;

  std::shared_ptr<EventChannel> channel_;
  std::optional<beast::websocket::stream<Stream&>> websocket_;
  bool is_writing_ = false;
  Deadline last_write_{};
};

}  // namespace holdfast::server

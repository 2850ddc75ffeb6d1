#pragma once

#include "server/http/message.h"

namespace holdfast::server {

/// Ends a watch or a subscription when the client goes, for as long as this object is there.
template <class Waiting>
class CancelOnClose {
 public:
  CancelOnClose(EventSink& sink, Waiting& waiting) : sink_(sink) {
    sink_.on_close([&waiting] { waiting.cancel(); });
  }
  ~CancelOnClose() { sink_.on_close({}); }
  CancelOnClose(const CancelOnClose&) = delete;
  CancelOnClose& operator=(const CancelOnClose&) = delete;

 private:
  EventSink& sink_;
};

/// Runs `body`, which sends events; an error becomes the last event, "error".
template <class Body>
void send_events(EventSink& sink, Body body) {
  try {
    body();
  } catch (const Error& error) {
    sink.send({"error", "", "{\"code\":\"" + std::string(name(error.code())) + "\"}"});
  } catch (const std::exception&) {
    sink.send({"error", "", "{\"code\":\"internal\"}"});
  }
}

}  // namespace holdfast::server

// Brings a request to its route: match, authorise, check, answer, count, log.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/http/message.h"
#include "server/request_log.h"
#include "server/request_metrics.h"
#include "server/route.h"

namespace holdfast::server {

class Router final : public Handler {
 public:
  /// The routes must not contradict each other. `state` outlives the router; `log` may be null.
  Router(ServerState& state, std::vector<Route> routes, RequestLog* log);
  ~Router() override;

  Plan plan(const Request& request) noexcept override;
  Response refusal(int status, View message, View request_id) noexcept override;
  void finished(const Exchange& exchange) noexcept override;

  const std::vector<Route>& routes() const { return routes_; }
  const RequestMetrics& metrics() const { return metrics_; }

 private:
  struct Node;
  struct Match;

  Plan plan_or_throw(const Request& request);
  void add(std::size_t route);
  Match match(View path) const;
  void require_local_caller(const Request& request) const;
  std::shared_ptr<const Token> authenticate(const Request& request) const;
  void authorise(const Call& call) const;
  void parse_query(Call& call, View query) const;
  Plan refusal_plan(Response response) const;

  ServerState& state_;
  const std::vector<Route> routes_;
  RequestLog* const log_;
  RequestMetrics metrics_;
  std::unique_ptr<Node> root_;
};

/// Carries out `call`; every exception becomes the response of its code.
Response answer(Call& call, Request& request) noexcept;

}  // namespace holdfast::server

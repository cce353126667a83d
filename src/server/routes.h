#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/generation.h"
#include "server/http.h"
#include "server/server_context.h"

namespace musaic {

class RequestMetrics;

enum class ServerState { kStarting, kReady, kDraining };

// What the routes share. Owned by the server.
struct Services {
  ServerContext context;
  ServerOptions options;
  std::shared_ptr<WorkerPool> pool;
  std::shared_ptr<GenerationRegistry> registry;
  std::unique_ptr<RequestMetrics> metrics;
  size_t max_token_bytes = 0;
  std::atomic<ServerState> state{ServerState::kStarting};
  std::function<void(std::chrono::milliseconds, std::function<void()>)> run_later;  // HttpServer::run_later
  double started_at = 0.0;                                                          // seconds since 1970

  GenerationServices generation() const;
};

using RouteHandler = std::function<void(Services&, HttpRequest&&, std::shared_ptr<Reply>)>;

struct Route {
  std::string path;                  // "/v1/models/{id}" matches any last part
  std::vector<std::string> methods;  // "GET", "POST"
  Access access = Access::kKey;
  RouteHandler handle;
  bool quick = false;  // runs on the I/O thread, not behind what keeps the workers busy
};

// One row a path, every route of the server.
std::vector<Route> all_routes();

void add_generate_routes(std::vector<Route>& routes);
void add_openai_routes(std::vector<Route>& routes);
void add_token_routes(std::vector<Route>& routes);
void add_info_routes(std::vector<Route>& routes);
void add_program_routes(std::vector<Route>& routes);
void add_health_routes(std::vector<Route>& routes);
void add_control_routes(std::vector<Route>& routes);

// The last part of the path: "/v1/models/a" → "a".
std::string last_part(const HttpRequest& request);
// An answer with status 200 and this JSON.
void send_json(Reply& reply, const Json& value);
void send_error(Reply& reply, const ApiError& error);
// False, with the 503 sent, while the server starts or drains.
bool takes_requests(Services& services, Reply& reply);

}  // namespace musaic

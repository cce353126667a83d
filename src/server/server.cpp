#include "server/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "metrics/request_metrics.h"
#include "server/dispatch.h"
#include "server/generation_registry.h"
#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

constexpr size_t kBytesPerUnknownByte = 1;  // a byte that has no token is dropped, but was read

size_t longest_token(const Tokenizer* tokenizer) {
  size_t longest = kBytesPerUnknownByte;
  for (TokenId id = 0; tokenizer && id < tokenizer->vocab_size(); ++id) {
    longest = std::max(longest, tokenizer->token_bytes(id, false).size());
  }
  return longest;
}

}  // namespace

struct Server::State {
  State(ServerContext context, ServerOptions options)
      : services{.context = std::move(context), .options = std::move(options)},
        dispatcher(services, all_routes()),
        http(services.options.limits, [this](HttpRequest&& request, std::shared_ptr<Reply> reply) {
          dispatcher.dispatch(std::move(request), std::move(reply));
        }) {
    services.pool = std::make_shared<WorkerPool>(services.options.num_workers);
    services.registry = std::make_shared<GenerationRegistry>();
    services.metrics = std::make_unique<RequestMetrics>(services.context.model.served_model_name);
    services.max_token_bytes = longest_token(services.context.tokenizer.get());
    services.started_at =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    services.run_later = [this](std::chrono::milliseconds delay, std::function<void()> task) {
      http.run_later(delay, std::move(task));
    };
  }

  ~State() {
    services.registry->abort("");
    http.stop();
    services.pool->stop();
  }

  Services services;
  Dispatcher dispatcher;
  HttpServer http;
};

Server::Server(ServerContext context, ServerOptions options)
    : state_(std::make_unique<State>(std::move(context), std::move(options))) {}

Server::~Server() = default;

Status Server::listen() {
  return state_->http.listen(state_->services.options.host, state_->services.options.port);
}

uint16_t Server::port() const {
  return state_->http.port();
}

std::string Server::url() const {
  std::string host = state_->services.options.host;
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return fmt::format("http://{}:{}", host, port());
}

void Server::set_ready() {
  state_->services.state = ServerState::kReady;
}

bool Server::drain_and_stop(std::chrono::milliseconds timeout) {
  Services& services = state_->services;
  services.state = ServerState::kDraining;
  services.context.engine.drain();
  const bool quiet = state_->http.wait_until_quiet(timeout);
  if (!quiet) services.registry->abort("");
  state_->http.stop();
  services.pool->stop();
  return quiet;
}

}  // namespace musaic

#include "server/http_server.h"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/http_connection.h"

namespace musaic {
namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::chrono::milliseconds kAcceptPause{100};  // when there are too many connections or open files
constexpr int kListenBacklog = 1024;

struct HttpServer::State {
  State(HttpLimits limits, HttpHandler handler)
      : io(std::make_shared<asio::io_context>(1)),
        set{.limits = limits, .handler = std::move(handler), .io = io, .open = {}, .on_answering = {}},
        guard(asio::make_work_guard(*io)),
        acceptor(*io),
        accept_timer(*io) {
    set.on_answering = [this](int count) { note_answering(count); };
  }

  void accept() {
    acceptor.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
      if (stopping) return;
      if (error) return pause_accepting();
      const auto connection = std::make_shared<Connection>(std::move(socket), set);
      set.open.insert(connection);
      connection->start();
      static_cast<int>(set.open.size()) < set.limits.max_connections ? accept() : pause_accepting();
    });
  }

  void pause_accepting() {
    accept_timer.expires_after(kAcceptPause);
    accept_timer.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping) return;
      static_cast<int>(set.open.size()) < set.limits.max_connections ? accept() : pause_accepting();
    });
  }

  void note_answering(int count) {
    const std::lock_guard lock(mutex);
    answering = count;
    if (count == 0) quiet.notify_all();
  }

  void close_all() {
    stopping = true;
    boost::system::error_code ignored;
    acceptor.close(ignored);
    accept_timer.cancel();
    for (const auto& timer : timers) timer->cancel();
    const auto open = set.open;  // a copy: closing erases
    for (const auto& connection : open) connection->close();
    guard.reset();
  }

  std::shared_ptr<asio::io_context> io;
  ConnectionSet set;
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  tcp::acceptor acceptor;
  asio::steady_timer accept_timer;
  std::unordered_set<std::shared_ptr<asio::steady_timer>> timers;  // of run_later
  bool stopping = false;                                           // on the I/O thread
  uint16_t port = 0;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable quiet;
  int answering = 0;  // under mutex
};

HttpServer::HttpServer(HttpLimits limits, HttpHandler handler)
    : state_(std::make_unique<State>(limits, std::move(handler))) {}

HttpServer::~HttpServer() {
  stop();
  state_->io->restart();
  state_->io->poll();  // what was posted since does nothing, and lets go of what it holds
}

Status HttpServer::listen(const std::string& host, uint16_t port) {
  boost::system::error_code error;
  const auto failed = [&](const char* what) {
    return Status(StatusCode::kUnavailable,
                  fmt::format("cannot {} {}:{}: {}", what, host, port, error.message()));
  };
  tcp::resolver resolver(*state_->io);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) return failed("resolve");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor& acceptor = state_->acceptor;
  if (acceptor.open(endpoint.protocol(), error)) return failed("open a socket for");
  acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (acceptor.bind(endpoint, error)) return failed("bind to");
  if (acceptor.listen(kListenBacklog, error)) return failed("listen at");
  state_->port = acceptor.local_endpoint().port();
  state_->accept();
  state_->thread = std::thread([state = state_.get()] { state->io->run(); });
  return {};
}

uint16_t HttpServer::port() const {
  return state_->port;
}

void HttpServer::run_later(std::chrono::milliseconds delay, std::function<void()> task) {
  asio::post(*state_->io, [state = state_.get(), delay, task = std::move(task)] {
    if (state->stopping) return;
    const auto timer = std::make_shared<asio::steady_timer>(*state->io, delay);
    state->timers.insert(timer);
    timer->async_wait([state, timer, task](const boost::system::error_code& error) {
      state->timers.erase(timer);
      if (!error) task();
    });
  });
}

bool HttpServer::wait_until_quiet(std::chrono::milliseconds timeout) {
  std::unique_lock lock(state_->mutex);
  return state_->quiet.wait_for(lock, timeout, [&] { return state_->answering == 0; });
}

void HttpServer::stop() {
  if (!state_->thread.joinable()) return;
  asio::post(*state_->io, [state = state_.get()] { state->close_all(); });
  state_->thread.join();
}

}  // namespace musaic

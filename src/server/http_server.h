#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "server/http.h"

namespace musaic {

struct HttpLimits {
  size_t max_body_bytes = 32u << 20;
  size_t max_header_bytes = 16u << 10;
  std::chrono::milliseconds header_timeout{10'000};  // first byte of a request to the end of its headers
  std::chrono::milliseconds body_timeout{120'000};   // end of headers to the end of the body
  std::chrono::milliseconds idle_timeout{75'000};    // between requests of a kept connection
  std::chrono::milliseconds stall_timeout{30'000};   // a client that takes no byte of its answer
  int max_connections = 8192;
};

// HTTP/1.1 over TCP: many connections on one I/O thread. Owns the thread and the sockets.
class HttpServer {
 public:
  HttpServer(HttpLimits limits, HttpHandler handler);
  ~HttpServer();  // stops at once

  // Binds and starts to serve. One sentence with address and port when that fails.
  Status listen(const std::string& host, uint16_t port);
  uint16_t port() const;  // the bound one (for port 0)

  // Runs `task` on the I/O thread after the delay; dropped when the server stops. Any thread.
  void run_later(std::chrono::milliseconds delay, std::function<void()> task);

  // Waits until no request is being answered, for at most `timeout`. False when some still are.
  bool wait_until_quiet(std::chrono::milliseconds timeout);
  // Closes all sockets and joins the thread.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace musaic

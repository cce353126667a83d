#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "server/server_context.h"

namespace musaic {

// Serves an engine over HTTP. Owns the sockets, one I/O thread and a few workers. The engine, the tokenizer
// and what the context's functions use outlive it. A typical life: listen → set_ready → drain_and_stop →
// destructor.
class Server {
 public:
  Server(ServerContext context, ServerOptions options);
  ~Server();  // stops at once

  // Binds and answers from now on: /health with 503 until set_ready. One sentence when the address cannot be
  // had.
  Status listen();
  uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:30000"
  void set_ready();

  // Refuses new requests with 503, waits until the running ones have been answered, then closes. False when
  // some were still running after `timeout` and were cut off. Any thread but the server's own; once.
  bool drain_and_stop(std::chrono::milliseconds timeout = std::chrono::hours(24));

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace musaic

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace musaic {

// One HTTP request, read whole.
struct HttpRequest {
  std::string method;         // "GET"; a HEAD request arrives as GET
  std::string path;           // before the question mark, percent-decoded
  std::string query;          // after it, as sent
  std::string authorization;  // header, empty when absent
  std::string origin;         // header, empty when absent
  std::string host;           // header, empty when absent
  bool preflight = false;     // carries Access-Control-Request-Method
  std::string body;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  HttpHeaders headers;  // further ones
};

// The answer to one request: `send` once, or `begin_stream`, `write`..., `end_stream`. Methods may be called
// from any thread; after the client has left they do nothing. Dropped without an answer it sends a 500.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual void send(HttpResponse response) = 0;
  virtual void begin_stream(std::string content_type) = 0;
  virtual void write(std::string data) = 0;
  virtual void end_stream() = 0;
  // Headers that go with whichever answer is sent; set before it by the one who dispatches.
  virtual void add_header(std::string name, std::string value) = 0;

  // Bytes written here and not yet taken by the client's socket.
  virtual size_t queued_bytes() const = 0;
  // Calls back once, on an I/O thread, when the queue is empty (at once if it is).
  virtual void when_drained(std::function<void()> callback) = 0;
  // Calls back once, on an I/O thread, when the client leaves before the answer is complete.
  virtual void when_closed(std::function<void()> callback) = 0;
};

// Called on an I/O thread: must not block.
using HttpHandler = std::function<void(HttpRequest&&, std::shared_ptr<Reply>)>;

// The value of `key` in a query string, percent-decoded; empty when absent.
std::string query_value(std::string_view query, std::string_view key);
// %41 and, in queries, + decoded; a broken escape is left as it is.
std::string percent_decode(std::string_view text, bool plus_is_space);
std::string_view status_text(int status);

}  // namespace musaic

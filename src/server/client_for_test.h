#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace musaic {

struct ClientAnswer {
  int status = 0;  // 0: the connection ended before a whole answer came
  std::map<std::string, std::string> headers;
  std::string body;
};

// One TCP connection of a client that says exactly what it is told, over plain sockets.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer_bytes > 0)
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    const timeval timeout{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  Client(const Client&) = delete;
  ~Client() { close(); }

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void half_close() { shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  bool request(const std::string& method, const std::string& target, const std::string& body = "",
               const std::string& more_headers = "") {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + more_headers;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return send(text + "\r\n" + body);
  }

  // Reads one whole answer, chunked or not.
  ClientAnswer read_answer(bool has_body = true) {
    ClientAnswer answer = read_head();
    if (answer.status == 0 || !has_body || answer.status == 204 || answer.status == 100) return answer;
    if (answer.headers.count("transfer-encoding")) {
      while (read_chunk(answer.body)) {
      }
    } else if (answer.headers.count("content-length")) {
      const size_t size = std::stoul(answer.headers["content-length"]);
      while (buffer_.size() < size && fill()) {
      }
      if (buffer_.size() < size) answer.status = 0;
      answer.body = buffer_.substr(0, size);
      buffer_.erase(0, size);
    } else {
      while (fill()) {
      }
      answer.body = std::exchange(buffer_, "");
    }
    return answer;
  }

  ClientAnswer read_head() {
    ClientAnswer answer;
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return answer;
    }
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    answer.status = std::atoi(head.c_str() + head.find(' '));
    for (size_t line = head.find("\r\n") + 2; line < head.size();) {
      const size_t stop = head.find("\r\n", line);
      const std::string text = head.substr(line, stop - line);
      const size_t colon = text.find(':');
      std::string name = text.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      answer.headers[name] = text.substr(colon + 2);
      line = stop + 2;
    }
    return answer;
  }

  // Appends one chunk; false after the last one.
  bool read_chunk(std::string& out) {
    size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!fill()) return false;
    }
    const size_t size = std::stoul(buffer_.substr(0, end), nullptr, 16);
    while (buffer_.size() < end + 2 + size + 2) {
      if (!fill()) return false;
    }
    out += buffer_.substr(end + 2, size);
    buffer_.erase(0, end + 2 + size + 2);
    return size > 0;
  }

  // True when the server has closed and nothing is left to read.
  bool at_end() { return buffer_.empty() && !fill(); }

 private:
  bool fill() {
    char bytes[16384];
    const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace musaic

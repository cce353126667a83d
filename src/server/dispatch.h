#pragma once

#include <memory>
#include <vector>

#include "server/http.h"
#include "server/routes.h"

namespace musaic {

// From a request to its route: origin, path, method, key; then the handler, on a worker.
class Dispatcher {
 public:
  Dispatcher(Services& services, std::vector<Route> routes)
      : services_(services), routes_(std::move(routes)) {}

  // On the I/O thread.
  void dispatch(HttpRequest&& request, std::shared_ptr<Reply> reply);

 private:
  const Route* find(const std::string& path) const;
  void answer_options(const HttpRequest& request, const Route& route, Reply& reply) const;
  void handle_safely(const Route& route, HttpRequest&& request, const std::shared_ptr<Reply>& reply);
  void run(const Route& route, HttpRequest&& request, std::shared_ptr<Reply> reply);

  Services& services_;
  const std::vector<Route> routes_;
};

}  // namespace musaic

// One request a connection. Keeping connections open would save a client a round trip before an answer that takes
// seconds, and cost a thread for every client that does nothing.
#include "gateway/http_server.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string_view>

#include "base/clock.h"

namespace sluice {
namespace {

thread_local const ClientStream* current_client = nullptr;
thread_local ConnectionPool::Reception reception = ConnectionPool::Reception::kServe;

constexpr auto kCloseTime = std::chrono::duration<int, std::milli>(200);
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    "\r\n{\"error\":{\"message\":\"too many connections; try again\",\"type\":\"server_error\",\"param\":null,\"code\":"
    "\"Unavailable\"}}\n\n";

/// Reads on for a moment: closing with unread bytes would take the answer away from the client.
void CloseGently(int socket) {
  shutdown(socket, SHUT_WR);
  std::array<char, 16 << 10> dropped{};
  const auto end = Clock::now() + kCloseTime;
  while (Clock::now() < end) {
    pollfd wanted{socket, POLLIN, 0};
    if (poll(&wanted, 1, kCloseTime.count()) <= 0) break;
    if (recv(socket, dropped.data(), dropped.size(), MSG_DONTWAIT) <= 0) break;
  }
  close(socket);
}

}  // namespace

Result<SslContext> MakeServerTls(const TrustOptions& trust) {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return Internal("OpenSSL could not make a TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const bool sound = SSL_CTX_use_certificate_chain_file(context.get(), trust.certificate.c_str()) == 1 &&
                     SSL_CTX_use_PrivateKey_file(context.get(), trust.key.c_str(), SSL_FILETYPE_PEM) == 1 &&
                     SSL_CTX_check_private_key(context.get()) == 1;
  ERR_clear_error();
  if (sound) return context;
  return InvalidArgument(fmt::format("{} and {} are not a certificate and its key, or cannot be read",
                                     trust.certificate.string(), trust.key.string()));
}

ConnectionPool::ConnectionPool(size_t threads) : served_{.limit = threads}, turned_away_{.limit = kMostTurnedAway} {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(served_); });
  threads_.emplace_back([this] {
    reception = Reception::kTurnAway;
    Loop(turned_away_);
  });
}

ConnectionPool::Reception ConnectionPool::ReceptionHere() { return reception; }

void ConnectionPool::enqueue(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Queue* queue : {&served_, &turned_away_}) {
      if (queue->busy + queue->tasks.size() >= queue->limit) continue;
      queue->tasks.push_back(std::move(task));
      queue->changed.notify_one();
      return;
    }
  }
  reception = Reception::kDrop;
  task();
  reception = Reception::kServe;
}

void ConnectionPool::Loop(Queue& queue) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    queue.changed.wait(lock, [&] { return stopping_ || !queue.tasks.empty(); });
    if (queue.tasks.empty()) return;
    const std::function<void()> task = std::move(queue.tasks.front());
    queue.tasks.pop_front();
    ++queue.busy;
    lock.unlock();
    task();
    lock.lock();
    --queue.busy;
  }
}

void ConnectionPool::shutdown() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  served_.changed.notify_all();
  turned_away_.changed.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

HttpServer::HttpServer(SslContext tls, const ClientPatience& patience, size_t connections)
    : tls_(std::move(tls)), patience_(patience) {
  new_task_queue = [connections] { return new ConnectionPool(connections); };
  // httplib would also set SO_REUSEPORT, with which two servers share a port, and its clients, in silence.
  set_socket_options([](int socket) {
    const int yes = 1;
    (void)setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

const ClientStream& HttpServer::CurrentClient() { return *current_client; }

bool HttpServer::process_and_close_socket(int socket) {
  const ConnectionPool::Reception here = ConnectionPool::ReceptionHere();
  if (here == ConnectionPool::Reception::kServe) {
    Serve(socket);
  } else {
    ++refused_;
  }
  if (here == ConnectionPool::Reception::kDrop) {
    close(socket);
    return false;
  }
  if (here == ConnectionPool::Reception::kTurnAway && tls_ == nullptr) {
    (void)send(socket, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  CloseGently(socket);
  return here == ConnectionPool::Reception::kServe;
}

void HttpServer::Serve(int socket) {
  ClientStream stream(socket, tls_.get(), patience_);
  if (!stream.Open()) return;
  current_client = &stream;
  bool closed = false;
  process_request(stream, /*close_connection=*/true, closed, [](httplib::Request& request) {
    request.ranges.clear();
    request.headers.erase("Range");
    request.headers.erase("Accept-Encoding");
  });
  current_client = nullptr;
}

}  // namespace sluice

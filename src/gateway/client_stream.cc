// httplib's own streams time every read by itself: a client that sends a byte now and then keeps a thread for as long
// as it likes. Here a request as a whole has a deadline, and so has every piece of an answer. Nor does httplib bound a
// head, or a body that is sent in chunks; the bytes of a request are counted here, before anything parses them.
#include "gateway/client_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace sluice {
namespace {

constexpr size_t kBufferBytes = 16 << 10;
constexpr size_t kMostAtOnce = 1 << 20;

using NameOf = int (*)(int, sockaddr*, socklen_t*);

void Describe(int socket, NameOf name_of, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  if (name_of(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(), service.data(), service.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  ip = host.data();
  port = std::atoi(service.data());
}

}  // namespace

ClientStream::ClientStream(int socket, SSL_CTX* tls, const ClientPatience& patience)
    : socket_(socket),
      patience_(patience),
      request_deadline_(Clock::now() + DurationOf(patience.request_seconds)),
      buffer_(kBufferBytes),
      bytes_left_(patience.request_bytes) {
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL, 0) | O_NONBLOCK);
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls != nullptr) {
    ssl_.reset(SSL_new(tls));
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_) != 1) failed_ = true;
  }
}

ClientStream::~ClientStream() {
  if (ssl_ != nullptr && !failed_) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool ClientStream::Wait(short events, Clock::time_point deadline) const {
  while (true) {
    // Rounded up: a wait that ends before the deadline would take a late client for a broken one.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd wanted{socket_, events, 0};
    const int ready = poll(&wanted, 1, static_cast<int>(std::min<int64_t>(left, 1000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

short ClientStream::Wanted(int result, short otherwise) const {
  if (ssl_ == nullptr) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? otherwise : short{0};
  const int error = SSL_get_error(ssl_.get(), result);
  return error == SSL_ERROR_WANT_READ ? short{POLLIN} : error == SSL_ERROR_WANT_WRITE ? short{POLLOUT} : short{0};
}

bool ClientStream::Open() {
  if (failed_) return false;
  while (ssl_ != nullptr) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_.get());
    if (result == 1) break;
    const short wanted = Wanted(result, POLLIN);
    if (wanted == 0 || !Wait(wanted, request_deadline_)) {
      failed_ = true;
      return false;
    }
  }
  return true;
}

bool ClientStream::ClientThere() const {
  if (failed_) return false;
  pollfd wanted{socket_, POLLRDHUP, 0};
  return poll(&wanted, 1, 0) <= 0 || (wanted.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

bool ClientStream::is_readable() const { return buffer_begin_ < buffer_end_ || !Deaf(); }

bool ClientStream::is_writable() const { return ClientThere(); }

ssize_t ClientStream::ReadSome(char* data, size_t size) {
  while (!failed_ && !Late()) {
    ERR_clear_error();
    errno = 0;
    const ssize_t count = ssl_ == nullptr ? recv(socket_, data, size, 0)
                                          : SSL_read(ssl_.get(), data, static_cast<int>(std::min(size, kMostAtOnce)));
    if (count > 0) return count;
    if (count == 0 && ssl_ == nullptr) return 0;
    const short wanted = Wanted(static_cast<int>(count), POLLIN);
    if (wanted == 0 || (!Wait(wanted, request_deadline_) && !Late())) failed_ = true;
  }
  return -1;
}

ssize_t ClientStream::read(char* data, size_t size) {
  if (buffer_begin_ == buffer_end_) {
    if (Deaf()) return -1;
    const ssize_t count = ReadSome(buffer_.data(), std::min(buffer_.size(), bytes_left_));
    if (count <= 0) return count;
    bytes_left_ -= static_cast<size_t>(count);
    buffer_begin_ = 0;
    buffer_end_ = static_cast<size_t>(count);
  }
  const size_t count = std::min(size, buffer_end_ - buffer_begin_);
  std::memcpy(data, buffer_.data() + buffer_begin_, count);
  buffer_begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t ClientStream::WriteSome(const char* data, size_t size) {
  ERR_clear_error();
  errno = 0;
  if (ssl_ == nullptr) return send(socket_, data, size, MSG_NOSIGNAL);
  return SSL_write(ssl_.get(), data, static_cast<int>(std::min(size, kMostAtOnce)));
}

ssize_t ClientStream::write(const char* data, size_t size) {
  const Clock::time_point deadline = Clock::now() + DurationOf(patience_.write_seconds);
  size_t done = 0;
  while (done < size && !failed_) {
    const ssize_t count = WriteSome(data + done, size - done);
    if (count > 0) {
      done += static_cast<size_t>(count);
      continue;
    }
    const short wanted = Wanted(static_cast<int>(count), POLLOUT);
    if (wanted == 0 || !Wait(wanted, deadline)) failed_ = true;
  }
  return failed_ ? -1 : static_cast<ssize_t>(done);
}

void ClientStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  Describe(socket_, getpeername, ip, port);
}

void ClientStream::get_local_ip_and_port(std::string& ip, int& port) const { Describe(socket_, getsockname, ip, port); }

}  // namespace sluice

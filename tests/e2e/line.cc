// One thread polls all sockets and copies what comes. Writes block: both ends are on this machine and read.
#include "line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

namespace sluice {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

constexpr int kPollMs = 10;
constexpr size_t kSmallBytes = 1024;

}  // namespace

int ConnectTo(const std::string& address) {
  const sockaddr_in where = Loopback(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) return fd;
  close(fd);
  return -1;
}

Line::Line(const std::string& target) : target_(target), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in where = Loopback(0);
  socklen_t size = sizeof where;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&where), size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  address_ = "127.0.0.1:" + std::to_string(ntohs(where.sin_port));
  thread_ = std::thread([this] { Loop(); });
}

Line::~Line() {
  stop_ = true;
  thread_.join();
  for (const Pair& pair : pairs_) {
    close(pair.near);
    close(pair.far);
  }
  close(listener_);
}

void Line::Accept() {
  const int near = accept(listener_, nullptr, nullptr);
  if (near < 0) return;
  const int far = ConnectTo(target_);
  if (far < 0) {
    close(near);
    return;
  }
  const int on = 1;
  setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  pairs_.push_back({near, far});
}

bool Line::Carry(int from, int to, double limit) {
  std::array<char, 1 << 16> buffer;
  const ssize_t got = recv(from, buffer.data(), limit > 0 ? kSmallBytes : buffer.size(), 0);
  if (got <= 0) return false;
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t now = send(to, buffer.data() + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += now;
  }
  bytes_ += static_cast<uint64_t>(got);
  if (limit > 0) std::this_thread::sleep_for(std::chrono::duration<double>(static_cast<double>(got) / limit));
  return true;
}

void Line::Loop() {
  while (!stop_) {
    if (held_ && !cut_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
      continue;
    }
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      polled.push_back({pair.near, POLLIN, 0});
      polled.push_back({pair.far, POLLIN, 0});
    }
    poll(polled.data(), polled.size(), kPollMs);
    const bool cut = cut_.exchange(false);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      const bool whole = !cut && (polled[2 * i + 1].revents == 0 || Carry(pair.near, pair.far, limit_)) &&
                         (polled[2 * i + 2].revents == 0 || Carry(pair.far, pair.near, 0));
      if (whole) continue;
      close(pair.near);
      close(pair.far);
      pair = Pair();
    }
    std::erase_if(pairs_, [](const Pair& pair) { return pair.near < 0; });
    if (polled[0].revents != 0) Accept();
  }
}

}  // namespace sluice

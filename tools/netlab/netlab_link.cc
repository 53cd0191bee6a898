// A link between two network namespaces, in this process: a TUN device in each, and between them the rate, delay,
// jitter and loss of a profile (link_model.h). What crosses it is real IP of the kernel's own TCP. Needs the right to
// make network devices (root) and /dev/net/tun. Prints "ready" when both devices exist, and at SIGTERM what it carried.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/status.h"
#include "link_model.h"

namespace sluice {
namespace {

constexpr size_t kMostPacketBytes = 65536;
constexpr size_t kMostWaiting = 1 << 16;

int64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * int64_t{1'000'000'000} + time.tv_nsec;
}

Status SystemError(const std::string& what) { return IoError(what + ": " + std::strerror(errno)); }

// The device belongs to the namespace in which it was made; its file does not, and is served from anywhere.
Result<int> OpenTun(const std::string& network, const std::string& device) {
  const int space = open(("/run/netns/" + network).c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0) return SystemError("network namespace " + network);
  const int moved = setns(space, CLONE_NEWNET);
  close(space);
  if (moved != 0) return SystemError("entering network namespace " + network);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) return SystemError("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device.c_str());
  if (ioctl(tun, TUNSETIFF, &request) != 0) return SystemError("making device " + device + " in " + network);
  return tun;
}

struct Packet {
  int64_t arrival_ns;
  std::vector<char> bytes;
};

// From one device to the other.
struct Direction {
  int from, to;
  LinkModel model;
  std::deque<Packet> waiting = {};
  int64_t packets = 0, bytes = 0;

  void Take(std::vector<char>& buffer) {
    for (ssize_t size = 0; (size = read(from, buffer.data(), buffer.size())) > 0;) {
      const auto arrival = waiting.size() < kMostWaiting ? model.Offer(Now(), size) : std::nullopt;
      if (arrival) waiting.push_back({*arrival, {buffer.data(), buffer.data() + size}});
    }
  }
  void Deliver(int64_t now) {
    for (; !waiting.empty() && waiting.front().arrival_ns <= now; waiting.pop_front()) {
      const std::vector<char>& packet = waiting.front().bytes;
      if (write(to, packet.data(), packet.size()) < 0) continue;  // the device is down: a packet is lost, as on a wire
      ++packets;
      bytes += static_cast<int64_t>(packet.size());
    }
  }
};

Status Carry(std::array<Direction, 2>& directions) {
  std::vector<char> buffer(kMostPacketBytes);
  std::array<pollfd, 2> files = {pollfd{directions[0].from, POLLIN, 0}, pollfd{directions[1].from, POLLIN, 0}};
  while (!InterruptRequested()) {
    int64_t wait = 200'000'000;  // to notice an interrupt that came between the test and the wait
    const int64_t now = Now();
    for (Direction& direction : directions) {
      direction.Deliver(now);
      if (!direction.waiting.empty())
        wait = std::min(wait, std::max<int64_t>(direction.waiting.front().arrival_ns - now, 0));
    }
    const timespec time = {wait / 1'000'000'000, wait % 1'000'000'000};
    if (ppoll(files.data(), files.size(), &time, nullptr) < 0 && errno != EINTR)
      return SystemError("waiting for packets");
    for (Direction& direction : directions) direction.Take(buffer);
  }
  return OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("A link with rate, delay, jitter and loss between two network namespaces");
  std::string a, b, device = "lab0";
  LinkProfile forth, back;
  uint64_t seed = 1;
  app.add_option("--a", a, "Namespace of one end (ip netns add)")->required();
  app.add_option("--b", b, "Namespace of the other end")->required();
  app.add_option("--device", device, "Name of the device at both ends")->capture_default_str();
  app.add_option("--up-mbit", forth.megabits, "Rate from a to b, Mbit/s; 0: no limit")->check(CLI::NonNegativeNumber);
  app.add_option("--down-mbit", back.megabits, "Rate from b to a, Mbit/s; 0: no limit")->check(CLI::NonNegativeNumber);
  app.add_option("--delay-ms", forth.delay_ms, "One way")->check(CLI::NonNegativeNumber);
  app.add_option("--jitter-ms", forth.jitter_ms, "At most, added to the delay")->check(CLI::NonNegativeNumber);
  app.add_option("--loss-percent", forth.loss_percent, "Packets lost")->check(CLI::Range(0.0, 100.0));
  app.add_option("--queue-ms", forth.queue_ms, "Longest wait for the line")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", seed, "Of losses and jitter")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const double down = back.megabits;
  back = forth;
  back.megabits = down;
  CatchInterrupts();
  const auto fail = [](const Status& status) {
    std::fprintf(stderr, "netlab_link: %s\n", status.ToString().c_str());
    return ExitCode(status.code());
  };
  const Result<int> end_a = OpenTun(a, device);
  if (!end_a.ok()) return fail(end_a.status());
  const Result<int> end_b = OpenTun(b, device);
  if (!end_b.ok()) return fail(end_b.status());
  std::array<Direction, 2> directions = {Direction{*end_a, *end_b, LinkModel(forth, seed)},
                                         Direction{*end_b, *end_a, LinkModel(back, seed + 1)}};
  std::puts("ready");
  std::fflush(stdout);
  if (const Status status = Carry(directions); !status.ok()) return fail(status);
  for (const Direction& direction : directions) {
    std::printf("%lld packets, %lld bytes, %lld lost, %lld dropped\n", static_cast<long long>(direction.packets),
                static_cast<long long>(direction.bytes), static_cast<long long>(direction.model.lost()),
                static_cast<long long>(direction.model.dropped()));
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }

#!/bin/sh
# Installs what a build needs on Debian 12, and nothing that is there already: with everything present it makes no
# connection and takes a moment. As root or with sudo.
#
#   tools/install_deps.sh          compiler, libraries, uPlot
#   BROWSER=1 tools/install_deps.sh   also Chromium (about 410 MB), which the tests of the HTML pages use when it is there
#   CROSS=1 tools/install_deps.sh     also a compiler and an emulator for 64-bit ARM (about 250 MB), for the test that
#                                     compares that architecture with this one
set -eu
cd "$(dirname "$0")/.."

packages="
  g++ cmake ninja-build pkg-config ccache git ca-certificates clang libclang-rt-14-dev
  libtorch-dev libopenblas0-openmp libprotobuf-dev protobuf-compiler libgrpc++-dev protobuf-compiler-grpc
  libhwy-dev libfmt-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev libssl-dev libxxhash-dev
  libcpp-httplib-dev zlib1g-dev libdeflate-dev libzstd-dev liblz4-dev libeigen3-dev
  libpcre2-dev libutf8proc-dev libsentencepiece-dev
  libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev
"

say() { printf 'deps: %s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    say "this needs root, and there is no sudo. Run as root: $*"
    return 1
  fi
}

# Prints the packages among its arguments that are not installed.
missing() {
  for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | head -n 1 || true)
    [ "$state" = installed ] || printf ' %s' "$package"
  done
}

install_packages() {
  say "installing:$*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    # shellcheck disable=SC2068 # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $@
}

if ! command -v dpkg-query >/dev/null 2>&1; then
  say "this is not Debian. Install the counterparts of these packages yourself, then use cmake --preset:"
  say "$packages"
  exit 1
fi

# Another Node.js than Debian's brings its own npm, and Debian's npm would conflict with it.
command -v npm >/dev/null 2>&1 || packages="$packages nodejs npm"
# shellcheck disable=SC2086 # the list is words
wanted=$(missing $packages)
[ -z "$wanted" ] || install_packages "$wanted"

if [ -n "${BROWSER:-}" ] && ! command -v chromium >/dev/null 2>&1; then
  install_packages " chromium" || say "Chromium could not be installed: the browser tests will be skipped"
fi

if [ -n "${CROSS:-}" ]; then
  cross=$(missing g++-aarch64-linux-gnu qemu-user-static)
  [ -z "$cross" ] || install_packages "$cross" || say "the ARM tools could not be installed: their test will be skipped"
fi

# libtorch runs 40 times slower on the reference BLAS, and OpenBLAS with pthreads fights its OpenMP threads.
for library in libblas.so.3 liblapack.so.3; do
  for choice in /usr/lib/*/openblas-openmp/$library; do
    [ -e "$choice" ] || continue
    triplet=$(basename "$(dirname "$(dirname "$choice")")")
    current=$(readlink -f "/usr/lib/$triplet/$library" || true)
    [ "$current" != "$(readlink -f "$choice")" ] || continue
    say "$library is $current: switching to $choice"
    as_root update-alternatives --set "$library-$triplet" "$choice" ||
      say "training will crawl. Run: sudo update-alternatives --set $library-$triplet $choice"
  done
done

# The one asset of the HTML pages, and the client that the tests of the gateway use, at the versions that package-lock.json
# names.
if ! cmp -s package-lock.json node_modules/.sluice-lock; then
  say "fetching uPlot and the OpenAI client (npm ci)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json node_modules/.sluice-lock
fi

#!/bin/sh
# Compares the digest of codec "context" with golden.txt: natively, built by another compiler or at another level of
# optimization, or built for 64-bit ARM and run under emulation.
# Exits with 77, which ctest shows as skipped, where the compiler or the emulator is missing.
#
#   conformance.sh PROGRAM ELEMENTS
#   conformance.sh --compiler COMPILER LEVEL SOURCE_DIR WORK_DIR ELEMENTS
#   conformance.sh --cross SOURCE_DIR WORK_DIR INCLUDE_DIR ELEMENTS
set -eu
golden=$(dirname "$0")/golden.txt
skip() { echo "SKIP: $*" >&2; exit 77; }

# Of folder $1: the kernels, which are compiled one by one, and all other sources of the digest as one, whose headers are
# read once.
kernels() { ls "$1"/src/simd/*.cc | grep -v _test.cc; }
others() { other_files "$1" | sed 's/.*/#include "&"/'; }
other_files() {
  ls "$1"/src/nets/*.cc "$1"/src/rans/*.cc "$1"/src/prob/*.cc | grep -v _test.cc
  for part in base/bytes base/file base/hash base/json_depth base/status format/dtype format/pack format/pack_parts \
      format/stream codec/context_ends codec/context_frames codec/context_floats codec/gaussian_arrays codec/gaussian_block \
      codec/pack_codec codec/static_codec codec/static_transform codec/token_coder; do
    echo "$1/src/$part.cc"
  done
  echo "$1/tests/conformance/context_digest.cc"
}

if [ "$1" = --compiler ]; then
  compiler=$2 level=$3 source=$4 work=$5 elements=$6
  command -v "$compiler" >/dev/null || skip "no $compiler"
  mkdir -p "$work"
  program=$work/context_digest_$(basename "$compiler")_$level
  others "$source" >"$program.cc"
  # shellcheck disable=SC2046
  "$compiler" -std=c++20 "-$level" -ffp-contract=off -pthread -I "$source/src" -o "$program" "$program.cc" \
    $(kernels "$source") -lhwy -lfmt -lxxhash -lcrypto
  got=$("$program" "$elements")
elif [ "$1" = --cross ]; then
  source=$2 work=$3 include=$4 elements=$5
  command -v aarch64-linux-gnu-g++ >/dev/null || skip "no aarch64-linux-gnu-g++ (CROSS=1 tools/install_deps.sh installs it)"
  emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || skip "no qemu-aarch64 (CROSS=1 tools/install_deps.sh)"
  # These headers do not depend on the machine; the rest of the native include folder does.
  mkdir -p "$work/include"
  for library in hwy fmt nlohmann; do ln -sfn "$include/$library" "$work/include/$library"; done
  for header in xxhash.h; do ln -sfn "$include/$header" "$work/include/$header"; done
  others "$source" >"$work/context_digest_aarch64.cc"
  # shellcheck disable=SC2046
  aarch64-linux-gnu-g++ -std=c++20 -O2 -Wall -Wextra -ffp-contract=off -static -pthread -DFMT_HEADER_ONLY \
    -DHWY_COMPILE_ONLY_STATIC -DXXH_INLINE_ALL -I "$source/src" -I "$work/include" -o "$work/context_digest_aarch64" \
    -I "$source/tests/conformance/cross" "$work/context_digest_aarch64.cc" $(kernels "$source")
  got=$("$emulator" "$work/context_digest_aarch64" "$elements")
else
  elements=$2
  got=$("$1" "$elements")
fi
expected=$(grep " $elements " "$golden")
echo "got:"
echo "$got"
[ "$got" = "$expected" ] || { echo "expected:"; echo "$expected"; exit 1; }

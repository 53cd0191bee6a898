#!/bin/sh
# Builds coder_digest for 64-bit ARM, runs it under emulation and compares its digest with that of the native program.
# Exits with 77, which ctest shows as skipped, where the cross compiler or the emulator is missing.
#
#   compare_aarch64.sh NATIVE_PROGRAM SOURCE_DIR WORK_DIR INCLUDE_DIR
set -eu
native=$1 source=$2 work=$3 include=$4

skip() { echo "SKIP: $*" >&2; exit 77; }
command -v aarch64-linux-gnu-g++ >/dev/null || skip "no aarch64-linux-gnu-g++ (CROSS=1 tools/install_deps.sh installs it)"
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || skip "no qemu-aarch64 (CROSS=1 tools/install_deps.sh)"

# The headers of Highway and fmt do not depend on the machine; the rest of the native include folder does.
mkdir -p "$work/include"
for library in hwy fmt; do ln -sfn "$include/$library" "$work/include/$library"; done

# In one compilation, whose headers are read once; kernels on their own.
kernels() { ls "$source"/src/simd/rans_kernels*.cc | grep -v _test.cc; }
others() {
  for part in codec/gaussian_arrays codec/gaussian_block codec/activation_coder codec/residual_kernels codec/row_matcher \
      format/dtype base/bytes base/status; do
    echo "$source/src/$part.cc"
  done
  ls "$source"/src/codec/chunk_*.cc "$source"/src/rans/*.cc "$source"/src/prob/*.cc | grep -v _test.cc
  echo "$source/tests/aarch64/coder_digest.cc"
}
others | sed 's/.*/#include "&"/' >"$work/coder_digest_aarch64.cc"
# shellcheck disable=SC2046
aarch64-linux-gnu-g++ -std=c++20 -O2 -Wall -Wextra -ffp-contract=off -static -DFMT_HEADER_ONLY -DHWY_COMPILE_ONLY_STATIC \
  -I "$source/src" -I "$work/include" -o "$work/coder_digest" "$work/coder_digest_aarch64.cc" $(kernels)

expected=$("$native")
got=$("$emulator" "$work/coder_digest")
echo "native $expected, aarch64 $got"
[ "$expected" = "$got" ]

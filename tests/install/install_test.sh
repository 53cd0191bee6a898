#!/bin/sh
# install_test.sh BUILD SOURCE: installs the part "sdk" of a build into a scratch folder and uses it from outside.
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
pack=$source/tests/golden/decode/static.pack

cmake --install "$build" --prefix "$prefix" --component sdk >/dev/null
cp -r "$source/tests/install/foreign" "$scratch/foreign"
cp "$source/examples/01_encode_a_tensor.cc" "$source/examples/02_stream_tokens.c" "$scratch/foreign"
for linkage in shared static; do
  cmake -S "$scratch/foreign" -B "$scratch/$linkage" -DCMAKE_PREFIX_PATH="$prefix" -DLINKAGE=$linkage >/dev/null
  cmake --build "$scratch/$linkage" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
  "$scratch/$linkage/encode"
  "$scratch/$linkage/stream" "$pack"
done

libraries=$(dirname "$(find "$prefix" -name sluice.pc)")
flags=$(PKG_CONFIG_PATH="$libraries" pkg-config --define-variable=prefix="$prefix" --cflags --libs sluice)
# $flags is a list of words.
cc -std=c99 -Wall -Wextra -Werror "$scratch/foreign/02_stream_tokens.c" $flags -o "$scratch/from_pkg_config"
LD_LIBRARY_PATH=$(dirname "$libraries") "$scratch/from_pkg_config" "$pack"

# Nothing but the C interface, under a version, leaves the shared library.
library=$(find "$prefix" -name 'libsluice.so')
others=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -v '^sluice_.*@@SLUICE_0\.1$' | grep -v '^SLUICE_0' || true)
if [ -n "$others" ]; then
  echo "exported without leave: $others"
  exit 1
fi

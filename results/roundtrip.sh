#!/bin/sh
# Decoded integers equal the encoded ones: every stream is decoded by another process, which compares the checksum of every
# frame's integers and refuses on the first difference.
#   roundtrip.sh PROGRAM CODEC HIDDEN [HIDDEN_OF_BATCH_8]     each HIDDEN is a .safetensors of hidden states at the codec's cut
set -eu
program=$1
codec=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for hidden in "$@"; do
  for chunk in 1 2 255 256 257; do
    "$program" encode -q --threads 1 --hidden "$hidden" --codec "$codec" --chunk $chunk --out "$work/stream.slc" >"$work/encoded"
    printf 'T %-4s %s' "$chunk" "$(sed 's|.*/stream.slc: ||' "$work/encoded")"
    "$program" decode -q --in "$work/stream.slc" --codec "$codec" --out "$work/decoded.safetensors" | sed -n 's|.*: \(.* verified\).*|  ->  \1|p'
  done
done

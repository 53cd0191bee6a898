#!/bin/sh
# The main job on shipped text: A encodes, B decodes and scores in another process, the table compares the rate with
# general codecs, and a codec trained for a minute shows its bits falling.
#
#   tools/demo.sh [program]     OUT=folder for what it writes, STEPS for the length of the training
set -eu
cd "$(dirname "$0")/.."

sluice=${1:-build/release/bin/sluice}
out=${OUT:-out/demo}
model=models/default
codec=models/default-codec
text=models/shakespeare-heldout.txt
for need in "$sluice" "$model" "$codec" "$text"; do
  if [ ! -e "$need" ]; then
    echo "demo: $need is missing; run make demo in a complete checkout" >&2
    exit 1
  fi
done
mkdir -p "$out"
rm -rf "$out/codec"
# A codec is never trained on the text that it is scored on: the first half trains, the second half is sent.
lines=$(wc -l <"$text")
head -n "$((lines / 2))" "$text" >"$out/train.txt"
tail -n "+$((lines / 2 + 1))" "$text" >"$out/sent.txt"

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() {
  printf '$ sluice %s\n' "$*"
  "$sluice" "$@"
}

step "1. Device A: run the layers before the cut and write the stream"
run encode --model "$model" --codec "$codec" --text "$out/sent.txt" --out "$out/text.slc"
run inspect "$out/text.slc"

step "2. Device B, another process: read the stream, run the layers after the cut, score the text"
run decode --model "$model" --codec "$codec" --in "$out/text.slc" --text "$out/sent.txt"

step "3. The same hidden states in general codecs"
run eval --model "$model" --codec "$codec" --text "$out/sent.txt" --report "$out/eval.html"

step "4. Train a codec from scratch for a minute"
run train --model "$model" --preset paper --mode frozen --lambda 0.002 --text "$out/train.txt" \
  --steps "${STEPS:-300}" --out "$out/codec" --report "$out/train.html"

step "Reports to open in a browser"
printf '  %s\n  %s\n' "$out/eval.html" "$out/train.html"

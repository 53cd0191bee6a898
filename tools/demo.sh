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
# Neither text was seen when the model and the codec were made; the demonstration trains on one, scores on the other.
train=models/text/shakespeare-select.txt
sent=models/text/shakespeare-report.txt
for need in "$sluice" "$model" "$codec" "$train" "$sent"; do
  if [ ! -e "$need" ]; then
    echo "demo: $need is missing; run make demo in a complete checkout" >&2
    exit 1
  fi
done
mkdir -p "$out"
rm -rf "$out/codec"

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() {
  printf '$ sluice %s\n' "$*"
  "$sluice" "$@"
}

step "1. Device A: run the layers before the cut and write the stream"
run encode --model "$model" --codec "$codec" --text "$sent" --out "$out/text.slc"
run inspect "$out/text.slc"

step "2. Device B, another process: read the stream, run the layers after the cut, score the text"
run decode --model "$model" --codec "$codec" --in "$out/text.slc" --text "$sent"

step "3. Rate and quality beside the uncut model and general codecs on the same hidden states"
run eval --model "$model" --codec "$codec" --text "$sent" --html "$out/eval.html"

step "4. Train a codec from scratch for a minute and watch its bits fall"
run train --model "$model" --lambda 1e-3 --text "$train" --steps "${STEPS:-100}" --warmup 20 --rate-only-share 0.7 \
  --eval-every 25 --select-share 0.1 --out "$out/codec" --html "$out/train.html"
run eval --model "$model" --codec "$out/codec" --text "$sent" --max-tokens 10000 --no-baselines

step "Reports to open in a browser"
printf '  %s\n  %s\n' "$out/eval.html" "$out/train.html"

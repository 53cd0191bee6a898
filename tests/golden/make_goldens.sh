#!/bin/sh
# Makes the references of tests/golden/NAME from a model of this repository, with the program's own verbs:
#
#   tests/golden/make_goldens.sh NAME MODEL CUT TEXT PROMPT [CODEC]
#   tests/golden/make_goldens.sh default models/default 3 short.txt 'ROMEO:' models/default-codec
#
# MODEL and CODEC are folders, named from the root of the source. TEXT should be short (hidden states are kept as
# float32) and hold what tokenizers trip over: white space, digits, letters that are not ASCII. SLUICE names the
# program, by default that of the preset release. Run it again only when answers change on purpose, and say why in the
# commit: these files are what shows that they changed.
set -eu
if [ $# -lt 5 ]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 model=$2 cut=$3 text=$4 prompt=$5 codec=${6:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
sluice=${SLUICE:-$root/build/release/bin/sluice}
out=$root/tests/golden/$name
greedy_tokens=32
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir -p "$out"
cp "$text" "$out/text.txt"
cd "$root"

# $1: cut, $2: file
hidden() {
  "$sluice" encode --model "$model" --codec fp32 --cut "$1" --text "$out/text.txt" --threads 1 --quiet \
    --out "$scratch/states.slc" >/dev/null
  "$sluice" decode --in "$scratch/states.slc" --out "$out/$2" >/dev/null
}
# $1: codec, $2: file. Times are left out: they say nothing about the answers.
evaluate() {
  "$sluice" eval --model "$model" --codec "$1" --cut "$cut" --text "$out/text.txt" --no-baselines --threads 1 --json |
    grep -v us_per_token >"$out/$2"
}

hidden 0 embeddings.safetensors
hidden "$cut" hidden.safetensors
evaluate fp32 evaluation.json
"$sluice" generate --model "$model" --prompt "$prompt" --max-tokens "$greedy_tokens" --temperature 0 --threads 1 --json |
  sed -z 's/,\n *"seconds": [^,}\n]*//' >"$out/generation.json"
if [ -n "$codec" ]; then
  evaluate "$codec" codec-evaluation.json
  printf '{"model": "%s", "codec": "%s", "cut": %s}\n' "$model" "$codec" "$cut" >"$out/golden.json"
else
  printf '{"model": "%s", "cut": %s}\n' "$model" "$cut" >"$out/golden.json"
fi

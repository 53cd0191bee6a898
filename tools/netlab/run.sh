#!/bin/bash
# A network laboratory on one machine: head and tail in network namespaces of their own, and between them a link with
# the rate, delay, jitter and loss of a profile. Nothing leaves the machine. For every profile, codec and length of
# prompt it generates text and keeps what the program reports, one file a run, so that the same command goes on where it
# stopped. At the end it prints the table; OUT/report.html has the plots.
#
#   tools/netlab/run.sh --model DIR --layers K --text FILE --out DIR [--codecs 'fp16 int8 ...'] [--profiles 'lan dsl ...']
#                       [--prompts '64 512'] [--new-tokens N] [--rounds N] [--build DIR]
#
#   --codecs      codecs of the link: plain ones, packs, folders of trained codecs   (fp32 fp16 int8 q80 zstd:3)
#   --profiles    lan 100-20 dsl lte 1mbit satellite wifi, or UP/DOWN/DELAY/JITTER/LOSS in Mbit/s, ms and percent
#   --prompts     lengths of the prompt in tokens, cut from --text                   (64 512)
#   --new-tokens  tokens to generate                                                (32)
#   --rounds      runs of each, of which the report shows medians                   (3)
#
# Exit codes: 0, 1 when a run failed (the others are kept), 77 without root or /dev/net/tun: skipped.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
codecs="fp32 fp16 int8 q80 zstd:3" profiles="lan 100-20 dsl lte 1mbit satellite wifi" prompts="64 512"
new_tokens=32 rounds=3 build=$root/build/release model="" layers="" text="" out=""
command="tools/netlab/run.sh $*"
while [ $# -gt 0 ]; do
  case $1 in
    --codecs) codecs=$2 ;; --profiles) profiles=$2 ;; --prompts) prompts=$2 ;; --new-tokens) new_tokens=$2 ;;
    --rounds) rounds=$2 ;; --build) build=$2 ;; --model) model=$2 ;; --layers) layers=$2 ;; --text) text=$2 ;;
    --out) out=$2 ;; -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "run.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
  shift 2 || { echo "run.sh: $1 needs a value" >&2; exit 2; }
done
for required in model layers text out; do
  [ -n "${!required}" ] || { echo "run.sh: --$required is required (see --help)" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "run.sh: skipped: making network namespaces needs root" >&2; exit 77; }
[ -c /dev/net/tun ] || { echo "run.sh: skipped: no /dev/net/tun" >&2; exit 77; }
for program in sluice netlab_link netlab_report; do
  [ -x "$build/bin/$program" ] || { echo "run.sh: $build/bin/$program: not built" >&2; exit 2; }
done

head=lab$$h tail=lab$$t link_pid="" tail_pid="" failed=0
work=$(mktemp -d)
stop() { [ -z "${!1}" ] || { kill "${!1}" && wait "${!1}"; } 2>/dev/null; printf -v "$1" ''; }
clean() {
  stop tail_pid; stop link_pid
  ip netns del "$head" 2>/dev/null; ip netns del "$tail" 2>/dev/null
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
ip netns add "$head" && ip netns add "$tail" || exit 1
mkdir -p "$out/runs"
echo "$command" > "$out/command.txt"

# Mbit/s up and down, delay one way, jitter, loss: round numbers for the kind of link.
profile() {
  case $1 in
    lan) echo 1000 1000 0.2 0 0 ;;        100-20) echo 20 100 10 1 0 ;;
    dsl) echo 2 16 15 2 0 ;;              lte) echo 10 30 25 15 0 ;;
    1mbit) echo 1 1 20 0 0 ;;             satellite) echo 5 50 300 5 0 ;;
    wifi) echo 20 20 3 10 2 ;;            */*/*/*/*) echo "${1//\// }" ;;
    *) echo "run.sh: no profile '$1'" >&2; exit 2 ;;
  esac
}
start_link() {
  stop link_pid
  : > "$work/link"  # the last link said "ready" too
  "$build/bin/netlab_link" --a "$head" --b "$tail" --up-mbit "$1" --down-mbit "$2" --delay-ms "$3" --jitter-ms "$4" \
    --loss-percent "$5" --queue-ms 1000 > "$work/link" 2>&1 &
  link_pid=$!
  until grep -q ready "$work/link"; do kill -0 $link_pid 2>/dev/null || { cat "$work/link" >&2; exit 1; }; sleep 0.05; done
  ip -n "$head" addr add 10.200.0.1 peer 10.200.0.2 dev lab0
  ip -n "$tail" addr add 10.200.0.2 peer 10.200.0.1 dev lab0
  for end in "$head" "$tail"; do ip -n "$end" link set lo up; ip -n "$end" link set lab0 up; done
}
start_tail() {
  stop tail_pid
  ip netns exec "$tail" "$build/bin/sluice" serve -m "$model" --layers "$layers:" --codec "$1" \
    --listen 10.200.0.2:7070 --no-tls --log info > "$work/tail" 2>&1 &
  tail_pid=$!
  for _ in $(seq 200); do
    ip netns exec "$tail" bash -c 'exec 3<> /dev/tcp/10.200.0.2/7070' 2>/dev/null && return 0
    kill -0 $tail_pid 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/tail" >&2
  return 1
}
processor_seconds() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"; }

total=$(($(wc -w <<< "$profiles") * $(wc -w <<< "$codecs") * $(wc -w <<< "$prompts") * rounds)) number=0
for link in $profiles; do
  settings=$(profile "$link") || exit 2
  linked=""
  for codec in $codecs; do
    served=""
    for prompt in $prompts; do
      for round in $(seq "$rounds"); do
        number=$((number + 1))
        name=$(tr -c 'A-Za-z0-9.\n' _ <<< "$link-$(basename "$codec")-$prompt-$round")
        [ -s "$out/runs/$name.json" ] && continue
        printf '\r[%d/%d] %s   ' "$number" "$total" "$name" >&2
        [ -n "$linked" ] || { start_link $settings; linked=1; }
        [ -n "$served" ] || { start_tail "$codec" || { failed=1; break 2; }; served=1; }
        before=$(processor_seconds "$tail_pid")
        TIMEFORMAT='%U %S'
        { time ip netns exec "$head" "$build/bin/sluice" generate -m "$model" --layers ":$layers" --codec "$codec" \
            --connect 10.200.0.2:7070 --no-tls -f "$text" --prompt-tokens "$prompt" -n "$new_tokens" --temperature 0 --json \
            > "$work/result" 2> "$work/error"; } 2> "$work/time"
        code=$?
        if [ $code -ne 0 ]; then
          [ $code -eq 130 ] && exit 130
          echo "run.sh: $name: $(tail -1 "$work/error")" >&2
          failed=1
          continue
        fi
        read -r user system < <(tail -1 "$work/time")
        printf '{"profile":"%s","settings":"%s","codec":"%s","prompt":%d,"round":%d,"head_cpu":%s,"tail_cpu":%s,"result":%s}\n' \
          "$link" "$settings" "$(basename "$codec")" "$prompt" "$round" "$(awk "BEGIN { print $user + $system }")" \
          "$(awk "BEGIN { print $(processor_seconds "$tail_pid") - $before }")" "$(cat "$work/result")" > "$work/run"
        mv "$work/run" "$out/runs/$name.json"
      done
    done
    stop tail_pid
  done
done
printf '\n' >&2
"$build/bin/netlab_report" "$out" --html "$out/report.html" --csv "$out/table.csv" || failed=1
exit $failed

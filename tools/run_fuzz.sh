#!/bin/sh
# Runs the fuzz targets in turns, slice by slice, one process at a time, until each has had the processor for the
# time asked for in all its runs together (on a busy machine that takes longer). Everything is kept in the build folder, so it goes on where it stopped:
#
#   fuzz-corpus/<target>    inputs that found something new
#   fuzz-findings/<target>  inputs that broke something
#   fuzz-log.jsonl          one line a slice: target, processor seconds, seconds, executions, findings, revision
#
# At the end, or when interrupted, prints the table of accumulated minutes and writes fuzz/results/<date>.json.
#
#   tools/run_fuzz.sh [--minutes N] [--slice SECONDS] [--build FOLDER] [--table] [--minimize] [target...]
#
#   --minutes N      minutes of processor time for each target, those of earlier runs included (20)
#   --slice SECONDS  length of a turn on the clock (120)
#   --build FOLDER   use the targets built there; otherwise the preset fuzz is configured and built
#   --table          run nothing: print the table and write the results
#   --minimize       run nothing: add to fuzz/corpus what widens its coverage, small inputs only
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
minutes=20
slice=120
build=""
mode=run
targets=""
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=$2; shift ;;
    --slice) slice=$2; shift ;;
    --build) build=$2; shift ;;
    --table) mode=table ;;
    --minimize) mode=minimize ;;
    -*) echo "unknown option $1" >&2; exit 2 ;;
    *) targets="$targets $1" ;;
  esac
  shift
done

if [ -z "$build" ]; then
  build=$root/build/fuzz
  (cd "$root" && cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_targets --parallel "${JOBS:-2}")
fi
log=$build/fuzz-log.jsonl
times=$build/fuzz-times.$$
touch "$log"
if [ -z "$targets" ]; then
  for source in "$root"/fuzz/fuzz_*.cc; do
    name=$(basename "$source" .cc)
    [ -x "$build/bin/$name" ] && targets="$targets ${name#fuzz_}"
  done
fi
revision=${FUZZ_REVISION:-$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)}

# The log added up: "target, processor seconds, executions, findings, seconds on the clock" for each target in it.
totals() {
  sed 's/[{}",]/ /g; s/:/ /g' "$log" | awk '
    { delete field
      for (i = 1; i < NF; i += 2) field[$i] = $(i + 1)
      t = field["target"]; seconds[t] += field["cpu"]; clock[t] += field["seconds"]; runs[t] += field["executions"]; found[t] += field["findings"] }
    END { for (t in seconds) print t, seconds[t], runs[t], found[t], clock[t] }' | sort
}
seconds_of() { totals | awk -v t="$1" '$1 == t { s = $2 } END { print s + 0 }'; }

report() {
  totals | awk 'BEGIN { printf "%-16s %9s %9s %12s %9s\n", "target", "processor", "clock", "executions", "findings" }
                { printf "%-16s %9.1f %9.1f %12d %9d\n", $1, $2 / 60, $5 / 60, $3, $4 }'
  mkdir -p "$root/fuzz/results"
  result=$root/fuzz/results/$(date -u +%Y-%m-%d).json
  totals | awk -v revision="$revision" -v date="$(date -u +%Y-%m-%d)" '
    BEGIN { printf "{\n  \"date\": \"%s\",\n  \"revision\": \"%s\",\n  \"targets\": [", date, revision }
    { printf "%s\n    {\"target\": \"%s\", \"processor_minutes\": %.1f, \"clock_minutes\": %.1f, " \
                    "\"executions\": %d, \"findings\": %d}", (NR > 1 ? "," : ""), $1, $2 / 60, $5 / 60, $3, $4 }
    END { printf "\n  ]\n}\n" }' > "$result"
  echo "written to $result"
}

fuzzer() {  # target, then options and folders
  target=$1
  shift
  set -- -malloc_limit_mb=256 -rss_limit_mb=2048 -timeout=30 -report_slow_units=30 "-artifact_prefix=$build/fuzz-findings/$target/" "$@"
  [ -f "$root/fuzz/$target.dict" ] && set -- "-dict=$root/fuzz/$target.dict" "$@"
  nice -n 19 "$build/bin/fuzz_$target" "$@"
}

# Processor seconds of all that has run and ended, from what the shell wrote to a file (in no subshell: that would
# count its own children).
children_seconds() {
  sed -n 2p "$times" | sed 's/[ms]/ /g' | awk '{ printf "%d", 60 * ($1 + $3) + $2 + $4 }'
}

run_slice() {
  target=$1
  mkdir -p "$build/fuzz-corpus/$target" "$build/fuzz-findings/$target" "$root/fuzz/corpus/$target"
  output=$build/fuzz-findings/$target.log
  before=$(ls "$build/fuzz-findings/$target" | wc -l)
  begin=$(date +%s)
  times > "$times"
  used=$(children_seconds)
  fuzzer "$target" -max_total_time="$slice" -print_final_stats=1 "$build/fuzz-corpus/$target" \
    "$root/fuzz/corpus/$target" > "$output" 2>&1 || true
  times > "$times"
  used=$(($(children_seconds) - used))
  spent=$(($(date +%s) - begin))
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$output" | tail -1)
  found=$(($(ls "$build/fuzz-findings/$target" | wc -l) - before))
  if [ "$found" -gt 0 ]; then
    cp "$output" "$build/fuzz-findings/$target.$(date -u +%Y%m%dT%H%M%S).log"
    echo "$target: a finding, see $output"
  elif [ -z "$executions" ]; then
    echo "$target: did not run, see $output"
    sleep 5
    return 0
  fi
  printf '{"target":"%s","cpu":%d,"seconds":%d,"executions":%d,"findings":%d,"revision":"%s"}\n' \
    "$target" "$used" "$spent" "${executions:-0}" "$found" "$revision" >> "$log"
}

minimize() {
  target=$1
  seeds=$root/fuzz/corpus/$target
  mkdir -p "$seeds" "$build/fuzz-corpus/$target" "$build/fuzz-findings/$target"
  small=$(mktemp -d)
  # At most 4 KB an input, and 64 KB in all, small ones first.
  find "$build/fuzz-corpus/$target" -type f -size -4097c -exec cp {} "$small" \;
  merged=$(mktemp -d)
  cp "$seeds"/* "$merged" 2>/dev/null || true
  fuzzer "$target" -merge=1 "$merged" "$small" > "$build/fuzz-findings/$target.merge.log" 2>&1
  total=0
  ls -Sr "$merged" | while read -r name; do
    [ -e "$seeds/$name" ] && continue
    total=$((total + $(wc -c < "$merged/$name")))
    [ "$total" -gt 65536 ] && break
    cp "$merged/$name" "$seeds/$name"
  done
  rm -r "$small" "$merged"
  echo "$target: $(ls "$seeds" | wc -l) inputs"
}

case $mode in
  minimize)
    for target in $targets; do minimize "$target"; done
    exit 0 ;;
  table)
    report
    exit 0 ;;
esac

trap 'rm -f "$times"' EXIT
trap 'report; exit 130' INT TERM
while :; do
  ran=0
  for target in $targets; do
    [ "$(seconds_of "$target")" -ge $((minutes * 60)) ] && continue
    run_slice "$target"
    ran=1
  done
  [ "$ran" -eq 0 ] && break
done
report
totals | awk '{ found += $4 } END { exit found > 0 }'

#!/bin/sh
# Reads JUnit files as ctest writes them and prints, for each, how many tests passed, failed and were skipped, every
# failed test by name, and every reason for skipping with the number of tests that gave it. Exits with 1 when a file is
# missing or empty, or a test failed.
set -eu

status=0
for report in "$@"; do
  name=$(basename "$(dirname "$report")")
  if [ ! -s "$report" ]; then
    printf '%s: no report at %s\n' "$name" "$report"
    status=1
    continue
  fi
  awk -v name="$name" '
    function attribute(line, key,    from) {
      from = index(line, " " key "=\"")
      if (!from) return ""
      line = substr(line, from + length(key) + 3)
      return substr(line, 1, index(line, "\"") - 1)
    }
    function plain(text) {
      gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "\x27", text)
      gsub(/&#27;\[[0-9;]*m/, "", text); gsub(/&amp;/, "\\&", text)
      return text
    }
    /<testcase / { test = plain(attribute($0, "name")); status = attribute($0, "status"); reason = ""; next_is_reason = 0 }
    # GoogleTest prints "file:line: Skipped" and the reason on the lines that follow; other tests print "SKIP: reason".
    next_is_reason && reason == "" && $0 !~ /^[ \t]*$/ { reason = plain($0); next_is_reason = 0 }
    /: Skipped$/ { next_is_reason = 1 }
    /SKIP: / && reason == "" { reason = plain(substr($0, index($0, "SKIP: ") + 6)) }
    /<\/testcase>/ {
      if (status == "run") passed++
      else if (status == "fail") { failed++; failures[failed] = test }
      else {
        skipped++
        if (reason == "") reason = status == "disabled" ? "disabled" : "no reason given"
        if (!(reason in count)) { order[++reasons] = reason; example[reason] = test }
        count[reason]++
      }
    }
    END {
      printf "%s: %d passed, %d failed, %d skipped\n", name, passed, failed, skipped
      if (passed + failed == 0) print "  FAILED no test ran"
      for (i = 1; i <= failed; i++) printf "  FAILED %s\n", failures[i]
      for (i = 1; i <= reasons; i++) printf "  skipped %d: %s (%s%s)\n", count[order[i]], order[i], example[order[i]], \
          (count[order[i]] > 1 ? " and others" : "")
      exit failed > 0 || passed + failed == 0
    }' "$report" || status=1
done
exit "$status"

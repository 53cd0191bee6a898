#!/bin/sh
# Configures, builds and tests each preset named, then counts what passed, failed and was skipped.
# The exit code is 0 only when every preset built, no test failed, and at least one test ran in each.
set -eu
cd "$(dirname "$0")/.."

# Tests run side by side: a thread that waits must leave its core to the others.
export OMP_WAIT_POLICY=PASSIVE

jobs=${JOBS:-2}
failed=0
reports=""
for preset in "$@"; do
  printf '\n== %s ==\n' "$preset"
  report="build/$preset/tests.xml"
  rm -f "$report"
  cmake --preset "$preset"
  cmake --build --preset "$preset" --parallel "$jobs"
  ctest --preset "$preset" --parallel "$jobs" --no-tests=error --output-junit tests.xml </dev/null || failed=1
  reports="$reports $report"
done

printf '\n== summary ==\n'
# shellcheck disable=SC2086 # the list is words
tools/summarize_tests.sh $reports || failed=1
exit "$failed"

#!/bin/sh
# Tests tools/summarize_tests.sh on reports as ctest writes them.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/dev" "$folder/asan"

cat >"$folder/dev/tests.xml" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux" tests="4" failures="1" disabled="0" skipped="2">
	<testcase name="ATest.Passes" classname="ATest.Passes" time="0.1" status="run">
		<system-out>fine</system-out>
	</testcase>
	<testcase name="ATest.RejectsA&lt;B&gt;" classname="x" time="0.1" status="fail">
		<failure message="">
		</failure>
		<system-out>wrong</system-out>
	</testcase>
	<testcase name="GoldenTest.One" classname="x" time="0.1" status="notrun">
		<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
		<system-out>[ RUN      ] GoldenTest.One
src/text/golden_test.cc:12: Skipped
no references at &quot;golden&quot;
[  SKIPPED ] GoldenTest.One (0 ms)
</system-out>
	</testcase>
	<testcase name="GoldenTest.Two" classname="x" time="0.1" status="notrun">
		<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
		<system-out>src/text/golden_test.cc:12: Skipped
no references at &quot;golden&quot;
</system-out>
	</testcase>
	<testcase name="house.docs_verbs" classname="x" time="0.1" status="notrun">
		<skipped message="SKIP_RETURN_CODE=77"/>
		<system-out>SKIP: sluice is not built
</system-out>
	</testcase>
</testsuite>
XML

fail() {
  echo "summary_test: $1" >&2
  exit 1
}

code=0
got=$(tools/summarize_tests.sh "$folder/dev/tests.xml") || code=$?
want='dev: 1 passed, 1 failed, 3 skipped
  FAILED ATest.RejectsA<B>
  skipped 2: no references at "golden" (GoldenTest.One and others)
  skipped 1: sluice is not built (house.docs_verbs)'
[ "$got" = "$want" ] || fail "got
$got
expected
$want"
[ "$code" -eq 1 ] || fail "exit code $code with a failed test, expected 1"

sed -e '/ATest.RejectsA/,/<\/testcase>/d' "$folder/dev/tests.xml" >"$folder/asan/tests.xml"
tools/summarize_tests.sh "$folder/asan/tests.xml" >/dev/null || fail "exit code $? without a failed test, expected 0"

sed -i -e '/<testcase/,/<\/testcase>/d' "$folder/asan/tests.xml"
! tools/summarize_tests.sh "$folder/asan/tests.xml" >/dev/null || fail "no test ran, and the exit code is 0"
! tools/summarize_tests.sh "$folder/none.xml" >/dev/null || fail "no report, and the exit code is 0"

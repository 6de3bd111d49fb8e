#!/bin/sh
# Runs the tests of a build and ends with one line "N passed, N failed, N skipped" that counts test cases; fails if one failed.
#
#   sh tests/run.sh BUILD                      everything: each test once, the gpu tests on each driver of the test bed, then the
#                                              sanitizer and clang builds, which live in BUILD/asan, BUILD/tsan and BUILD/clang
#   sh tests/run.sh BUILD [-d DRIVER] TEST...  some tests, on one driver if given (sh tests/testbed.sh list BUILD/testbed)
#
# A test prints TAP, as cmocka does when asked: "ok 1 - name", "not ok 2 - name", or "skip: reason" and "not ok 3 # SKIP name".
# Exit code 77 skips a whole program. A crash, a time-out, no result, or a message of the validation layer is a failure.
set -eu

if [ ! -e "${1:-}/tests.list" ]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
shift
only_driver=
if [ "${1:-}" = -d ]; then only_driver=$2 && shift 2; fi
only_tests=$*
bed=$build/testbed
logs=$build/test-logs
tab=$(printf '\t')
rm -rf "$logs"
mkdir -p "$logs"
: > "$logs/totals" # one line per run of a program: passed failed skipped
: > "$logs/failed"
: > "$logs/wanted" # drivers
: > "$logs/queue"

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# Counts one TAP output: "passed failed skipped note", then lines "skip COUNT REASON". A plan not kept: the program died on its way.
count() {
  awk '
    /^1\.\.[0-9]+$/ { plan += substr($0, 4) }
    /^skip: / { reason = substr($0, 7) }
    /^(not )?ok [0-9]+ .*# SKIP/ { seen++; skipped++; why[reason == "" ? "no reason given" : reason]++; reason = ""; next }
    /^ok [0-9]+/ { seen++; passed++ }
    /^not ok [0-9]+/ { seen++; failed++ }
    /Validation (Error|Warning)|VUID-|SYNC-HAZARD/ { messages++ }
    END {
      if (seen < plan) { failed++; note = note "; ended after " seen + 0 " of " plan " cases" }
      if (messages) { failed++; note = note "; the validation layer objects" }
      printf "%d %d %d %s\n", passed, failed, skipped, substr(note, 3)
      for (r in why) printf "skip %d %s\n", why[r], r
    }' "$1"
}

run_one() { # TITLE SECONDS COMMAND...
  title=$1 limit=$2 log=$logs/$(printf %s "$1" | tr -c 'A-Za-z0-9.-' _).log
  shift 2
  start=$(milliseconds) rc=0
  CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$limit" "$@" > "$log" 2>&1 < /dev/null &
  child=$!
  wait $child || rc=$?
  ms=$(($(milliseconds) - start))
  seconds=$((ms / 1000)).$((ms / 100 % 10))
  count "$log" > "$log.counts"
  read -r passed failed skipped note < "$log.counts"
  case $rc in
    0) ;;
    77) skipped=$((skipped + 1)) && echo "skip 1 $(sed -n 's/^skip: //p' "$log" | tail -n 1)" >> "$log.counts" ;;
    124 | 137) failed=$((failed + 1)) note="time-out after $limit s" ;;
    *) [ "$failed" -gt 0 ] || { failed=1 && note="exit code $rc"; } ;;
  esac
  if [ $((passed + failed + skipped)) = 0 ]; then failed=1 note="no result"; fi
  echo "$passed $failed $skipped $title" >> "$logs/totals"
  report > "$log.report"
  cat "$log.report" # at once, so that reports of several tests do not mix
}

report() {
  if [ "$failed" -gt 0 ]; then
    sed 's/^/    | /' "$log"
    printf 'FAILED %6s s  %s: %d passed, %d failed%s\n' "$seconds" "$title" "$passed" "$failed" "${note:+ ($note)}" | tee -a "$logs/failed"
  else
    printf 'ok     %6s s  %s: %d passed\n' "$seconds" "$title" "$passed"
  fi
  sed -n 's/^skip \([0-9]*\) /                 \1 skipped: /p' "$log.counts"
}

skip() { # WHAT: a part of the tests that cannot run here
  echo "0 0 1" >> "$logs/totals"
  echo "skipped          $1"
}

fail() { # WHAT: of the whole, not of one program
  echo "0 1 0" >> "$logs/totals"
  echo "FAILED           $1" | tee -a "$logs/failed"
}

# Rows of BUILD/tests.list (name, labels, seconds, command) of which all of the labels hold; "!x" stands for "not x".
tests() { # BUILD LABEL...
  awk -F '\t' -v labels="$(shift && echo "$*")" -v only="$only_tests" '
    BEGIN { n = split(labels, want, " "); m = split(only, names, " ") }
    {
      good = m == 0
      for (i = 1; i <= m; i++) if ($1 == names[i]) good = 1
      for (i = 1; i <= n; i++) {
        name = want[i]; no = sub(/^!/, "", name)
        if ((index("," $2 ",", "," name ",") > 0) == no) good = 0
      }
    }
    good' "$1/tests.list"
}

# Tests wait in a queue, a line each (title, seconds, command, all parted by tabs), until as many workers as there are processors run them.
queue() { # TITLE COMMAND...: each row of standard input, run by COMMAND
  suffix=$1
  shift
  before=$(printf '%s\t' "$@")
  while IFS=$tab read -r name _ limit command; do
    printf '%s\t%s\t%s%s\n' "$name$suffix" "$limit" "$before" "$command"
  done >> "$logs/queue"
}

work() {
  trap 'kill $child; exit 1' TERM
  n=0
  while IFS= read -r line; do
    n=$((n + 1))
    mkdir "$logs/taken/$n" 2> /dev/null || continue # another worker's
    IFS=$tab
    set -f
    # shellcheck disable=SC2086 # fields are parted by tabs
    set -- $line
    unset IFS
    run_one "$@"
  done < "$logs/sorted"
}

drain() { # the longest first: time limits tell which these are
  sort -s -t "$tab" -k 2,2nr "$logs/queue" > "$logs/sorted"
  : > "$logs/queue"
  rm -rf "$logs/taken"
  mkdir "$logs/taken"
  workers=
  for _ in $(seq "$(nproc)"); do
    work &
    workers="$workers $!"
  done
  # shellcheck disable=SC2086 # a list
  trap 'kill $workers 2> /dev/null; exit 130' INT TERM
  wait
  trap - INT TERM
}

# A second build of the same tree and some of its tests.
variant() { # NAME "CMAKE OPTIONS" LABEL...
  name=$1 options=$2 dir=$build/$1
  shift 2
  # shellcheck disable=SC2016,SC2086 # the inner shell expands; a list of options
  run_one "$name build" 1800 sh -ec 'dir=$1 && shift
    echo 1..1
    [ -e "$dir/build.ninja" ] || cmake -S "$0" -B "$dir" -G Ninja -DPUMICE_TESTS=ON "$@"
    ninja -C "$dir" --quiet
    echo ok 1 - builds' "$top" "$dir" $options
  if [ "$failed" -gt 0 ] || [ $# = 0 ]; then return 0; fi
  # shellcheck disable=SC2086 # no word where it does not work
  tests "$dir" "$@" | queue " [$name]" $fixed_addresses env UBSAN_OPTIONS=print_stacktrace=1
  drain
}

cd "$build"
if [ -z "$only_driver" ]; then tests "$build" '!gpu' | queue '' env; fi

if [ -n "$(tests "$build" gpu)" ]; then
  sh "$top/tests/testbed.sh" fetch "$bed"
  sh "$top/tests/testbed.sh" list "$bed" > "$logs/drivers"
  while IFS=$tab read -r driver what; do
    if [ "$driver" = skip ]; then
      skip "$what"
    elif [ -z "$only_driver" ] || [ "$driver" = "$only_driver" ]; then
      without=
      case $driver in # whole models at one subgroup size; what compiles long on one lavapipe
        lvp) without='!newest !one' ;;
        lvp25-4 | lvp25-16) without='!model !newest !one' ;;
        swiftshader) without='!one' ;;
      esac
      # lavapipe's optimizer takes longer than what it could save here
      # shellcheck disable=SC2086 # words, or none
      tests "$build" gpu $without | queue " [$what]" env PUMICE_TEST_DEVICE=0 GALLIVM_PERF=nopt sh "$top/tests/testbed.sh" run "$bed" "$driver"
      [ -n "$only_tests" ] || echo "$what" >> "$logs/wanted"
    fi
  done < "$logs/drivers"
fi
drain
while read -r what; do
  awk -v what="[$what]" 'index($0, what) { p += $1 + $2 } END { exit p > 0 }' "$logs/totals" && fail "no case ran on $what"
done < "$logs/wanted"

if [ -z "$only_driver$only_tests" ]; then
  fixed_addresses="setarch -R" # gcc 12's sanitizers cannot cope with the address ranges of newer kernels
  $fixed_addresses true 2> /dev/null || fixed_addresses=
  variant asan "-DPUMICE_SANITIZE=address,undefined -DPUMICE_VULKAN=OFF" !gpu !slow
  if [ -z "$fixed_addresses" ] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2> /dev/null || echo 0)" -gt 28 ]; then
    skip "the ThreadSanitizer build: addresses are random here, and setarch -R is not allowed"
  else
    variant tsan "-DPUMICE_SANITIZE=thread -DPUMICE_VULKAN=OFF" threads
  fi
  if command -v clang > /dev/null; then
    variant clang "-DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None -DPUMICE_SHADERS=$build/shaders" # warnings need no optimizer
  else
    skip "the clang build: no clang"
  fi
fi

if [ -s "$logs/failed" ]; then
  echo
  cat "$logs/failed"
fi
awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p + f + s == 0 }' "$logs/totals"

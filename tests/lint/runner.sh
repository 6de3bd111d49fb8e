#!/bin/sh
# What tests/run.sh makes of programs that end in every way. Prints TAP.
#   sh tests/lint/runner.sh TOP
set -eu
top=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

n=0
# expect NAME LAST_LINE SECONDS SCRIPT: the last line of a run of one test, which is this script; it fails exactly if a case failed.
expect() {
  n=$((n + 1)) code=0
  printf 'it\t-\t%s\tsh\t-c\t%s\n' "$3" "$4" > "$tmp/tests.list"
  sh "$top/tests/run.sh" "$tmp" it > "$tmp/out" 2>&1 || code=$?
  case $2 in *" passed, 0 failed, "*) want=0 ;; *) want=1 ;; esac
  if [ "$(tail -n 1 "$tmp/out")" = "$2" ] && [ $code = $want ]; then
    echo "ok $n - $1"
  else
    sed 's/^/#   /' "$tmp/out"
    echo "not ok $n - $1: exit code $code"
  fi
}

expect "two cases" "2 passed, 0 failed, 0 skipped" 9 'echo 1..2; echo "ok 1 - a"; echo "ok 2 - b"'
expect "a case that fails" "1 passed, 1 failed, 0 skipped" 9 'echo "ok 1 - a"; echo "not ok 2 - b"; exit 1'
expect "a case that is skipped" "1 passed, 0 failed, 1 skipped" 9 'echo "ok 1 - a"; echo "skip: no cake"; echo "not ok 2 # SKIP b"'
expect "a program that is skipped" "0 passed, 0 failed, 1 skipped" 9 'echo "skip: no oven"; exit 77'
expect "two groups" "2 passed, 0 failed, 0 skipped" 9 'echo 1..1; echo "ok 1 - a"; echo 1..1; echo "ok 1 - b"'
expect "a crash" "1 passed, 1 failed, 0 skipped" 9 'echo 1..2; echo "ok 1 - a"; kill -SEGV $$'
expect "a crash after the last case" "1 passed, 1 failed, 0 skipped" 9 'echo 1..1; echo "ok 1 - a"; kill -SEGV $$'
expect "an end before the last case" "1 passed, 1 failed, 0 skipped" 9 'echo 1..2; echo "ok 1 - a"'
expect "a time-out" "1 passed, 1 failed, 0 skipped" 1 'echo "ok 1 - a"; sleep 60'
expect "no result" "0 passed, 1 failed, 0 skipped" 9 ':'
expect "an exit code" "1 passed, 1 failed, 0 skipped" 9 'echo "ok 1 - a"; exit 3'
expect "a message of the validation layer" "1 passed, 1 failed, 0 skipped" 9 'echo "Validation Error: [ VUID-vkCmdDispatch-None ]"; echo "ok 1 - a"'

# Asked to end, the runner takes its tests along.
n=$((n + 1))
printf 'it\t-\t60\tsh\t-c\techo $$ > "%s/pid"; exec sleep 60\n' "$tmp" > "$tmp/tests.list"
sh "$top/tests/run.sh" "$tmp" it > "$tmp/out" 2>&1 &
runner=$!
for _ in $(seq 50); do [ -s "$tmp/pid" ] || sleep 0.1; done
kill $runner
wait $runner || true
for _ in $(seq 50); do ! kill -0 "$(cat "$tmp/pid")" 2> /dev/null || sleep 0.1; done
! kill -0 "$(cat "$tmp/pid")" 2> /dev/null || printf 'not '
echo "ok $n - ends with its tests"
echo "1..$n"

# For the tests of the command line: . check.sh TOP PUMICE. Prints TAP. Everything runs in an empty folder, which goes away at the end.
# shellcheck shell=sh disable=SC2034 # what the tests use
top=$1 pumice=$2
model=$top/apps/demo/pebble-q4_k_m.gguf golden=$top/tests/data/golden
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
unset NO_COLOR COLUMNS
export XDG_CACHE_HOME="$tmp/cache"

# The Vulkan loader finds no driver where its list of manifests is a file that is not there; device.sh wants drivers.
without_vulkan() { export VK_DRIVER_FILES="$tmp/none" VK_ICD_FILENAMES="$tmp/none"; }

n=0
result() { # NAME GOOD: 0 or 1 as an exit code; what was printed on the way is in $tmp/log
  n=$((n + 1))
  if [ "$2" = 0 ]; then
    echo "ok $n - $1"
  else
    sed 's/^/#   /' "$tmp/log"
    echo "not ok $n - $1"
    failures=1
  fi
  : > "$tmp/log"
}

check() { # NAME COMMAND...: good if the command is
  title=$1 rc=0
  shift
  "$@" >> "$tmp/log" 2>&1 || rc=1
  result "$title" $rc
}

# Runs pumice; leaves $code, and the files out and err.
run() {
  code=0
  "$pumice" "$@" > out 2> err < /dev/null || code=$?
  echo "pumice $*: exit code $code" >> "$tmp/log"
  cat out err >> "$tmp/log"
}

# Good if pumice ends with the code, says nothing on standard output, and at most two lines on standard error, with the words in them.
refuses() { # CODE WORDS ARGUMENTS...
  want=$1 words=$2
  shift 2
  run "$@"
  [ "$code" = "$want" ] && [ ! -s out ] && [ "$(wc -l < err)" -le 2 ] && grep -qF -- "$words" err
}

finish() {
  [ -z "${failures:-}" ]
}

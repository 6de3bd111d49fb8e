#!/bin/sh
# `pumice run` on every damaged file: exit code 2, at most two lines with the file's name and the right words, and quickly. Prints TAP.
#   sh tests/loader/damaged.sh TOP PUMICE CORRUPT_LIST
set -eu
# shellcheck source=tests/apps/check.sh
. "$1/tests/apps/check.sh"
maker=$3
tab=$(printf '\t')

mkdir files
"$maker" files > list
undamaged() { run run --device cpu --max-tokens 2 files/source.gguf Hi && [ "$code" = 0 ]; }
check "the undamaged file runs" undamaged

refuses_damaged() { # PATH WORD WORD
  refuses 2 "$(dirname "$1")/" run --device cpu --max-tokens 2 "$1" Hi && grep -qF -- "$2" err && grep -qF -- "$3" err
}

start=$(date +%s)
while IFS=$tab read -r path word word2; do
  check "$(basename "$(dirname "$path")")" refuses_damaged "$path" "$word" "$word2"
done < list
seconds=$(($(date +%s) - start))
echo "# $n files in $seconds s"
soon() { [ "$seconds" -lt "$n" ]; }
check "less than a second for each" soon
finish

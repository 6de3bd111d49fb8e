#!/bin/sh
# The CPU backend on 64-bit Arm: built by a cross compiler and run by qemu, on a processor with the dot product extension and on one
# without. Formats against golden values, products of every format and attention against double precision. Prints TAP.
#   sh tests/ops/neon.sh BUILD
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1/arm64
log=$1/arm64.log
cc=aarch64-linux-gnu-gcc
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)

skip() {
  echo "skip: $1"
  exit 77
}
command -v $cc > /dev/null || skip "no $cc (package gcc-aarch64-linux-gnu)"
[ -n "$qemu" ] || skip "no qemu-aarch64 (package qemu-user)"

configure() {
  cmake -S "$here/arm64" -B "$build" -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=$cc \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O2
}

on() { # PROCESSOR "CASES" PROGRAM ARGUMENT...
  cpu=$1 cases=$2 program=$3
  shift 3
  echo "# $cpu: $program $*"
  TEST_ONLY=$cases "$qemu" -cpu "$cpu" -L /usr/aarch64-linux-gnu "$build/test_$program" "$@" || status=1
}

best_path() { on "$1" test_paths mm | sed -n 's/.*best: //p'; } # PROCESSOR

status=0
echo 1..2
if { configure && ninja -C "$build"; } > "$log" 2>&1; then
  echo "ok 1 - builds"
else
  cat "$log"
  echo "not ok 1 - builds"
  exit 1
fi
if [ "$(best_path neoverse-n1)" = "NEON dot product" ] && [ "$(best_path cortex-a72)" = NEON ]; then
  echo "ok 2 - takes the path of the processor"
else
  echo "not ok 2 - takes the path of the processor"
fi
on neoverse-n1 "decode_equals_golden decode_equals_known_values fp8_codes fp8_squares" formats
on neoverse-n1 "test_paths test_quantization test_extremes test_shapes test_same_bits test_accumulate test_glu" mm
on neoverse-n1 "every_path_matches_reference" ops_cpu "attention 16"
on cortex-a72 "exact_matches_reference default_matches_reference" ops_cpu Q3_K
exit $status

#!/bin/sh
# Cooperative matrices on the lavapipe that comes with the drivers of real cards (tests/testbed.sh): no older one has them. Prints TAP.
#   sh matrices.sh PROGRAM BED
set -eu
testbed=$(cd "$(dirname "$0")/.." && pwd)/testbed.sh
sh "$testbed" fetch-cards "$2"
if [ ! -e "$2/cards/libvulkan_lvp.so" ]; then
  echo "skip: lavapipe 26: $(cat "$2/cards.why" 2> /dev/null || echo "not in $2/cards, which is of another time: remove it")"
  exit 77
fi
# lavapipe's optimizer takes longer than what it could save here
GALLIVM_PERF=nopt exec sh "$testbed" run "$2" lvp26-8 "$1"

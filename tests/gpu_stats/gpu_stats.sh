#!/bin/sh
# Kernels and the whole way to the device, by the real drivers of cards that are not here (README.md). Prints TAP.
#
#   sh gpu_stats.sh test BUILD                  decode kernels and a few tokens on one card of each vendor
#   sh gpu_stats.sh all BUILD [CARD...]         everything on all cards (or some): some minutes of a core each
#   sh gpu_stats.sh update BUILD [CARD...]      the same, but writes results/ anew instead of comparing
set -eu

here=$(cd "$(dirname "$0")" && pwd)
verb=${1:-} build=${2:-}
if [ $# -lt 2 ] || [ ! -x "$build/tests/gpu_stats/gpu_stats" ]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shift 2
bed=$build/testbed
out=$build/gpu_stats
testbed=$here/../testbed.sh
n=0

ok() { n=$((n + 1)) && echo "ok $n - $1"; }
not_ok() { n=$((n + 1)) && echo "not ok $n - $1"; }

# Registers that had to go to memory are a fault, except in kernels that results/spills.txt names with a reason.
check_spills() { # CARD
  awk -F '\t' -v card="$1" '
    FILENAME ~ /spills.txt$/ { if ($1 !~ /^#/) allowed[$1 "\t" $2] = 1; next }
    /^#/ || $1 == "kernel" { next }
    { name = $1; sub(/[. ].*/, "", name) }
    $3 > 0 && !((card "\t" name) in allowed) { print "# " $1 ": " $3 " spills"; bad = 1 }
    END { exit bad }' "$here/results/spills.txt" "$out/$1.tsv"
}

# The rows that were measured against those of results/, if the driver is the same.
check_results() { # CARD
  awk -F '\t' '
    FNR == 1 && NR == FNR { driver = $0 }
    FNR == 1 && NR > FNR && $0 != driver { print "# not compared: " substr($0, 3) ", results of" substr(driver, 2); exit }
    /^#/ { next }
    NR == FNR { row[$1] = $0; next }
    row[$1] != $0 { print "# was: " row[$1]; print "# is:  " $0; bad = 1 }
    END { exit bad }' "$here/results/$1.tsv" "$out/$1.tsv"
}

measure() { # CARD [decode]
  if ! sh "$testbed" run "$bed" "$@" > "$out/$card.tsv" 2> "$out/$card.log"; then
    sed 's/^/# /' "$out/$card.log" "$out/$card.tsv"
    not_ok "$card: statistics"
    return 0
  fi
  if [ "$verb" = update ]; then
    cp "$out/$card.tsv" "$here/results/$card.tsv"
  elif check_results "$card"; then
    ok "$card: as in results/$card.tsv"
  else
    not_ok "$card: not as in results/$card.tsv; if that is for the better: sh tests/gpu_stats/gpu_stats.sh update BUILD $card"
  fi
  if check_spills "$card"; then ok "$card: no spills"; else not_ok "$card: spills"; fi
}

# A prompt and a few tokens: the card is found, memory laid out, kernels compiled, recorded and submitted, and the validation layer
# has nothing to say. What is computed means nothing, for nothing is executed.
walk() { # CARD
  log=$out/$1.walk
  if sh "$testbed" run "$bed" "$1" "$build/apps/pumice" run --device gpu:0 --greedy --raw --stats -n 3 "$here/../../apps/demo/pebble-q4_k_m.gguf" \
    "Once upon a time" > "$log" 2>&1 && grep -q '^answer: 3 tokens' "$log" && ! grep -q -e VUID- -e 'Validation' "$log"; then
    ok "$1: a prompt and three tokens"
  else
    sed 's/^/# /' "$log"
    not_ok "$1: a prompt and three tokens"
  fi
}

mkdir -p "$out"
sh "$testbed" fetch-cards "$bed"
sh "$testbed" cards "$bed" > "$out/cards"
if grep -q '^skip' "$out/cards"; then
  echo "skip: $(sed -n 's/^skip	//p' "$out/cards" | head -n 1)"
  exit 77
fi
if [ "$verb" = test ]; then
  cards="navi31 dg2 nv172" kernels=decode
else
  cards=${*:-$(cut -f 1 "$out/cards")} kernels=
fi
for card in $cards; do
  # shellcheck disable=SC2086 # a word, or none
  measure "$card" "$build/tests/gpu_stats/gpu_stats" $kernels
  [ "$card" = gfx1151 ] || walk "$card" # whose driver has no kernel to submit to
done
echo "1..$n"

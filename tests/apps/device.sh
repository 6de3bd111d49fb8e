#!/bin/sh
# The program on a Vulkan device: the one whose number is in PUMICE_TEST_DEVICE. Prints TAP.
#   sh tests/apps/device.sh TOP PUMICE JSON_GET
set -eu
json_get=$3 device=gpu:${PUMICE_TEST_DEVICE:-0}
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
if [ -z "${PUMICE_TEST_DEVICE:-}" ]; then
  echo "skip: no Vulkan driver to test"
  exit 77
fi

get() { "$json_get" "$1" < out; }

lists_device() { # under the name by which --device finds it again
  run devices --json && [ "$code" = 0 ] && entry=devices.$((PUMICE_TEST_DEVICE + 1)) && [ "$(get $entry.option)" = "$device" ] && name=$(get $entry.name) && uuid=$(get $entry.uuid)
  for by in "$name" "$uuid"; do
    run run "$model" --raw hello --max-tokens 1 --device "$by" && [ "$code" = 0 ] || return 1
  done
}

answers() { run run "$model" "What is 37 + 58?" --greedy --device "$device" && [ "$code" = 0 ] && [ ! -s err ] && grep -q '= 95$' out; }

talks() {
  printf '%s\n' "What is 37 + 58?" "What is 12 + 30?" /stats > lines
  "$pumice" chat "$model" --greedy --device "$device" --max-tokens 100 > out 2> err < lines && [ "$(grep -c '=' out)" -ge 2 ] &&
    [ "$(sed -n 's/^prompt: [0-9]* tokens, \([0-9]*\) of them kept.*/\1/p' err)" -ge 11 ]
}

evaluates() { # the first window of the reference
  run eval "$model" "$golden/perplexity-text.txt" --windows 1 --json --device "$device"
  [ "$code" = 0 ] && awk -v a="$(get nll)" -v b="$("$json_get" perplexity.window_nll.0 < "$golden/pebble-q4_k_m.json")" 'BEGIN { d = a / b - 1; exit !(d < 0.001 && d > -0.001) }'
}

measures() { # one submission for a token, and no allocation
  run bench "$model" --prompt 16 --generate 8 --repeat 1 --json --device "$device"
  [ "$code" = 0 ] && [ "$(get tests.1.test)" = generate ] &&
    awk -v s="$(get tests.1.submissions_per_token)" -v a="$(get tests.1.allocations_per_token)" -v d="$(get tests.1.dispatches_per_token)" 'BEGIN { exit !(s == 1 && a == 0 && d > 10) }'
}

# All ways at three sizes of the card's memory, predicted where it is known how fast the whole is; the chart has a line for each.
sweeps() {
  run synth tiny tiny.gguf --layers 3 && run bench tiny.gguf --sweep chart.svg --budgets 0,50,100 --generate 4 --repeat 2 --json --sim-link 1,20,2 --device "$device"
  [ "$code" = 0 ] && [ "$(get budgets.count)" = 3 ] && [ "$(get budgets.0.slots)" = 0 ] && [ "$(get budgets.1.slots)" = $(($(get experts) / 2)) ] &&
    [ "$(get budgets.2.slots)" = "$(get experts)" ] && [ "$(get budgets.1.ways.count)" = 4 ] && [ "$(get budgets.1.ways.1.way)" = stream ] &&
    awk -v a="$(get budgets.0.ways.1.link_bytes_per_token)" -v b="$(get budgets.1.ways.1.link_bytes_per_token)" -v c="$(get budgets.2.ways.1.link_bytes_per_token)" \
      -v hits="$(get budgets.1.ways.3.hit_rate)" -v p="$(get budgets.1.predicted_tokens_per_second)" -v t="$(get budgets.0.ways.2.tokens_per_second)" \
      'BEGIN { exit !(a > b && b > 0 && c == 0 && hits > 0 && hits < 1 && p > 0 && t > 0) }' &&
    [ "$(grep -c '<path fill="none"' chart.svg)" = 4 ] && grep -q 'link simulated: 1 GB/s' chart.svg && grep -q '^</svg>' chart.svg
}

# What is found is kept, and forgotten.
tunes() {
  run tune "$model" --quick --ctx 512 --batch 32 --device "$device" && [ "$code" = 0 ] && grep -q '^  .* 1 row .* times .* us' out && grep -q 'a step of    1 token' out || return 1
  set -- "$XDG_CACHE_HOME"/pumice/tuning-*.bin
  [ -s "$1" ] && before=$(wc -c < "$1") && run tune --forget --device "$device" && [ "$code" = 0 ] && [ "$(wc -c < "$1")" -lt "$before" ]
}

sweep_refusals() {
  refuses 2 "ascending" bench "$model" --sweep chart.svg --budgets 50,10 --device "$device" &&
    refuses 2 "/nowhere/chart.svg" bench "$model" --sweep /nowhere/chart.svg --device "$device" &&
    refuses 2 "--device gpu" bench "$model" --sweep chart.svg --device cpu &&
    refuses 2 "not '1,2,3,4'" bench "$model" --sweep chart.svg --sim-link 1,2,3,4 --device "$device"
}

check "the device by its name and its UUID" lists_device
check "the sum" answers
check "a conversation" talks
check "perplexity of a window" evaluates
check "what a token takes" measures
check "tuning, quickly" tunes
check "decode speed by the card's memory" sweeps
check "what a sweep cannot do" sweep_refusals
finish

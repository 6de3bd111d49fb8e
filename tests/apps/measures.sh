#!/bin/sh
# eval, bench, inspect, synth, tokenize and doctor. Prints TAP.
#   sh tests/apps/measures.sh TOP PUMICE JSON_GET
set -eu
json_get=$3
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
without_vulkan

get() { "$json_get" "$1" < out; } # the value at a path of out
near() { awk -v a="$1" -v b="$2" -v by="$3" 'BEGIN { d = a / b - 1; exit !(d < by && d > -by) }'; }  # A B RELATIVE

# ---- eval

perplexity() { # RELATIVE OPTIONS...: against the float64 reference
  by=$1
  shift
  run eval "$model" "$golden/perplexity-text.txt" --windows 8 --json --device cpu "$@"
  [ "$code" = 0 ] && near "$(get perplexity)" "$("$json_get" perplexity.ppl < "$golden/pebble-q4_k_m.json")" "$by" && [ "$(get n_prediction)" = 4088 ]
}

windows() { # each of them
  for i in 0 1 2 3 4 5 6 7; do
    near "$(get window_nll.$i)" "$("$json_get" perplexity.window_nll.$i < "$golden/pebble-q4_k_m.json")" 0.003 || return 1
  done
}

second_half() { # 255 predictions of each window; fewer are hard that have more before them
  run eval "$model" "$golden/perplexity-text.txt" --windows 4 --second-half --json --device cpu
  [ "$code" = 0 ] && [ "$(get n_prediction)" = 1020 ] && awk -v p="$(get perplexity)" 'BEGIN { exit !(p > 20 && p < 200) }'
}

logprobs() { # a line for each prediction; their mean is the perplexity's
  run eval "$model" "$golden/perplexity-text.txt" --windows 1 --ctx 64 --logprobs lines --json --device cpu
  nll=$(get nll)
  [ "$(wc -l < lines)" = 63 ] && head -n 1 lines > out && [ "$(get position)" = 1 ] && get text &&
    near "$(sed 's/.*"logprob": \([^,]*\),.*/\1/' lines | awk '{ s -= $1 } END { print s / NR }')" "$nll" 1e-6
}

logprobs_disk_full() { refuses 2 "/dev/full" eval "$model" "$golden/perplexity-text.txt" --windows 2 --logprobs /dev/full --device cpu; }

check "perplexity as the reference's" perplexity 0.003
check "and of each window" windows
check "exact perplexity as the reference's" perplexity 0.0005 --exact
check "perplexity of second halves" second_half
check "log-probabilities" logprobs
check "log-probabilities on a full disk" logprobs_disk_full

# ---- bench

bench_json() {
  run bench "$model" --prompt 16,32 --generate 4 --depth 0,40 --repeat 2 --json --device cpu
  [ "$code" = 0 ] && [ "$(get tests.count)" = 6 ] && [ "$(get tests.5.test)" = generate ] && [ "$(get tests.5.depth)" = 40 ] &&
    awk -v a="$(get tests.0.tokens_per_second)" -v b="$(get tests.2.allocations_per_token)" 'BEGIN { exit !(a > 0 && b == 0) }' &&
    [ "$(get tests.0.energy.joules_per_token)" = null ] && [ "$(get memory.peak_rss)" -gt 1000000 ]
}

bench_text() {
  run bench "$model" --prompt 16 --generate 4 --repeat 1 --device cpu
  [ "$code" = 0 ] && [ ! -s err ] && grep -q '^prompt 16 ' out && grep -q '^generate 4 ' out && grep -q '^J/token *n/a (.' out && grep -q '^logits *[0-9a-f]\{16\}$' out
}

bench_energy() { # a sensor is read, and too little of it makes no figure
  mkdir -p sys/class/drm/card0/device/hwmon/hwmon0
  echo xe > sys/class/drm/card0/device/hwmon/hwmon0/name
  echo 0 > sys/class/drm/card0/device/hwmon/hwmon0/energy1_input
  PUMICE_SYSFS_ROOT=$PWD/sys
  export PUMICE_SYSFS_ROOT
  run bench "$model" --prompt 16 --generate 0 --repeat 1 --device cpu
  unset PUMICE_SYSFS_ROOT
  [ "$code" = 0 ] && grep -q '^J/token *n/a (.* too few' out
}

same_hash() {
  bench_text && first=$(grep ^logits out) && bench_text && [ "$first" = "$(grep ^logits out)" ]
}

check "bench as JSON" bench_json
check "bench as text" bench_text
check "energy: a sensor, and why there is no figure" bench_energy
check "the same logits twice" same_hash
check "a depth over the context" refuses 2 "need a context of" bench "$model" --depth 500 --ctx 100 --device cpu

# ---- inspect

inspect_json() {
  run inspect "$model" --json
  [ "$code" = 0 ] && size=$(wc -c < "$model") && bytes=$(get total.bytes) && [ "$bytes" -lt "$size" ] && [ "$bytes" -gt $((size * 95 / 100)) ] &&
    [ "$(get total.tensors)" = "$(get tensors.count)" ] && sums types && sums kinds
}

sums() { # the rows add up to the total
  "$json_get" "$1" < out | tr '{' '\n' | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | awk -v want="$(get total.bytes)" '{ s += $1 } END { exit s != want }'
}

inspect_text() {
  run inspect "$model" --keys --tensors
  [ "$code" = 0 ] && [ ! -s err ] && grep -q 'deepseek2.block_count' out && grep -q 'tokenizer.ggml.tokens' out && grep -q 'blk.1.ffn_down_exps.weight' out && grep -q '^  experts ' out
}

check "inspect as JSON" inspect_json
check "inspect as text" inspect_text

# ---- the use of experts

trace() { # one step of the prompt, then one for every token of the answer; a cut file counts as far as it is whole
  run run "$model" "What is the sea made of? Tell me all about it." --max-tokens 20 --greedy --trace use.trace --device cpu && [ "$code" = 0 ] &&
    run replay use.trace --percent 25,100 --json && [ "$code" = 0 ] && [ "$(get rows.count)" = 12 ] && [ "$(get rows.0.slots)" = 40 ] &&
    [ "$(get rows.0.decode.tokens)" = 20 ] && [ "$(get rows.0.prompt.tokens)" -gt 8 ] &&
    [ "$(($(get rows.0.decode.hits) + $(get rows.0.decode.misses)))" = $((20 * 20)) ] &&
    [ "$(get rows.5.policy)" = belady ] && [ "$(get rows.5.decode.hits)" -ge "$(get rows.0.decode.hits)" ] && [ "$(get rows.7.policy)" = lru ] &&
    head -c $(($(wc -c < use.trace) - 5)) use.trace > cut.trace && run replay cut.trace --json && [ "$(get rows.0.decode.tokens)" = 19 ]
}

replay_text() { run replay use.trace --slots 20 && [ "$code" = 0 ] && [ ! -s err ] && grep -q '^20 slots: .* 1.00 token cycles' out && grep -q '^  belady .* hits ' out; }

check "use of experts is recorded and replayed" trace
check "a replay as text" replay_text
check "a trace of nothing" refuses 2 "/dev/full" run "$model" hello --trace /dev/full --device cpu

# ---- synth

synth() { # a file that runs, the same from the same seed
  run synth tiny a.gguf --mix q8_0 --layers 2 --seed 3 && [ "$code" = 0 ] && [ ! -s err ]
  run synth tiny b.gguf --mix q8_0 --layers 2 --seed 3 && cmp a.gguf b.gguf
  run synth tiny b.gguf --mix q8_0 --layers 2 --seed 4 --force && [ "$code" = 0 ] && ! cmp -s a.gguf b.gguf
  run inspect a.gguf --json && [ "$(get keys.count)" -gt 10 ] && grep -q '"Q8_0"' out && grep -q '"blk.1.' out && ! grep -q '"blk.2.' out
  run run a.gguf --raw hello --max-tokens 4 --stats --device cpu && [ "$code" = 0 ] && grep -q '^answer: ' err
}

# Nothing is left behind where there is no room: files may have 100 blocks here, and the signal that says so is not heeded.
synth_no_room() { (trap '' XFSZ && ulimit -f 100 && refuses 2 "big.gguf" synth tiny big.gguf) && ! ls big.gguf*; }

lists_shapes() { run synth --list && [ "$code" = 0 ] && grep -q '^shapes: .*deepseek-v2-lite' out && grep -q '^mixes: .' out; }

check "synth writes a model that runs" synth
check "synth without room" synth_no_room
check "the shapes that synth knows" lists_shapes
check "an unknown shape" refuses 2 "no shape 'nonsense'" synth nonsense x.gguf
check "an unknown mix" refuses 2 "no mix 'nonsense'" synth deepseek-v2-lite x.gguf --mix nonsense
check "a synth file that exists" refuses 2 "--force" synth deepseek-v2-lite "$model"

# ---- tokenize

tokens() {
  run tokenize "$model" --ids --bos "<｜User｜>What is 37 + 58?<｜Assistant｜>"
  [ "$code" = 0 ] && grep -qx '0 3 643 369 228 2278 360 228 2363 38 4' out
}

token_bytes() { run tokenize "$model" --plain "<｜User｜>" && [ "$(wc -l < out)" -gt 3 ] && run tokenize "$model" "<｜User｜>" && [ "$(wc -l < out)" = 1 ]; }

check "tokens of a prompt" tokens
check "control tokens as text" token_bytes

# ---- doctor

doctor() { # every kernel by a line, and the processor passes
  run doctor --device cpu
  [ "$code" = 0 ] && [ "$(grep -c '^  ok ' out)" -gt 10 ] && ! grep -q FAILED out && grep -q 'Everything works' out
}

doctor_of_none() { run doctor --device no-such-card && [ "$code" = 2 ] && [ -s err ] && ! grep -q "kernels passed" out; }

check "the doctor finds the processor healthy" doctor
check "the doctor of a device that is not there" doctor_of_none
finish

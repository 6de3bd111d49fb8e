#!/bin/sh
# pumice plan: files, files that are not all there, shapes, machines that are not here. Prints TAP.
#   sh tests/apps/plan.sh TOP PUMICE JSON_GET
set -eu
json_get=$3
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
without_vulkan

get() { "$json_get" "$1" < out; }
holds() { awk "BEGIN { exit !($1) }"; }

plans_a_file() {
  run plan "$model" && [ "$code" = 0 ] && [ ! -s err ] && grep -qx 'fits' out && grep -q '^  decode .* limit: processor$' out &&
    grep -q '^  experts .* 160: 0 begin in the device.s memory, 160 in host memory, 0 on disk$' out
}

plans_a_part() { # the header and some weights say as much as the whole file
  head -c 6000000 "$model" > part.gguf
  run plan "$model" --device cpu --json && get host > whole && run plan part.gguf --device cpu --json && [ "$code" = 0 ] && get host | cmp - whole
}

obeys_limits() { # of a card, in bytes
  run plan deepseek-v3 --expert-bits 2.3 --vram 24G --ram 192G --json && [ "$code" = 0 ] && [ "$(get fits)" = true ] && [ "$(get mode)" = split ]
  sum=0
  for row in weights cache scratch "expert slots" ring; do sum=$((sum + $(get "device.$row"))); done
  holds "$sum <= $(get device_budget) && $(get device_budget) < 24 * 1024^3 && $(get experts.disk) == 0 && $(get experts.all) == 58 * 256"
  holds "$(get decode_tokens_per_second) > 5 && $(get decode_tokens_per_second) < 15"
}

reads_the_disk() {
  run plan deepseek-v3 --vram 24G --ram 128G --json && [ "$(get decode_limit)" = disk ] && holds "$(get experts.disk) > 0"
  slow=$(get decode_tokens_per_second)
  run plan deepseek-v3 --vram 24G --ram 128G --disk-rate 12 --json && holds "$(get decode_tokens_per_second) > 1.5 * $slow"
  holds "$(get assumed.disk_gbps) == 12 && $(get assumed.link_gbps) == 25"
}

does_not_fit() {
  run plan deepseek-v3 --device card --vram 6G --ram 768G && [ "$code" = 1 ] && grep -q '^does not fit: .* GiB may be used: ' out
  run plan deepseek-v3 --vram 6G --ram 768G && [ "$code" = 0 ] && grep -q '^on the processor: ' out
}

keeps_a_context() { # that was asked for, or says why not
  run plan deepseek-v3 --device card --vram 11G --ram 768G --ctx 128k && [ "$code" = 1 ] && grep -q 'a shorter context' out
  run plan deepseek-v3 --device card --vram 24G --ram 768G --ctx 128k --json && [ "$code" = 0 ] && [ "$(get context)" = 131072 ]
}

sizes() { # the same in three spellings
  for ram in 3584M 3.5G 3.5GiB; do
    run plan deepseek-v2-lite --device cpu --ram $ram --json && [ "$code" = 0 ] && get host_budget >> budgets
  done
  [ "$(sort -u budgets | wc -l)" = 1 ] && [ "$(wc -l < budgets)" = 3 ]
}

prints_a_table() {
  run plan deepseek-v3 --table && [ "$code" = 0 ] && [ "$(grep -c '^| [0-9]* GB |' out)" = 12 ] && ! grep -q 'does not fit' out
}

check "a file" plans_a_file
check "a part of a file" plans_a_part
check "a shape on a card that is not here" obeys_limits
check "experts on the disk" reads_the_disk
check "what does not fit" does_not_fit
check "a context that was asked for" keeps_a_context
check "sizes" sizes
check "the table" prints_a_table
check "no such shape or file" refuses 2 "deepseek-v9: No such file" plan deepseek-v9
check "a size that is none" refuses 2 "--vram takes bytes, e.g. 800M or 12G" plan deepseek-v3 --vram big
check "a card without memory" refuses 2 "needs the size of its memory" plan deepseek-v3 --device card
check "bits of a file" refuses 2 "a file has its own" plan "$model" --expert-bits 2.3
check "a table of a file" refuses 2 "--table is for shapes" plan "$model" --table
finish

#!/bin/sh
# 'quantize' and 'imatrix' on a small model. Prints TAP.
#   sh tests/apps/quantize.sh TOP PUMICE
set -eu
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
without_vulkan
"$pumice" synth tiny small.gguf --mix BF16 > /dev/null
head -c 6000 "$golden/perplexity-text.txt" > text
echo short > short

lists_types() {
  run quantize --list && [ "$code" = 0 ] && [ ! -s err ] && for t in Q8_0 Q6_K Q5_K_M Q4_K_M Q4_K_S Q3_K_M Q2_K IQ4_XS IQ3_XXS IQ2_XXS; do
    grep -q "^$t  *[0-9]" out || return 1
  done
}

says_beforehand() { # nothing is written, and the sum is what the file then has, but for its header
  run quantize --dry-run small.gguf q4_k_m && [ "$code" = 0 ] && [ ! -e made.gguf ] && grep -q '^small.gguf: Q4_K_M' out && grep -q '^  Q4_K ' out
}

writes() {
  run quantize small.gguf made.gguf q4_k_m --threads 2 && [ "$code" = 0 ] && [ ! -s err ] && grep -q '^made.gguf: Q4_K_M, ' out &&
    grep -q 'rows that are too short' out && run inspect made.gguf && [ "$code" = 0 ] && grep -q 'general.file_type  *u32  *15' out
}

answers() { run run made.gguf "a b" --device cpu -n 4 --greedy && [ "$code" = 0 ]; }

lists_tensors() {
  run quantize -n -v small.gguf Q6_K && [ "$code" = 0 ] && grep -q '^blk.0.attn_q_a.weight  *BF16 -> Q6_K ' out &&
    grep -q '^blk.0.attn_norm.weight  *F32 -> F32 ' out
}

measures() {
  run imatrix small.gguf text -o matrix.gguf --ctx 64 --chunks 3 && [ "$code" = 0 ] && [ ! -s err ] && grep -q 'from 3 of 3 pieces' out &&
    run inspect matrix.gguf && grep -q 'imatrix.chunk_count' out
}

uses_importances() {
  run quantize small.gguf few.gguf IQ2_XXS --imatrix matrix.gguf && [ "$code" = 0 ] && [ ! -s err ] && grep -q 'tensors have importances' out &&
    run inspect few.gguf && grep -q 'quantize.imatrix.file' out
}

warns_without() { run quantize -n small.gguf IQ2_XXS && [ "$code" = 0 ] && grep -q '^note: .*--imatrix' err; }

nothing_left() { [ ! -e none.gguf ] && [ "$(find . -maxdepth 1 -name '*.gguf*' | wc -l)" = 4 ]; }

check "the types" lists_types
check "a dry run" says_beforehand
check "a file of another type" writes
check "it runs" answers
check "each tensor" lists_tensors
check "importances" measures
check "a file that was made with them" uses_importances
check "few bits without them: a note" warns_without
check "no such type, and what is near" refuses 2 "no type 'Q4_KM' (Q4_K_M?)" quantize small.gguf none.gguf Q4_KM
check "the file exists" refuses 2 "made.gguf exists; --force overwrites it" quantize small.gguf made.gguf Q8_0
check "the file itself" refuses 2 "is the file to be read" quantize small.gguf small.gguf Q8_0 --force
check "too few arguments" refuses 2 "a model, the file to write and a type are needed" quantize small.gguf Q8_0
check "no such file" refuses 2 "none-such.gguf" quantize none-such.gguf none.gguf Q8_0
check "no such folder" refuses 2 "/none/out.gguf" quantize small.gguf /none/out.gguf Q8_0
check "a model for an importance matrix" refuses 2 "no importance matrix" quantize small.gguf none.gguf Q8_0 --imatrix small.gguf
check "a text that is too short" refuses 2 "give a longer text" imatrix small.gguf short -o none.gguf
check "a text that is not there" refuses 2 "nowhere" imatrix small.gguf nowhere -o none.gguf
check "nothing is left of what failed" nothing_left
finish

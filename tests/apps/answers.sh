#!/bin/sh
# `pumice run` and `pumice chat` with the demo model, through pipes. Prints TAP.
#   sh tests/apps/answers.sh TOP PUMICE
set -eu
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
without_vulkan
question="What is 37 + 58?"

# ---- run

says() { # WORDS ARGUMENTS...: standard output is one line with the words, standard error is empty
  words=$1
  shift
  run "$@" --greedy --device cpu
  [ "$code" = 0 ] && [ ! -s err ] && [ "$(wc -l < out)" = 1 ] && grep -qF -- "$words" out
}

from_stdin() {
  echo "$question" | "$pumice" run "$model" --greedy --device cpu > out && grep -q '= 95$' out
}

from_file() {
  echo "$question" > prompt && says 95 run "$model" --file prompt
}

shows_thoughts() {
  run run "$model" "$question" --greedy --device cpu --thoughts always
  [ "$code" = 0 ] && grep -q '= 95$' out && ! grep -q 'carry' out && grep -q 'carry' err
}

raw() { # the chat format written out by hand gives what the chat format gives, but for the thinking's markers
  run run "$model" --raw "<｜User｜>$question<｜Assistant｜>" --greedy --device cpu && grep -q '37 + 58 = 95' out
}

tale() { run run "$model" --raw "Once upon a time" --seed "$1" --max-tokens 40 --device cpu && [ "$code" = 0 ] && mv out "$2"; }

repeats() { # a seed gives the same twice, two seeds do not
  tale 7 first && tale 7 again && tale 8 other && cmp first again && ! cmp -s first other
}

counts_tokens() {
  run run "$model" --raw "Once upon a time" --max-tokens 5 --greedy --stats --device cpu
  [ "$code" = 0 ] && grep -q '^answer: 5 tokens' err
}

fills_context() {
  run run "$model" --raw "Once upon a time" --ctx 32 --greedy --device cpu
  [ "$code" = 0 ] && [ -s out ] && grep -q -- '--ctx' err
}

too_long() {
  refuses 2 "context" run "$model" --raw "$(head -c 2000 "$golden/perplexity-text.txt")" --ctx 32 --device cpu
}

check "the sum" says "= 95" run "$model" "$question"
check "the prompt as an option" says "= 95" run "$model" --prompt "$question"
check "options before and after the model" says "= 95" run --threads 1 "$model" -p "$question" --no-mmap
check "exactly" says "= 95" run "$model" "$question" --exact
check "the prompt from standard input" from_stdin
check "the prompt from a file" from_file
check "thinking on standard error" shows_thoughts
check "a plain completion" raw
check "a seed" repeats
check "--max-tokens and --stats" counts_tokens
check "a full context" fills_context
check "a prompt that does not fit" too_long

# ---- readers that go away, disks that are full

reader_gone() {
  { code=0 && "$pumice" run "$model" --raw "Once upon a time" --device cpu 2> err || code=$? && echo "$code" > code; } | head -c 3 > out
  [ "$(cat code)" = 2 ] && [ "$(wc -c < out)" = 3 ] && grep -q 'cannot write to standard output' err
}

disk_full() { # ARGUMENTS...
  code=0
  "$pumice" "$@" > /dev/full 2> err || code=$?
  [ "$code" = 2 ] && grep -q 'cannot write to standard output' err
}

check "a reader that goes away" reader_gone
check "a full disk under an answer" disk_full run "$model" "$question" --device cpu
check "a full disk under a list" disk_full inspect "$model" --tensors
check "a full disk under a help text" disk_full help run

# ---- chat

# Lines of standard input are messages; leaves $code, out and err.
chat() { # LINE...
  printf '%s\n' "$@" > lines
  code=0
  "$pumice" chat "$model" --greedy --device cpu --max-tokens 400 > out 2> err < lines || code=$?
  cat out err >> "$tmp/log"
}

two_turns() { chat "$question" "What is the capital of Japan?" && [ "$code" = 0 ] && [ ! -s err ] && grep -q '= 95' out && grep -q '^The capital of' out; }

reuses() { # of the second prompt the first prompt is kept, at the least
  chat "$question" "What is 12 + 30?" /stats
  kept=$(sed -n 's/^prompt: [0-9]* tokens, \([0-9]*\) of them kept.*/\1/p' err)
  [ "$kept" -ge 11 ]
}

resets() { # after /reset the same question is the same prompt
  chat "$question" /reset "$question" /stats /history
  [ "$(sort -u out | wc -l)" = 1 ] && [ "$(grep -c '^user:' err)" = 1 ] && grep -q '^prompt: 11 tokens' err
}

undoes() { chat "$question" "What is 12 + 30?" /undo /history && grep -q '^user: What is 37' err && ! grep -q '^user: What is 12' err; }

regenerates() { chat "$question" /regenerate /history && [ "$(grep -c '= 95' out)" = 2 ] && [ "$(grep -c '^user:' err)" = 1 ]; }

system_message() { chat "/system Be brief." "$question" /history && head -n 1 err | grep -qx 'system: Be brief.'; }

saves() { # the conversation goes on elsewhere, and its state with it
  chat "$question" "/save talk" && [ "$code" = 0 ] && [ -s talk.state ] && [ ! -s err ]
  chat "/load talk" "What is 12 + 30?" /stats /history
  kept=$(sed -n 's/^prompt: [0-9]* tokens, \([0-9]*\) of them kept.*/\1/p' err)
  [ "$kept" -ge 11 ] && [ "$(grep -c '^user:' err)" = 2 ] && [ "$(grep -c '^assistant:' err)" = 2 ]
}

refuses_talk() { # a file of another kind, and none: the conversation stays
  chat "$question" "/load $golden/perplexity-text.txt" "/load nowhere" /history
  grep -q 'not a conversation' err && grep -q 'nowhere: No such file' err && grep -q '^user: What is 37' err
}

sets() { chat "/set top-p 7" "/set nonsense 1" "/set" /nonsense && grep -q 'between' err && grep -q "no option 'nonsense'" err && grep -q 'no command /nonsense' err; }

# shellcheck disable=SC1003 # a backslash at the end of a line
many_lines() { chat 'What is \' '37 + 58?' '"""What is' '37 + 58?"""' /history && [ "$(grep -c '^user: What is *$' err)" = 2 ]; }

long_talk() { # what does not fit is said, and is no crash
  chat "/read" "$(head -c 20000 "$golden/perplexity-text.txt" | tr '\n' ' ')" && [ "$code" = 2 ] && grep -q 'context' err
}

no_chat_format() { refuses 2 "no chat format" chat "$top/tests/data/models/mini-v2.gguf" --device cpu; }

check "two turns" two_turns
check "what both prompts begin with is kept" reuses
check "/reset" resets
check "/undo" undoes
check "/regenerate" regenerates
check "/system" system_message
check "/save and /load" saves
check "/load of what /save did not write" refuses_talk
check "/set, and commands that are none" sets
check "messages of several lines" many_lines
check "a message that does not fit" long_talk
check "a model without a chat format" no_chat_format
finish

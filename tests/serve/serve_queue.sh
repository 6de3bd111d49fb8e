#!/bin/sh
# Requests that wait, and a server that is killed: nine clients of eight slots, comments that keep connections alive, a session half saved.
#   sh tests/serve/serve_queue.sh TOP PUMICE JSON_GET
# Prints TAP.
set -eu
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"
chat=/v1/chat/completions

check "starts" serve "$model" --parallel 8 --queue 1 --batch 1 --threads 1 --exact

# ---- one more than there is room for

ask() { # NUMBER FILE [FIELDS]
  curl -sN -m 250 -o "$2" -w '%{http_code}' -d "$(user "Tell me a tale of $1 dragons." ',"max_tokens":40,"ignore_eos":true'"${3:-}")" "$url$chat" > "$2.code"
}
tale() { "$json_get" choices.0.message < "$1"; }
waits() { good /metrics && grep -qx 'pumice_requests_processing 8' out && grep -qx 'pumice_requests_deferred 1' out; }
ninth() {
  for i in 1 5 9; do ask $i "alone$i" || return 1; done
  pids=
  for i in 1 2 3 4 5 6 7 8 9; do
    ask $i "together$i" &
    pids="$pids $!"
  done
  waited=
  for _ in $(seq 200); do
    if waits; then
      waited=1
      break
    fi
  done
  for pid in $pids; do wait "$pid" || return 1; done
  [ "$waited" ] || return 1
  for i in 1 2 3 4 5 6 7 8 9; do [ "$(cat "together$i.code")" = 200 ] || return 1; done
  for i in 1 5 9; do tale "alone$i" > one && tale "together$i" | cmp - one || return 1; done
}
check "the ninth of eight waits, and has the answer that it has alone" ninth

# ---- comments while nothing is to be said

# A prompt that takes seconds, a request that waits for its slot, and comments in both streams before anything of an answer.
words() { awk 'BEGIN { for (i = 0; i < 700; i++) printf "%d ", i % 10 }'; }
stream() { curl -sN -m 250 -o "$1" -d "$(user "$2" ',"max_tokens":2,"stream":true,"cache_prompt":false,"id_slot":0,"sse_ping_interval":1')" "$url$chat"; }
quiet() { # FILE: what it says besides data are comments, and the first comment comes before any text
  grep -q '^:' "$1" && ! grep -qv '^$\|^:$\|^data: ' "$1" && awk '/^:/ { exit } /"(reasoning_)?content":"/ { bad = 1; exit } END { exit bad }' "$1" && [ "$(tail -n 2 "$1" | head -n 1)" = "data: [DONE]" ]
}
keeps_alive() {
  stream first "$(words)" &
  pid=$!
  until grep -q role first 2> /dev/null; do kill -0 $pid || return 1; done # it has the slot
  stream second "Hello" && wait $pid || return 1
  head -n 4 first second
  quiet first && quiet second && head -n 1 second | grep -qx ':'
}
check "comments in streams that are silent" keeps_alive
check "ends" stop_server

# ---- killed while it saves

left() { find states -name 'talk.part-*' | wc -l; }
save() { post "/slots/0?action=save" '{"filename":"talk"}'; }
# The system ends a process that writes beyond its limit at once, in the middle of the write; the connection ends without an answer.
dies_saving() {
  answered $chat "$(user "What is 37 + 58?" ',"id_slot":0')" && save && [ "$code" = 200 ] && kept=$(value n_tokens) && cp states/talk copy &&
    answered $chat "$(user "$(words)" ',"id_slot":0,"max_tokens":1')" && prlimit --pid "$server" --fsize=100000 && save && expr "$code" : "curl 5[26]" > /dev/null &&
    { wait "$server" || [ $? -gt 128 ]; } && server= && [ "$(left)" = 1 ] && cmp states/talk copy
}
goes_on() { # with what was saved, and nothing is left of what was not
  serve "$model" --slot-dir states && answered "/slots/0?action=restore" '{"filename":"talk"}' && [ "$(value n_tokens)" = "$kept" ] &&
    save && [ "$code" = 200 ] && [ "$(left)" = 0 ] && cmp states/talk copy
}
mkdir states
if command -v prlimit > /dev/null; then
  check "starts with a folder for sessions" serve "$model" --slot-dir states
  check "killed in the middle of saving: the old file is whole" dies_saving
  check "the next server goes on from it" goes_on
  check "ends" stop_server
fi
echo "1..$n"
finish

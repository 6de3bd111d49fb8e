#!/bin/sh
# pumice serve by many clients: the same answers as alone, a queue, clients that leave, a storm of good and bad requests. Prints TAP.
#   sh tests/serve/serve_load.sh TOP PUMICE JSON_GET SERVE_CLIENT [SECONDS]
set -eu
client=$4 seconds=${5:-5}
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"
chat=/v1/chat/completions
# What AddressSanitizer keeps of freed memory would look like growth.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1
export ASAN_OPTIONS

check "starts" serve "$model" --parallel 4 --queue 4
port=${url##*:}

# ---- several at once

body() { printf '{"messages":[{"role":"user","content":"What is %s + 58?"}],"temperature":0,"max_tokens":60}' "$1"; }
ask() { body "$1" | curl -s -m 120 --data-binary @- "$url$chat" > "$2.json" && "$json_get" choices.0.message.content < "$2.json" > "$2"; }
alone_and_together() {
  for i in 1 2 3 4; do ask $((30 + i)) "alone$i"; done
  pids=
  for i in 1 2 3 4; do
    ask $((30 + i)) "together$i" &
    pids="$pids $!"
  done
  for pid in $pids; do wait "$pid" || return 1; done
  for i in 1 2 3 4; do cmp "alone$i" "together$i" || return 1; done
  good /metrics && holds "$(sed -n 's/^pumice_n_busy_slots_per_decode //p' out) > 1.2"
}

# Eight have room, in slots or in the queue; the others are told to come again.
queues() {
  pids=
  for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    curl -s -m 120 -o "reply$i" -D "head$i" -d '{"messages":[{"role":"user","content":"Tell me a long tale about '"$i"'."}],"max_tokens":150,"ignore_eos":true}' "$url$chat" &
    pids="$pids $!"
  done
  for pid in $pids; do wait "$pid" || return 1; done
  head -n 1 -q head*
  done_ones=$(cat head* | grep -c '^HTTP/1.1 200') busy=$(cat head* | grep -c '^HTTP/1.1 503')
  [ $((done_ones + busy)) = 12 ] && [ "$done_ones" -ge 8 ] && [ "$busy" -ge 1 ] && [ "$(cat head* | grep -c '^Retry-After: ')" = "$busy" ] && grep -q '"type":"unavailable_error"' reply*
}

refuses_crowds() { post $chat '{"messages":[{"role":"user","content":"x"}],"n":9}' && [ "$code" = 400 ] && value error.message | grep -q 'room for 8'; }
takes_more_than_slots() { # five of four slots, with a prefix for all
  answered $chat '{"messages":[{"role":"user","content":"What is 33 + 58?"}],"temperature":0,"max_tokens":60,"n":5}' && for i in 0 1 2 3 4; do value choices.$i.message.content | cmp - alone3 || return 1; done
}

becomes_idle() { # within two seconds
  for _ in $(seq 20); do
    idle > last && return 0
    sleep 0.1
  done
  cat last
  return 1
}

# Would take long; its slot is free at once, although the client left without a word.
leaves() {
  before=$(sed -n 's/^pumice_requests_cancelled_total //p' out)
  curl -sN -m 1 -d '{"messages":[{"role":"user","content":"Tell me a tale."}],"max_tokens":2000,"ignore_eos":true,"stream":true}' "$url$chat" > part || true
  grep -q '"delta":{"content"' part && ! grep -q DONE part && becomes_idle && good /metrics && holds "$(sed -n 's/^pumice_requests_cancelled_total //p' out) == ${before:-0} + 1"
}

leaves_unstreamed() { # nothing is sent to such a client until the end
  curl -s -m 1 -d '{"messages":[{"role":"user","content":"Tell me a tale."}],"max_tokens":2000,"ignore_eos":true}' "$url$chat" > part || true
  [ ! -s part ] && becomes_idle
}

check "four clients have the answers that each has alone" alone_and_together
check "a queue, and what does not fit into it" queues
check "more choices than the queue has room for" refuses_crowds
check "more choices than slots" takes_more_than_slots
check "a client that leaves in the middle of a stream" leaves
check "a client that leaves while it waits" leaves_unstreamed

# ---- a storm

resident() { good /metrics > /dev/null && sed -n 's/^pumice_resident_bytes //p' out; }
storm() { "$client" "$port" "$1" 12 "$2"; }
calm() { becomes_idle && answered $chat "$(user "What is 31 + 58?" ',"max_tokens":60')" && value choices.0.message.content | cmp - alone1; }
flat() { # what the first storm made it take is enough for the others
  first=$(resident)
  storm "$seconds" 2 && becomes_idle && last=$(resident) && echo "resident: $first, $last" && holds "$last < $first + 8e6"
}

ends_under_load() {
  curl -sN -m 60 -d '{"messages":[{"role":"user","content":"Tell me a tale."}],"max_tokens":2000,"ignore_eos":true,"stream":true}' "$url$chat" > part &
  waiting=$!
  sleep 0.5
  stop_server && { wait $waiting || true; }
}

check "a storm of requests" storm "$seconds" 1
check "and calm after it" calm
check "memory is flat" flat
check "ends while clients are waiting" ends_under_load
echo "1..$n"
finish

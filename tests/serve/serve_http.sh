#!/bin/sh
# pumice serve by one client: status codes, keys, streams, fields, errors. Prints TAP.
#   sh tests/serve/serve_http.sh TOP PUMICE JSON_GET
set -eu
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"
sum="What is 37 + 58?"
chat=/v1/chat/completions

check "starts" serve "$model" --parallel 2 --slot-dir "$tmp" --max-body 1M

# ---- what it says about itself

healthy() { good /health && [ "$(value status)" = ok ] && [ "$(value phase)" = ready ] && good /v1/health; }
lists() { good /v1/models && [ "$(value object)" = list ] && [ "$(value data.0.id)" = pebble-q4_k_m ] && [ "$(value data.0.meta.n_ctx_train)" = 2048 ] && has data.0.created models.0.name models.0.details.format; }
props() { good /props && [ "$(value total_slots)" = 2 ] && [ "$(value default_generation_settings.n_ctx)" = 2048 ] && has model_path chat_format; }
slots() { good /slots && [ "$(value count)" = 2 ] && [ "$(value 0.is_processing)" = false ] && good "/slots?fail_on_no_slot=1"; }
metrics() { # each with its help and type
  good /metrics && grep -q '^pumice_ready 1$' out && grep -qE '^pumice_memory_bytes\{purpose="weights"\} [1-9]' out && grep -qx 'pumice_memory_bytes{purpose="slots"} 0' out && awk '/^# HELP/ { help[$3] = 1 } /^# TYPE/ { type[$3] = 1 } /^[a-z]/ { sub(/{.*/, "", $1); if (!help[$1] || !type[$1]) bad = 1 } END { exit bad || NR < 30 }' out
}
shows_page() { good / && grep -q '<title>Pumice</title>' out && grep -q '</html>' out; }

check "/health" healthy
check "/v1/models" lists
check "/props" props
check "/slots" slots
check "/metrics" metrics
check "a page for browsers" shows_page

# ---- chats

whole() {
  answered $chat "$(user "$sum")" && [ "$(value object)" = chat.completion ] && [ "$(value choices.0.message.content)" = "37 + 58 = 95" ] &&
    [ "$(value choices.0.finish_reason)" = stop ] && value choices.0.message.reasoning_content | grep -q carry && [ "$(value choices.0.message.role)" = assistant ] &&
    [ "$(value usage.prompt_tokens)" = 11 ] && holds "$(value usage.total_tokens) == 11 + $(value usage.completion_tokens)" &&
    has id created model system_fingerprint usage.prompt_tokens_details.cached_tokens timings.prompt_ms timings.predicted_per_second
}

# Role, thinking, text, finish reason with an empty delta, usage without choices, [DONE]; one id for all.
streams() {
  answered $chat "$(user "$sum" ',"stream":true,"stream_options":{"include_usage":true}')" && awk '
    /^$/ { next }
    done || !/^data: / { bad = 1 }
    /^data: \[DONE\]$/ { done = 1; next }
    { n++; match($0, /"id":"[^"]*"/); ids[substr($0, RSTART, RLENGTH)] = 1 }
    n == 1 && !/"delta":{"role":"assistant","content":null}/ { bad = 1 }
    /"reasoning_content"/ { if (text) bad = 1; thinking++ }
    /"delta":{"content"/ { text++ }
    /"finish_reason":"stop"/ { if (!/"delta":{}/) bad = 1; finish = n }
    /"choices":\[\]/ { if (!/"usage":{/ || !/"timings":{/ || n != finish + 1) bad = 1; usage++ }
    END { for (i in ids) k++; exit bad || !done || thinking < 5 || text < 5 || usage != 1 || k != 1 }' out
}

tells_progress() { answered $chat "$(user "Tell me a tale. $$" ',"stream":true,"return_progress":true,"timings_per_token":true,"max_tokens":3')" && grep -q '"prompt_progress":{"total":' out && [ "$(grep -c '"timings"' out)" -ge 3 ]; }
thinks_inside() { answered $chat "$(user "$sum" ',"reasoning_format":"none"')" && value choices.0.message.content | head -n 1 | grep -q '^<think>' && ! has choices.0.message.reasoning_content 2> /dev/null; }
caps_thinking() { answered $chat "$(user "$sum" ',"reasoning_budget_tokens":5')" && [ "$(value choices.0.finish_reason)" = stop ] && [ "$(value choices.0.message.reasoning_content | wc -c)" -lt 20 ] && [ "$(value choices.0.message.content | wc -c)" -gt 10 ]; }
never_thinks() { answered $chat "$(user "$sum" ',"reasoning_budget_tokens":0,"max_tokens":40')" && ! has choices.0.message.reasoning_content 2> /dev/null && [ "$(value choices.0.message.content | wc -c)" -gt 10 ]; }
stops_at_length() { answered $chat "$(user "$sum" ',"max_tokens":4')" && [ "$(value choices.0.finish_reason)" = length ] && [ "$(value usage.completion_tokens)" = 4 ]; }
stops_at_string() { answered $chat "$(user "$sum" ',"stop":["95","never"]')" && [ "$(value choices.0.finish_reason)" = stop ] && [ "$(value choices.0.message.content)" = "37 + 58 = " ]; }
stops_in_thought() { answered $chat "$(user "$sum" ',"stop":"= 9"')" && [ "$(value choices.0.finish_reason)" = stop ] && [ -z "$(value choices.0.message.content)" ] && value choices.0.message.reasoning_content | tail -n 1 | grep -qx '3 + 5 + 1 '; }
takes_parts() { answered $chat '{"messages":[{"role":"user","content":[{"type":"text","text":"'"$sum"'"}]}],"temperature":0,"user":"me","metadata":{},"unknown":[1],"max_tokens":null}' && [ "$(value choices.0.message.content)" = "37 + 58 = 95" ]; }
repeats() { # a seed
  answered $chat '{"messages":[{"role":"user","content":"Tell me a tale."}],"seed":7,"max_tokens":12}' && value choices.0.message.content > one &&
    answered $chat '{"messages":[{"role":"user","content":"Tell me a tale."}],"seed":7,"max_tokens":12}' && value choices.0.message.content | cmp - one
}
bans() { # the token that would come first
  answered /v1/completions '{"prompt":"Once upon a","temperature":0,"max_tokens":1,"logprobs":1}' && first=$(value choices.0.logprobs.content.0.id) &&
    answered /v1/completions '{"prompt":"Once upon a","temperature":0,"max_tokens":1,"logprobs":1,"logit_bias":{"'"$first"'":-100}}' && [ "$(value choices.0.logprobs.content.0.id)" != "$first" ]
}
gives_probs() {
  answered $chat "$(user "$sum" ',"logprobs":true,"top_logprobs":3')" && [ "$(value choices.0.logprobs.content.0.top_logprobs.count)" = 3 ] && has choices.0.logprobs.content.0.bytes.0 &&
    holds "$(value choices.0.logprobs.content.0.logprob) <= 0"
}
goes_on() { answered $chat '{"messages":[{"role":"user","content":"What is the capital of Japan?"},{"role":"assistant","content":"The capital of Japan is"}],"temperature":0,"max_tokens":4}' && value choices.0.message.content | grep -q '^ Tokyo'; }

# Turn 2 takes from the cache what turn 1 had up to the answer's thinking, which is not in the history.
remembers() {
  answered $chat "$(user "$sum")" && first=$(value usage.prompt_tokens) &&
    answered $chat '{"messages":[{"role":"user","content":"'"$sum"'"},{"role":"assistant","content":"37 + 58 = 95"},{"role":"user","content":"What is 1 + 1?"}],"temperature":0}' &&
    holds "$(value usage.prompt_tokens_details.cached_tokens) >= $first" && holds "$(value timings.prompt_n) <= $(value usage.prompt_tokens) - $first" &&
    answered $chat "$(user "$sum" ',"cache_prompt":false')" && [ "$(value usage.prompt_tokens_details.cached_tokens)" = 0 ]
}

follows_grammar() { answered $chat "$(user "$sum" ',"grammar":"root ::= \"no\" | \"maybe\""')" && value choices.0.message.content | grep -qx 'no\|maybe'; }
follows_schema() {
  answered $chat "$(user "$sum" ',"response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":{"type":"object","properties":{"sum":{"type":"integer"},"sure":{"type":"boolean"}},"required":["sum","sure"],"additionalProperties":false}}}')" &&
    value choices.0.message.content > answer && [ "$("$json_get" sure < answer)" ] && holds "$("$json_get" sum < answer) == int($("$json_get" sum < answer))"
}
follows_json() { answered $chat "$(user "$sum" ',"response_format":{"type":"json_object"},"max_tokens":400,"stream":true')" && sed -n 's/.*"delta":{"content":\("[^"]*\(\\"[^"]*\)*"\)}.*/\1/p' out | head -n 1 | grep -q '^"{'; }
shares() { # a prompt between slots
  answered $chat "$(user "Spell 'dragon'." ',"id_slot":0')" && answered $chat "$(user "Spell 'dragon'." ',"id_slot":1')" && holds "$(value usage.prompt_tokens_details.cached_tokens) == $(value usage.prompt_tokens) - 1"
}

check "a chat" whole
# Answers to one prompt, which is read once: each by its own seed, the first as if it were alone.
several() {
  tale=$(user "Tell me a tale." ',"temperature":1,"seed":5,"max_tokens":12') && answered $chat "$tale" && value choices.0.message.content > alone &&
    answered $chat "${tale%?},\"n\":3}" && [ "$(value choices.count)" = 3 ] && value choices.0.message.content | cmp - alone && [ "$(value choices.2.index)" = 2 ] &&
    value choices.1.message.content > second && ! cmp -s second alone && ! value choices.2.message.content | cmp -s - second && [ "$(value choices.2.finish_reason)" = length ] &&
    [ "$(value usage.completion_tokens)" = 36 ] && holds "$(value usage.total_tokens) == 36 + $(value usage.prompt_tokens)" && [ "$(value timings.predicted_n)" = 36 ]
}
# The same in a stream: pieces of all choices, a role and a reason for each, usage and the end once.
streams_several() {
  answered $chat "${tale%?},\"n\":3,\"stream\":true,\"stream_options\":{\"include_usage\":true}}" && awk '
    { match($0, /"index":[0-9]/); i = substr($0, RSTART + 8, 1) }
    /"delta":{"role":"assistant","content":null}/ { role[i]++ }
    /"delta":{"content":"/ { text[i]++; if (!role[i] || ended[i]) bad = 1 }
    /"finish_reason":"length"/ { ended[i]++ }
    /"choices":\[\]/ { if (!/"completion_tokens":36/ || ended[0] + ended[1] + ended[2] != 3) bad = 1; usage++ }
    /^data: \[DONE\]$/ { done++ }
    END { for (i = 0; i < 3; i++) if (role[i] != 1 || text[i] < 5 || ended[i] != 1) bad = 1; exit bad || usage != 1 || done != 1 }' out &&
    sed -n 's/.*"index":1,"delta":{"content":"\([^"]*\)"}.*/\1/p' out | tr -d '\n' > joined && printf '%s' "$(cat second)" | cmp - joined
}
several_texts() { answered /v1/completions '{"prompt":"Once upon a time","n":2,"temperature":0,"max_tokens":4,"echo":true}' && [ "$(value choices.0.text)" = "$(value choices.1.text)" ] && value choices.1.text | grep -q '^Once upon a time.'; }
role_with_token() { # where something is told of each
  answered $chat "$(user "$sum" ',"stream":true,"logprobs":true,"max_tokens":3')" && head -n 1 out | grep -q '"role":"assistant".*"token":"<think>"' && answered $chat "$(user "$sum" ',"stream":true,"timings_per_token":true,"max_tokens":3')" && head -n 1 out | grep -q '"role":"assistant".*"predicted_n":'
}

check "several answers" several
check "several answers in a stream" streams_several
check "several completions" several_texts
check "the role comes with the first token's figures" role_with_token
check "an answer by a grammar" follows_grammar
check "an answer by a JSON schema" follows_schema
check "an answer in JSON" follows_json
check "a slot takes what another has of the prompt" shares
check "a streamed chat: the sequence of its events" streams
check "progress and timings in a stream" tells_progress
check "thinking inside the text" thinks_inside
check "a budget for thinking" caps_thinking
check "no thinking at all" never_thinks
check "max_tokens" stops_at_length
check "stop strings" stops_at_string
check "stop strings in thinking" stops_in_thought
check "parts of text; unknown fields" takes_parts
check "a seed" repeats
check "logit_bias" bans
check "logprobs" gives_probs
check "an answer is gone on with" goes_on
check "turn 2 finds turn 1 in the cache" remembers

# ---- completions

completes() { answered /v1/completions '{"prompt":"Once upon a time","temperature":0,"max_tokens":5,"echo":true}' && [ "$(value object)" = text_completion ] && value choices.0.text | grep -q '^Once upon a time.' && [ "$(value choices.0.finish_reason)" = length ]; }
completes_tokens() { answered /tokenize '{"content":"Once upon a time"}' && tokens=$("$json_get" tokens < out) && answered /v1/completions '{"prompt":'"$tokens"',"temperature":0,"max_tokens":2}' && [ "$(value usage.completion_tokens)" = 2 ]; }
completes_stream() { answered /v1/completions '{"prompt":"Once upon a time","max_tokens":3,"stream":true}' && [ "$(tail -n 2 out | head -n 1)" = "data: [DONE]" ] && grep -q '"finish_reason":"length"' out; }
native() { answered /completion '{"prompt":"Once upon a time","n_predict":3,"return_tokens":true}' && [ "$(value stop_type)" = limit ] && [ "$(value tokens.count)" = 3 ] && has content timings.predicted_n; }
native_stream() { answered /completion '{"prompt":"Once upon a time","n_predict":3,"stream":true}' && ! grep -q DONE out && tail -n 2 out | grep -q '"stop":true'; }
tokens() { answered /tokenize '{"content":"Grüße, 世界!","with_pieces":true}' && has tokens.0.id tokens.0.piece && answered /tokenize '{"content":"Grüße, 世界!"}' && body=$(cat out) && answered /detokenize "$body" && [ "$(value content)" = "Grüße, 世界!" ]; }
template() { answered /apply-template "$(user "$sum")" && [ "$(value prompt)" = "<｜begin▁of▁sentence｜><｜User｜>$sum<｜Assistant｜>" ]; }
saves() { # a slot, empties it, and brings it back
  answered $chat "$(user "$sum" ',"id_slot":1')" && held=$(value usage.prompt_tokens) && answered "/slots/1?action=save" '{"filename":"talk.state"}' && holds "$(value n_tokens) > $held" && kept=$(value n_tokens) &&
    answered "/slots/1?action=erase" '' && answered "/slots/1?action=restore" '{"filename":"talk.state"}' && [ "$(value n_tokens)" = "$kept" ] &&
    answered $chat "$(user "$sum" ',"id_slot":1')" && [ "$(value usage.prompt_tokens_details.cached_tokens)" = $((held - 1)) ]
}

check "/v1/completions" completes
check "a prompt of tokens" completes_tokens
check "a streamed completion" completes_stream
check "/completion" native
check "a streamed /completion" native_stream
check "/tokenize and /detokenize" tokens
check "/apply-template" template
check "slots are saved, emptied and restored" saves

# ---- Ollama

ollama_models() { good /api/version && has version && good /api/tags && [ "$(value models.0.name)" = pebble-q4_k_m ] && good /api/ps && has models.0.expires_at && answered /api/show '{"model":"pebble-q4_k_m:latest"}' && has details.family model_info capabilities && post /api/show '{"model":"none"}' && [ "$code" = 404 ]; }
ollama_chat() { # a line for each piece; durations in nanoseconds
  answered /api/chat '{"model":"pebble-q4_k_m","messages":[{"role":"user","content":"'"$sum"'"}],"options":{"temperature":0}}' && grep -q '"thinking":"' out && [ "$(grep -c '"done":false' out)" -gt 10 ] &&
    tail -n 1 out > last && mv last out && [ "$(value 'done')" = true ] && [ "$(value done_reason)" = stop ] && holds "$(value eval_count) > 10 && $(value eval_duration) > 1000000"
}
ollama_generate() { answered /api/generate '{"model":"pebble-q4_k_m","prompt":"'"$sum"'","stream":false,"options":{"temperature":0}}' && [ "$(value response)" = "37 + 58 = 95" ]; }
ollama_error() { post /api/chat '{"model":"x"}' && [ "$code" = 400 ] && [ "$(value error)" = "the field 'messages' is missing" ]; }

check "Ollama: models" ollama_models
check "Ollama: a chat" ollama_chat
check "Ollama: a generation" ollama_generate
check "Ollama: an error" ollama_error

# ---- what it refuses

refused() { # CODE TYPE WORDS PATH BODY [CURL OPTIONS...]
  want=$1 type=$2 words=$3
  shift 3
  post "$@" && [ "$code" = "$want" ] && [ "$(value error.code)" = "$want" ] && [ "$(value error.type)" = "$type" ] && value error.message | grep -qF -- "$words"
}
bad() { refused 400 invalid_request_error "$@"; }
bad_values() {
  bad "not JSON" $chat '{"messages":' && bad "not JSON" $chat "$(printf '{"messages":"\377"}')" && bad "not a JSON object" $chat '[1]' && bad "'messages' is missing" $chat '{}' && bad "at least one message" $chat '{"messages":[]}' &&
    bad "temperature" $chat "$(user x ',"temperature":"hot"')" && bad "top_p" $chat "$(user x ',"top_p":3')" && bad "'n' takes a whole number from 1 to 32" $chat "$(user x ',"n":0')" &&
    bad "messages[0].role" $chat '{"messages":[{"role":"king","content":"x"}]}' && bad "only text is supported" $chat '{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}' &&
    bad "stop" $chat "$(user x ',"stop":[1]')" && bad "logit_bias" $chat "$(user x ',"logit_bias":{"x":1}')" && bad "response_format" $chat "$(user x ',"response_format":{"type":"xml"}')" &&
    bad "grammar" $chat "$(user x ',"grammar":"root ::= \"","stream":true')" && bad "" $chat "$(user x ',"json_schema":{"type":"spoon"}')" &&
    bad "tools[0]" $chat "$(user x ',"tools":[{}]')" && bad "id_slot" $chat "$(user x ',"id_slot":99')" && bad "no token" /v1/completions '{"prompt":[99999]}' && bad "content" /tokenize '{}' && bad "tokens" /detokenize '{"tokens":[-1]}'
}
too_long() { body=$(awk 'BEGIN { for (i = 0; i < 3000; i++) printf "word " }') && refused 400 exceed_context_size_error "the context has room for 2048" $chat "$(user "$body")" && [ "$(value error.n_ctx)" = 2048 ] && holds "$(value error.n_prompt_tokens) > 2048"; }
too_large() { head -c 2000000 /dev/zero | tr '\0' ' ' > large && code=$(curl -s -m 20 -o out -w '%{http_code}' --data-binary @large "$url$chat") || true; echo "$code"; [ "$code" = 413 ]; }
long_header() { awk 'BEGIN { printf "X-Long: "; for (i = 0; i < 100000; i++) printf "x" }' > header && code=$(curl -s -m 20 -o out -w '%{http_code}' -H @header "$url/health") || true; echo "$code"; [ "$code" != 200 ]; }
elsewhere() { get /nowhere && [ "$code" = 404 ] && [ "$(value error.type)" = not_found_error ] && get $chat -D headers && [ "$code" = 405 ] && grep -qi '^Allow: POST, OPTIONS' headers && get $chat -X PUT && [ "$code" = 405 ] && [ "$(value error.code)" = 405 ] && refused 501 not_supported_error "" /v1/embeddings '{}'; }
origins() { # pages of this machine may call, others not
  get /health -H 'Origin: http://localhost:3000' -D headers && [ "$code" = 200 ] && grep -qi '^Access-Control-Allow-Origin: http://localhost:3000' headers &&
    get /health -H 'Origin: https://evil.example' && [ "$code" = 403 ] && get $chat -X OPTIONS -H 'Origin: http://127.0.0.1' -H 'Access-Control-Request-Headers: authorization' -D headers && [ "$code" = 204 ] &&
    grep -qi '^Access-Control-Allow-Headers: authorization' headers && grep -qi '^Access-Control-Allow-Methods: .*POST' headers
}

check "values that do not do" bad_values
check "a prompt that does not fit the context" too_long
check "a body that is too large" too_large
check "a header that is too large" long_header
check "other addresses and methods" elsewhere
check "pages of other origins" origins
check "and is well after all that" whole
check "ends when asked to" stop_server

# ---- keys, and a folder of models

mkdir models models/more
ln -s "$model" models/a.gguf
ln -s "$model" models/more/b.gguf
head -c 100000 "$model" > models/cut.gguf
echo secret2 > keys

keys() {
  get /health && [ "$code" = 200 ] && good /v1/models && get /slots && [ "$code" = 401 ] && [ "$(value error.type)" = authentication_error ] && get /slots -H 'Authorization: Bearer wrong' && [ "$code" = 401 ] &&
    good /slots -H 'Authorization: Bearer secret1' && good /slots -H 'X-Api-Key: secret2'
}
lists_folder() { good /models && [ "$(value data.count)" = 3 ] && [ "$(value data.0.id)" = a ] && [ "$(value data.2.id)" = more/b ] && [ "$(value data.0.status.value)" = unloaded ] && good /health && [ "$(value phase)" = empty ]; }
key="X-Api-Key: secret1"
becomes() { for _ in $(seq 100); do get /health && [ "$(value phase)" = "$1" ] && return 0; sleep 0.1; done; return 1; }
loads() { answered /models/load '{"model":"more/b"}' -H "$key" && becomes ready && [ "$(value model)" = more/b ] && answered $chat "$(user "$sum")" -H "$key" && [ "$(value model)" = more/b ]; }
loads_nothing() { post /models/load '{"model":"../a"}' -H "$key" && [ "$code" = 404 ] && post /models/load '{}' -H "$key" && [ "$code" = 400 ]; }
fails_to_load() { answered /models/load '{"model":"cut"}' -H "$key" && becomes failed && [ "$code" = 503 ] && has reason && post $chat "$(user x)" -H "$key" && [ "$code" = 503 ]; }
unloads() { answered /models/unload '' -H "$key" && becomes empty && post $chat "$(user x)" -H "$key" && [ "$code" = 503 ]; }
loads_by_name() { answered $chat "$(user "$sum" ',"model":"a"')" -H "$key" && [ "$(value model)" = a ]; }

fails_at_once() { run serve models/cut.gguf --port 0 --device cpu && [ "$code" = 2 ] && grep -q cut.gguf err; }

check "a folder" serve models --api-key secret1 --api-key-file keys
check "keys" keys
check "its models" lists_folder
check "a model that is not there" loads_nothing
check "loading one" loads
check "one that is damaged" fails_to_load
check "unloading" unloads
check "loading by a request's name" loads_by_name
check "ends" stop_server
check "a file that is none" refuses 2 "such file" serve nowhere.gguf
check "a damaged file" fails_at_once
echo "1..$n"
finish

#!/bin/sh
# Tools: calls that the client insists on, whole and streamed, and the turn with their results. Prints TAP.
#   sh tests/serve/serve_tools.sh TOP PUMICE JSON_GET
set -eu
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"
chat=/v1/chat/completions
add='{"type":"function","function":{"name":"add","description":"adds two numbers","parameters":{"type":"object","properties":{"a":{"$ref":"#/$defs/n"},"b":{"$ref":"#/$defs/n"}},"required":["a","b"],"$defs":{"n":{"type":"integer","minimum":0,"maximum":99}}}}}'
now='{"type":"function","function":{"name":"say \"now\"","description":"the time"}}'
mood='{"type":"function","function":{"name":"mood","parameters":{"type":"object","properties":{"is":{"enum":["{good}","}bad{"]}},"required":["is"]}}}'
question='{"role":"user","content":"What is 37 + 58?"}'
asks() { printf '{"messages":[%s],"tools":[%s,%s,%s],"temperature":0,"reasoning_budget_tokens":%s%s}' "$question" "$add" "$now" "$mood" "${2:-4}" "${1:-}"; }
named() { printf ',"tool_choice":{"type":"function","function":{"name":"%s"}}%s' "$1" "${2:-}"; }

check "starts" serve "$model" --parallel 2

# The call of a whole answer: its name in the file name, its arguments in the file arguments.
called() {
  [ "$(value choices.0.finish_reason)" = tool_calls ] && [ "$(value choices.0.message.content)" = null ] && [ "$(value choices.0.message.tool_calls.count)" = 1 ] &&
    [ "$(value choices.0.message.tool_calls.0.type)" = function ] && value choices.0.message.tool_calls.0.id | grep -qE '^call_[0-9a-f]{24}$' && ! has choices.0.message.tool_calls.0.index 2> /dev/null &&
    value choices.0.message.tool_calls.0.function.name > name && value choices.0.message.tool_calls.0.function.arguments > arguments
}
sums() { holds "$("$json_get" a < arguments) <= 99 && $("$json_get" b < arguments) <= 99"; }
calls_one() { answered $chat "$(asks "$(named add)")" && called && [ "$(cat name)" = add ] && sums; }
calls_any() { answered $chat "$(asks ',"tool_choice":"required"')" && called && grep -qx 'add\|say "now"\|mood' name && grep -q '^{.*}$' arguments; }
calls_without_arguments() { answered $chat "$(asks "$(named 'say \"now\"')")" && called && [ "$(cat name)" = 'say "now"' ] && grep -qx '{ *}' arguments; }
calls_with_braces() { answered $chat "$(asks "$(named mood)")" && called && "$json_get" is < arguments | grep -qx '{good}\|}bad{'; }

# Role; one delta with index, id, type and name, and others with pieces of arguments; then the reason. Together they are the whole call.
streams_call() {
  answered $chat "$(asks "$(named add)")" && called && mv arguments whole &&
    answered $chat "$(asks "$(named add ',"stream":true')")" && [ "$(tail -n 2 out | head -n 1)" = "data: [DONE]" ] && ! grep -q '"delta":{"content":"' out &&
    head -n 1 out | grep -qF '"delta":{"role":"assistant","content":null}' && [ "$(grep -c '"finish_reason":"tool_calls"' out)" = 1 ] &&
    sed -n 's/^data: \({.*"tool_calls".*\)/\1/p' out > deltas && first=$(head -n 1 deltas | "$json_get" choices.0.delta.tool_calls.0) && echo "$first" &&
    echo "$first" | grep -q '^{"index":0,"id":"call_[0-9a-f]*","type":"function","function":{"name":"add","arguments":"' && [ "$(grep -c '"id":"call_' deltas)" = 1 ] && [ "$(wc -l < deltas)" -gt 3 ] &&
    while read -r delta; do printf '%s\n' "$delta" | "$json_get" choices.0.delta.tool_calls.0.function.arguments; done < deltas | tr -d '\n' > joined && tr -d '\n' < whole | cmp - joined
}
is_cut() { answered $chat "$(asks "$(named add ',"max_tokens":40')")" && [ "$(value choices.0.finish_reason)" = length ] && value choices.0.message.tool_calls.0.function.arguments | grep -q '^{[^}]*$'; }
thinks_first() { answered $chat "$(asks "$(named mood)" 1000)" && called && [ "$(cat name)" = mood ] && has choices.0.message.reasoning_content; }

# The template of the model knows no tools: they are spelled out.
spells_out() {
  answered /apply-template '{"messages":[{"role":"system","content":"Be brief."},'"$question"',{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":37,\"b\":58}"}}]},{"role":"tool","tool_call_id":"c1","content":"95"},{"role":"tool","name":"mood","content":"fine"}],"tools":['"$add"']}' &&
    value prompt > prompt && grep -q 'Be brief\.$' prompt && grep -q '^{"name":"add","description":"adds two numbers"' prompt && grep -q '<｜Assistant｜>{"name":"add","arguments":{"a":37,"b":58}}<' prompt &&
    grep -q '<｜User｜>Result of add: 95$' prompt && grep -qx 'Result of mood: fine<｜Assistant｜>' prompt
}
# A call, its result, and the answer to that, as a client's loop has it.
two_turns() {
  answered $chat "$(asks "$(named add)")" && call=$(value choices.0.message) && id=$(value choices.0.message.tool_calls.0.id) && first=$(value usage.prompt_tokens) &&
    answered $chat '{"messages":['"$question,$call"',{"role":"tool","tool_call_id":"'"$id"'","content":"95"}],"tools":['"$add,$now,$mood"'],"temperature":0,"max_tokens":40}' &&
    value choices.0.finish_reason | grep -qx 'stop\|length' && value choices.0.message.content | grep -q . && holds "$(value usage.prompt_tokens_details.cached_tokens) >= $first - 1"
}
# An answer by a schema, or a call instead of it: what the model begins with decides, and here a bias for that.
either() { printf '%s,"tool_choice":"auto","logit_bias":{"%s":%s},"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#/$defs/mark","$defs":{"mark":{"enum":["yes","no"]}}}}}}' "$(asks "${2:-}" 0 | sed 's/}$//')" "$brace" "$1"; }
answers_or_calls() {
  answered /tokenize '{"content":"{"}' && brace=$(value tokens.0) && answered $chat "$(either 50)" && called && grep -qx 'add\|say "now"\|mood' name &&
    answered $chat "$(either -100)" && [ "$(value choices.0.finish_reason)" = stop ] && value choices.0.message.content | grep -qx '"yes"\|"no"' && ! has choices.0.message.tool_calls 2> /dev/null &&
    answered $chat "$(either -100 ',"stream":true')" && sed -n 's/.*"delta":{"content":"\(.*\)"}}\].*/\1/p' out | tr -d '\n' | grep -qx '\\"yes\\"\|\\"no\\"'
}
# One whose first key is a call's is told from a call, too.
names_first() {
  answered $chat "$(asks ',"stream":true,"response_format":{"type":"json_object","schema":{"type":"object","properties":{"name":{"enum":["Tom"]},"sum":{"type":"integer","maximum":9}},"required":["name","sum"],"additionalProperties":false}}' 0)" &&
    { grep -q '"content":"{.*Tom' out || grep -q '"tool_calls"' out; } && [ "$(grep -c '"finish_reason":"\(stop\|tool_calls\)"' out)" = 1 ]
}
none() { answered $chat "$(asks ',"tool_choice":"none"' 1000)" && [ "$(value choices.0.message.content)" = "37 + 58 = 95" ]; }
refuses_choice() {
  for choice in '"tool_choice":"often"' '"tool_choice":{"type":"function"}' '"tool_choice":{"type":"function","function":{"name":"sub"}}' '"parallel_tool_calls":1'; do
    post $chat "$(asks ",$choice")" && [ "$code" = 400 ] && value error.message | grep -q "$(expr "$choice" : '"\([a-z_]*\)')" || return 1
  done
  post $chat '{"messages":['"$question"'],"tool_choice":"required"}' && [ "$code" = 400 ] && value error.message | grep -q tools &&
    post $chat '{"messages":['"$question"',{"role":"assistant","tool_calls":[{"id":"x"}]}]}' && [ "$code" = 400 ] && value error.message | grep -q 'messages\[1\].tool_calls'
}

check "a tool that must be called" calls_one
check "some tool that must be called" calls_any
check "a tool without arguments" calls_without_arguments
check "braces in arguments" calls_with_braces
check "a call in a stream" streams_call
check "a call that max_tokens cuts" is_cut
check "a call after thinking that would be the end" thinks_first
check "tools spelled out for a template without them" spells_out
check "the turn after a call" two_turns
check "a call, or an answer by a schema" answers_or_calls
check "an answer by a schema that begins as a call does" names_first
check "no call" none
check "choices that do not do" refuses_choice
check "ends" stop_server
echo "1..$n"
finish

# For the tests of the server: . serve_check.sh TOP PUMICE JSON_GET. What check.sh has, and a server in the background.
# shellcheck shell=sh disable=SC2034,SC2154
json_get=$3
. "$1/tests/apps/check.sh"
without_vulkan
if ! command -v curl > /dev/null; then
  echo "skip: no curl"
  exit 77
fi
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || :; rm -rf "$tmp"' EXIT

# Starts a server with these arguments and waits until it is ready, or holds no model; sets $url.
serve() {
  : > listening
  "$pumice" serve "$@" --port 0 --device cpu > listening 2> serve.err &
  server=$!
  for _ in $(seq 600); do
    url=$(sed -n 's/^listening on //p' listening)
    if [ -n "$url" ] && curl -sf -m 5 "$url/health" > /dev/null; then return 0; fi
    kill -0 $server 2> /dev/null || break
    sleep 0.1
  done
  cat serve.err
  return 1
}

# Ends it as Ctrl-C does; good if it ends well.
stop_server() {
  kill -INT "$server"
  rc=0
  wait "$server" || rc=$?
  server=
  cat serve.err
  [ "$rc" = 0 ]
}

# get PATH [CURL OPTIONS...], post PATH BODY [CURL OPTIONS...]: leave $code and the file out.
get() {
  path=$1
  shift
  code=$(curl -s -m 120 -o out -w '%{http_code}' "$@" "$url$path") || code="curl $?"
  echo "GET $path: $code $(head -c 600 out)"
}

post() {
  path=$1 body=$2
  shift 2
  code=$(printf '%s' "$body" | curl -s -m 120 -o out -w '%{http_code}' -H 'Content-Type: application/json' --data-binary @- "$@" "$url$path") || code="curl $?"
  echo "POST $path $(printf %.300s "$body"): $code $(head -c 600 out)"
}

value() { "$json_get" "$1" < out; }
has() { for at in "$@"; do value "$at" > /dev/null || return 1; done; }
holds() { awk "BEGIN { exit !($1) }"; }
good() { get "$@" && [ "$code" = 200 ]; }
answered() { post "$@" && [ "$code" = 200 ]; }
user() { printf '{"messages":[{"role":"user","content":"%s"}],"temperature":0%s}' "$1" "${2:-}"; }
idle() { good /slots && ! grep -q '"is_processing":true' out; }

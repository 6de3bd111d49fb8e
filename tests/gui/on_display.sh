#!/bin/sh
# Runs a command with a display, a session bus and accessibility of its own; ends with 77 where the parts for that are missing.
#   sh on_display.sh COMMAND...
set -eu

missing() {
  echo "skip: $1 is not installed"
  exit 77
}

for tool in Xvfb dbus-run-session; do command -v $tool > /dev/null || missing $tool; done
[ -x /usr/libexec/at-spi-bus-launcher ] || missing at-spi2-core
/usr/bin/python3 -c 'import pyatspi' 2> /dev/null || missing python3-pyatspi

home=$(mktemp -d)
server=
# shellcheck disable=SC2329 # called by the trap
clean_up() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  rm -rf "$home"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# A number that no other test has: a server that ends takes the socket of its number away from one that has just begun.
Xvfb :$((100 + $$ % 50000)) -displayfd 3 -screen 0 1280x900x24 -nolisten tcp 3> "$home/display" 2> /dev/null &
server=$!
n=0
while [ ! -s "$home/display" ]; do
  n=$((n + 1))
  [ $n -lt 100 ] || missing "a working Xvfb"
  sleep 0.1
done
DISPLAY=:$(cat "$home/display")
export DISPLAY XDG_RUNTIME_DIR="$home" HOME="$home" XDG_DATA_HOME="$home" XDG_CONFIG_HOME="$home" XDG_CACHE_HOME="$home"
export GDK_BACKEND=x11 GSK_RENDERER=cairo GTK_A11Y=atspi LC_ALL=C.UTF-8 NO_AT_BRIDGE=0
unset WAYLAND_DISPLAY
# shellcheck disable=SC2016 # the inner shell expands
dbus-run-session -- sh -c '/usr/libexec/at-spi-bus-launcher --launch-immediately > /dev/null 2>&1 &
  sleep 0.5
  "$@"' sh "$@" 2> "$home/errors" && code=0 || code=$?
[ $code = 0 ] || sed 's/^/# /' "$home/errors"
exit $code

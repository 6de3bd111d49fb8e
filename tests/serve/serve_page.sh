#!/bin/sh
# The page at / in a browser without a window: a chat through its own form, read out of the document. Prints TAP.
#   sh tests/serve/serve_page.sh TOP PUMICE JSON_GET
set -eu
# shellcheck source=tests/serve/serve_check.sh
. "$(dirname "$0")/serve_check.sh"
browser=$(command -v chromium || true)
if [ -z "$browser" ] || ! command -v python3 > /dev/null; then
  echo "skip: no chromium with python3 to drive it; start.sh does not install it because of its size (apt-get install chromium)"
  exit 77
fi
serve "$model" --parallel 2 --temp 0 || exit 1
TMPDIR=$tmp timeout 120 python3 "$top/tests/serve/serve_page.py" "$browser" "$url" "$server"

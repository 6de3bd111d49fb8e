#!/bin/sh
# Chat templates as our interpreter renders them and as Python's Jinja does.   jinja.sh RENDER_TEMPLATE FILE...
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
if ! $python -c 'import jinja2.sandbox' 2> /dev/null; then
  echo "skip: no python3-jinja2"
  exit 77
fi
exec $python "$here/jinja_oracle.py" "$@"

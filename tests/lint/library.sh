#!/bin/sh
# The library as a user gets it: what it exports and needs, the README's example, an installed copy. Prints TAP.
#   sh tests/lint/library.sh TOP BUILD CC MODEL
set -eu
top=$1 build=$2 cc=$3 model=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

n=0
check() { # NAME COMMAND...: good if the command is; its output is shown if not
  name=$1
  shift
  n=$((n + 1))
  if "$@" > "$tmp/out" 2>&1; then
    echo "ok $n - $name"
  else
    sed 's/^/#   /' "$tmp/out"
    echo "not ok $n - $name"
  fi
}

symbols() { nm -D "$1" "$build/runtime/libpumice.so" | sed 's/@.*//' | awk '{ print $NF }' | LC_ALL=C sort; }

exports() { symbols --defined-only | diff "$top/tests/lint/exports.txt" -; }

# Programs decide about output, the end and the environment. __assert_fail would be an abort.
imports() { ! symbols --undefined-only | grep -xE 'v?f?printf|puts|fputs|putchar|perror|exit|_exit|abort|__assert_fail|(secure_)?getenv|v?f?printf_chk'; }

# The C block after the line "<!-- example -->" of the README.
example() {
  awk '/^<!-- example -->$/ { next_block = 1 } /^```$/ { inside = 0 } inside { print } /^```c$/ && next_block { inside = 1; next_block = 0 }' \
    "$top/README.md" > "$tmp/example.c"
  lines=$(wc -l < "$tmp/example.c")
  if [ "$lines" = 0 ] || [ "$lines" -gt 40 ]; then
    echo "$lines lines, expected 1 to 40"
    return 1
  fi
  "$cc" -std=c17 -Wall -Wextra -Werror -I"$build/include" "$tmp/example.c" -o "$tmp/example" -L"$build/runtime" -lpumice -Wl,-rpath,"$build/runtime"
}

example_runs() {
  "$tmp/example" "$model" "What is 37 + 58?" > "$tmp/answer" 2>&1 && grep -q 95 "$tmp/answer" && return
  cat "$tmp/answer"
  return 1
}

install_copy() {
  cmake --install "$build" --prefix "$tmp/prefix" && "$tmp/prefix/bin/pumice" --version
}

use_pkg_config() {
  pc=$(dirname "$(find "$tmp/prefix" -name pumice.pc)")
  # shellcheck disable=SC2046 # flags
  "$cc" "$tmp/example.c" -o "$tmp/by-pkg-config" $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs pumice) -Wl,-rpath,"$pc/.." &&
    "$tmp/by-pkg-config" "$model" "What is 37 + 58?"
}

use_cmake() {
  mkdir "$tmp/user"
  cp "$tmp/example.c" "$tmp/user"
  cat > "$tmp/user/CMakeLists.txt" << 'EOF'
cmake_minimum_required(VERSION 3.16)
project(user LANGUAGES C)
find_package(pumice 0.1 REQUIRED)
add_executable(example example.c)
target_link_libraries(example PRIVATE pumice::pumice)
EOF
  cmake -S "$tmp/user" -B "$tmp/user/build" -DCMAKE_PREFIX_PATH="$tmp/prefix" -DCMAKE_C_COMPILER="$cc" -G Ninja &&
    ninja -C "$tmp/user/build" &&
    "$tmp/user/build/example" "$model" "What is 37 + 58?"
}

check "libpumice.so exports what exports.txt lists" exports
check "libpumice.so does not print, exit or read the environment" imports
check "the README's example compiles" example
check "the README's example answers" example_runs
check "cmake --install" install_copy
check "the installed library with pkg-config" use_pkg_config
check "the installed library with find_package" use_cmake
echo "1..$n"

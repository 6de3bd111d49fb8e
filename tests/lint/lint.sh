#!/bin/sh
# What the compiler does not check about the source: who includes whom, forbidden calls, sizes, names, format, links. Prints TAP.
#   sh tests/lint/lint.sh TOP BUILD CC
set -eu
cd "$1"
build=$2 cc=$3
here=tests/lint
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

find apps loader runtime shaders tests -type f | LC_ALL=C sort > "$tmp/files"
grep -E '\.(c|h)$' "$tmp/files" > "$tmp/c"
grep -E '^(runtime|loader)/.*\.(c|h|def|inc)$' "$tmp/files" > "$tmp/library"
grep -E '^shaders/.*\.(comp|glsl)$' "$tmp/files" > "$tmp/shaders"
grep -E '\.(c|h|def|inc)$' "$tmp/files" > "$tmp/sources"

n=0
# check NAME COMMAND...: good if the command prints nothing; lines that begin with "# " are figures, not objections.
check() {
  name=$1
  shift
  n=$((n + 1))
  "$@" > "$tmp/out" 2>&1 || true
  grep '^# ' "$tmp/out" || true
  if grep -qv '^# ' "$tmp/out"; then
    grep -v '^# ' "$tmp/out" | sed 's/^/#   /'
    echo "not ok $n - $name"
  else
    echo "ok $n - $name"
  fi
}

skip() { # NAME REASON
  n=$((n + 1))
  echo "skip: $2"
  echo "ok $n - $1 # SKIP"
}

on() { # LIST COMMAND...: the command with the files of a list
  list=$1
  shift
  xargs -d '\n' "$@" < "$tmp/$list"
}

includes() { on sources awk -v files="$tmp/files" -v build="$build" -f $here/includes.awk; }

# Calls are looked for outside of comments and strings; a member or a longer name is none of them.
calls() { # PATTERN LIST
  # shellcheck disable=SC2016
  on "$2" awk -v calls="(^|[^A-Za-z0-9_.>])($1)\\\\(" '
    { code = $0; gsub(/\\./, "", code); gsub(/"[^"]*"/, "", code); sub(/\/\/.*/, "", code) }
    code ~ calls { print FILENAME ":" FNR ": " $0 }'
}

memory_calls() { calls 'malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|free|strn?dup|v?asprintf|getline' library | grep -v '^runtime/base/memory\.c:'; }

outside_calls() { calls 'v?f?printf|puts|fputs|putchar|perror|exit|_exit|_Exit|abort|getenv|secure_getenv|setenv' library; }

# With the folder of every header as -I, and those of generated headers.
headers_alone() {
  while IFS= read -r folder; do set -- "$@" -I "$folder"; done << EOF
$(sed -n 's|/[^/]*\.h$||p' "$tmp/c" | sort -u)
EOF
  gui=$(pkg-config --cflags libadwaita-1 gtksourceview-5 libsoup-3.0 sqlite3 2> /dev/null) || true
  grep '\.h$' "$tmp/c" | while IFS= read -r header; do
    case $header in apps/gui/*) if [ -n "$gui" ]; then flags=$gui; else continue; fi ;; *) flags= ;; esac
    # shellcheck disable=SC2086 # words, or none
    "$cc" $flags -std=gnu17 -Wall -Wextra -Werror -fsyntax-only "$@" -I "$build/shaders" -include "$header" -x c /dev/null || echo "$header does not compile alone"
  done
}

unique_names() {
  grep -vE '(CMakeLists\.txt|README\.md)$|^tests/data/|^tests/fuzz/corpus' "$tmp/files" | awk -F / '$NF in seen { print $0 " and " seen[$NF] } { seen[$NF] = $0 }'
}

lengths() { # LIST HARD_STOP
  on "$1" wc -l | awk -v stop="$2" '$2 != "total" && $1 > stop { print $2 " has " $1 " lines, the hard stop is " stop }'
}

functions() { on c awk -f $here/functions.awk | sort -n | awk '
    { n++; lines[n] = $1; if ($1 > 150) print $2 " is a function of " $1 " lines, the hard stop is 150" }
    END { printf "# %d functions, p90 %d lines, longest %d\n", n, lines[int(0.9 * n + 0.5)], lines[n] }'; }

open_doors() { on files grep -nE '(TO)DO|(FIX)ME' --include='*.[ch]' --include='*.inc' --include='*.def' --include='*.comp' --include='*.glsl' --include='*.sh'; }

unformatted() { on c clang-format --dry-run 2>&1 | awk -F : '/code should be clang-formatted/ { n[$1]++ } END { for (f in n) print f ": " n[f] " places; clang-format -i " f }'; }

links() {
  find . -name '*.md' -not -path './build*' | while IFS= read -r file; do
    grep -oE '\]\([^)#]+' "$file" | cut -c3- | grep -vE '^[a-z]+:' | while IFS= read -r link; do
      [ -e "$(dirname "$file")/$link" ] || echo "$file: no such file: $link"
    done
  done
}

modules() { # of SPIR-V, as the build's registry has them; none without Vulkan
  [ ! -e "$build/shaders/registry.c" ] || awk '
    /^const uint32_t pm_gpu_spirv_count = / { n = $5 + 0; print "# " n " modules"; if (n > 400) print n " modules, the hard stop is 400" }' "$build/shaders/registry.c"
}

# Functions, types and macros that the documentation names.
names() {
  grep -oE '\b(pm|pumice|PM|PUMICE)_[A-Za-z0-9_]+' README.md ./*/README.md | sort -u | while IFS=: read -r file name; do
    on sources grep -qw -- "$name" || grep -qw -- "$name" CMakeLists.txt tests/CMakeLists.txt tests/run.sh || echo "$file: no such name: $name"
  done
}

scripts() { for s in start.sh .ci/run $(grep '\.sh$' "$tmp/files"); do "$@" "$s"; done; }

check "a file includes its own folder and lower floors only" includes
check "memory comes from runtime/base/memory.c alone" memory_calls
check "the library never prints, exits or reads the environment" outside_calls
check "every header compiles alone" headers_alone
check "file names are unique" unique_names
check "C files have at most 1200 lines" lengths c 1200
check "shaders have at most 400 lines" lengths shaders 400
check "functions have at most 150 lines" functions
check "there are at most 400 SPIR-V modules" modules
check "no doors are left open" open_doors
check "links in the documentation lead somewhere" links
check "names in the documentation exist" names
check "scripts are POSIX shell" scripts sh -n
if command -v clang-format > /dev/null; then
  check "C is formatted as .clang-format says" unformatted
else
  skip "C is formatted as .clang-format says" "no clang-format"
fi
if command -v shellcheck > /dev/null; then
  check "shellcheck has nothing to say" scripts shellcheck -s sh -x -P SCRIPTDIR -S warning
else
  skip "shellcheck has nothing to say" "no shellcheck"
fi
echo "1..$n"

#!/bin/sh
# From a bare Debian 12 to a chat:   sh start.sh
#
#   sh start.sh                     install what is missing, build, chat with the demo model (without a terminal: one question)
#   sh start.sh chat MODEL [...]    the same with a model of yours; what follows goes to 'pumice chat'
#   sh start.sh gui [MODEL]         the same for the desktop app
#   sh start.sh build               install what is missing, build everything
#   sh start.sh test [TEST...]      install what is missing, build everything, run all tests or those named
#   sh start.sh help                this text
#
# Installing uses apt as root or through sudo, and only if something is missing. Everything else happens in ./build.
set -eu
unset CDPATH

top=$(cd "$(dirname "$0")" && pwd)
build=$top/build
demo=$top/apps/demo/pebble-q4_k_m.gguf

packages_build="gcc libc6-dev cmake ninja-build libvulkan-dev libvulkan-volk-dev glslang-tools spirv-tools libutf8proc-dev libedit-dev libevent-dev libjansson-dev"
packages_test="pkgconf libcmocka-dev curl libpcre2-dev mesa-vulkan-drivers clang clang-format python3-jinja2 lintian dpkg-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
packages_gui="pkgconf libgtk-4-dev libadwaita-1-dev libgtksourceview-5-dev libsoup-3.0-dev libsqlite3-dev libmd4c-dev adwaita-icon-theme"
packages_gui_test="xvfb dbus at-spi2-core python3-pyatspi procps fonts-dejavu-core"

say() { printf '%s\n' "$*"; }

fail() {
  say "start.sh: $*" >&2
  exit 1
}

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$top/start.sh"; }

# Turns the lines of apt-get and ninja into one line of progress; lines that are neither's usual ones are shown.
progress() { # WHAT
  done=0 total=0 shown=0
  while IFS= read -r line; do
    case $line in
      \[[0-9]*/[0-9]*\]*)
        line=${line#\[}
        done=${line%%/*} line=${line#*/}
        total=${line%%\]*}
        ;;
      *" newly installed, "*) # "3 upgraded, 12 newly installed, ...": each is fetched, unpacked, set up
        upgraded=${line%% *} line=${line#*, }
        total=$((3 * (upgraded + ${line%% *})))
        ;;
      "ninja: Entering "* | "ninja: no work to do."*) ;;
      Get:* | Unpacking* | "Setting up"*) done=$((done + 1)) ;;
      *) [ "$1" = installing ] || printf '%s\n' "$line" ;;
    esac
    [ "$total" -gt 0 ] || continue
    percent=$((100 * done / total))
    if [ -t 1 ] && [ "$percent" != "$shown" ]; then
      printf '\r  %s: %d %%' "$1" "$percent"
      shown=$percent
    elif [ ! -t 1 ] && [ "$percent" -ge $((shown + 20)) ]; then
      printf '  %s: %d %%\n' "$1" "$percent"
      shown=$((percent / 20 * 20))
    fi
  done
  if [ -t 1 ] && [ "$shown" -gt 0 ]; then echo; fi
}

watched() { # WHAT COMMAND...: with progress; its lines stay in build/WHAT.log
  what=$1
  shift
  { "$@" 2>&1 && : > "$build/$what.good"; } | tee "$build/$what.log" | progress "$what"
  [ -e "$build/$what.good" ] && rm "$build/$what.good"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o DPkg::Lock::Timeout=300 "$@"; }

missing_packages() { # PACKAGE...: those that are not installed
  dpkg-query -W -f "\${Package} \${db:Status-Status}\n" "$@" 2> /dev/null |
    awk -v want="$*" '$2 == "installed" { have[$1] = 1 } END { n = split(want, p, " "); for (i = 1; i <= n; i++) if (!have[p[i]]) print p[i] }'
}

install_packages() { # PACKAGE...
  if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    for tool in cc cmake ninja glslangValidator spirv-opt spirv-val; do
      command -v $tool > /dev/null || fail "'$tool' is missing. Without apt, please install the counterparts of these Debian packages yourself: $*"
    done
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  missing=${missing% }
  [ -n "$missing" ] || return 0
  say "Missing packages: $missing"
  if [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
    fail "installing them needs root, and there is no sudo. As root:  apt-get install --no-install-recommends $missing"
  fi
  say "Installing them with apt-get:"
  apt update -qq -o APT::Update::Error-Mode=any > "$build/update.log" 2>&1 || say "  the package lists could not be renewed (no network?): $(grep -m 1 '^[EW]:' "$build/update.log" || true)"
  # shellcheck disable=SC2086 # a list
  watched installing apt install -y --no-install-recommends $missing && return 0
  tail -n 5 "$build/installing.log" >&2
  fail "the packages could not be installed. Try again with a network, or install them yourself: $missing"
}

configure() { # TESTS: ON, or OFF to leave that as it is
  cache=$build/CMakeCache.txt
  if [ ! -e "$build/build.ninja" ] || ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$top" "$cache"; then
    say "Configuring"
    set -- "$1" --fresh
  elif [ "$1" = OFF ] || grep -qx 'PUMICE_TESTS:BOOL=ON' "$cache"; then
    return 0 # ninja configures again by itself where a CMakeLists.txt has changed
  else
    say "Configuring with the tests"
  fi
  tests=$1
  shift
  cmake "$@" -S "$top" -B "$build" -G Ninja -DPUMICE_TESTS="$tests" > "$build/configure.log" 2>&1 && return 0
  cat "$build/configure.log" >&2
  rm -f "$build/build.ninja"
  fail "configuring failed, see above"
}

configure_gui() { # ON, or AUTO: where its libraries are there
  grep -q 'apps/gui/pumice-gui' "$build/build.ninja" && return 0
  say "Configuring with the desktop app"
  cmake -S "$top" -B "$build" -DPUMICE_GUI="$1" > "$build/configure.log" 2>&1 && return 0
  cat "$build/configure.log" >&2
  fail "configuring failed, see above"
}

build_targets() { # TARGET...
  say "Building"
  watched building ninja -C "$build" "$@" || fail "building failed, see above"
}

verb=${1:-chat}
[ $# = 0 ] || shift
case $verb in chat | gui | build | test) mkdir -p "$build" ;; esac
# shellcheck disable=SC2086 # lists of packages
case $verb in
  chat)
    install_packages $packages_build
    configure OFF
    build_targets apps/pumice
    [ $# -gt 0 ] || set -- "$demo"
    if [ -t 0 ]; then exec "$build/apps/pumice" chat "$@"; fi
    say "There is no terminal, so one question: What is 37 + 58?"
    exec "$build/apps/pumice" run --greedy "$@" "What is 37 + 58?"
    ;;
  gui)
    install_packages $packages_build $packages_gui
    configure OFF
    configure_gui ON
    build_targets apps/pumice apps/gui/pumice-gui
    [ $# -gt 0 ] || set -- "$demo"
    exec "$build/apps/gui/pumice-gui" "$@"
    ;;
  build)
    install_packages $packages_build
    configure OFF
    build_targets
    say "Built: $build/apps/pumice"
    ;;
  test)
    install_packages $packages_build $packages_gui $packages_test $packages_gui_test
    configure ON
    configure_gui AUTO
    build_targets
    exec sh "$top/tests/run.sh" "$build" "$@"
    ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac

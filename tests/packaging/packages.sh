#!/bin/sh
# The packages that CPack makes: what lintian says, what is in them, and whether an installed copy starts. Prints TAP.
#   packages.sh BUILD
set -eu
build=$1
for tool in lintian dpkg-deb dpkg-shlibdeps gzip; do
  command -v $tool > /dev/null || {
    echo "skip: no $tool"
    exit 77
  }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

n=0
check() { # NAME COMMAND...
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

make_packages() { cpack -G DEB --config "$build/CPackConfig.cmake" -B "$tmp/packages" && set -- "$tmp"/packages/*.deb && [ $# -ge 3 ]; }

no_errors() { lintian --allow-root --fail-on error "$tmp"/packages/*.deb; }

unpack() {
  for deb in "$tmp"/packages/*.deb; do
    dpkg-deb -x "$deb" "$tmp/root" || return 1
  done
}

starts() {
  library=$(dirname "$(find "$tmp/root/usr/lib" -name 'libpumice.so.0')")
  LD_LIBRARY_PATH=$library "$tmp/root/usr/bin/pumice" --version
}

man_page() { zcat "$tmp/root/usr/share/man/man1/pumice.1.gz" | grep -q '^\.SH EXIT STATUS'; }

check "cpack -G DEB" make_packages
check "lintian has no errors" no_errors
check "the packages unpack" unpack
check "the command starts" starts
check "it has a page" man_page
echo "1..$n"

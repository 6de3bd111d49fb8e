#!/bin/sh
# The Vulkan test bed: software drivers and a current validation layer, unpacked into a folder; nothing of the system changes.
#
#   sh tests/testbed.sh fetch DIR               download what is missing (Debian 12 packages, checked by apt)
#   sh tests/testbed.sh list DIR                one line per driver: its name, a tab, what it is; or "skip", a tab, what is missing and why
#   sh tests/testbed.sh run DIR NAME PROGRAM... run a program on one of them, under the validation layer
#   sh tests/testbed.sh fetch-cards DIR         the drivers of real cards, which need no card: a shim stands for the kernel. They find
#   sh tests/testbed.sh cards DIR               a device, compile and submit, but nothing is executed; "cards" is as "list", "run" the same
#                                               and, with these, a newer lavapipe, lvp26-8, which has cooperative matrices
#
# Needs only what Debian 12 always has (apt, dpkg, awk) and works for any user who may write to DIR.
set -eu

case ${2:-} in /*) dir=$2 ;; *) dir=$PWD/${2:-} ;; esac

top=$(cd "$(dirname "$0")" && pwd)

# A set is a folder of DIR: packages, the suite (as the release's name goes on) that has the newest of them, the files to keep. Cards are
# of a newer Debian, with all that they depend on, and run by its own loader.
use_set() {
  depends=no
  case $1 in
    mesa) packages="mesa-vulkan-drivers libdrm2" suite=-backports keep="libvulkan_lvp.so libdrm.so.*" ;;
    chromium) packages=chromium-common suite=-security keep="libvk_swiftshader.so libVkLayer_khronos_validation.so" ;;
    radv) packages="mesa-vulkan-drivers libdrm2 libdrm-amdgpu1 libelf1" suite=-backports keep="libvulkan_radeon.so libdrm*.so.* libelf*" ;;
    intel) packages="libdrm-dev python3-mako python3-markupsafe" suite=-backports keep=libintel_noop_drm_shim.so ;;
    cards) packages="mesa-vulkan-drivers mesa-drm-shim libvulkan1" suite=sid depends=yes keep="ld-linux-x86-64.so.2 lib*.so.* libvulkan_lvp.so libvulkan_radeon.so libvulkan_intel.so libvulkan_nouveau.so lib*_drm_shim.so" ;;
  esac
  set_dir=$dir/$1
}

mirror() { # SUITE: where this machine gets it from
  apt-get indextargets --format "\$(REPO_URI) \$(RELEASE)" 'Created-By: Packages' 2> /dev/null |
    awk -v suite="$1" '$2 == suite { print $1; exit }'
}

private_apt() { # an apt with state and sources of its own: the release and one more suite
  apt=$set_dir.tmp/apt key=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/none"
  : > "$apt/status"
  main=$(mirror bookworm)
  case $suite in
    -*) more=$(mirror "bookworm$suite") newest=bookworm$suite ;;
    *) more=$main newest=$suite ;;
  esac
  case $suite in # where it is if the machine's own list does not say
    -backports) more=${more:-$main} ;;
    -security) more=${more:-${main%/}-security} ;;
  esac
  {
    [ "$newest" = sid ] || echo "deb [signed-by=$key] $main bookworm main"
    for kind in deb deb-src; do echo "$kind [signed-by=$key] $more $newest main"; done
  } > "$apt/sources.list"
  cat > "$apt/apt.conf" << EOF
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "$apt/none"; Dir::Etc::preferencesparts "$apt/none";
APT::Default-Release "$newest"; APT::Sandbox::User ""; APT::Update::Error-Mode "any";
Acquire::Languages "none"; Acquire::Retries "1"; Acquire::http::Timeout "20"; Acquire::https::Timeout "20";
EOF
  APT_CONFIG=$apt/apt.conf
  export APT_CONFIG
  apt-get update -qq
}

download() {
  private_apt && cd "$set_dir.tmp" || return 1
  # shellcheck disable=SC2086 # a list of packages
  if [ $depends = no ]; then
    apt-get download -qq $packages
  else
    apt-get install -qq -y --download-only --no-install-recommends $packages && mv apt/cache/archives/*.deb .
  fi
}

# From Mesa of this release's backports. Of a source package that has been replaced, Debian's part may be gone; it does not matter.
make_intel() {
  APT_CONFIG=$set_dir.tmp/apt/apt.conf
  export APT_CONFIG
  cd "$set_dir.tmp" && { apt-get source -qq --download-only mesa || true; }
  sh "$top/gpu_stats/intel_shim.sh" mesa_*.orig.tar.xz "$set_dir.tmp/root" "$set_dir.tmp/root/$keep"
}

unpack() { # SET: keeps the files that are wanted
  for deb in "$set_dir.tmp"/*.deb; do
    dpkg-deb --extract "$deb" "$set_dir.tmp/root" || return 1
  done
  if [ "$1" = intel ]; then (make_intel) || return 1; fi
  echo "$set_dir.tmp/${packages%% *}"_*.deb | sed 's/.*_\([^-_+]*\)[^_]*_[^_]*$/\1/' > "$set_dir.tmp/keep/version"
  set -f
  for name in $keep; do find "$set_dir.tmp/root" -name "$name" ! -path '*/lib64/*' -exec cp -P {} "$set_dir.tmp/keep" \;; done
  set +f
}

fetch() { # SET: whole or not at all; the reason in SET.why
  use_set "$1"
  [ ! -d "$set_dir" ] || return 0
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2> /dev/null || true)
  if [ "$release" != bookworm ] || ! command -v apt-get > /dev/null; then
    echo "fetched on Debian 12 only" > "$set_dir.why"
    return 0
  fi
  echo "  fetching for the tests: $packages"
  rm -rf "$set_dir.tmp"
  mkdir -p "$set_dir.tmp/root" "$set_dir.tmp/keep"
  if (download && unpack "$1") > "$set_dir.log" 2>&1; then
    mv "$set_dir.tmp/keep" "$set_dir"
    rm -f "$set_dir.why" "$set_dir.log"
  else
    echo "could not be fetched: $(grep -m 1 '^[EW]:' "$set_dir.log" || tail -n 1 "$set_dir.log")" > "$set_dir.why"
  fi
  rm -rf "$set_dir.tmp"
}

manifests() { # tell the Vulkan loader where the libraries are
  icd='{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "%s"}}\n'
  # shellcheck disable=SC2059
  printf "$icd" "$dir/mesa/libvulkan_lvp.so" 1.4.305 > "$dir/lvp25.json"
  # shellcheck disable=SC2059
  printf "$icd" "$dir/chromium/libvk_swiftshader.so" 1.3.0 > "$dir/swiftshader.json"
  for name in lvp radeon intel nouveau; do
    # shellcheck disable=SC2059
    printf "$icd" "$dir/cards/libvulkan_$name.so" 1.4.0 > "$dir/$name.json"
  done
  # shellcheck disable=SC2059
  printf "$icd" "$dir/radv/libvulkan_radeon.so" 1.4.305 > "$dir/radv25.json"
  mkdir -p "$dir/layer"
  cat > "$dir/layer/VkLayer_khronos_validation.json" << EOF
{"file_format_version": "1.2.0", "layer": {
  "name": "VK_LAYER_KHRONOS_validation", "type": "GLOBAL", "library_path": "$dir/chromium/libVkLayer_khronos_validation.so",
  "api_version": "1.4.350", "implementation_version": "1", "description": "Khronos Validation Layer",
  "instance_extensions": [{"name": "VK_EXT_debug_report", "spec_version": "9"}, {"name": "VK_EXT_debug_utils", "spec_version": "1"},
    {"name": "VK_EXT_layer_settings", "spec_version": "2"}, {"name": "VK_EXT_validation_features", "spec_version": "2"}]}}
EOF
}

system_lvp() { # lavapipe as installed on this machine
  for f in /usr/share/vulkan/icd.d/lvp_icd*.json; do [ ! -e "$f" ] || echo "$f"; done | head -n 1
}

row() { printf '%s\t%s\n' "$1" "$2"; }

why() { cat "$dir/$1.why" 2> /dev/null || echo "not fetched yet"; }

list() {
  if [ -n "$(system_lvp)" ]; then
    version=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2> /dev/null || true)
    row lvp "lavapipe ${version%%-*}"
  else
    row skip "lavapipe of this system: not installed (package mesa-vulkan-drivers)"
  fi
  for n in 4 8 16; do
    if [ -d "$dir/mesa" ]; then
      row "lvp25-$n" "lavapipe $(cat "$dir/mesa/version"), subgroups of $n"
    else
      row skip "lavapipe 25, subgroups of $n: $(why mesa)"
    fi
  done
  if [ -d "$dir/chromium" ]; then row swiftshader SwiftShader; else row skip "SwiftShader: $(why chromium)"; fi
  if [ ! -d "$dir/chromium" ]; then row skip "validation layer: $(why chromium)"; fi
  for f in /dev/dri/renderD* /dev/nvidiactl; do
    [ ! -e "$f" ] || { row gpu "the GPU of this machine" && break; }
  done
}

cards() {
  while read -r name set what; do
    [ -d "$dir/cards" ] || set=cards
    if [ -d "$dir/$set" ]; then row "$name" "$what"; else row skip "$what: $(why "$set")"; fi
  done << EOF
polaris10 cards AMD Polaris (RX 400, RX 500)
vega10 cards AMD Vega
navi10 cards AMD RDNA 1 (RX 5700)
navi21 cards AMD RDNA 2 (RX 6800, RX 6900)
navi31 cards AMD RDNA 3 (RX 7900)
gfx1151 radv AMD RDNA 3.5 (Strix Halo)
gfx1201 cards AMD RDNA 4 (RX 9070)
tgl intel Intel Xe (Tiger Lake)
dg2 intel Intel Xe-HPG (Arc A)
lnl intel Intel Xe2 (Lunar Lake)
bmg intel Intel Xe2 (Arc B)
nv130 cards NVIDIA Pascal
nv140 cards NVIDIA Volta
nv162 cards NVIDIA Turing
nv172 cards NVIDIA Ampere
nv192 cards NVIDIA Ada
nv1b2 cards NVIDIA Blackwell
EOF
}

# With the driver's own loader and C library, and the shim before it; that set has a newer lavapipe too, which needs none. No shim knows gfx1151: there the driver compiles without a kernel.
run_card() { # NAME PROGRAM...
  name=$1
  shift
  MESA_SHADER_CACHE_DISABLE=true NVK_I_WANT_A_BROKEN_VULKAN_DRIVER=1
  export MESA_SHADER_CACHE_DISABLE NVK_I_WANT_A_BROKEN_VULKAN_DRIVER
  if [ "$name" = gfx1151 ]; then
    VK_DRIVER_FILES=$dir/radv25.json LD_LIBRARY_PATH=$dir/radv RADV_FORCE_FAMILY=$name
    export VK_DRIVER_FILES LD_LIBRARY_PATH RADV_FORCE_FAMILY
    exec "$@"
  fi
  case $name in
    lvp26-*) driver=lvp shim="" LP_NATIVE_VECTOR_WIDTH=$((${name#lvp26-} * 32)) && export LP_NATIVE_VECTOR_WIDTH ;;
    nv*) driver=nouveau shim=cards/libnouveau NOUVEAU_CHIPSET=${name#nv} && export NOUVEAU_CHIPSET ;;
    tgl | dg2 | lnl | bmg) driver=intel shim=intel/libintel INTEL_STUB_GPU_PLATFORM=$name && export INTEL_STUB_GPU_PLATFORM ;;
    *) driver=radeon shim=cards/libamdgpu AMDGPU_GPU_ID=$name && export AMDGPU_GPU_ID ;;
  esac
  VK_DRIVER_FILES=$dir/$driver.json
  export VK_DRIVER_FILES
  program=$(command -v "$1") && shift
  exec "$dir/cards/ld-linux-x86-64.so.2" --library-path "$dir/cards" ${shim:+--preload "$dir/${shim}_noop_drm_shim.so"} "$program" "$@"
}

# The layer checks every program; checking hazards too is the program's choice (pumice_model_options.validate), because the layer takes a
# buffer for one thing and the runtime keeps many tensors in one.
use_layer() {
  [ -d "$dir/chromium" ] || return 0
  VK_LAYER_PATH=$dir/layer VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
  export VK_LAYER_PATH VK_INSTANCE_LAYERS
}

run() { # NAME PROGRAM...
  icd=
  case $1 in
    lvp) icd=$(system_lvp) ;;
    lvp25-*)
      icd=$dir/lvp25.json
      LD_LIBRARY_PATH=$dir/mesa LP_NATIVE_VECTOR_WIDTH=$((${1#lvp25-} * 32))
      export LD_LIBRARY_PATH LP_NATIVE_VECTOR_WIDTH
      ;;
    swiftshader) icd=$dir/swiftshader.json ;;
    gpu) ;;
    lvp26-* | polaris10 | vega10 | navi* | gfx* | tgl | dg2 | lnl | bmg | nv1*) use_layer && run_card "$@" ;;
    *) echo "testbed: no driver '$1'; see: sh tests/testbed.sh list DIR" >&2 && exit 2 ;;
  esac
  if [ -n "$icd" ]; then # the second name is for loaders before 1.3.207
    VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
    export VK_DRIVER_FILES VK_ICD_FILENAMES
  fi
  use_layer
  shift
  exec "$@"
}

case ${1:-}:$# in
  fetch:2)
    mkdir -p "$dir"
    fetch mesa
    fetch chromium
    manifests
    ;;
  fetch-cards:2)
    mkdir -p "$dir"
    exec 9> "$dir/cards.lock"
    flock 9 # of two tests that begin with this, one waits
    for set in cards radv intel; do fetch "$set"; done
    manifests
    ;;
  list:2) list ;;
  cards:2) cards ;;
  run:2 | run:3) echo "testbed: run DIR NAME PROGRAM..." >&2 && exit 2 ;;
  run:*) shift 2 && run "$@" ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

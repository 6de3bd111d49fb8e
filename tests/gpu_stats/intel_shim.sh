#!/bin/sh
# Mesa's no-op shim for Intel's kernel driver, which Debian does not package: a dozen files of Mesa's source, compiled in some seconds.
#
#   sh intel_shim.sh MESA.tar.xz ROOT OUT.so     ROOT: where python3-mako, python3-markupsafe and libdrm-dev are unpacked
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$2/mesa root=$2
mkdir -p "$work/gen/intel/dev"
tar -xf "$1" -C "$work" --strip-components 1 --wildcards '*/include/*' '*/src/drm-shim/*' '*/src/intel/dev/*' '*/src/intel/common/*' \
  '*/src/intel/tools/intel_noop*' '*/src/util/*' '*/src/c11/*' '*/src/compiler/shader_enums.h'

PYTHONPATH=$root/usr/lib/python3/dist-packages
export PYTHONPATH
gen=$work/gen/intel/dev
cd "$work/src/intel/dev"
python3 gen_wa_helpers.py mesa_defs.json "$gen/intel_wa.h" "$gen/intel_wa.c"
python3 intel_device_info_gen_h.py "$gen/intel_device_info_gen.h"

cd "$work/src"
cc -shared -fPIC -O1 -w -fvisibility=hidden -ffunction-sections -fdata-sections -Wl,--gc-sections \
  -D_GNU_SOURCE -DNDEBUG -DHAVE_PTHREAD -DHAVE_STRUCT_TIMESPEC -DHAVE_LIBDRM -DHAVE_MEMFD_CREATE -DHAVE_ENDIAN_H -DHAVE_SECURE_GETENV \
  -I../include -I. -Iintel -Iintel/dev -I../gen -I../gen/intel -I../gen/intel/dev -I"$root/usr/include" -I"$root/usr/include/libdrm" \
  intel/tools/intel_noop_drm_shim.c drm-shim/drm_shim.c drm-shim/device.c intel/dev/intel_device_info.c \
  util/hash_table.c util/set.c util/ralloc.c util/vma.c util/anon_file.c util/simple_mtx.c util/u_call_once.c "$here/intel_shim.c" \
  -o "$3"

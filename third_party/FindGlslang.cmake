# The GLSL compiler: GLSLANG_VALIDATOR.
find_program(GLSLANG_VALIDATOR NAMES glslangValidator glslang)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Glslang REQUIRED_VARS GLSLANG_VALIDATOR REASON_FAILURE_MESSAGE "install glslang-tools, or configure with -DPUMICE_VULKAN=OFF")
mark_as_advanced(GLSLANG_VALIDATOR)

# The SPIR-V optimiser and validator: SPIRV_OPT, SPIRV_VAL.
find_program(SPIRV_OPT spirv-opt)
find_program(SPIRV_VAL spirv-val)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SPIRVTools REQUIRED_VARS SPIRV_OPT SPIRV_VAL REASON_FAILURE_MESSAGE "install spirv-tools, or configure with -DPUMICE_VULKAN=OFF")
mark_as_advanced(SPIRV_OPT SPIRV_VAL)

// Cooperative matrices (SPV_KHR_cooperative_matrix) of a subgroup, as instructions of SPIR-V: glslang 12 does not know the GLSL extension.
// It cannot name a type or a specialization constant as an operand of a type either: OPERAND_ numbers stand for these, and embed.cmake
// puts the ids in their place.
#pragma use_vulkan_memory_model

#define OPERAND_F16 0x7fa01010u  // 0x7fa010..: the float type of so many bits
#define OPERAND_F32 0x7fa01020u
#define OPERAND_M 0x7fa00008u  // 0x7fa000..: the specialization constant of this number
#define OPERAND_N 0x7fa00009u
#define OPERAND_K 0x7fa0000au
const uint SUBGROUP_SCOPE = 3, USE_A = 0, USE_B = 1, USE_SUMS = 2;  // numbers of SPIR-V
const uint BY_ROW = 0, BY_COLUMN = 1;

#define COOP(type, rows, columns, use)                                                                      \
  spirv_type(extensions = ["SPV_KHR_cooperative_matrix"], capabilities = [6022], id = 4456, type, SUBGROUP_SCOPE, rows, columns, use)
#define coop_weights COOP(OPERAND_F16, OPERAND_M, OPERAND_K, USE_A)
#define coop_rows COOP(OPERAND_F16, OPERAND_K, OPERAND_N, USE_B)
#define coop_sums COOP(OPERAND_F32, OPERAND_M, OPERAND_N, USE_SUMS)

// From `at` on, `stride` elements of its array from one row or column of the matrix to the next. `access` and `scope` are memory operands:
// under Vulkan's memory model, which these matrices need, what invocations share is loaded and stored as such.
const uint WORKGROUP_SCOPE = 2;
#define COOP_LOAD 0x30u   // MakePointerVisible, NonPrivatePointer
#define COOP_STORE 0x28u  // MakePointerAvailable, NonPrivatePointer
spirv_instruction(id = 4457) coop_weights coop_load_weights(spirv_by_reference f16vec4 at, uint order, uint stride,
                                                            spirv_literal uint access, uint scope);
spirv_instruction(id = 4457) coop_rows coop_load_rows(spirv_by_reference f16vec4 at, uint order, uint stride, spirv_literal uint access,
                                                      uint scope);
spirv_instruction(id = 4458) void coop_store(spirv_by_reference float at, coop_sums m, uint order, uint stride, spirv_literal uint access,
                                             uint scope);
spirv_instruction(id = 4459) coop_sums coop_multiply_add(coop_weights a, coop_rows b, coop_sums c);
spirv_instruction(id = 80) coop_sums coop_fill(float v);

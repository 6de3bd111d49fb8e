// y[r] += answer[r]: what the host computed. Groups: (blocks of values, rows).

#include "abi/bring.h"

layout(push_constant) uniform Push { pm_push_join p; };
layout(set = 0, binding = 5, std430) readonly buffer Answers { float v[]; } answers;

void main() {
  uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (row >= step_rows() || i >= p.n) return;
  scratch.v[p.y_at + row * p.y_row + i] += answers.v[p.answer_at + row * p.n + i];
}

// From a request to the tokens of its prompt.
#ifndef PM_PROMPT_H
#define PM_PROMPT_H

#include "request.h"
#include "text_buffer.h"

// The text of a conversation in the model's format. False with words if there is none.
bool pm_prompt_render(const pumice_model *model, const pm_request *r, pm_text *text, char why[512]);

typedef struct pm_prompt {
  int32_t *tokens;  // owned
  size_t n;
  bool thinks;  // it ends inside a block of thinking
} pm_prompt;

// False with words if the request cannot be brought to tokens of this model.
bool pm_prompt_make(const pumice_model *model, const pm_request *r, pm_prompt *out, char why[512]);

#endif

// The input, up to a zero byte, is a chat template, and what follows an answer with tool calls; both must come to an end without harm.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "jinja.h"
#include "json.h"
#include "tool_calls.h"

static const char variables[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"S "
    "\"},{\"role\":\"user\",\"content\":\"\\u00e9\\n\"},{\"role\":\"assistant\",\"content\":null,"
    "\"tool_calls\":[{\"type\":\"function\",\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,null]}}}]}],\"tools\":"
    "null,"
    "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true,\"n\":7,\"xs\":[3,1,2]}";

static void render(const char *text, size_t n) {
  pm_heap heap = {.limit = 16u << 20};
  pm_buffer out = {.limit = 1u << 20};
  pm_value context;
  pm_jinja *t;
  if (pm_json_parse(&heap, variables, sizeof variables - 1, &context)) abort();
  if (pm_jinja_parse(text, n, &t) == PM_OK) {
    pm_status status = pm_jinja_render(t, &heap, context, 1, &out);
    if (status == PM_OK && out.n && strlen(out.at) > out.n) abort();
    pm_jinja_destroy(t);
  }
  pm_buffer_finish(&out);
  pm_heap_finish(&heap);
}

static void find_calls(const char *text, size_t n) {
  pm_heap heap = {.limit = 64u << 20};
  pm_value v;
  for (uint32_t formats = 0; formats < 8; formats++) {
    pm_buffer out = {0};
    if (pm_tool_calls(formats, 1, (pm_span){text, n}, &out) == PM_OK) {
      pm_status status = pm_json_parse(&heap, out.at, out.n, &v);  // what the answer had of bytes that are not UTF-8 was replaced
      if (status != PM_OK && status != PM_ERR_MEMORY) abort();
    }
    pm_buffer_finish(&out);
  }
  pm_heap_finish(&heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
  size_t n = zero ? (size_t)(zero - data) : size;
  render((const char *)data, n);
  find_calls(zero ? (const char *)zero + 1 : "", zero ? size - n - 1 : 0);
  return 0;
}

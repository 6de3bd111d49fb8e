// A JSON schema if it begins with a brace, else a grammar behind the first byte. What is taken is followed through a text that the input
// chooses too.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "json_schema.h"
#include "matcher.h"

// The next byte is the first from the input's on with which the text may go on.
static void follow(const pm_grammar *g, const uint8_t *data, size_t bytes) {
  pm_matcher *m;
  if (pm_matcher_create(g, &m)) return;
  for (size_t i = 0; i < bytes && i < 512; i++) {
    uint32_t state = pm_matcher_look(m);
    for (int k = 0; k < 256; k++) {
      char c = (char)(data[i] + k);
      if (pm_matcher_step(m, state, (uint8_t)c) == PM_MATCHER_DEAD) continue;
      if (!pm_matcher_push(m, &c, 1)) abort();
      if (pm_matcher_must_end(m) && !pm_matcher_may_end(m)) abort();
      break;
    }
  }
  pm_matcher_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  pm_grammar *g = NULL;
  if (!bytes) return 0;
  const char *text = (const char *)data + 1;
  pm_status status = data[0] == '{' ? pm_json_schema_parse(text - 1, bytes, &g) : pm_grammar_parse(text, bytes - 1, &g);
  if (!status) follow(g, data, bytes);
  pm_grammar_destroy(g);
  return 0;
}

// Templates and contexts in, texts out: one line of JSON {"template", "context", "now"} makes one line {"text"} or {"error"}.
// For the comparison with Python's Jinja (jinja_oracle.py).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja.h"
#include "json.h"

static const char *render(pm_heap *heap, const char *line, size_t n, pm_buffer *out) {
  pm_value request;
  pm_jinja *t = NULL;
  if (pm_json_parse(heap, line, n, &request)) return pm_fail_message();
  const pm_value *template = pm_dict_find_text(request.dict, "template"), *now = pm_dict_find_text(request.dict, "now");
  pm_status status = pm_jinja_parse(template->text.at, template->text.n, &t);
  if (status == PM_OK)
    status = pm_jinja_render(t, heap, *pm_dict_find_text(request.dict, "context"), now && now->kind == PM_INT ? now->integer : 0, out);
  pm_jinja_destroy(t);
  return status == PM_OK ? NULL : pm_fail_message();
}

int main(void) {
  char *line = NULL;
  size_t capacity = 0;
  for (ssize_t n; (n = getline(&line, &capacity, stdin)) > 0;) {
    pm_heap heap = {.limit = 256u << 20};
    pm_buffer out = {.limit = 64u << 20}, reply = {0};
    const char *error = render(&heap, line, (size_t)n, &out);
    pm_span text = error ? pm_span_of(error) : (pm_span){out.at ? out.at : "", out.n};
    pm_buffer_puts(&reply, error ? "{\"error\":" : "{\"text\":");
    pm_json_write_text(&reply, text, true);
    pm_buffer_puts(&reply, "}");
    puts(reply.at);
    pm_buffer_finish(&reply);
    pm_buffer_finish(&out);
    pm_heap_finish(&heap);
  }
  free(line);
  return 0;
}

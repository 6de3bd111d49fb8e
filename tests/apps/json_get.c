// json_get PATH < FILE: the value at a path like "tests.0.depth" of a JSON document on standard input; fails if it is none or has none.
// With "count" as the last word of the path: how many elements there are.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int print(const json_t *at, char *path) {
  for (char *word = strtok(path, "."); word; word = strtok(NULL, ".")) {
    if (!strcmp(word, "count") && json_is_array(at)) return printf("%zu\n", json_array_size(at)), 0;
    at = json_is_array(at) ? json_array_get(at, strtoul(word, NULL, 10)) : json_object_get(at, word);
  }
  if (!at) {
    fprintf(stderr, "json_get: nothing at that path\n");
    return 1;
  }
  if (json_is_string(at))
    puts(json_string_value(at));
  else
    json_dumpf(at, stdout, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)), putchar('\n');
  return 0;
}

int main(int argc, char **argv) {
  json_error_t error;
  json_t *root = json_loadf(stdin, 0, &error);
  if (argc != 2 || !root) {
    fprintf(stderr, "json_get: line %d: %s\n", error.line, error.text);
    return 1;
  }
  int code = print(root, argv[1]);
  json_decref(root);
  return code;
}

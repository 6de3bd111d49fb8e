#include <stdlib.h>
#include <string.h>

#include "directory.h"

static int compare(const void *a, const void *b) { return strcmp(((const pm_name *)a)->text, ((const pm_name *)b)->text); }

void pm_name_order(pm_name *names, uint64_t n) {
  if (n) qsort(names, n, sizeof *names, compare);
}

pm_status pm_name_sort(pm_name *names, uint64_t n, const char *path, const char *what) {
  pm_name_order(names, n);
  for (uint64_t i = 1; i < n; i++)
    if (compare(&names[i - 1], &names[i]) == 0) PM_FAIL(PM_ERR_FORMAT, "%s: %s %s occurs twice", path, what, names[i].text);
  return PM_OK;
}

const pm_name *pm_name_find(const pm_name *names, uint64_t n, const char *text) {
  pm_name wanted = {.text = text};
  return n ? bsearch(&wanted, names, n, sizeof *names, compare) : NULL;
}

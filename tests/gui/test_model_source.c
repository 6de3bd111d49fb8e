// Addresses of models, and what a hub says it has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "model_library.h"
#include "model_source.h"

static void test_addresses(void **state) {
  (void)state;
  static const struct {
    const char *address, *list, *path, *tag;
  } good[] = {
      {"o/n", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", NULL, NULL},
      {" o/n:Q4_K_M\n", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", NULL, "Q4_K_M"},
      {"hf.co/o/n", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", NULL, NULL},
      {"https://hf.co/o/n/", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", NULL, NULL},
      {"https://huggingface.co/o/n?library=x#top", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", NULL, NULL},
      {"https://huggingface.co/o/n/tree/v2", "https://huggingface.co/api/models/o/n/tree/v2?recursive=true", NULL, NULL},
      {"https://huggingface.co/o/n/tree/main/Q4%20K", "https://huggingface.co/api/models/o/n/tree/main?recursive=true", "Q4 K", NULL},
      {"https://huggingface.co/o/n/resolve/main/a/b.gguf?download=true", "https://huggingface.co/api/models/o/n/tree/main?recursive=true",
       "a/b.gguf", NULL},
      {"http://127.0.0.1:8000/o/n/blob/main/b.gguf", "http://127.0.0.1:8000/api/models/o/n/tree/main?recursive=true", "b.gguf", NULL}};
  for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
    g_autoptr(pm_gui_source) s = pm_gui_source_parse(good[i].address, NULL);
    assert_non_null(s);
    g_autofree char *list = pm_gui_source_list_url(s);
    assert_string_equal(list, good[i].list);
    assert_true(!g_strcmp0(s->path, good[i].path) && !g_strcmp0(s->tag, good[i].tag));
  }
  static const char *const bad[] = {"",
                                    "/",
                                    "o",
                                    "o/",
                                    "/n",
                                    "o/n/x",
                                    "o/n/blob/main",
                                    "datasets/o/n",
                                    "ftp://huggingface.co/o/n",
                                    "https://",
                                    "https:///o/n",
                                    "https://huggingface.co/",
                                    "o/..",
                                    "../n",
                                    "o/n:",
                                    "o o/n",
                                    "o/n/tree/../x"};
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    if (pm_gui_source_parse(bad[i], &error)) fail_msg("'%s' was taken for an address", bad[i]);
    assert_non_null(strstr(error->message, "OWNER/NAME"));
  }
}

// What is found, as "name bytes:file,file;".
static char *found(const char *address, const char *json) {
  g_autoptr(pm_gui_source) s = pm_gui_source_parse(address, NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) models = pm_gui_source_models(s, json, strlen(json), &error);
  if (!models) return g_strdup(error->message);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < models->len; i++) {
    const pm_gui_remote_model *m = models->pdata[i];
    g_string_append_printf(text, "%s %u:", m->name, (unsigned)m->bytes);
    for (guint k = 0; k < m->files->len; k++) g_string_append_printf(text, "%s,", ((pm_gui_remote_file *)m->files->pdata[k])->name);
    g_string_append_c(text, ';');
  }
  return g_string_free(text, FALSE);
}

#define FILE_ROW(path, size) "{\"type\":\"file\",\"path\":\"" path "\",\"size\":" #size "}"

static void test_lists(void **state) {
  (void)state;
  static const char list[] =
      "[" FILE_ROW("README.md", 9) "," FILE_ROW("m-Q8_0.gguf", 80) "," FILE_ROW("Q4_K_M/m-Q4_K_M-00002-of-00002.gguf", 21) ","
      FILE_ROW("Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", 20) "," FILE_ROW("half-00001-of-00002.gguf", 5) ","
      FILE_ROW("mmproj-m.gguf", 3) "," FILE_ROW("m.imatrix.gguf", 3) "," FILE_ROW("../../out-Q2_K.gguf", 7) "," FILE_ROW(".gguf", 4) ","
      FILE_ROW("bad\\nname.gguf", 4) "," FILE_ROW("none.gguf", 0) "," FILE_ROW("less.gguf", -5)
      ",{\"type\":\"directory\",\"path\":\"Q4_K_M\",\"size\":0},{\"path\":7},7,null]";
  static const char q4[] = "m-Q4_K_M 41:m-Q4_K_M-00001-of-00002.gguf,m-Q4_K_M-00002-of-00002.gguf,;";
  g_autofree char *all = found("o/n", list), *tagged = found("o/n:q4_k_m", list), *none = found("o/n:Q6_K", list),
                  *part = found("https://h/o/n/blob/main/Q4_K_M/m-Q4_K_M-00002-of-00002.gguf", list),
                  *folder = found("https://h/o/n/tree/main/Q4_K_M", list), *garbage = found("o/n", "<html>"), *object = found("o/n", "{}");
  g_autofree char *expected = g_strconcat("out-Q2_K 7:out-Q2_K.gguf,;", q4, "m-Q8_0 80:m-Q8_0.gguf,;", NULL);
  assert_string_equal(all, expected);
  assert_string_equal(tagged, q4);
  assert_string_equal(part, q4);
  assert_string_equal(folder, q4);
  assert_string_equal(none, "There are no Q6_K files in o/n. Look for a repository with GGUF in its name.");
  assert_string_equal(garbage, "There are no GGUF files in o/n. Look for a repository with GGUF in its name.");
  assert_string_equal(object, garbage);
}

static void test_addresses_of_files(void **state) {
  (void)state;
  static const char list[] =
      "[{\"path\":\"a b/m.gguf\",\"size\":5,\"lfs\":{\"oid\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}},"
      "{\"path\":\"n.gguf\",\"size\":6,\"lfs\":{\"oid\":\"no checksum\"}}]";
  g_autoptr(pm_gui_source) s = pm_gui_source_parse("http://h:80/o/n", NULL);
  g_autoptr(GPtrArray) models = pm_gui_source_models(s, list, strlen(list), NULL);
  assert_int_equal(models->len, 2);
  const pm_gui_remote_file *m = ((pm_gui_remote_model *)models->pdata[0])->files->pdata[0],
                           *n = ((pm_gui_remote_model *)models->pdata[1])->files->pdata[0];
  assert_string_equal(m->url, "http://h:80/o/n/resolve/main/a%20b/m.gguf");
  assert_string_equal(m->sha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
  assert_null(n->sha256);
}

static void test_parts(void **state) {
  (void)state;
  assert_int_equal(pm_gui_library_parts("/m/a.gguf"), 1);
  assert_int_equal(pm_gui_library_parts("/m/a-00002-of-00012.gguf"), 12);
  g_autofree char *first = pm_gui_library_first_part("/m/a-00002-of-00012.gguf"), *name = pm_gui_model_name(first);
  assert_string_equal(first, "/m/a-00001-of-00012.gguf");
  assert_string_equal(name, "a");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses), cmocka_unit_test(test_lists),
                                     cmocka_unit_test(test_addresses_of_files), cmocka_unit_test(test_parts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

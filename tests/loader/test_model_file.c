// Good files: every value type, mapping and reading, split sets, and the writer.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "corrupt.h"
#include "gguf_write.h"
#include "model_file.h"

static char folder[] = "/tmp/pm-loader-XXXXXX";

static const char *in_folder(const char *name) {
  static char path[CORRUPT_PATH];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static pm_model_file *open_file(const char *path, bool read) {
  pm_model_file *f;
  if (pm_model_file_open(path, &(pm_model_file_desc){.read = read}, &f) != PM_OK) fail_msg("%s", pm_fail_message());
  return f;
}

// ---- metadata ------------------------------------------------------------------------------------------------------

#define SET(d, key, type, ctype, ...) doc_set(d, key, type, (ctype[]){__VA_ARGS__}, sizeof(ctype[]){__VA_ARGS__})

static pm_model_file *open_values(void) {
  gguf_doc *d = calloc(1, sizeof *d);
  d->version = 2;
  SET(d, "u8", DOC_U8, uint8_t, 200);
  SET(d, "i8", DOC_I8, int8_t, -100);
  SET(d, "u16", DOC_U16, uint16_t, 60000);
  SET(d, "i16", DOC_I16, int16_t, -30000);
  SET(d, "u32", DOC_U32, uint32_t, 4000000000u);
  SET(d, "i32", DOC_I32, int32_t, -2000000000);
  SET(d, "f32", DOC_F32, float, 0.25f);
  SET(d, "bool", DOC_BOOL, uint8_t, 7);
  SET(d, "u64", DOC_U64, uint64_t, UINT64_MAX);
  SET(d, "i64", DOC_I64, int64_t, -5000000000);
  SET(d, "f64", DOC_F64, double, 1e300);
  SET(d, "nan", DOC_F32, float, NAN);
  SET(d, "infinite", DOC_F64, double, INFINITY);
  doc_set_string(d, "string", "a\nb\33[1m \xe2\x9c\x93 \xff");
  doc_set_array(d, "u16s", DOC_U16, 3, (uint16_t[]){1, 2, 65535}, 6);
  doc_set_array(d, "bools", DOC_BOOL, 2, "\0\1", 2);
  doc_set_array(d, "f64s", DOC_F64, 2, (double[]){1.5, INFINITY}, 16);
  doc_set_array(d, "strings", DOC_STRING, 3, "\1\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0x\0y", 28);
  doc_set_array(d, "none", DOC_STRING, 0, "", 0);
  size_t n;
  uint8_t *bytes = doc_bytes(d, &n);
  doc_save(in_folder("values.gguf"), bytes, n);
  free(bytes);
  doc_free(d);
  return open_file(in_folder("values.gguf"), false);
}

static void integers(void **state) {
  (void)state;
  static const struct {
    const char *key;
    uint64_t index;
    int64_t value;
  } CASES[] = {{"u8", 0, 200},          {"i8", 0, -100},         {"u16", 5, 60000}, {"i16", 0, -30000}, {"u32", 0, 4000000000},
               {"i32", 0, -2000000000}, {"i64", 0, -5000000000}, {"u16s", 0, 1},    {"u16s", 2, 65535}};
  pm_model_file *f = open_values();
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    int64_t v = 0;
    uint32_t u = 77;
    float s = 0;
    assert_int_equal(pm_meta_i64(f, CASES[i].key, CASES[i].index, &v), PM_OK);
    assert_true(v == CASES[i].value);
    bool fits = v >= 0 && v <= UINT32_MAX;
    assert_int_equal(pm_meta_u32(f, CASES[i].key, CASES[i].index, &u), fits ? PM_OK : PM_ERR_FORMAT);
    assert_true(u == (fits ? (uint32_t)v : 77));
    assert_int_equal(pm_meta_f32(f, CASES[i].key, CASES[i].index, &s), PM_OK);
    assert_true(s == (float)v);
  }
  pm_model_file_close(f);
}

static void wrong_types(void **state) {
  (void)state;
  pm_model_file *f = open_values();
  int64_t i;
  uint32_t u;
  float s;
  bool b;
  const char *text;
  size_t n;
  assert_int_equal(pm_meta_i64(f, "u64", 0, &i), PM_ERR_FORMAT);
  assert_non_null(strstr(pm_fail_message(), "values.gguf: u64 is 18446744073709551615"));
  assert_int_equal(pm_meta_u32(f, "string", 0, &u), PM_ERR_FORMAT);
  assert_non_null(strstr(pm_fail_message(), "string is of type string, expected an integer"));
  assert_int_equal(pm_meta_u32(f, "f32", 0, &u), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_u32(f, "bool", 0, &u), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_u32(f, "strings", 0, &u), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_f32(f, "f64", 0, &s), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_f32(f, "string", 0, &s), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_f32(f, "nan", 0, &s), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_f32(f, "infinite", 0, &s), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_bool(f, "u8", 0, &b), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_string(f, "u8", 0, &text, &n), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_u32(f, "u16s", 3, &u), PM_ERR_FORMAT);
  assert_non_null(strstr(pm_fail_message(), "u16s has 3 values, at least 4 were expected"));
  assert_int_equal(pm_meta_string(f, "none", 0, &text, &n), PM_ERR_FORMAT);
  assert_int_equal(pm_meta_string(f, "strings", UINT64_MAX - 1, &text, &n), PM_ERR_FORMAT);
  pm_model_file_close(f);
}

static void other_values(void **state) {
  (void)state;
  pm_model_file *f = open_values();
  float s = 0;
  bool b = false;
  const char *text = NULL;
  size_t n = 0;
  assert_true(pm_meta_f32(f, "f32", 0, &s) == PM_OK && s == 0.25f);
  assert_true(pm_meta_f32(f, "f64s", 0, &s) == PM_OK && s == 1.5f);
  assert_true(pm_meta_f32(f, "f64s", 1, &s) == PM_OK && isinf(s));
  assert_true(pm_meta_bool(f, "bool", 0, &b) == PM_OK && b);
  assert_true(pm_meta_bool(f, "bools", 0, &b) == PM_OK && !b);
  assert_true(pm_meta_string(f, "strings", 0, &text, &n) == PM_OK && n == 1 && text[0] == 'a');
  assert_true(pm_meta_string(f, "strings", 1, &text, &n) == PM_OK && n == 0);
  assert_true(pm_meta_string(f, "strings", 2, &text, &n) == PM_OK && n == 3 && !memcmp(text, "x\0y", 3));
  uint32_t u = 42;
  int64_t i = 43;
  assert_true(pm_meta_u32(f, "absent", 0, &u) == PM_OK && u == 42);
  assert_true(pm_meta_i64(f, "absent", 0, &i) == PM_OK && i == 43);
  assert_true(pm_meta_f32(f, "absent", 9, &s) == PM_OK && isinf(s));
  assert_true(pm_meta_bool(f, "absent", 0, &b) == PM_OK && !b);
  assert_true(pm_meta_string(f, "absent", 0, &text, &n) == PM_OK && n == 3);
  assert_null(pm_model_file_find_meta(f, "absent"));
  assert_int_equal(pm_model_file_find_meta(f, "strings")->count, 3);
  assert_int_equal(pm_model_file_find_meta(f, "u8")->count, 1);
  assert_int_equal(pm_model_file_n_meta(f), 19);
  assert_string_equal(pm_model_file_meta(f, 0)->key, "u8");
  assert_int_equal(pm_model_file_n_tensor(f), 0);
  assert_null(pm_model_file_find_tensor(f, "output.weight"));
  pm_model_file_close(f);
}

static void printing(void **state) {
  (void)state;
  static const struct {
    const char *key, *text;
  } CASES[] = {
      {"u8", "200"},
      {"i8", "-100"},
      {"u64", "18446744073709551615"},
      {"i64", "-5000000000"},
      {"f32", "0.25"},
      {"f64", "1e+300"},
      {"bool", "true"},
      {"string", "a\\nb\\x1b[1m \xe2\x9c\x93 \\xff"},
      {"u16s", "[3] 1, 2, 65535"},
      {"bools", "[2] false, true"},
      {"f64s", "[2] 1.5, inf"},
      {"strings", "[3] a, , x\\x00y"},
      {"none", "[0] "},
  };
  pm_model_file *f = open_values();
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    const pm_meta *m = pm_model_file_find_meta(f, CASES[i].key);
    char line[64];
    pm_meta_print(f, m, line, sizeof line);
    assert_string_equal(line, CASES[i].text);
    for (size_t room = 1; room < sizeof line; room++) {  // shortened: never more than there is room for, never half a character
      char *small = malloc(room);
      pm_meta_print(f, m, small, room);
      size_t n = strlen(small);
      assert_true(n < room);
      bool cut = n >= 3 && !strcmp(small + n - 3, "...");
      assert_true(strncmp(small, CASES[i].text, cut ? n - 3 : n) == 0);
      assert_true(cut || room < 4 || strlen(CASES[i].text) == n);
      free(small);
    }
  }
  pm_meta_print(f, pm_model_file_find_meta(f, "u8"), NULL, 0);
  assert_string_equal(pm_meta_type_name(PM_META_F64), "f64");
  assert_string_equal(pm_meta_type_name((pm_meta_type)13), "?");
  pm_model_file_close(f);
}

// ---- tensors -------------------------------------------------------------------------------------------------------

static void assert_same_tensors(const pm_model_file *a, const pm_model_file *b) {
  assert_int_equal(pm_model_file_n_tensor(a), pm_model_file_n_tensor(b));
  for (uint64_t i = 0; i < pm_model_file_n_tensor(a); i++) {
    const pm_file_tensor *x = pm_model_file_tensor(a, i), *y = pm_model_file_find_tensor(b, x->name);
    assert_non_null(y);
    assert_true(x->type == y->type && x->n_dim == y->n_dim && x->bytes == y->bytes);
    assert_memory_equal(x->ne, y->ne, sizeof x->ne);
    assert_memory_equal(x->data, y->data, x->bytes);
    assert_int_equal((uintptr_t)y->data % 32, 0);
  }
}

static void sample_files(void **state) {
  (void)state;
  static const struct {
    const char *path;
    uint64_t n_tensor, n_meta;
  } FILES[] = {
      {PM_DEMO_MODEL, 128, 44}, {PM_TEST_DATA "/models/mini-v3.gguf", 65, 40}, {PM_TEST_DATA "/golden/vocab-deepseek-v3.gguf", 0, 10}};
  for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
    pm_model_file *mapped = open_file(FILES[i].path, false), *read = open_file(FILES[i].path, true);
    print_message("%s: %d tensors, %d keys\n", FILES[i].path, (int)pm_model_file_n_tensor(mapped), (int)pm_model_file_n_meta(mapped));
    assert_int_equal(pm_model_file_n_tensor(mapped), FILES[i].n_tensor);
    assert_int_equal(pm_model_file_n_meta(mapped), FILES[i].n_meta);
    assert_string_equal(pm_model_file_path(read), FILES[i].path);
    assert_same_tensors(mapped, read);
    pm_model_file_close(mapped);
    pm_model_file_close(read);
  }
}

static void split_sets(void **state) {
  (void)state;
  static const uint32_t COUNTS[] = {2, 3, 60, 200};  // 60 and 200: some files have no tensors, the first among them
  pm_model_file *whole = open_file(PM_TEST_DATA "/models/mini-v3.gguf", false);
  for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++) {
    char path[CORRUPT_PATH];
    snprintf(path, sizeof path, "%s/set%u.gguf", folder, COUNTS[i]);
    gguf_doc *d = doc_read(PM_TEST_DATA "/models/mini-v3.gguf");
    corrupt_write_set(d, path, COUNTS[i]);
    doc_free(d);
    for (int read = 0; read < 2; read++) {
      pm_model_file *set = open_file(path, read);
      assert_same_tensors(whole, set);
      assert_int_equal(pm_model_file_n_meta(set), pm_model_file_n_meta(whole) + 3);
      assert_true(pm_model_file_bytes(set) > pm_model_file_bytes(whole));
      pm_model_file_close(set);
    }
  }
  pm_model_file_close(whole);
}

typedef struct watch {
  float last;
  uint32_t n_call, stop_after;
} watch;

static bool on_progress(void *user, float done) {
  watch *w = user;
  assert_true(done >= w->last && done <= 1);
  w->last = done;
  return ++w->n_call != w->stop_after;
}

static void progress_and_cancel(void **state) {
  (void)state;
  pm_model_file *f;
  watch all = {0}, stop = {.stop_after = 1};
  assert_int_equal(pm_model_file_open(PM_DEMO_MODEL, &(pm_model_file_desc){.read = true, .progress = on_progress, .user = &all}, &f),
                   PM_OK);
  assert_true(all.n_call >= 2 && all.last == 1);
  pm_model_file_close(f);
  assert_int_equal(pm_model_file_open(PM_DEMO_MODEL, &(pm_model_file_desc){.read = true, .progress = on_progress, .user = &stop}, &f),
                   PM_ERR_CANCELLED);
  assert_null(f);
}

static void survives_the_file(void **state) {
  (void)state;
  gguf_doc *d = doc_read(PM_TEST_DATA "/models/mini-v3.gguf");
  size_t n;
  uint8_t *bytes = doc_bytes(d, &n);
  doc_save(in_folder("gone.gguf"), bytes, n);
  pm_model_file *f = open_file(in_folder("gone.gguf"), true);
  if (truncate(in_folder("gone.gguf"), 100) != 0) fail();
  pm_model_file *whole = open_file(PM_TEST_DATA "/models/mini-v3.gguf", false);
  assert_same_tensors(whole, f);
  pm_model_file_close(whole), pm_model_file_close(f);
  free(bytes), doc_free(d);
}

// ---- writing -------------------------------------------------------------------------------------------------------

static pm_gguf_writer *open_writer(const char *name) {
  pm_gguf_writer *w;
  assert_int_equal(pm_gguf_writer_open(in_folder(name), &w), PM_OK);
  return w;
}

static void written_is_read(void **state) {
  (void)state;
  uint8_t data[3 * 18 + 12];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 11 + 1);
  for (size_t piece = 1; piece <= sizeof data; piece += 13) {
    pm_gguf_writer *w = open_writer("written.gguf");
    pm_gguf_put_u32(w, "u", 7);
    pm_gguf_put_f32(w, "f", 2.5f);
    pm_gguf_put_bool(w, "b", true);
    pm_gguf_put_string(w, "s", "text");
    pm_gguf_put_strings(w, "ss", (const char *[]){"one", "", "three"}, 3);
    pm_gguf_put_i32s(w, "is", (int32_t[]){-1, 2}, 2);
    pm_gguf_put_tensor(w, "a", PM_TYPE_Q4_0, 2, (uint64_t[]){32, 3});
    pm_gguf_put_tensor(w, "b", PM_TYPE_F32, 1, (uint64_t[]){3});
    for (size_t at = 0; at < sizeof data; at += piece) pm_gguf_put_data(w, data + at, sizeof data - at < piece ? sizeof data - at : piece);
    assert_int_equal(pm_gguf_writer_commit(w), PM_OK);

    pm_model_file *f = open_file(in_folder("written.gguf"), false);
    const pm_file_tensor *a = pm_model_file_find_tensor(f, "a"), *b = pm_model_file_find_tensor(f, "b");
    assert_true(a && a->n_dim == 2 && a->type == PM_TYPE_Q4_0 && a->ne[0] == 32 && a->ne[1] == 3 && a->ne[2] == 1 && a->bytes == 54);
    assert_true(b && b->n_dim == 1 && b->ne[0] == 3);
    assert_memory_equal(a->data, data, 54);
    assert_memory_equal(b->data, data + 54, 12);
    static const char *const LINES[] = {"7", "2.5", "true", "text", "[3] one, , three", "[2] -1, 2"};
    for (uint64_t i = 0; i < 6; i++) {
      char line[40];
      pm_meta_print(f, pm_model_file_meta(f, i), line, sizeof line);
      assert_string_equal(line, LINES[i]);
    }
    pm_model_file_close(f);
  }
}

static void header_alone(void **state) {
  (void)state;
  pm_gguf_writer *w = open_writer("header.gguf");
  pm_gguf_put_u32(w, "only", 1);
  assert_int_equal(pm_gguf_writer_commit(w), PM_OK);
  pm_model_file *f = open_file(in_folder("header.gguf"), false);
  assert_true(pm_model_file_n_meta(f) == 1 && pm_model_file_n_tensor(f) == 0);
  pm_model_file_close(f);
}

static void misuse(void **state) {
  (void)state;
  static const uint64_t NE[] = {32};
  static const uint8_t DATA[19];
  pm_gguf_writer *w = open_writer("misuse.gguf");  // too little
  pm_gguf_put_tensor(w, "a", PM_TYPE_Q4_0, 1, NE);
  pm_gguf_put_data(w, DATA, 17);
  assert_int_equal(pm_gguf_writer_status(w), PM_OK);
  assert_int_equal(pm_gguf_writer_commit(w), PM_ERR_ARGUMENT);
  w = open_writer("misuse.gguf");  // too much
  pm_gguf_put_tensor(w, "a", PM_TYPE_Q4_0, 1, NE);
  pm_gguf_put_data(w, DATA, 19);
  assert_int_equal(pm_gguf_writer_status(w), PM_ERR_ARGUMENT);
  assert_int_equal(pm_gguf_writer_commit(w), PM_ERR_ARGUMENT);
  w = open_writer("misuse.gguf");  // too late
  pm_gguf_put_tensor(w, "a", PM_TYPE_Q4_0, 1, NE);
  pm_gguf_put_data(w, DATA, 18);
  pm_gguf_put_u32(w, "late", 1);
  pm_gguf_put_u32(w, "later", 1);
  assert_int_equal(pm_gguf_writer_commit(w), PM_ERR_ARGUMENT);
  assert_non_null(strstr(pm_fail_message(), "late comes after"));
  w = open_writer("misuse.gguf");  // half a block
  pm_gguf_put_tensor(w, "a", PM_TYPE_Q4_0, 1, (uint64_t[]){16});
  assert_int_equal(pm_gguf_writer_commit(w), PM_ERR_ARGUMENT);
  w = open_writer("misuse.gguf");
  pm_gguf_put_u32(w, "a", 1);
  pm_gguf_writer_abandon(w);
  assert_int_equal(access(in_folder("misuse.gguf"), F_OK), -1);
  assert_int_equal(pm_gguf_writer_open("/nonexistent/x.gguf", &w), PM_ERR_IO);
  assert_null(w);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers),
      cmocka_unit_test(wrong_types),
      cmocka_unit_test(other_values),
      cmocka_unit_test(printing),
      cmocka_unit_test(sample_files),
      cmocka_unit_test(split_sets),
      cmocka_unit_test(progress_and_cancel),
      cmocka_unit_test(survives_the_file),
      cmocka_unit_test(written_is_read),
      cmocka_unit_test(header_alone),
      cmocka_unit_test(misuse),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

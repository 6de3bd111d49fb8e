// JSON texts: what is read, what is refused, what numbers they are.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_read(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "",         "{",         "[1,]",  "{\"a\"}", "{\"a\":1,}",       "01", "1.", "1e",   "+1",  "nul", "\"\\x\"",  "\"\n\"",
      "\"\xff\"", "\"\\u12\"", "[1] 2", "{'a':1}", "\"\xed\xa0\x80\"", "-",  "\"", "\"\\", "tru", "[[[", "{\"a\":[}"};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    pm_heap heap = {0};
    pm_value v;
    if (pm_json_parse(&heap, wrong[i], strlen(wrong[i]), &v) != PM_ERR_FORMAT) fail_msg("'%s' was read", wrong[i]);
    pm_heap_finish(&heap);
  }
  static const char text[] =
      " {\"a\\u00e9\\ud83d\\ude00\\ud800\" : [1, -2.50, 1e3, 12345678901234567890, true, null, {}, []], \"a\":\"\\/\\n\"} ";
  pm_heap heap = {0};
  pm_buffer out = {0};
  pm_value v;
  assert_int_equal(pm_json_parse(&heap, text, sizeof text - 1, &v), PM_OK);
  pm_json_write_compact(&out, v);
  assert_string_equal(out.at, "{\"aé😀\xef\xbf\xbd\":[1,-2.5,1000.0,1.2345678901234567e+19,true,null,{},[]],\"a\":\"/\\n\"}");
  pm_buffer_finish(&out);
  pm_buffer deep = {0};
  for (int i = 0; i < 100000; i++) pm_buffer_puts(&deep, "[");
  assert_int_equal(pm_json_parse(&heap, deep.at, deep.n, &v), PM_ERR_FORMAT);
  pm_buffer_finish(&deep);
  pm_heap_finish(&heap);
}

// Files of models are read more strictly.
static void test_files(void **state) {
  (void)state;
  static const struct {
    const char *text, *why;
  } wrong[] = {{"{\"a\":\"\\u0000\"}", "NUL"},        {"[\"\\ud800\"]", "no character"}, {"[\"\\udc00\\ud800\"]", "no character"},
               {"[1,\n -1e999]", "line 2, column 8"}, {"{\"a\":1,\"a\":2}", "twice"},    {"", "where a value is expected"}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    pm_heap heap = {0};
    pm_value v;
    assert_int_equal(pm_json_parse_file(&heap, "a file", wrong[i].text, strlen(wrong[i].text), &v), PM_ERR_FORMAT);
    if (!strstr(pm_fail_message(), wrong[i].why) || !strstr(pm_fail_message(), "a file: ")) fail_msg("%s", pm_fail_message());
    if (*wrong[i].text && i < 5) assert_int_equal(pm_json_parse(&heap, wrong[i].text, strlen(wrong[i].text), &v), PM_OK);
    pm_heap_finish(&heap);
  }
}

static void test_numbers(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } rows[] = {{"0.1", 0.1},
              {"-12.5e3", -12500},
              {"0.30000000000000004", 0.30000000000000004},
              {"123456789012345678901234567890", 123456789012345678901234567890.0},
              {"1000000000000000019884624838656", 1e30},
              {"5e-324", 5e-324},
              {"1.7976931348623157E+308", 1.7976931348623157e308},
              {"0.000001e+6", 1},
              {"1e-99999999999", 0},
              {"9223372036854775808", 0x1p63}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    pm_value v;
    assert_int_equal(pm_json_parse(&(pm_heap){0}, rows[i].text, strlen(rows[i].text), &v), PM_OK);
    if (v.kind != PM_FLOAT || v.number != rows[i].value) fail_msg("%s is %.17g", rows[i].text, v.number);
  }
  pm_value v;
  uint64_t whole;
  assert_int_equal(pm_json_parse(&(pm_heap){0}, "-9223372036854775808", 20, &v), PM_OK);
  assert_true(v.kind == PM_INT && v.integer == INT64_MIN && !pm_json_whole(&v, &whole));
  v = pm_value_float(4e3);
  assert_true(pm_json_whole(&v, &whole) && whole == 4000);
  v = pm_value_float(0.5);
  assert_false(pm_json_whole(&v, &whole));
}

// Keys whose hashes (FNV-1a, 32 bits) have the same low 12 bits would all stand in one row of the table.
static void test_colliding_keys(void **state) {
  (void)state;
  pm_heap heap = {0};
  pm_value dict, key;
  pm_status status = pm_dict_create(&heap, &dict);
  uint32_t n = 0;
  for (uint32_t i = 0; status == PM_OK && i < 1u << 24; i++) {
    char name[16];
    uint32_t hash = 2166136261u;
    int length = snprintf(name, sizeof name, "%x", i);
    for (int k = 0; k < length; k++) hash = (hash ^ (unsigned char)name[k]) * 16777619u;
    if (hash & 4095) continue;
    status = pm_value_copy_text(&heap, name, (size_t)length, &key);
    if (status == PM_OK) status = pm_dict_set(&heap, dict.dict, key, pm_value_none());
    n++;
  }
  assert_int_equal(status, PM_ERR_FORMAT);
  assert_in_range(n, 1024, 1100);
  pm_heap_finish(&heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_colliding_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

// Markdown in blocks, however it comes in; blocks as markup that is always valid.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>
#include <pango/pango.h>

#include "markdown_blocks.h"
#include "markdown_pango.h"

// The blocks as text: "kind:depth:marker:language:text" each, parted by "|"; "+" before a tight one.
static char *describe(const char *text, size_t step) {
  pm_gui_blocks *b = pm_gui_blocks_create();
  size_t closed = 0;
  for (size_t at = 0; text[at];) {
    size_t n = MIN(step, strlen(text + at));
    while ((text[at + n] & 0xC0) == 0x80) n++;
    g_autofree char *piece = g_strndup(text + at, n);
    pm_gui_blocks_append(b, piece);
    at += n;
    for (size_t i = 0; i < pm_gui_blocks_count(b); i++) {
      if (i < closed) assert_true(pm_gui_blocks_get(b, i)->closed);
      if (pm_gui_blocks_get(b, i)->closed) closed = MAX(closed, i + 1);
    }
    assert_true(pm_gui_blocks_count(b) <= closed + 1);
  }
  pm_gui_blocks_finish(b);
  GString *out = g_string_new(NULL);
  for (size_t i = 0; i < pm_gui_blocks_count(b); i++) {
    const pm_gui_block *block = pm_gui_blocks_get(b, i);
    g_autofree char *content = pm_gui_blocks_text(b, i);
    assert_true(block->closed);
    g_string_append_printf(out, "%s%s%s:%u:%s:%s:%s", i ? "|" : "", block->tight ? "+" : "", block->kind == PM_GUI_CODE ? "code" : "text",
                           block->depth, block->marker, block->language, content);
  }
  pm_gui_blocks_destroy(b);
  return g_string_free(out, FALSE);
}

static const struct {
  const char *text, *blocks;
} rows[] = {
    {"", ""},
    {"one\ntwo\n\nthree", "text:0:::one\ntwo|text:0:::three"},
    {"# Head\ntext\n## Sub\n", "text:0:::# Head|+text:0:::text|+text:0:::## Sub"},
    {"Title\n===\n", "text:0:::Title\n==="},
    {"so:\n```py\nx = 1\n\ny = 2\n```\nend", "text:0:::so:|+code:0::py:x = 1\n\ny = 2|+text:0:::end"},
    {"~~~~ c title\n```\n~~~\n~~~~\n", "code:0::c:```\n~~~"},
    {"```\nnever closed\n", "code:0:::never closed"},
    {"``` inline ``` code", "text:0:::``` inline ``` code"},
    {"- one\n- two\n  more\n\n  after\n", "text:1:•::one|+text:1:•::two\nmore|text:1:::after"},
    {"* a\n    * b\n* c\n\nend", "text:1:•::a|+text:2:•::b|+text:1:•::c|text:0:::end"},
    {"9. nine\n10. ten\n    ```sh\n    ls -l\n      x\n    ```\n    then\n",
     "text:1:9.::nine|+text:1:10.::ten|+code:1::sh:ls -l\n  x|+text:1:::then"},
    {"- [ ] todo\n- [x] done\n", "text:1:☐::todo|+text:1:☑::done"},
    {"a\n\n---\n\nb", "text:0:::a|text:0:::---|text:0:::b"},
    {"| a | b |\n|---|---|\n| 1 | 2 |\n\nend", "text:0:::| a | b |\n|---|---|\n| 1 | 2 ||text:0:::end"},
    {"> quote\n> more\n\nend", "text:0:::> quote\n> more|text:0:::end"},
    {"no list: 3.5 and -1\n-2\n", "text:0:::no list: 3.5 and -1\n-2"},
    {"\n\n\n熔岩有多热\n\n\n- 热", "text:0:::熔岩有多热|text:1:•::热"},
    {"95", "text:0:::95"},
};

static void test_blocks(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t step = 1; step < 40; step += step < 5 ? 1 : 17) {
      g_autofree char *blocks = describe(rows[i].text, step);
      if (strcmp(blocks, rows[i].blocks)) fail_msg("'%s' by %zu: '%s', expected '%s'", rows[i].text, step, blocks, rows[i].blocks);
    }
}

// A paragraph without an end stays in pieces of bounded size, and no byte of it is lost.
static void test_long_paragraph(void **state) {
  (void)state;
  GString *text = g_string_new(NULL);
  while (text->len < 40000) g_string_append(text, "lava ");
  pm_gui_blocks *b = pm_gui_blocks_create();
  for (size_t at = 0; at < text->len; at += 40) {
    g_autofree char *piece = g_strndup(text->str + at, 40);
    pm_gui_blocks_append(b, piece);
    const pm_gui_block *block = pm_gui_blocks_get(b, pm_gui_blocks_count(b) - 1);
    assert_true(block->end - block->start <= 3100);
  }
  pm_gui_blocks_finish(b);
  size_t words = 0;
  for (size_t i = 0; i < pm_gui_blocks_count(b); i++) {
    g_autofree char *part = pm_gui_blocks_text(b, i);
    for (const char *at = part; (at = strstr(at, "lava")); at++) words++;
  }
  assert_int_equal(words, text->len / 5);
  assert_true(pm_gui_blocks_count(b) > 10);
  pm_gui_blocks_destroy(b);
  g_string_free(text, TRUE);
}

static const struct {
  const char *markdown, *markup;
} markup_rows[] = {
    {"a **b** *c* `d<e` ~~f~~", "a <b>b</b> <i>c</i> <tt>d&lt;e</tt> <s>f</s>"},
    {"# H & M", "<span weight=\"bold\" size=\"x-large\">H &amp; M</span>"},
    {"[x](https://a.b/?c=d&e=\"f\")", "<a href=\"https://a.b/?c=d&amp;e=&quot;f&quot;\">x</a>"},
    {"[x](javascript:alert(1)) [y](file:///etc/passwd)", "x y"},
    {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
    {"&copy; &amp; &nbsp;", "&amp;copy; &amp; \u00a0"},
    {"> q\n> r", "▏ q\nr"},
    {"| a | long |\n|---|---|\n| **1** | 2 |", "<tt><b>a</b> │ <b>long</b>\n──┼─────\n<b>1</b> │ 2   </tt>"},
    {"---", "────────"},
    {"**open", "**open"},
};

static void test_markup(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof markup_rows / sizeof *markup_rows; i++) {
    g_autofree char *markup = pm_gui_markup(markup_rows[i].markdown);
    assert_string_equal(markup, markup_rows[i].markup);
  }
}

// Random texts of everything that means something give valid markup.
static void test_any_text_is_valid(void **state) {
  (void)state;
  static const char *const parts[] = {"*",          "**",   "_",    "`",    "```\n", "[",   "](http://x)", "![",   "<b>",
                                      "&",          "&#0;", "\n",   "\n\n", "- ",    "1. ", "> ",          "| ",   "|-",
                                      "#",          " ",    "word", "热",   "$",     "$$",  "~~",          "\x01", "\xff",
                                      "http://a.b", "\\",   "    ", "---",  "[x]",   "<",   "\"",          "\t",   "|a|b|\n|-|-|\n"};
  GRand *random = g_rand_new_with_seed(7);
  for (int round = 0; round < 20000; round++) {
    GString *text = g_string_new(NULL);
    for (int n = g_rand_int_range(random, 1, 24); n > 0; n--)
      g_string_append(text, parts[g_rand_int_range(random, 0, sizeof parts / sizeof *parts)]);
    g_autofree char *markup = pm_gui_markup(text->str);
    GError *error = NULL;
    GString *bare = g_string_new(NULL);  // links are GtkLabel's addition to Pango's markup
    for (const char *at = markup; *at; at++) {
      if (g_str_has_prefix(at, "<a "))
        at = strchr(at, '>');
      else if (g_str_has_prefix(at, "</a>"))
        at += 3;
      else
        g_string_append_c(bare, *at);
    }
    if (!pango_parse_markup(bare->str, -1, 0, NULL, NULL, NULL, &error)) fail_msg("'%s' gave '%s': %s", text->str, markup, error->message);
    g_string_free(bare, TRUE);
    g_string_free(text, TRUE);
  }
  g_rand_free(random);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_long_paragraph), cmocka_unit_test(test_markup),
                                     cmocka_unit_test(test_any_text_is_valid)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

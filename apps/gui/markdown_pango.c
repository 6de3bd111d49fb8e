#include "markdown_pango.h"

#include <glib.h>
#include <md4c.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct writer {
  GString *out;
  GString *cell;                      // of a table, while one is read
  size_t cell_width;                  // columns that it takes
  GPtrArray *rows;                    // of GPtrArray of cells: markup, with the width before it
  bool in_code, link, parted;         // parted: the next block begins on a new line
  uint32_t quote, list, numbers[16];  // numbers: of the next item of each list; 0 of a list without
} writer;

static GString *sink(writer *w) { return w->cell ? w->cell : w->out; }

static void escape(GString *out, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '&')
      g_string_append(out, "&amp;");
    else if (c == '<')
      g_string_append(out, "&lt;");
    else if (c == '>')
      g_string_append(out, "&gt;");
    else if (c == '"')
      g_string_append(out, "&quot;");
    else if (c >= 0x20 || c == '\n' || c == '\t')
      g_string_append_c(out, (char)c);
  }
}

static size_t width_of(const char *text, size_t bytes) {
  size_t width = 0;
  for (const char *at = text; at < text + bytes; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
  }
  return width;
}

static void write_text(writer *w, const char *text, size_t bytes) {
  if (w->cell) w->cell_width += width_of(text, bytes);
  escape(sink(w), text, bytes);
}

// Entities that texts use; others are shown as they stand.
static void write_entity(writer *w, const char *text, size_t bytes) {
  static const char *const rows[][2] = {{"&amp;", "&"},   {"&lt;", "<"},     {"&gt;", ">"},        {"&quot;", "\""},
                                        {"&apos;", "'"},  {"&#39;", "'"},    {"&nbsp;", "\u00a0"}, {"&mdash;", "—"},
                                        {"&ndash;", "–"}, {"&hellip;", "…"}, {"&times;", "×"}};
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (bytes == strlen(rows[i][0]) && !memcmp(text, rows[i][0], bytes)) {
      write_text(w, rows[i][1], strlen(rows[i][1]));
      return;
    }
  write_text(w, text, bytes);
}

// ---- tables ------------------------------------------------------------------------------------------------------------------------

typedef struct cell {
  size_t width;
  char *markup;
} cell;

static void cell_free(gpointer data) {
  g_free(((cell *)data)->markup);
  g_free(data);
}

static void begin_row(writer *w) { g_ptr_array_add(w->rows, g_ptr_array_new_with_free_func(cell_free)); }

static void end_cell(writer *w) {
  cell *c = g_new(cell, 1);
  *c = (cell){w->cell_width, g_string_free(w->cell, FALSE)};
  w->cell = NULL;
  g_ptr_array_add(w->rows->pdata[w->rows->len - 1], c);
}

static GArray *column_widths(const writer *w) {
  GArray *widths = g_array_new(FALSE, TRUE, sizeof(size_t));
  for (guint r = 0; r < w->rows->len; r++) {
    const GPtrArray *row = w->rows->pdata[r];
    if (row->len > widths->len) g_array_set_size(widths, row->len);
    for (guint c = 0; c < row->len; c++) {
      size_t *width = &g_array_index(widths, size_t, c);
      *width = MAX(*width, ((cell *)row->pdata[c])->width);
    }
  }
  return widths;
}

// Columns stand below each other because the letters are of one width.
static void write_table(writer *w) {
  g_autoptr(GArray) widths = column_widths(w);
  g_string_append(w->out, "<tt>");
  for (guint r = 0; r < w->rows->len; r++) {
    const GPtrArray *row = w->rows->pdata[r];
    if (r) g_string_append_c(w->out, '\n');
    for (guint c = 0; c < row->len; c++) {
      const cell *value = row->pdata[c];
      g_string_append_printf(w->out, "%s%s", c ? " │ " : "", value->markup);
      for (size_t i = value->width; i < g_array_index(widths, size_t, c); i++) g_string_append_c(w->out, ' ');
    }
    if (r) continue;
    g_string_append_c(w->out, '\n');
    for (guint c = 0; c < widths->len; c++) {
      if (c) g_string_append(w->out, "─┼─");
      for (size_t i = 0; i < g_array_index(widths, size_t, c); i++) g_string_append(w->out, "─");
    }
  }
  g_string_append(w->out, "</tt>");
}

// ---- callbacks of md4c -------------------------------------------------------------------------------------------------------------

static void begin_line(writer *w) {
  if (w->parted && w->out->len) g_string_append_c(w->out, '\n');
  w->parted = false;
  for (uint32_t i = 0; i < w->quote; i++) g_string_append(w->out, "▏ ");
}

static void begin_item(writer *w, const MD_BLOCK_LI_DETAIL *item) {
  begin_line(w);
  for (uint32_t i = 1; i < w->list; i++) g_string_append(w->out, "    ");
  uint32_t *number = &w->numbers[MIN(w->list, G_N_ELEMENTS(w->numbers)) - 1];
  if (item->is_task)
    g_string_append(w->out, item->task_mark == ' ' ? "☐ " : "☑ ");
  else if (*number)
    g_string_append_printf(w->out, "%u. ", (*number)++);
  else
    g_string_append(w->out, "• ");
}

static const char *const heading_size[] = {"x-large", "large", "medium", "medium", "medium", "medium"};

static int enter_block(MD_BLOCKTYPE type, void *detail, void *user) {
  writer *w = user;
  switch (type) {
    case MD_BLOCK_QUOTE: w->quote++; break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
      w->list++;
      w->numbers[MIN(w->list, G_N_ELEMENTS(w->numbers)) - 1] = type == MD_BLOCK_OL ? ((MD_BLOCK_OL_DETAIL *)detail)->start : 0;
      break;
    case MD_BLOCK_LI: begin_item(w, detail); break;
    case MD_BLOCK_HR:
      begin_line(w);
      g_string_append(w->out, "────────");
      w->parted = true;
      break;
    case MD_BLOCK_H:
      begin_line(w);
      g_string_append_printf(w->out, "<span weight=\"bold\" size=\"%s\">", heading_size[((MD_BLOCK_H_DETAIL *)detail)->level - 1]);
      break;
    case MD_BLOCK_CODE:
      begin_line(w);
      g_string_append(w->out, "<tt>");
      w->in_code = true;
      break;
    case MD_BLOCK_P:
      if (w->parted || !w->list) begin_line(w);
      break;
    case MD_BLOCK_TABLE: begin_line(w); break;
    case MD_BLOCK_TR: begin_row(w); break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      w->cell = g_string_new(type == MD_BLOCK_TH ? "<b>" : "");
      w->cell_width = 0;
      break;
    default: break;
  }
  return 0;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *user) {
  (void)detail;
  writer *w = user;
  switch (type) {
    case MD_BLOCK_QUOTE: w->quote--; break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL: w->list--; break;
    case MD_BLOCK_H: g_string_append(w->out, "</span>"); break;
    case MD_BLOCK_CODE:
      if (w->out->str[w->out->len - 1] == '\n') g_string_truncate(w->out, w->out->len - 1);
      g_string_append(w->out, "</tt>");
      w->in_code = false;
      break;
    case MD_BLOCK_TABLE:
      write_table(w);
      g_ptr_array_set_size(w->rows, 0);
      break;
    case MD_BLOCK_TH: g_string_append(w->cell, "</b>"); G_GNUC_FALLTHROUGH;
    case MD_BLOCK_TD: end_cell(w); return 0;
    default: break;
  }
  if (type == MD_BLOCK_H || type == MD_BLOCK_CODE || type == MD_BLOCK_P || type == MD_BLOCK_TABLE || type == MD_BLOCK_LI) w->parted = true;
  return 0;
}

// Opening and closing tags by span; links and images are done apart.
static const char *const span_tags[][2] = {[MD_SPAN_EM] = {"<i>", "</i>"},
                                           [MD_SPAN_STRONG] = {"<b>", "</b>"},
                                           [MD_SPAN_CODE] = {"<tt>", "</tt>"},
                                           [MD_SPAN_DEL] = {"<s>", "</s>"}};

static bool may_follow(const char *url, size_t bytes) {
  static const char *const schemes[] = {"https://", "http://", "mailto:"};
  for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
    if (bytes > strlen(schemes[i]) && !g_ascii_strncasecmp(url, schemes[i], strlen(schemes[i]))) return true;
  return false;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *user) {
  writer *w = user;
  const MD_ATTRIBUTE *href = type == MD_SPAN_A ? &((MD_SPAN_A_DETAIL *)detail)->href : NULL;
  if (href && !w->link && may_follow(href->text, href->size)) {
    g_string_append(sink(w), "<a href=\"");
    escape(sink(w), href->text, href->size);
    g_string_append(sink(w), "\">");
    w->link = true;
  } else if (type < G_N_ELEMENTS(span_tags) && span_tags[type][0]) {
    g_string_append(sink(w), span_tags[type][0]);
  }
  return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *user) {
  writer *w = user;
  const MD_ATTRIBUTE *href = type == MD_SPAN_A ? &((MD_SPAN_A_DETAIL *)detail)->href : NULL;
  if (href && w->link && may_follow(href->text, href->size)) {
    g_string_append(sink(w), "</a>");
    w->link = false;
  } else if (type < G_N_ELEMENTS(span_tags) && span_tags[type][1]) {
    g_string_append(sink(w), span_tags[type][1]);
  }
  return 0;
}

static int text(MD_TEXTTYPE type, const MD_CHAR *chars, MD_SIZE bytes, void *user) {
  writer *w = user;
  switch (type) {
    case MD_TEXT_NULLCHAR: g_string_append(sink(w), "\uFFFD"); break;
    case MD_TEXT_BR: g_string_append_c(sink(w), '\n'); break;
    case MD_TEXT_SOFTBR: g_string_append_c(sink(w), w->cell ? ' ' : '\n'); break;
    case MD_TEXT_ENTITY: write_entity(w, chars, bytes); break;
    default: write_text(w, chars, bytes);
  }
  return 0;
}

// Whether every element is closed where it should be, whatever the parser has called.
static bool balanced(const char *markup) {
  static const GMarkupParser nothing = {0};
  GMarkupParseContext *context = g_markup_parse_context_new(&nothing, 0, NULL, NULL);
  bool good = g_markup_parse_context_parse(context, "<m>", 3, NULL) && g_markup_parse_context_parse(context, markup, -1, NULL) &&
              g_markup_parse_context_parse(context, "</m>", 4, NULL) && g_markup_parse_context_end_parse(context, NULL);
  g_markup_parse_context_free(context);
  return good;
}

char *pm_gui_markup(const char *markdown) {
  static const MD_PARSER parser = {
      .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS | MD_FLAG_PERMISSIVEURLAUTOLINKS | MD_FLAG_NOHTML,
      .enter_block = enter_block,
      .leave_block = leave_block,
      .enter_span = enter_span,
      .leave_span = leave_span,
      .text = text};
  g_autofree char *valid = g_utf8_make_valid(markdown, -1);
  writer w = {.out = g_string_new(NULL), .rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref)};
  if (md_parse(valid, (MD_SIZE)strlen(valid), &parser, &w) != 0 || !balanced(w.out->str)) {
    g_string_truncate(w.out, 0);
    escape(w.out, valid, strlen(valid));
  }
  g_ptr_array_unref(w.rows);
  if (w.cell) g_string_free(w.cell, TRUE);
  return g_string_free(w.out, FALSE);
}

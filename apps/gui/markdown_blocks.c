#include "markdown_blocks.h"

#include <string.h>

// A paragraph that has grown to this many bytes is cut at its next word, so that the open block, which is drawn anew with every
// piece, stays small.
enum { MAX_PARAGRAPH = 3000, MAX_DEPTH = 8 };

struct pm_gui_blocks {
  GString *text;
  GArray *blocks;
  size_t line;                          // where the newest line begins
  bool classified;                      // it belongs to the newest block
  bool blank;                           // a blank line was before it
  bool heading, table;                  // of the newest block: one line only; must not be cut
  char fence;                           // of the open code: '`' or '~'; 0 outside
  size_t fence_length;                  //
  size_t indents[MAX_DEPTH], n_indent;  // columns of the markers of the lists that are open
};

pm_gui_blocks *pm_gui_blocks_create(void) {
  pm_gui_blocks *b = g_new0(pm_gui_blocks, 1);
  b->text = g_string_new(NULL);
  b->blocks = g_array_new(FALSE, TRUE, sizeof(pm_gui_block));
  return b;
}

void pm_gui_blocks_destroy(pm_gui_blocks *b) {
  if (!b) return;
  g_string_free(b->text, TRUE);
  g_array_free(b->blocks, TRUE);
  g_free(b);
}

size_t pm_gui_blocks_count(const pm_gui_blocks *b) { return b->blocks->len; }

const pm_gui_block *pm_gui_blocks_get(const pm_gui_blocks *b, size_t i) { return &g_array_index(b->blocks, pm_gui_block, i); }

static pm_gui_block *last(pm_gui_blocks *b) { return b->blocks->len ? &g_array_index(b->blocks, pm_gui_block, b->blocks->len - 1) : NULL; }

// ---- what a line is ----------------------------------------------------------------------------------------------------------------

typedef struct line_info {
  const char *text;  // after the indentation
  size_t n, indent;
} line_info;

static line_info look(const pm_gui_blocks *b, size_t end) {
  line_info l = {b->text->str + b->line, end - b->line, 0};
  while (l.n && (*l.text == ' ' || *l.text == '\t')) {
    l.indent += *l.text == '\t' ? 4 - l.indent % 4 : 1;
    l.text++, l.n--;
  }
  while (l.n && strchr(" \t\r\n", l.text[l.n - 1])) l.n--;
  return l;
}

static size_t run_length(const line_info *l, char c) {
  size_t n = 0;
  while (n < l->n && l->text[n] == c) n++;
  return n;
}

// Of a line that may open code: the fence's length, or 0.
static size_t fence_length(const line_info *l) {
  size_t n = l->n && (*l->text == '`' || *l->text == '~') ? run_length(l, *l->text) : 0;
  return n >= 3 && !(*l->text == '`' && memchr(l->text + n, '`', l->n - n)) ? n : 0;
}

// Bytes of a list marker with the space after it, or 0. `marker` gets what is shown.
static size_t list_marker(const line_info *l, char marker[16]) {
  size_t n = 0;
  while (n < l->n && n < 9 && g_ascii_isdigit(l->text[n])) n++;
  bool ordered = n > 0;
  if (n >= l->n || !strchr(ordered ? ".)" : "-*+", l->text[n])) return 0;
  n++;
  if (n >= l->n || l->text[n] != ' ') return 0;
  g_strlcpy(marker, ordered ? l->text : "•", ordered ? n + 1 : 16);
  n++;
  if (l->n >= n + 4 && l->text[n] == '[' && l->text[n + 2] == ']' && l->text[n + 3] == ' ' && strchr(" xX", l->text[n + 1])) {
    g_strlcpy(marker, l->text[n + 1] == ' ' ? "☐" : "☑", 16);
    n += 4;
  }
  return n;
}

static bool is_rule(const line_info *l) {  // "---", "* * *": no list
  if (!l->n || !strchr("-*_", *l->text)) return false;
  size_t n = 0;
  for (size_t i = 0; i < l->n; i++) {
    if (l->text[i] == *l->text)
      n++;
    else if (l->text[i] != ' ')
      return false;
  }
  return n >= 3;
}

// ---- blocks ------------------------------------------------------------------------------------------------------------------------

static void close_block(pm_gui_blocks *b) {
  pm_gui_block *block = last(b);
  if (!block || block->closed) return;
  while (block->end > block->start && block->kind == PM_GUI_TEXT && strchr(" \t\r\n", b->text->str[block->end - 1])) block->end--;
  block->closed = true;
  b->heading = b->table = false;
}

static pm_gui_block *open_block(pm_gui_blocks *b, pm_gui_block_kind kind, size_t start) {
  bool first = b->blocks->len == 0;
  close_block(b);
  pm_gui_block block = {.kind = kind, .start = start, .end = start, .tight = !first && !b->blank, .depth = (uint32_t)b->n_indent};
  g_array_append_val(b->blocks, block);
  b->blank = false;
  return last(b);
}

// Lists end where a line is not indented as much as their items' text.
static void leave_lists(pm_gui_blocks *b, size_t indent) {
  while (b->n_indent && indent <= b->indents[b->n_indent - 1]) b->n_indent--;
}

static void open_code(pm_gui_blocks *b, const line_info *l, size_t n_fence, size_t end) {
  leave_lists(b, l->indent);
  pm_gui_block *block = open_block(b, PM_GUI_CODE, end);
  block->indent = l->indent;
  b->fence = *l->text;
  b->fence_length = n_fence;
  const char *language = l->text + n_fence;
  size_t n = l->n - n_fence, used = 0;
  while (n && *language == ' ') language++, n--;
  while (used < n && used + 1 < sizeof block->language && !strchr(" \t{,", language[used])) used++;
  memcpy(block->language, language, used);
}

static void open_item(pm_gui_blocks *b, const line_info *l, size_t n_marker, const char *marker) {
  leave_lists(b, l->indent);
  if (b->n_indent < MAX_DEPTH) b->indents[b->n_indent++] = l->indent;
  pm_gui_block *block = open_block(b, PM_GUI_TEXT, (size_t)(l->text + n_marker - b->text->str));
  g_strlcpy(block->marker, marker, sizeof block->marker);
  block->indent = l->indent + n_marker;
}

// Gives a line to the newest block, or opens one for it. False: it cannot be told yet.
static bool classify(pm_gui_blocks *b, size_t end, bool whole) {
  line_info l = look(b, end);
  if (!whole && (l.n < 4 || strchr("`~#", *l.text))) return false;
  pm_gui_block *block = last(b);
  char marker[16];
  size_t n_fence = fence_length(&l), n_marker = n_fence || is_rule(&l) ? 0 : list_marker(&l, marker);
  if (!whole && n_marker && l.text[n_marker] == '[' && l.n < n_marker + 5) return false;  // may become "[ ] "
  bool fresh = !block || block->closed || b->blank || b->heading || block->kind == PM_GUI_CODE;
  bool heading = *l.text == '#' && run_length(&l, '#') <= 6 && l.text[run_length(&l, '#')] == ' ';
  if (n_fence) {
    open_code(b, &l, n_fence, end);
  } else if (n_marker) {
    open_item(b, &l, n_marker, marker);
  } else if (fresh || heading) {
    leave_lists(b, l.indent);
    block = open_block(b, PM_GUI_TEXT, b->line);
    if (b->n_indent) block->indent = l.indent;
    b->heading = heading;
    b->table = *l.text == '|';
  }
  return true;
}

// Cuts a paragraph that has become too long behind one of its words.
static void bound(pm_gui_blocks *b) {
  pm_gui_block *block = last(b);
  while (block->kind == PM_GUI_TEXT && !b->table && block->end - block->start > MAX_PARAGRAPH) {
    const char *from = b->text->str + block->start + MAX_PARAGRAPH / 2, *space = NULL, *stop = b->text->str + block->end;
    for (const char *at = from; at < stop && !space; at++)
      if (*at == ' ' || *at == '\n') space = at;
    if (!space) return;
    size_t cut = (size_t)(space - b->text->str), end = block->end, indent = block->indent;
    block->end = cut;
    block = open_block(b, PM_GUI_TEXT, cut + 1);
    block->end = end;
    block->indent = indent;
    block->tight = true;
  }
}

static void take_code_line(pm_gui_blocks *b, size_t end, bool whole) {
  line_info l = look(b, end);
  pm_gui_block *block = last(b);
  bool fence = l.n && run_length(&l, b->fence) == l.n;
  if (whole && fence && l.n >= b->fence_length) {
    b->fence = 0;
    close_block(b);
  } else if (whole || !(fence || !l.n)) {  // what may become the closing fence is not shown yet
    block->end = end;
  }
}

static void take_line(pm_gui_blocks *b, size_t end, bool whole) {
  if (b->fence) {
    take_code_line(b, end, whole);
    return;
  }
  if (!b->classified && look(b, end).n == 0) {
    if (whole) b->blank = true;
    return;
  }
  if (!b->classified) {
    b->classified = classify(b, end, whole);
    if (!b->classified || b->fence) return;
  }
  last(b)->end = end;
  bound(b);
}

void pm_gui_blocks_append(pm_gui_blocks *b, const char *text) {
  size_t at = b->text->len;
  g_string_append(b->text, text);
  while (at < b->text->len) {
    const char *newline = memchr(b->text->str + at, '\n', b->text->len - at);
    size_t end = newline ? (size_t)(newline - b->text->str) + 1 : b->text->len;
    take_line(b, end, newline != NULL);
    if (newline) b->line = end, b->classified = false;
    at = end;
  }
}

void pm_gui_blocks_finish(pm_gui_blocks *b) {
  if (b->line < b->text->len) {
    take_line(b, b->text->len, true);
    b->line = b->text->len;
  }
  b->fence = 0;
  close_block(b);
}

char *pm_gui_blocks_text(const pm_gui_blocks *b, size_t i) {
  const pm_gui_block *block = pm_gui_blocks_get(b, i);
  GString *out = g_string_sized_new(block->end - block->start + 1);
  const char *at = b->text->str + block->start, *end = b->text->str + block->end;
  bool first = block->marker[0] != 0;  // its line begins after the marker
  while (at < end) {
    for (size_t column = 0; !first && at < end && column < block->indent && (*at == ' ' || *at == '\t'); at++)
      column += *at == '\t' ? 4 : 1;
    first = false;
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
    g_string_append_len(out, at, next - at);
    at = next;
  }
  if (block->kind == PM_GUI_CODE && out->len && out->str[out->len - 1] == '\n') g_string_truncate(out, out->len - 1);
  return g_string_free(out, FALSE);
}

// Markdown that grows, cut into blocks: paragraphs, headings, list items, tables, fenced code. All but the last block are final, so that a
// view never touches them again; what is not fenced code is for pm_gui_markup.
#ifndef PM_MARKDOWN_BLOCKS_H
#define PM_MARKDOWN_BLOCKS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum pm_gui_block_kind { PM_GUI_TEXT, PM_GUI_CODE } pm_gui_block_kind;

typedef struct pm_gui_block {
  pm_gui_block_kind kind;
  size_t start, end;  // bytes of the text; of code, without its fences
  size_t indent;      // columns to take off its lines
  uint32_t depth;     // of lists around it
  char marker[16];    // of a list item, at its first block: "•", "3.", "☐"
  char language[32];  // of code, as after the fence
  bool tight;         // no blank line before it
  bool closed;        // final
} pm_gui_block;

typedef struct pm_gui_blocks pm_gui_blocks;

pm_gui_blocks *pm_gui_blocks_create(void);
void pm_gui_blocks_destroy(pm_gui_blocks *blocks);
void pm_gui_blocks_append(pm_gui_blocks *blocks, const char *text);  // UTF-8, whole characters
void pm_gui_blocks_finish(pm_gui_blocks *blocks);                    // no more text: the last block is final
size_t pm_gui_blocks_count(const pm_gui_blocks *blocks);
const pm_gui_block *pm_gui_blocks_get(const pm_gui_blocks *blocks, size_t i);  // valid until the next append
char *pm_gui_blocks_text(const pm_gui_blocks *blocks, size_t i);               // its text, indentation taken off

#endif

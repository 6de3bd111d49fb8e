#include "markdown_view.h"

#include "clip_box.h"
#include "code_view.h"
#include "markdown_blocks.h"
#include "markdown_pango.h"
#include "widgets.h"

// Blocks stand in groups of so many: only the layout of the group that grows is done anew.
enum { FLUSH_MS = 40, INDENT = 22, GROUP = 16 };

typedef struct markdown {
  pm_gui_blocks *blocks;
  GPtrArray *bodies;  // of each block: its label, or its code view
  size_t n_final;     // blocks that are shown as they stay
  guint timer;
  GtkWidget *box, *group;
} markdown;

static void markdown_free(gpointer data) {
  markdown *m = data;
  if (m->timer) g_source_remove(m->timer);
  pm_gui_blocks_destroy(m->blocks);
  g_ptr_array_unref(m->bodies);
  g_free(m);
}

static markdown *get(GtkWidget *view) { return g_object_get_data(G_OBJECT(view), "markdown"); }

GtkWidget *pm_gui_markdown_view_new(void) {
  markdown *m = g_new0(markdown, 1);
  m->blocks = pm_gui_blocks_create();
  m->bodies = g_ptr_array_new();
  m->box = pm_gui_clip_box_new(0);
  gtk_widget_add_css_class(m->box, "markdown");
  g_object_set_data_full(G_OBJECT(m->box), "markdown", m, markdown_free);
  return m->box;
}

static GtkWidget *new_label(void) {
  GtkWidget *label = pm_gui_text_label("", NULL);
  gtk_label_set_wrap(GTK_LABEL(label), TRUE);
  gtk_label_set_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_selectable(GTK_LABEL(label), TRUE);
  gtk_widget_set_hexpand(label, TRUE);
  return label;
}

// Adds the block's widget and returns what its text goes to.
static GtkWidget *add_block(markdown *m, const pm_gui_block *block) {
  bool code = block->kind == PM_GUI_CODE;
  GtkWidget *body = code ? pm_gui_code_view_new() : new_label(), *outer = body;
  if (block->depth) {
    GtkWidget *marker = gtk_label_new(block->marker);
    gtk_label_set_xalign(GTK_LABEL(marker), 1);
    gtk_widget_set_valign(marker, GTK_ALIGN_START);
    gtk_widget_set_size_request(marker, INDENT, -1);
    outer = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 8, marker, body, NULL);
    gtk_widget_set_margin_start(outer, INDENT * (int)(block->depth - 1));
    gtk_widget_set_hexpand(body, TRUE);
  }
  if (m->bodies->len) gtk_widget_set_margin_top(outer, block->tight && block->marker[0] ? 3 : 10);
  if (m->bodies->len % GROUP == 0) {
    m->group = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    gtk_box_append(GTK_BOX(m->box), m->group);
  }
  gtk_box_append(GTK_BOX(m->group), outer);
  g_ptr_array_add(m->bodies, body);
  return body;
}

static void show_block(markdown *m, size_t i) {
  const pm_gui_block *block = pm_gui_blocks_get(m->blocks, i);
  GtkWidget *body = i < m->bodies->len ? m->bodies->pdata[i] : add_block(m, block);
  g_autofree char *text = pm_gui_blocks_text(m->blocks, i);
  if (block->kind == PM_GUI_CODE) {
    pm_gui_code_view_set(body, block->language, text, block->closed);
  } else {
    g_autofree char *markup = pm_gui_markup(text);
    gtk_label_set_markup(GTK_LABEL(body), markup);
    pm_gui_follow_text(body, text);
    if (block->depth) pm_gui_follow_text(gtk_widget_get_parent(body), text);  // its marker stands before it
  }
}

static gboolean flush(gpointer user) {
  markdown *m = user;
  m->timer = 0;
  size_t n = pm_gui_blocks_count(m->blocks);
  for (; m->n_final < n && pm_gui_blocks_get(m->blocks, m->n_final)->closed; m->n_final++) show_block(m, m->n_final);
  if (m->n_final < n) show_block(m, m->n_final);
  return G_SOURCE_REMOVE;
}

void pm_gui_markdown_view_flush(GtkWidget *view) {
  markdown *m = get(view);
  if (m->timer) g_source_remove(m->timer);
  flush(m);
}

void pm_gui_markdown_view_append(GtkWidget *view, const char *text) {
  markdown *m = get(view);
  pm_gui_blocks_append(m->blocks, text);
  if (!m->timer) m->timer = g_timeout_add(FLUSH_MS, flush, m);
}

void pm_gui_markdown_view_finish(GtkWidget *view) {
  pm_gui_blocks_finish(get(view)->blocks);
  pm_gui_markdown_view_flush(view);
}

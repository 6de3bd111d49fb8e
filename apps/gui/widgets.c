#include "widgets.h"

#include <math.h>
#include <stdarg.h>

void pm_gui_set_label(GtkWidget *widget, const char *label) {
  gtk_accessible_update_property(GTK_ACCESSIBLE(widget), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
}

GtkWidget *pm_gui_icon_button(const char *icon, const char *label, const char *action) {
  GtkWidget *button = gtk_button_new_from_icon_name(icon);
  gtk_widget_add_css_class(button, "flat");
  gtk_widget_set_tooltip_text(button, label);
  pm_gui_set_label(button, label);
  if (action) gtk_actionable_set_action_name(GTK_ACTIONABLE(button), action);
  return button;
}

GtkWidget *pm_gui_round_button(const char *icon, const char *label, const char *css_class, const char *action) {
  GtkWidget *button = pm_gui_icon_button(icon, label, action);
  gtk_widget_remove_css_class(button, "flat");
  gtk_widget_add_css_class(button, "circular");
  gtk_widget_add_css_class(button, css_class);
  return button;
}

GtkWidget *pm_gui_text_label(const char *text, const char *css_class) {
  GtkWidget *label = gtk_label_new(text);
  gtk_label_set_xalign(GTK_LABEL(label), 0);
  if (css_class) gtk_widget_add_css_class(label, css_class);
  return label;
}

void pm_gui_follow_text(GtkWidget *widget, const char *text) {
  // Blocks that Unicode keeps for scripts from right to left (DerivedBidiClass.txt).
  static const gunichar blocks[][2] = {{0x590, 0x8FF}, {0xFB1D, 0xFDFF}, {0xFE70, 0xFEFF}, {0x10800, 0x10FFF}, {0x1E800, 0x1EFFF}};
  while (*text && !g_unichar_isalpha(g_utf8_get_char(text))) text = g_utf8_next_char(text);
  if (!*text) return;
  gunichar letter = g_utf8_get_char(text);
  GtkTextDirection direction = GTK_TEXT_DIR_LTR;
  for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++)
    if (letter >= blocks[i][0] && letter <= blocks[i][1]) direction = GTK_TEXT_DIR_RTL;
  gtk_widget_set_direction(widget, direction);
}

GtkWidget *pm_gui_box(GtkOrientation orientation, int spacing, ...) {
  GtkWidget *box = gtk_box_new(orientation, spacing), *child;
  va_list children;
  va_start(children, spacing);
  while ((child = va_arg(children, GtkWidget *))) gtk_box_append(GTK_BOX(box), child);
  va_end(children);
  return box;
}

static GtkWidget *row_with(const char *title, const char *subtitle, GtkWidget *control) {
  GtkWidget *row = adw_action_row_new();
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  if (subtitle) adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
  gtk_widget_set_valign(control, GTK_ALIGN_CENTER);
  pm_gui_set_label(control, title);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), control);
  adw_action_row_set_activatable_widget(ADW_ACTION_ROW(row), control);
  return row;
}

GtkWidget *pm_gui_spin_row(const char *title, const char *subtitle, double least, double most, double step, uint32_t digits, double value,
                           GtkWidget **spin) {
  *spin = gtk_spin_button_new_with_range(least, most, step);
  gtk_spin_button_set_digits(GTK_SPIN_BUTTON(*spin), digits);
  gtk_spin_button_set_value(GTK_SPIN_BUTTON(*spin), value);
  return row_with(title, subtitle, *spin);
}

GtkWidget *pm_gui_switch_row(const char *title, const char *subtitle, bool value, GtkWidget **button) {
  *button = gtk_switch_new();
  gtk_switch_set_active(GTK_SWITCH(*button), value);
  return row_with(title, subtitle, *button);
}

GtkWidget *pm_gui_combo_row(const char *title, const char *const *choices, guint chosen) {
  GtkWidget *row = adw_combo_row_new();
  GtkStringList *list = gtk_string_list_new(choices);
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  adw_combo_row_set_model(ADW_COMBO_ROW(row), G_LIST_MODEL(list));
  adw_combo_row_set_selected(ADW_COMBO_ROW(row), chosen);
  g_object_unref(list);
  return row;
}

void pm_gui_close_on_escape(GtkWidget *window) {
  GtkEventController *keys = gtk_shortcut_controller_new();
  gtk_shortcut_controller_add_shortcut(GTK_SHORTCUT_CONTROLLER(keys),
                                       gtk_shortcut_new(gtk_keyval_trigger_new(GDK_KEY_Escape, 0), gtk_named_action_new("window.close")));
  gtk_widget_add_controller(window, keys);
}

GtkWidget *pm_gui_dialog_new(GtkWindow *parent, const char *title, GtkWidget *head, GtkWidget *content) {
  GtkWidget *window = adw_window_new(), *scroller = gtk_scrolled_window_new();
  gtk_window_set_title(GTK_WINDOW(window), title);
  gtk_window_set_transient_for(GTK_WINDOW(window), parent);
  gtk_window_set_modal(GTK_WINDOW(window), TRUE);
  gtk_widget_add_css_class(content, "dialog-content");
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), content);
  gtk_widget_set_vexpand(scroller, TRUE);
  adw_window_set_content(ADW_WINDOW(window), pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head ? head : adw_header_bar_new(), scroller, NULL));
  pm_gui_close_on_escape(window);
  return window;
}

void pm_gui_clear_box(GtkWidget *box) {
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child(box))) gtk_box_remove(GTK_BOX(box), child);
}

char *pm_gui_bytes(double bytes) { return g_format_size_full(bytes > 0 ? (guint64)bytes : 0, G_FORMAT_SIZE_IEC_UNITS); }

char *pm_gui_rate(double rate) { return g_strdup_printf(rate < 100 ? "%.1f tokens/s" : "%.0f tokens/s", rate); }

char *pm_gui_duration(double seconds) {
  if (seconds < 1) return g_strdup_printf("%.0f ms", 1000 * seconds);
  if (seconds < 60) return g_strdup_printf("%.1f s", seconds);
  if (seconds < 3600) return g_strdup_printf("%d min %d s", (int)seconds / 60, (int)seconds % 60);
  return g_strdup_printf("%.0f h %d min", floor(seconds / 3600), (int)fmod(seconds, 3600) / 60);
}

double pm_gui_machine_memory(void) {
  g_autofree char *text = NULL;
  unsigned long long kib = 0;
  if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL) && g_str_has_prefix(text, "MemTotal:"))
    kib = g_ascii_strtoull(text + 9, NULL, 10);
  return (double)kib * 1024;
}

typedef struct drop_call {
  pm_gui_file_fn *dropped;
  void *user;
} drop_call;

static gboolean on_drop(GtkDropTarget *target, const GValue *value, double x, double y, gpointer data) {
  (void)target, (void)x, (void)y;
  const drop_call *call = data;
  bool any = false;
  GSList *files = gdk_file_list_get_files(g_value_get_boxed(value));
  for (GSList *at = files; at; at = at->next) {
    g_autofree char *path = g_file_get_path(at->data);
    if (path) call->dropped(call->user, path);
    any |= path != NULL;
  }
  g_slist_free(files);
  return any;
}

static void free_call(gpointer call, GClosure *closure) {
  (void)closure;
  g_free(call);
}

void pm_gui_accept_files(GtkWidget *widget, pm_gui_file_fn *dropped, void *user) {
  GtkDropTarget *target = gtk_drop_target_new(GDK_TYPE_FILE_LIST, GDK_ACTION_COPY | GDK_ACTION_LINK);
  drop_call *call = g_new(drop_call, 1);
  *call = (drop_call){dropped, user};
  g_signal_connect_data(target, "drop", G_CALLBACK(on_drop), call, free_call, 0);
  gtk_widget_add_controller(widget, GTK_EVENT_CONTROLLER(target));
}

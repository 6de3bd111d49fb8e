#include "gui_app.h"
#include "widgets.h"

enum { CONTEXT, DEVICE, MEMORY, EXPERTS, SPEED, POWER, N_GAUGE };

static const struct {
  const char *title, *tip;
  bool bar;
} rows[N_GAUGE] = {[CONTEXT] = {"Context", "Tokens of this conversation, and how many the model holds", true},
                   [DEVICE] = {"VRAM", "Memory of the graphics card that the engine takes, and what it may take", true},
                   [MEMORY] = {"RAM", "Memory that the engine uses, the mapped model file included", true},
                   [EXPERTS] = {"Experts", "Chosen experts that were found in the card's memory", true},
                   [SPEED] = {"Speed", "Tokens per second of the newest answer", false},
                   [POWER] = {"Power", "Power that the engine's devices take", false}};

typedef struct gauges {
  GtkWidget *items[N_GAUGE], *texts[N_GAUGE], *bars[N_GAUGE];
} gauges;

GtkWidget *pm_gui_gauges_new(void) {
  gauges *g = g_new0(gauges, 1);
  GtkWidget *box = gtk_flow_box_new();
  gtk_flow_box_set_selection_mode(GTK_FLOW_BOX(box), GTK_SELECTION_NONE);
  gtk_flow_box_set_max_children_per_line(GTK_FLOW_BOX(box), N_GAUGE);
  gtk_flow_box_set_column_spacing(GTK_FLOW_BOX(box), 12);
  gtk_widget_add_css_class(box, "gauges");
  for (int i = 0; i < N_GAUGE; i++) {
    g->texts[i] = pm_gui_text_label("", "caption");
    gtk_widget_add_css_class(g->texts[i], "numeric");
    gtk_widget_add_css_class(g->texts[i], "dim-label");
    g->items[i] = pm_gui_box(GTK_ORIENTATION_VERTICAL, 2, g->texts[i], NULL);
    if (rows[i].bar) {
      g->bars[i] = gtk_level_bar_new();
      pm_gui_set_label(g->bars[i], rows[i].title);
      gtk_box_append(GTK_BOX(g->items[i]), g->bars[i]);
    }
    gtk_widget_set_tooltip_text(g->items[i], rows[i].tip);
    gtk_flow_box_append(GTK_FLOW_BOX(box), g->items[i]);
  }
  g_object_set_data_full(G_OBJECT(box), "gauges", g, g_free);
  return box;
}

static void set(gauges *g, int i, const char *text, double part, double whole) {
  gtk_widget_set_visible(gtk_widget_get_parent(g->items[i]), text != NULL);
  if (!text) return;
  g_autofree char *line = g_strdup_printf("%s %s", rows[i].title, text);
  gtk_label_set_text(GTK_LABEL(g->texts[i]), line);
  if (g->bars[i]) gtk_level_bar_set_value(GTK_LEVEL_BAR(g->bars[i]), whole > 0 ? CLAMP(part / whole, 0, 1) : 0);
}

static void set_bytes(gauges *g, int i, double used, double whole) {
  g_autofree char *a = pm_gui_bytes(used), *b = pm_gui_bytes(whole);
  g_autofree char *text = used < 0 ? NULL : whole > 0 ? g_strdup_printf("%s of %s", a, b) : g_strdup(a);
  set(g, i, text, used, whole);
}

void pm_gui_gauges_update(GtkWidget *widget, const pm_gui_app *app) {
  gauges *g = g_object_get_data(G_OBJECT(widget), "gauges");
  const pm_gui_engine_view *e = pm_gui_engine_get(app->engine);
  bool ready = e->state == PM_GUI_ENGINE_READY;
  const pm_gui_gauges *now = &e->gauges;
  double context = pm_gui_session_context(app->session), rate = pm_gui_session_rate(app->session);
  g_autofree char *context_text = ready && context >= 0 ? g_strdup_printf("%.0f of %" G_GINT64_FORMAT, context, e->n_ctx) : NULL;
  set(g, CONTEXT, context_text, context, (double)e->n_ctx);
  set_bytes(g, DEVICE, ready && e->on_card && e->card.used > 0 ? e->card.used : -1, e->card.budget);
  set_bytes(g, MEMORY, ready ? e->memory : -1, pm_gui_machine_memory());
  double asked = now->hits + now->misses;
  g_autofree char *hit_text = ready && now->hits >= 0 && asked > 0 ? g_strdup_printf("%.0f %% in slots", 100 * now->hits / asked) : NULL;
  set(g, EXPERTS, hit_text, now->hits, asked);
  g_autofree char *rate_text = ready && rate > 0 ? pm_gui_rate(rate) : NULL;
  set(g, SPEED, rate_text, 0, 0);
  bool writing = pm_gui_session_writing(app->session) != PM_GUI_IDLE;
  g_autofree char *power_text = !ready                ? NULL
                                : e->watts < 0        ? g_strdup("n/a")
                                : writing && rate > 0 ? g_strdup_printf("%.0f W, %.2f J/token", e->watts, e->watts / rate)
                                                      : g_strdup_printf("%.0f W", e->watts);
  set(g, POWER, power_text, 0, 0);
  g_autofree char *no_power = e->watts < 0 ? g_strdup_printf("%s: n/a (%s)", rows[POWER].tip, e->no_watts) : NULL;
  gtk_widget_set_tooltip_text(g->items[POWER], no_power ? no_power : rows[POWER].tip);
}

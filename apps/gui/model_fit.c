#include "model_fit.h"

#include <string.h>

// ---- the plan ----------------------------------------------------------------------------------------------------------------------

static const struct {
  const char *purpose;
  pm_gui_part part;
} purposes[] = {{"weights", PM_GUI_WEIGHTS},      {"page cache", PM_GUI_WEIGHTS}, {"cache", PM_GUI_CACHE},
                {"expert slots", PM_GUI_EXPERTS}, {"experts", PM_GUI_EXPERTS},    {"ring", PM_GUI_EXPERTS}};

static void on_row(void *user, const char *memory, const char *purpose, uint64_t bytes) {
  pm_gui_fit *fit = user;
  pm_gui_part part = PM_GUI_SCRATCH;
  for (size_t i = 0; i < G_N_ELEMENTS(purposes); i++)
    if (!strcmp(purpose, purposes[i].purpose)) part = purposes[i].part;
  if (!strcmp(memory, "device"))
    fit->device[part] += (double)bytes;
  else if (!strcmp(memory, "disk"))
    fit->disk += (double)bytes;
  else
    fit->host[part] += (double)bytes;
}

// Names of general.file_type, as GGUF numbers them.
static const char *const file_types[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",    [8] = "Q5_0",    [9] = "Q5_1",
    [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",  [13] = "Q3_K_L", [14] = "Q4_K_S", [15] = "Q4_K_M", [16] = "Q5_K_S",
    [17] = "Q5_K_M", [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS",
    [24] = "IQ1_S",  [25] = "IQ4_NL", [26] = "IQ3_S",   [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",  [30] = "IQ4_XS",
    [31] = "IQ1_M",  [32] = "BF16",   [36] = "TQ1_0",   [37] = "TQ2_0"};

static void on_key(void *user, const char *key, const char *type, const char *value) {
  (void)type;
  pm_gui_fit *fit = user;
  guint64 number = g_ascii_strtoull(value, NULL, 10);
  if (!strcmp(key, "general.file_type") && number < G_N_ELEMENTS(file_types) && file_types[number])
    g_strlcpy(fit->quant, file_types[number], sizeof fit->quant);
  if (g_str_has_suffix(key, ".context_length")) fit->n_ctx_train = (uint32_t)number;
}

typedef struct job {
  char *path, *device;
  uint32_t n_ctx, n_session;
  uint64_t vram, ram;
  GCancellable *cancel;
  pm_gui_fit_fn *done;
  void *user;
} job;

static void job_free(gpointer data) {
  job *j = data;
  g_free(j->path);
  g_free(j->device);
  g_object_unref(j->cancel);
  g_free(j);
}

static void fit_free(gpointer data) {
  g_free(((pm_gui_fit *)data)->message);
  g_free(data);
}

static void compute(GTask *task, gpointer source, gpointer data, GCancellable *cancel) {
  (void)source;
  (void)cancel;
  const job *j = data;
  pm_gui_fit *fit = g_new0(pm_gui_fit, 1);
  pumice_plan_options options = PUMICE_INIT(pumice_plan_options);
  options.device = j->device;
  options.n_ctx = j->n_ctx;
  options.n_session = j->n_session;
  options.vram = j->vram;
  options.ram = j->ram;
  fit->plan.size = sizeof fit->plan;
  pumice_status status = pumice_inspect(j->path, on_key, NULL, fit);
  if (status == PUMICE_OK) status = pumice_plan(j->path, &options, &fit->plan, on_row, fit);
  fit->good = status == PUMICE_OK;
  if (!fit->good) fit->message = g_utf8_make_valid(pumice_error(), -1);
  g_task_return_pointer(task, fit, fit_free);
}

static void on_fit(GObject *source, GAsyncResult *result, gpointer user) {
  (void)source;
  (void)user;
  job *j = g_task_get_task_data(G_TASK(result));
  pm_gui_fit *fit = g_task_propagate_pointer(G_TASK(result), NULL);
  if (fit && !g_cancellable_is_cancelled(j->cancel)) j->done(j->user, fit);
  if (fit) fit_free(fit);
}

void pm_gui_fit_compute(const char *path, const pm_gui_engine_settings *s, GCancellable *cancel, pm_gui_fit_fn *done, void *user) {
  const double gib = 1 << 30;
  job *j = g_new(job, 1);
  *j = (job){g_strdup(path),
             g_strdup(s->device),
             (uint32_t)s->n_ctx,
             pm_gui_conversations(s),
             (uint64_t)(s->vram_gib * gib),
             (uint64_t)(s->ram_gib * gib),
             g_object_ref(cancel),
             done,
             user};
  GTask *task = g_task_new(NULL, NULL, on_fit, NULL);
  g_task_set_task_data(task, j, job_free);
  g_task_run_in_thread(task, compute);
  g_object_unref(task);
}

// ---- devices -----------------------------------------------------------------------------------------------------------------------

typedef struct device_job {
  GCancellable *cancel;
  pm_gui_devices_fn *done;
  void *user;
  GStrvBuilder *names, *titles;
} device_job;

static void device_job_free(gpointer data) {
  device_job *j = data;
  g_object_unref(j->cancel);
  g_strv_builder_unref(j->names);
  g_strv_builder_unref(j->titles);
  g_free(j);
}

static void list_devices(GTask *task, gpointer source, gpointer data, GCancellable *cancel) {
  (void)source;
  (void)cancel;
  device_job *j = data;
  enum { MAX = 16 };
  pumice_device_info *infos = g_new0(pumice_device_info, MAX);
  for (int i = 0; i < MAX; i++) infos[i].size = sizeof *infos;
  uint32_t n = MAX;
  char note[256];
  g_strv_builder_add(j->names, "auto");
  g_strv_builder_add(j->titles, "Automatic");
  if (pumice_devices(infos, &n, note) != PUMICE_OK) n = 0;
  for (uint32_t i = 0; i < MIN(n, (uint32_t)MAX); i++) {
    if (!infos[i].usable) continue;
    g_autofree char *name = i ? g_strdup_printf("gpu:%u", i - 1) : g_strdup("cpu"), *title = g_utf8_make_valid(infos[i].name, -1);
    g_strv_builder_add(j->names, name);
    g_strv_builder_add(j->titles, title);
  }
  g_free(infos);
  g_task_return_boolean(task, TRUE);
}

static void on_devices(GObject *source, GAsyncResult *result, gpointer user) {
  (void)source;
  (void)user;
  device_job *j = g_task_get_task_data(G_TASK(result));
  g_auto(GStrv) names = g_strv_builder_end(j->names), titles = g_strv_builder_end(j->titles);
  if (!g_cancellable_is_cancelled(j->cancel)) j->done(j->user, (const char *const *)names, (const char *const *)titles);
}

void pm_gui_devices_list(GCancellable *cancel, pm_gui_devices_fn *done, void *user) {
  device_job *j = g_new(device_job, 1);
  *j = (device_job){g_object_ref(cancel), done, user, g_strv_builder_new(), g_strv_builder_new()};
  GTask *task = g_task_new(NULL, NULL, on_devices, NULL);
  g_task_set_task_data(task, j, device_job_free);
  g_task_run_in_thread(task, list_devices);
  g_object_unref(task);
}

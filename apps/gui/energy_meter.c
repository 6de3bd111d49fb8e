#include "energy_meter.h"

#include <glib.h>
#include <pumice.h>

struct pm_gui_meter {
  pumice_energy *energy;
  char reason[128];
  gint64 time;  // of the last figure of power
  double joules, watts;
};

pm_gui_meter *pm_gui_meter_open(const char *sysfs) {
  pumice_energy_options options = PUMICE_INIT(pumice_energy_options);
  options.sysfs = sysfs;
  pm_gui_meter *m = g_new0(pm_gui_meter, 1);
  if (pumice_energy_open(&options, &m->energy) != PUMICE_OK) g_strlcpy(m->reason, pumice_error(), sizeof m->reason);
  m->time = g_get_monotonic_time();
  m->joules = pm_gui_meter_joules(m);
  m->watts = -1;
  return m;
}

void pm_gui_meter_close(pm_gui_meter *m) {
  if (!m) return;
  pumice_energy_close(m->energy);
  g_free(m);
}

double pm_gui_meter_joules(pm_gui_meter *m) {
  double joules = -1;
  uint32_t n = 0;
  if (!m || !m->energy || pumice_energy_read(m->energy, NULL, &n, &joules, m->reason) != PUMICE_OK || *m->reason) return -1;
  return joules;
}

double pm_gui_meter_watts(pm_gui_meter *m) {
  gint64 now = g_get_monotonic_time();
  if (!m || now - m->time < G_USEC_PER_SEC) return m ? m->watts : -1;
  double joules = pm_gui_meter_joules(m);
  m->watts = joules >= 0 && m->joules >= 0 ? (joules - m->joules) * G_USEC_PER_SEC / (double)(now - m->time) : -1;
  m->joules = joules;
  m->time = now;
  return m->watts;
}

const char *pm_gui_meter_reason(const pm_gui_meter *m) { return m ? m->reason : "no model is loaded"; }

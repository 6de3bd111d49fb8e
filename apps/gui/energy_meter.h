// What the machine takes, by the sensors that pumice.h reads. Open only while something runs: asking for it keeps graphics cards awake.
#ifndef PM_ENERGY_METER_H
#define PM_ENERGY_METER_H

typedef struct pm_gui_meter pm_gui_meter;

pm_gui_meter *pm_gui_meter_open(const char *sysfs);  // NULL: the system's own
void pm_gui_meter_close(pm_gui_meter *meter);        // NULL is fine

// Joules since it was opened, and watts between the last two calls that were a second or more apart; negative: not known (a NULL meter,
// no sensor), and pm_gui_meter_reason says why.
double pm_gui_meter_joules(pm_gui_meter *meter);
double pm_gui_meter_watts(pm_gui_meter *meter);
const char *pm_gui_meter_reason(const pm_gui_meter *meter);

#endif

// A line chart as an SVG file: readable by itself, on light and dark pages alike.
#ifndef PM_SVG_CHART_H
#define PM_SVG_CHART_H

#include <stdint.h>
#include <stdio.h>

enum { PM_CHART_LINES = 5 };

typedef struct pm_chart_line {
  const char *name;
  const double *y;  // [n_point], not negative; NaN: no point
} pm_chart_line;

typedef struct pm_chart {
  const char *title, *note;  // the note may be several lines
  const char *x_label, *y_label;
  const double *x;  // [n_point], ascending, from 0 to x_max
  double x_max;
  uint32_t n_point, n_line;
  pm_chart_line lines[PM_CHART_LINES];
} pm_chart;

void pm_chart_write(const pm_chart *c, FILE *f);

#endif

#include "svg_chart.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

// Pixels. The plot lies between LEFT and RIGHT, TOP and BOTTOM; title and legend are above it, labels and the note below.
enum { WIDTH = 760, LEFT = 70, RIGHT = 730, TOP = 78, BOTTOM = 380, NOTE = 448, LINE = 16, TICKS = 6 };

// Colours that are told apart by people who do not see all of them (Okabe and Ito, 2008), and markers that need no colour.
static const char *const colours[PM_CHART_LINES] = {"#0072b2", "#e69f00", "#009e73", "#cc3311", "#777777"};
static const char *const markers[PM_CHART_LINES] = {"M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-4,4L0,-4L4,4Z", "M-3.5,-3.5h7v7h-7Z",
                                                    "M0,-5L5,0L0,5L-5,0Z", "M-4,-1h8v2h-8Z"};

static void write_text(FILE *f, double x, double y, const char *attributes, const char *text, size_t n) {
  fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
  for (; n; n--, text++) {
    const char *safe = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
    safe ? fputs(safe, f) : fputc(*text, f);
  }
  fprintf(f, "</text>\n");
}

// A step of 1, 2 or 5 times a power of ten with which at most TICKS reach `max`.
static double tick_step(double max) {
  double step = max > 0 ? pow(10, floor(log10(max / TICKS))) : 1;
  static const double factors[] = {1, 2, 5, 10};
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
    if (max / (step * factors[i]) <= TICKS) return step * factors[i];
  return 10 * step;
}

typedef struct scale {
  double x, y;  // pixels of one unit
} scale;

static double at_x(const scale *s, double x) { return LEFT + x * s->x; }
static double at_y(const scale *s, double y) { return BOTTOM - y * s->y; }

static void write_axes(FILE *f, const pm_chart *c, const scale *s, double step, double top) {
  char label[32];
  for (double y = 0; y <= top * 1.001; y += step) {
    fprintf(f, "<path d=\"M%d,%.1fH%d\" stroke=\"%s\"/>\n", LEFT, at_y(s, y), RIGHT, y > 0 ? "#e4e4e4" : "#555555");
    write_text(f, LEFT - 8, at_y(s, y) + 4, "text-anchor=\"end\"", label, (size_t)snprintf(label, sizeof label, "%g", y));
  }
  for (uint32_t i = 0; i < c->n_point; i++) {
    fprintf(f, "<path d=\"M%.1f,%dv5\" stroke=\"#555555\"/>\n", at_x(s, c->x[i]), BOTTOM);
    write_text(f, at_x(s, c->x[i]), BOTTOM + 20, "text-anchor=\"middle\"", label, (size_t)snprintf(label, sizeof label, "%g", c->x[i]));
  }
  write_text(f, (LEFT + RIGHT) / 2.0, BOTTOM + 42, "text-anchor=\"middle\"", c->x_label, strlen(c->x_label));
  write_text(f, 0, 0, "text-anchor=\"middle\" transform=\"translate(20,229) rotate(-90)\"", c->y_label, strlen(c->y_label));
}

static void write_line(FILE *f, const pm_chart *c, const scale *s, uint32_t k) {
  const double *y = c->lines[k].y;
  fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" d=\"", colours[k], k ? "1.8" : "3");
  bool pen_down = false;
  for (uint32_t i = 0; i < c->n_point; i++) {
    if (!isnan(y[i])) fprintf(f, "%c%.1f,%.1f", pen_down ? 'L' : 'M', at_x(s, c->x[i]), at_y(s, y[i]));
    pen_down = !isnan(y[i]);
  }
  fprintf(f, "\"/>\n");
  for (uint32_t i = 0; i < c->n_point; i++)
    if (!isnan(y[i]))
      fprintf(f, "<path fill=\"%s\" d=\"%s\" transform=\"translate(%.1f,%.1f)\"/>\n", colours[k], markers[k], at_x(s, c->x[i]),
              at_y(s, y[i]));
}

static void write_legend(FILE *f, const pm_chart *c) {
  double x = LEFT;
  for (uint32_t k = 0; k < c->n_line; k++) {
    size_t n = strlen(c->lines[k].name);
    fprintf(f, "<path stroke=\"%s\" stroke-width=\"2\" d=\"M%.1f,54h24\"/>\n", colours[k], x);
    fprintf(f, "<path fill=\"%s\" d=\"%s\" transform=\"translate(%.1f,54)\"/>\n", colours[k], markers[k], x + 12);
    write_text(f, x + 30, 58, "", c->lines[k].name, n);
    x += 54 + 6.6 * (double)n;
  }
}

// Lines of the note, one below the other; returns how many.
static uint32_t write_note(FILE *f, const char *note) {
  uint32_t n = 0;
  for (; *note; n++) {
    size_t length = strcspn(note, "\n");
    if (f) write_text(f, LEFT, NOTE + LINE * (double)n, "fill=\"#666666\"", note, length);
    note += length + (note[length] == '\n');
  }
  return n;
}

void pm_chart_write(const pm_chart *c, FILE *f) {
  double most = 0;
  for (uint32_t k = 0; k < c->n_line; k++)
    for (uint32_t i = 0; i < c->n_point; i++)
      if (c->lines[k].y[i] > most) most = c->lines[k].y[i];
  double step = tick_step(most), top = most > 0 ? ceil(most / step) * step : step;
  scale s = {(RIGHT - LEFT) / c->x_max, (BOTTOM - TOP) / top};
  uint32_t height = NOTE + LINE * write_note(NULL, c->note);
  fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n",
          WIDTH, height);
  fprintf(f, "<rect width=\"%d\" height=\"%u\" fill=\"#ffffff\"/>\n", WIDTH, height);
  write_text(f, LEFT, 30, "font-size=\"16\" font-weight=\"bold\"", c->title, strlen(c->title));
  write_axes(f, c, &s, step, top);
  for (uint32_t k = c->n_line; k--;) write_line(f, c, &s, k);  // the first on top
  write_legend(f, c);
  write_note(f, c->note);
  fprintf(f, "</svg>\n");
}

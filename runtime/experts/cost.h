// What it costs to reach experts that do not all fit: bytes, times and speeds by memory and link. The planner predicts with it before
// anything is loaded, and a step's measured times are held against it. Times are in seconds, rates in bytes per second.
//
// For one layer and one token let m be the bytes of chosen experts that have no slot, r_x the rate of x:
//   streamed     p0 + m / r_link                          the device waits for what it lacks (Eliseev and Mazur 2023, arXiv 2312.17238)
//   assisted     c0 + m / r_cpu                           the processor computes them where they lie (Fiddler: arXiv 2402.07033)
//   split        c0 + m / min(r_link + r_cpu, r_ram)      both at once, ending together; every missing byte leaves host memory once
//                                                       (KTransformers, SOSP 2025, and FreeToken, arXiv 2608.16157)
// where p0 is the link's latency and c0 what a layer loses when processor and device meet twice. The device's own share of a layer,
// the experts that have slots, is read at r_vram: before a stream ends, beside what the processor does.
#ifndef PM_COST_H
#define PM_COST_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pm_machine {
  uint64_t vram, ram;  // bytes that there are
  double vram_rate, link_rate, ram_rate, disk_rate;
  double cpu_rate;              // expert bytes that the processor multiplies with, one token at a time
  double link_latency;          // p0
  double handshake;             // c0
  double layer_seconds;         // of a layer on the device beyond the bytes it reads: dispatches and barriers
  double cpu_row_seconds;       // of a layer and a row on the processor beyond bytes and products: norms, rotation, routing, barriers
  double gpu_flops, cpu_flops;  // of matrix products over many rows, multiplications and additions counted apart
  bool unified;                 // the device's memory is the machine's own: one memory, counted once
} pm_machine;

// A card of the middle class behind PCIe 4.0 x16 in a machine with two channels of DDR5-6000 and a PCIe 4.0 disk: what such parts reach in
// practice, not what is printed on the box. cpu_row_seconds is what two Zen 4 cores take for a model so small (apps/demo, 7 layers) that
// its bytes and products are not all: 4,080 tokens a second decoded, 13,900 of a prompt. Memory sizes are left 0.
pm_machine pm_machine_typical(void);

// What a token of a model takes, however it is placed.
typedef struct pm_cost_model {
  uint32_t n_layer, n_moe;    // layers, and those of them with experts
  uint32_t n_expert, n_used;  // of such a layer
  double expert_bytes;        // of all experts
  double dense_bytes;         // of everything else that each token reads
  double flops;               // of one token of a prompt
} pm_cost_model;

// Bytes of experts that one token uses: sum over layers of n_used * bytes of an expert.
double pm_cost_cycle(const pm_cost_model *m);

// Where the chosen experts of a token are found, as shares of all choices; the rest is in host memory.
typedef struct pm_cost_found {
  double slots, disk;
} pm_cost_found;

typedef enum pm_cost_way { PM_COST_STREAM, PM_COST_ASSIST, PM_COST_SPLIT, PM_COST_CPU } pm_cost_way;  // CPU: no device takes part

// What most of a time is spent on.
typedef enum pm_cost_limit {
  PM_LIMIT_VRAM,
  PM_LIMIT_LINK,
  PM_LIMIT_CPU,
  PM_LIMIT_RAM,
  PM_LIMIT_DISK,
  PM_LIMIT_COMPUTE,
  PM_LIMIT_HANDSHAKE
} pm_cost_limit;
const char *pm_cost_limit_name(pm_cost_limit limit);  // "link", "disk", ...

typedef struct pm_cost {
  double seconds;
  pm_cost_limit limit;
} pm_cost;

// One token after the other.
pm_cost pm_cost_decode(const pm_machine *x, const pm_cost_model *m, pm_cost_found found, pm_cost_way way);
// The way that is soonest; never PM_COST_CPU. stream_only: there is no choice.
pm_cost_way pm_cost_choose(const pm_machine *x, const pm_cost_model *m, pm_cost_found found, bool stream_only);

// A step of n_row rows of a prompt: all experts are needed once n_row * n_used exceeds n_expert by far, the layers without slots stream by
// while the products run, and the slower of the two decides. `resident` and `disk` are shares of the experts' bytes.
pm_cost pm_cost_prompt(const pm_machine *x, const pm_cost_model *m, double n_row, double resident, double disk, pm_cost_way way);

// The least number of a step's rows, of max_rows at most, for which it is sooner to bring all experts without a slot while the layer before
// is computed than to wait for the router and bring what it chose beside the products; 0: there is none. `resident` as above.
uint32_t pm_cost_ahead_rows(const pm_machine *x, const pm_cost_model *m, double resident, uint32_t max_rows);

// Share of a layer's choices that find a slot when a fraction of the experts has one, before anything has been measured: the square root of
// the fraction, and proportionally less below two tokens' worth of slots, where no cache holds anything and a pinned set must do.
// The routers of this family are trained to use experts evenly; published for such (fraction: rate) 0.043: 0.18 (a cache) to 0.46 (the best
// fixed set), 0.47: 0.57. Families with more locality do better: 0.125: 0.67, 0.25: 0.81, 0.5: 0.92.
double pm_cost_hit(double fraction, uint32_t n_expert, uint32_t n_used);

#endif

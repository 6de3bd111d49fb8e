// The plan of a program's device memory: where every tensor lies, before anything is allocated. Computes only; nothing here knows Vulkan.
#ifndef PM_GPU_PLACE_H
#define PM_GPU_PLACE_H

#include "backend.h"
#include "record.h"

enum { PM_GPU_ALIGN = 256 };  // of every tensor, in bytes

// Fills arenas of at most `limit` bytes, first fit; an item lies whole inside one.
typedef struct pm_gpu_packer {
  uint64_t limit;
  uint32_t capacity;                  // arenas
  uint32_t n;                         // arenas in use
  uint64_t used[PM_GPU_HOME_ARENAS];  // bytes of each
} pm_gpu_packer;

// False if the item is larger than an arena, or no arena is left.
bool pm_gpu_pack(pm_gpu_packer *p, uint64_t bytes, pm_place *place);
uint64_t pm_gpu_packed(const pm_gpu_packer *p);  // bytes of all arenas

typedef struct pm_gpu_entry {  // of an expert table, as shaders read it
  uint32_t arena;
  uint32_t unit;  // offset in 16 bytes
} pm_gpu_entry;

typedef struct pm_gpu_plan {
  pm_gpu_packer weights, kv, homes;
  pm_gpu_packer slots;     // of experts that come and go; bound behind the weights, the last arena to be given back first
  uint64_t scratch_bytes;  // SCRATCH, OUTPUT and temp tensors
  uint64_t step_bytes;
  uint64_t largest_row;   // of a weight on the device, in bytes: the least piece of an upload
  pm_gpu_entry *entries;  // of all expert tables, in the order of the program; of those with a board, nowhere
  uint32_t n_entry;
  struct {
    pm_gpu_entry *records;  // [n_slot] in the arenas of slots, then [n_ring] in those of weights
    pm_gpu_entry *homes;    // [n_home]
  } classes[PM_EXPERT_CLASSES];
  uint64_t ring_bytes;  // of all ring records, part of the weights
} pm_gpu_plan;

// Bytes of one expert's record: in a slot, gate rows, up rows, down rows in the device's layout; in a home, the same as in the file.
uint64_t pm_gpu_slot_bytes(const pm_expert_table *t);
uint64_t pm_gpu_home_bytes(const pm_expert_table *t);

// Whether experts of a class come and go. One with a slot for every expert and neither ring nor homes is resident, like all are without
// a plan: its tables have fixed entries, and their boards are not looked at.
bool pm_gpu_class_moves(const pm_program *p, const pm_expert_plan *experts, uint32_t class);

// Bounds of one device's buffers.
typedef struct pm_gpu_bounds {
  uint64_t max_buffer;   // bytes of one arena
  uint32_t home_arenas;  // at most
} pm_gpu_bounds;

// Sets the place of every tensor of the program (expert matrices: entries and records instead) and of the temps.
// PM_ERR_UNSUPPORTED when a tensor or the whole does not fit the arenas.
pm_status pm_gpu_plan_init(pm_gpu_plan *plan, pm_program *p, const pm_expert_plan *experts, pm_tensor *const *temps, uint32_t n_temp,
                           pm_gpu_bounds bounds) PM_MUST_USE;
void pm_gpu_plan_finish(pm_gpu_plan *plan);

// How many slots of a class lie in the arenas that there are: the first ones.
uint32_t pm_gpu_plan_slots(const pm_gpu_plan *plan, const pm_expert_plan *experts, uint32_t class);

// First entry of table `index` of the program.
uint32_t pm_gpu_plan_first_entry(const pm_program *p, uint32_t index);

// Whether the tensor is a matrix of an expert table.
bool pm_gpu_is_expert(const pm_program *p, const pm_tensor *t);

#endif

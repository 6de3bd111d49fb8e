// Weights from the file's layout to the device's, repacked by all cores straight into mapped device memory or into staging.
#include "board.h"
#include "gpu.h"
#include "memory.h"
#include "thread.h"

static const uint64_t chunk_bytes = 8u << 20;  // of repacked rows, between two looks at the progress callback

typedef struct uploader {
  pm_gpu *g;
  pm_team *team;
  uint8_t *packed;       // one row of weights per thread
  uint64_t done, total;  // bytes on the device
  pm_progress_fn *progress;
  void *user;
} uploader;

typedef struct repack_job {
  pm_type type;
  uint64_t n_in, n_row;
  size_t src_row, dst_row;  // bytes
  const uint8_t *src;
  const pm_slab *slab;  // with scales: rows are packed first, instead of src
  uint64_t first_row;   // of the slab
  uint8_t *packed;      // one row per thread
  uint8_t *dst;
} repack_job;

static void pack_share(const repack_job *job, uint64_t first, uint64_t end, uint8_t *packed) {
  for (uint64_t row = first; row < end; row++) {
    pm_fp8_pack(job->slab, job->n_in, job->first_row + row, 1, packed);
    pm_gpu_repack(job->type, job->n_in, 1, packed, job->dst + row * job->dst_row);
  }
}

static void repack_share(void *arg, uint32_t thread, uint32_t n_thread) {
  const repack_job *job = arg;
  uint64_t first = job->n_row * thread / n_thread, end = job->n_row * (thread + 1) / n_thread;
  if (job->slab)
    pack_share(job, first, end, job->packed + thread * job->src_row);
  else if (first < end)
    pm_gpu_repack(job->type, job->n_in, end - first, job->src + first * job->src_row, job->dst + first * job->dst_row);
}

static pm_status report(uploader *u, uint64_t bytes) {
  u->done += bytes;
  if (u->progress && !u->progress(u->user, (float)((double)u->done / (double)u->total))) PM_FAIL(PM_ERR_CANCELLED, "loading was stopped");
  return PM_OK;
}

// One slab of a weight to its place, in chunks of whole rows.
static pm_status upload_slab(uploader *u, const pm_tensor *t, uint64_t slab, pm_place place) {
  pm_gpu *g = u->g;
  const pm_gpu_buffer *dst = &g->weights[place.arena];
  size_t dst_row = pm_gpu_slab_bytes(t->type, t->ne[0], 1), src_row = pm_tensor_row_bytes(t);
  const uint8_t *src = pm_tensor_slab(t, slab);
  for (uint64_t row = 0, n; row < t->ne[1]; row += n) {
    uint64_t offset = place.offset + row * dst_row, room = chunk_bytes > dst_row ? chunk_bytes : dst_row;
    void *to = dst->mapped ? dst->mapped + offset : NULL;
    if (!to) PM_TRY(pm_gpu_transfer_room(&g->device, &g->transfer, dst_row, &to, &room));
    n = room / dst_row;
    if (n > t->ne[1] - row) n = t->ne[1] - row;
    repack_job job = {.type = t->type, .n_in = t->ne[0], .n_row = n, .src_row = src_row, .dst_row = dst_row, .dst = to};
    if (src)
      job.src = src + row * src_row;
    else
      job.slab = &t->slabs[slab], job.first_row = row, job.packed = u->packed;
    pm_team_run(u->team, repack_share, &job);
    if (!dst->mapped) PM_TRY(pm_gpu_transfer_put(&g->device, &g->transfer, dst, offset, n * dst_row));
    PM_TRY(report(u, n * dst_row));
  }
  return PM_OK;
}

static pm_status upload_tensors(uploader *u) {
  const pm_program *p = u->g->program;
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *t = p->tensors[i];
    if (t->role != PM_ROLE_WEIGHT || pm_gpu_is_expert(p, t)) continue;
    pm_place place = t->place;
    for (uint64_t b = 0; b < t->ne[2]; b++, place.offset += pm_gpu_slab_bytes(t->type, t->ne[0], t->ne[1]))
      PM_TRY(upload_slab(u, t, b, place));
  }
  return PM_OK;
}

static pm_status upload_experts(uploader *u) {
  const pm_program *p = u->g->program;
  const pm_gpu_entry *entry = u->g->plan.entries;
  for (uint32_t i = 0; i < p->n_table; i++)
    for (int m = 0; m < 3; m++)
      for (uint32_t e = 0; e < p->tables[i]->n_expert; e++, entry++)
        if (entry->arena != PM_NOWHERE)
          PM_TRY(upload_slab(u, pm_expert_matrix(p->tables[i], m), e, (pm_place){.arena = entry->arena, .offset = 16ull * entry->unit}));
  return PM_OK;
}

static pm_status upload_all(uploader *u) {
  pm_gpu *g = u->g;
  PM_TRY(pm_gpu_transfer_zero(&g->device, &g->transfer, &g->scratch));
  for (uint32_t i = 0; i < g->plan.kv.n; i++) PM_TRY(pm_gpu_transfer_zero(&g->device, &g->transfer, &g->kv[i]));
  PM_TRY(upload_tensors(u));
  PM_TRY(upload_experts(u));
  PM_TRY(pm_gpu_transfer_drain(&g->device, &g->transfer));
  return pm_gpu_transfer_write(&g->device, &g->transfer, &g->tables, 0, g->plan.entries, g->plan.n_entry * sizeof *g->plan.entries);
}

pm_status pm_gpu_upload(pm_gpu *g, pm_team *team, pm_progress_fn *progress, void *user) {
  uploader u = {.g = g, .team = team, .total = pm_gpu_packed(&g->plan.weights) - g->plan.ring_bytes, .progress = progress, .user = user};
  uint64_t row_bytes = 0;
  for (uint32_t i = 0; i < g->program->n_tensor; i++) {
    const pm_tensor *t = g->program->tensors[i];
    if (t->role == PM_ROLE_WEIGHT && pm_tensor_row_bytes(t) > row_bytes) row_bytes = pm_tensor_row_bytes(t);
  }
  PM_NEW(&u.packed, row_bytes * pm_team_size(team), "a row of weights per thread");
  pm_status status = upload_all(&u);
  pm_free(u.packed);
  return status;
}

#include "transfer.h"

#include <string.h>

pm_status pm_gpu_transfer_init(pm_gpu_device *d, pm_gpu_transfer *t, uint64_t half_bytes) {
  *t = (pm_gpu_transfer){.half_bytes = half_bytes};
  return pm_gpu_buffer_init(d, &t->staging, PM_GPU_HOST, 2 * half_bytes, "staging memory");
}

void pm_gpu_transfer_finish(pm_gpu_device *d, pm_gpu_transfer *t) {
  pm_gpu_buffer_finish(d, &t->staging);
  *t = (pm_gpu_transfer){0};
}

static void barrier(pm_gpu_device *d, VkCommandBuffer commands, VkPipelineStageFlags src_stage, VkAccessFlags src,
                    VkPipelineStageFlags dst_stage, VkAccessFlags dst) {
  VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = src, .dstAccessMask = dst};
  d->fn.vkCmdPipelineBarrier(commands, src_stage, dst_stage, 0, 1, &memory, 0, NULL, 0, NULL);
}

// Opens the current half's command buffer after everything that was submitted before.
static pm_status begin(pm_gpu_device *d, pm_gpu_transfer *t) {
  if (t->recording) return PM_OK;
  PM_TRY(pm_gpu_wait(d, t->halves[t->half].ticket));
  VkCommandBuffer *commands = &t->halves[t->half].commands;
  PM_TRY(pm_gpu_commands_begin(d, d->pool, commands));
  barrier(d, *commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
          VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
          VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
  t->recording = true;
  t->used = 0;
  return PM_OK;
}

// Submits the current half and turns to the other.
static pm_status flush(pm_gpu_device *d, pm_gpu_transfer *t) {
  if (!t->recording) return PM_OK;
  VkCommandBuffer commands = t->halves[t->half].commands;
  t->recording = false;
  PM_TRY(pm_gpu_commands_end(d, commands));
  PM_TRY(pm_gpu_submit(d, &commands, 1));
  t->halves[t->half].ticket = d->ticket;
  t->half ^= 1;
  return PM_OK;
}

pm_status pm_gpu_transfer_room(pm_gpu_device *d, pm_gpu_transfer *t, uint64_t least, void **to, uint64_t *room) {
  if (t->recording && t->half_bytes - t->used < least) PM_TRY(flush(d, t));
  PM_TRY(begin(d, t));
  *to = t->staging.mapped + t->half * t->half_bytes + t->used;
  *room = t->half_bytes - t->used;
  return PM_OK;
}

pm_status pm_gpu_transfer_put(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst, uint64_t offset, uint64_t bytes) {
  VkBufferCopy region = {.srcOffset = t->half * t->half_bytes + t->used, .dstOffset = offset, .size = bytes};
  d->fn.vkCmdCopyBuffer(t->halves[t->half].commands, t->staging.handle, dst->handle, 1, &region);
  t->used += (bytes + 15) / 16 * 16;
  return t->used < t->half_bytes ? PM_OK : flush(d, t);
}

pm_status pm_gpu_transfer_drain(pm_gpu_device *d, pm_gpu_transfer *t) {
  PM_TRY(flush(d, t));
  return pm_gpu_wait(d, d->ticket);
}

pm_status pm_gpu_transfer_zero(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst) {
  PM_TRY(begin(d, t));
  d->fn.vkCmdFillBuffer(t->halves[t->half].commands, dst->handle, 0, VK_WHOLE_SIZE, 0);
  return PM_OK;
}

pm_status pm_gpu_transfer_write(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst, uint64_t offset, const void *src,
                                uint64_t bytes) {
  if (dst->mapped) {
    memcpy(dst->mapped + offset, src, bytes);
    return PM_OK;
  }
  for (uint64_t done = 0; done < bytes;) {
    void *to;
    uint64_t n;
    PM_TRY(pm_gpu_transfer_room(d, t, 1, &to, &n));
    if (n > bytes - done) n = bytes - done;
    memcpy(to, (const uint8_t *)src + done, n);
    PM_TRY(pm_gpu_transfer_put(d, t, dst, offset + done, n));
    done += n;
  }
  return pm_gpu_transfer_drain(d, t);
}

pm_status pm_gpu_transfer_read(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *src, uint64_t offset, void *dst, uint64_t bytes) {
  for (uint64_t done = 0; done < bytes;) {
    uint64_t n = bytes - done < t->half_bytes ? bytes - done : t->half_bytes;
    PM_TRY(begin(d, t));
    VkCommandBuffer commands = t->halves[t->half].commands;
    const uint8_t *from = t->staging.mapped + t->half * t->half_bytes;
    VkBufferCopy region = {.srcOffset = offset + done, .dstOffset = t->half * t->half_bytes, .size = n};
    d->fn.vkCmdCopyBuffer(commands, src->handle, t->staging.handle, 1, &region);
    barrier(d, commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    PM_TRY(pm_gpu_transfer_drain(d, t));
    memcpy((uint8_t *)dst + done, from, n);
    done += n;
  }
  return PM_OK;
}

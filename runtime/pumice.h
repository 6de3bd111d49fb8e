// Pumice: run large Mixture-of-Experts language models on small graphics cards and on CPUs.
//
// Everything here is plain C17. Handles are opaque; option structs are zero-initialised by PUMICE_INIT, and zero means "the
// sensible default". Functions return a pumice_status; pumice_error() has the words. A handle is used by one thread at a time,
// except pumice_session_cancel, which any thread may call. Nothing here prints, exits or reads the environment.
#ifndef PUMICE_H
#define PUMICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PUMICE_API __attribute__((visibility("default")))
#else
#define PUMICE_API
#endif

typedef enum pumice_status {
  PUMICE_OK = 0,
  PUMICE_ERR_ARGUMENT,     // the caller asked for something impossible
  PUMICE_ERR_IO,           // a file could not be read or written
  PUMICE_ERR_FORMAT,       // a file's content is wrong
  PUMICE_ERR_UNSUPPORTED,  // well-formed, but not something this build can do
  PUMICE_ERR_MEMORY,       // does not fit
  PUMICE_ERR_DEVICE,       // a driver call failed
  PUMICE_ERR_DEVICE_LOST,  // the device is gone; the model must be closed
  PUMICE_ERR_CANCELLED     // stopped by the caller
} pumice_status;

// Option and info structs begin with their own size, so that they can grow: pumice_x x = PUMICE_INIT(pumice_x);
#define PUMICE_INIT(type) \
  { .size = (uint32_t)sizeof(type) }

PUMICE_API const char *pumice_version(void);  // "0.1.0"
PUMICE_API const char *pumice_error(void);    // message of this thread's newest failure; "" if none
PUMICE_API const char *pumice_status_name(pumice_status status);

// ---- devices -------------------------------------------------------------------------------------------------------

typedef enum pumice_device_kind {
  PUMICE_DEVICE_CPU,
  PUMICE_DEVICE_DISCRETE,
  PUMICE_DEVICE_INTEGRATED,
  PUMICE_DEVICE_VIRTUAL,
  PUMICE_DEVICE_SOFTWARE
} pumice_device_kind;

typedef struct pumice_device_info {
  uint32_t size;
  pumice_device_kind kind;
  char name[256];
  char driver[256];
  char uuid[40], pci[16];              // "" for the CPU
  uint64_t memory_total, memory_free;  // bytes
  bool usable;
  char reason[256];  // why it is not usable, or why it is not picked by itself
  char features[512];
  char known[512];  // troubles that its driver is known for and what is not used because of them, with links
} pumice_device_info;

// Fills up to *n infos (entry 0 is the CPU; then Vulkan device 0, 1, ...) and sets *n to the number there is.
// `note` (may be NULL) receives one line about Vulkan itself, e.g. that no loader is installed.
PUMICE_API pumice_status pumice_devices(pumice_device_info *infos, uint32_t *n, char note[256]);

// Runs every kernel that the device would use on small random inputs against the double-precision CPU reference and calls `report`
// for each; a false return stops. What a device computes wrongly is kept in cache_dir (NULL: nowhere), and models that are opened with it
// do without. Returns OK if all passed or the rest can do without those that failed, ERR_DEVICE otherwise.
typedef bool pumice_selftest_fn(void *user, const char *kernel, bool passed, double worst_error, const char *detail);
PUMICE_API pumice_status pumice_selftest(const char *device, const char *cache_dir, pumice_selftest_fn *report, void *user);

// ---- models --------------------------------------------------------------------------------------------------------

typedef struct pumice_model pumice_model;

// Called during long work: phase is "load", "prompt" or "write", done is in [0, 1]. A false return stops the work.
typedef bool pumice_progress_fn(void *user, const char *phase, float done);

// Which of its kernels a device runs. With `deterministic` it is always PUMICE_TUNING_OFF: other kernels round otherwise.
typedef enum pumice_tuning {
  PUMICE_TUNING_AUTO,  // what tuning has found on this device; the first model on a card spends up to two seconds on that
  PUMICE_TUNING_OFF,   // those that are usually good
  PUMICE_TUNING_ROOM   // what tuning has found, and memory for pumice_tune
} pumice_tuning;

typedef struct pumice_model_options {
  uint32_t size;
  const char *device;     // NULL or "auto"; "cpu"; "gpu" or "gpu:N", a UUID, a PCI address, part of a device name
  uint32_t n_ctx;         // context of one session in tokens; 0 = min(trained context, 4096)
  uint32_t n_session;     // sessions that may be open at once; 0 = 1
  uint32_t n_thread;      // CPU threads; 0 = physical cores
  uint32_t n_batch;       // rows of one prompt step; 0 = 512 or, where experts stream and there is room, up to 2048
  bool exact;             // float activations and an f32 cache: slower, for comparisons
  bool cache_f32;         // an f32 cache alone
  bool read_file;         // read the file into memory instead of mapping it
  bool validate;          // Vulkan validation layer
  const char *cache_dir;  // for what the device's driver compiled and tuning has found; NULL = none
  pumice_progress_fn *progress;
  void *user;
  // Bytes of device and host memory that may be used, 0 = what is free. They narrow the plan (pumice_plan), nothing switches it off.
  uint64_t vram_limit, ram_limit;
  bool deterministic;  // the processor computes no experts for a card: the same results however much fits
  // For measurements without a card: the device is taken for one with so much memory of its own, behind a link of so many 1e9 bytes per
  // second and such a latency, beside a processor that computes so many 1e9 bytes of experts per second; 0 = as it is.
  uint64_t sim_vram;
  double sim_link_gbps, sim_link_latency_us, sim_cpu_gbps;
  // How experts without a slot are served, for comparisons: NULL or "auto"; "stream", "assist", "split" (as in pumice_plan_info.mode);
  // "layers": whole layers have slots, as many as fit, and the processor computes the others for good.
  const char *experts;
  const char *trace_path;  // record there which experts every step chose, for pumice_replay; NULL = no
  pumice_tuning tuning;
} pumice_model_options;

typedef struct pumice_model_info {
  uint32_t size;
  char name[128], architecture[64], file_type[64];
  char device[256];      // what it runs on
  char driver[256];      // name and version of the device's driver; "" for the CPU
  char note[256];        // why it does not run where "auto" would rather have it; "" if there is nothing to say
  char chat_format[32];  // "deepseek-v3", "chatml", ...; "jinja": the file's own; "": it has none that is known
  uint64_t n_parameter, file_bytes;
  uint32_t n_layer, n_ctx_train, n_ctx, n_vocab, d_model, n_expert, n_expert_used, n_thread;
  int32_t token_bos, token_eos;  // -1 if none
  uint64_t bytes_weights, bytes_weights_mapped, bytes_kv, bytes_scratch, bytes_staging;
  uint32_t n_batch;  // rows of a step
} pumice_model_info;

typedef struct pumice_counters {  // since the model was opened
  uint32_t size;
  uint64_t steps, submissions, dispatches, barriers, allocations;
} pumice_counters;

PUMICE_API pumice_status pumice_model_open(const char *path, const pumice_model_options *options, pumice_model **out);
PUMICE_API void pumice_model_close(pumice_model *model);  // close its sessions first; NULL is fine
PUMICE_API void pumice_model_get_info(const pumice_model *model, pumice_model_info *info);
// Calls back for each kind of memory with the bytes that were planned (pumice_plan) and that are there.
typedef void pumice_memory_fn(void *user, const char *purpose, uint64_t planned, uint64_t actual);
PUMICE_API void pumice_model_memory(const pumice_model *model, pumice_memory_fn *fn, void *user);
PUMICE_API void pumice_model_get_counters(const pumice_model *model, pumice_counters *counters);

// ---- tuning --------------------------------------------------------------------------------------------------------

// A shape of an operation whose kernels were timed, with the seconds of one operation.
typedef struct pumice_tune_row {
  uint32_t size;
  const char *op, *format;     // "MATMUL", "Q4_K"; the format of its weights, "" where there are none
  uint32_t n_row;              // of the step
  uint32_t n_in, n_out, n_op;  // values per input row (0: no weights) and output row; operations of a step that have the shape
  const char *before, *after;  // the kernel that is usually good, and the fastest here; the same if that is not clearly faster
  double before_seconds, after_seconds;
} pumice_tune_row;
typedef bool pumice_tune_fn(void *user, float done, const pumice_tune_row *row);  // false stops; what was found is kept

typedef struct pumice_tune_options {
  uint32_t size;
  uint32_t n_step, steps[16];  // tokens of the steps to tune, rounded up to powers of two or n_batch; none = 1, 2, 4, 8, 16, 32 and n_batch
  double seconds;              // to be done within; 0 = no limit
} pumice_tune_options;

// Times every kernel that the model's device has for the shapes of the model, uses the fastest from now on and keeps them in the cache_dir
// that the model was opened with (with PUMICE_TUNING_ROOM), for every model. Experts that come and go are not tuned. Sessions of the model
// must be closed. Nothing to do on the CPU: ERR_UNSUPPORTED.
PUMICE_API pumice_status pumice_tune(pumice_model *model, const pumice_tune_options *options, pumice_tune_fn *fn, void *user);
// Forgets what tuning has found on a device.
PUMICE_API pumice_status pumice_tune_forget(const char *device, const char *cache_dir);

// ---- files without running them ------------------------------------------------------------------------------------

// Reads only the header of a model file (or split set) and calls back for each metadata key and each tensor; either may be NULL.
typedef void pumice_inspect_key_fn(void *user, const char *key, const char *type, const char *value);  // long values are shortened
typedef void pumice_inspect_tensor_fn(void *user, const char *name, const char *type, const uint64_t ne[4], uint32_t n_dim, uint64_t bytes,
                                      uint32_t shard);
PUMICE_API pumice_status pumice_inspect(const char *path, pumice_inspect_key_fn *key, pumice_inspect_tensor_fn *tensor, void *user);

// Writes a GGUF file of a known model's shape with random weights.
typedef struct pumice_synth_options {
  uint32_t size;
  const char *shape;  // a name from pumice_synth_shape
  const char *mix;    // a name from pumice_synth_mix
  uint32_t n_layer;   // 0 = all of the shape's
  uint64_t seed;
  pumice_progress_fn *progress;
  void *user;
} pumice_synth_options;
PUMICE_API pumice_status pumice_synth(const char *path, const pumice_synth_options *options);
PUMICE_API const char *pumice_synth_shape(uint32_t i);  // NULL past the end
PUMICE_API const char *pumice_synth_mix(uint32_t i);

// ---- other formats -------------------------------------------------------------------------------------------------

// What pumice_quantize chose for a tensor, before anything is written.
typedef struct pumice_quantize_row {
  uint32_t size;
  const char *name, *from, *to;  // of the tensor, and of formats: "BF16", "Q4_K"
  uint64_t n_value, from_bytes, to_bytes;
  bool fallback;  // its rows are not whole blocks of the format that the mix wants
  bool weighted;  // its importances are known
} pumice_quantize_row;
typedef void pumice_quantize_row_fn(void *user, const pumice_quantize_row *row);

typedef struct pumice_quantize_options {
  uint32_t size;
  const char *mix;      // a name from pumice_quantize_mix
  const char *imatrix;  // a file from pumice_imatrix or llama-imatrix; NULL = all weights are alike
  uint32_t n_thread;    // 0 = physical cores
  bool dry_run;         // only call `row`; `to` may be NULL
  pumice_quantize_row_fn *row;
  pumice_progress_fn *progress;
  void *user;
} pumice_quantize_options;

// Writes a model in other formats as one GGUF file, whole or not at all. `from` is what pumice_inspect reads, in any format that can be
// computed with; a split set is joined.
PUMICE_API pumice_status pumice_quantize(const char *from, const char *to, const pumice_quantize_options *options);
// "Q4_K_M", and in *summary (may be NULL) a line about it; NULL past the end. Some are of little use without importances.
PUMICE_API const char *pumice_quantize_mix(uint32_t i, const char **summary);
PUMICE_API bool pumice_quantize_wants_imatrix(const char *mix);

typedef struct pumice_imatrix_options {
  uint32_t size;
  const char *dataset;           // what the text is called in the file; NULL = ""
  uint32_t n_ctx;                // tokens of a piece of the text; 0 = 512
  uint32_t n_chunk;              // pieces at most; 0 = all
  uint32_t n_thread;             // 0 = physical cores
  pumice_progress_fn *progress;  // phase "measure"; a false return ends it, and what there is is written
  void *user;
} pumice_imatrix_options;

typedef struct pumice_imatrix_info {
  uint32_t size;
  uint32_t n_chunk, n_chunk_text;    // pieces that were measured, of how many
  uint32_t n_weight;                 // that the file knows
  uint64_t n_expert, n_expert_seen;  // of all layers; that were chosen at least once
} pumice_imatrix_info;

// Measures which columns of each weight matter (the mean squares of what they are multiplied with) by running a text through the model on
// the CPU, and writes them for pumice_quantize and llama-quantize. `info` may be NULL.
PUMICE_API pumice_status pumice_imatrix(const char *model, const char *text, size_t bytes, const char *to,
                                        const pumice_imatrix_options *options, pumice_imatrix_info *info);

// ---- plan ----------------------------------------------------------------------------------------------------------

// What a model would take and how fast it would run, from its header alone: also of a file that is still being downloaded, and for a
// machine that is not here. pumice_model_open makes the same plan and obeys it.
typedef struct pumice_plan_options {
  uint32_t size;
  const char *device;  // as in pumice_model_options; "card": a graphics card that is not here, with `vram` bytes
  const char *mix;     // of a shape, a name from pumice_synth_mix; NULL = Q4_K_M
  uint32_t n_ctx, n_session, n_batch;
  bool cache_f32, deterministic;
  uint64_t vram,
      ram;            // bytes; limits of what may be used, 0 = none. For "card" and for shapes: what the machine has, 0 = what this one has
  uint64_t sim_vram;  // as in pumice_model_options
  double expert_bits;  // of a shape: bits per weight of the experts, instead of what the mix gives them
  // What memories and links reach, in 1e9 bytes per second, and the card in 1e12 operations per second; 0 = what is typical.
  double vram_gbps, link_gbps, ram_gbps, cpu_gbps, disk_gbps, gpu_tflops;
} pumice_plan_options;

typedef struct pumice_plan_info {
  uint32_t size;
  bool fits;
  char reason[256];  // why it does not fit, and what to do
  char note[256];    // what was made smaller, or why it is not where "auto" would rather have it
  char device[256];
  char mode[32];  // "resident", "stream", "assist", "split", "processor"
  uint32_t n_ctx, n_session, n_batch;
  uint64_t file_bytes, vram_budget, ram_budget;
  uint64_t n_expert, n_in_slots, n_in_memory, n_on_disk;                   // where experts begin
  double hit_rate;                                                         // of chosen experts that are found in slots, expected
  double decode_rate, prompt_rate;                                         // tokens per second, expected
  char decode_limit[32], prompt_limit[32];                                 // what most of that time goes to: "link", "disk", ...
  double vram_gbps, link_gbps, ram_gbps, cpu_gbps, disk_gbps, gpu_tflops;  // that were assumed
} pumice_plan_info;

// One line of the plan: bytes for a purpose in "device", "host" (may be given back: "page cache") or "disk".
typedef void pumice_plan_row_fn(void *user, const char *memory, const char *purpose, uint64_t bytes);

// `path`: a model file, or a name from pumice_synth_shape. PUMICE_OK also if it does not fit: info->fits says so. `row` may be NULL.
PUMICE_API pumice_status pumice_plan(const char *path, const pumice_plan_options *options, pumice_plan_info *info, pumice_plan_row_fn *row,
                                     void *user);

// ---- experts -------------------------------------------------------------------------------------------------------

// How experts were reached since the model was opened, in numbers of distinct experts of a step and layer. All zero, and the mode
// "resident" or "processor", where every expert lies where it is used.
typedef struct pumice_expert_stats {
  uint32_t size;
  char mode[32];                      // taken now: as in pumice_plan_info
  bool simulated;                     // the card's memory or its link is
  bool tiered;                        // not every expert lies where it is used; the counts below are 0 otherwise
  uint64_t n_expert, n_slot, n_home;  // experts of all layers, and those that there is room for in slots and in host memory
  // Steps of up to 8 tokens: found in slots; brought into slots; brought for one step; computed by the processor.
  uint64_t hits, fills, passes, host;
  uint64_t prompt_hits, prompt_passes;                 // larger steps
  uint64_t link_bytes, prompt_link_bytes, move_bytes;  // that steps of up to 8 tokens waited for, larger ones; and brought beside them
  uint64_t disk_hits, disk_misses, disk_bytes;         // of records in host memory, where not all of them are
  uint64_t asks;                                       // layers in which the device asked the processor
  double ask_seconds, answer_seconds, end_seconds;     // the processor: waiting to be asked, computing, waiting for the end of steps
  double disk_seconds;                                 // waiting for reads
  double fill_seconds, host_seconds, layer_seconds;    // what one more fill, record and asking layer cost a token, as learned
} pumice_expert_stats;
PUMICE_API void pumice_model_get_expert_stats(const pumice_model *model, pumice_expert_stats *stats);

// Calls back for each layer with experts: how its misses are served now, how many of them the device may stream, and its hits and misses
// (steps of up to 8 tokens).
typedef void pumice_expert_layer_fn(void *user, uint32_t layer, const char *mode, uint32_t n_stream, uint64_t hits, uint64_t misses);
PUMICE_API void pumice_model_expert_layers(const pumice_model *model, pumice_expert_layer_fn *fn, void *user);

typedef struct pumice_trace_info {  // of a file that pumice_model_options.trace_path asked for
  uint32_t size;
  uint32_t n_table, n_expert, n_used;  // layers with experts, experts of a layer, of which a token uses
  uint64_t slots;                      // for experts in the device's memory when it was recorded; 0: all were there
  uint64_t bytes;                      // of all experts
} pumice_trace_info;
PUMICE_API pumice_status pumice_trace_get_info(const char *path, pumice_trace_info *info);

// What a policy makes of a recorded use of experts with so many slots: "ours", "lru", "lfu", "static" (the most used experts of the first
// half, judged by the second), "oracle" (the most used ones of the whole), "belady" (knows the future: the most hits that are possible),
// and "recorded", which is what happened when the trace was made.
typedef struct pumice_replay_row {
  uint32_t size;
  const char *policy;
  uint64_t slots;
  uint64_t tokens, hits, misses, miss_bytes;  // decode: distinct experts of steps of up to 8 tokens, bytes of records
  uint64_t prompt_tokens, prompt_hits, prompt_misses, prompt_miss_bytes;  // the same of larger steps
} pumice_replay_row;

// Calls back for "recorded", if the trace has slots, and then for every number of slots and every other policy. A false return stops with
// PUMICE_ERR_CANCELLED.
typedef bool pumice_replay_fn(void *user, const pumice_replay_row *row);
PUMICE_API pumice_status pumice_replay(const char *path, const uint64_t *slots, size_t n, pumice_replay_fn *row, void *user);

// ---- text ----------------------------------------------------------------------------------------------------------

enum { PUMICE_ADD_BOS = 1, PUMICE_PARSE_SPECIAL = 2 };

// Tokens of a UTF-8 text of `bytes` bytes. *n is the capacity of `tokens` on entry and the number of tokens on return; if it was too
// small the status is ERR_ARGUMENT and *n is what is needed. Invalid UTF-8 is tokenized byte by byte.
PUMICE_API pumice_status pumice_tokenize(const pumice_model *model, const char *text, size_t bytes, uint32_t flags, int32_t *tokens,
                                         size_t *n);

// Bytes of one token (may be part of a character); control tokens give their name only if `special`. Not terminated; never NULL.
PUMICE_API const char *pumice_token_bytes(const pumice_model *model, int32_t token, bool special, size_t *n);
PUMICE_API bool pumice_token_is_end(const pumice_model *model, int32_t token);  // ends an answer

typedef struct pumice_message {
  const char *role;     // "system", "user", "assistant"
  const char *content;  // UTF-8, terminated
} pumice_message;

// The prompt text for a conversation in the model's chat format, ready for pumice_tokenize with PUMICE_PARSE_SPECIAL (it contains the
// BOS text where the format has one). `thinking`: ask for thinking where the format lets one choose. *n: capacity in, bytes out as
// above; the text is terminated. The file's own chat template is run (Jinja; https://jinja.palletsprojects.com/en/3.1.x/templates/);
// ERR_ARGUMENT if it refuses the conversation, ERR_FORMAT if it is wrong, ERR_UNSUPPORTED if it uses what is not known here. A file
// without one gets the format that its vocabulary is made for, or ERR_UNSUPPORTED.
PUMICE_API pumice_status pumice_chat_render(const pumice_model *model, const pumice_message *messages, size_t n_message,
                                            bool add_generation_prompt, bool thinking, char *buffer, size_t *n);

// The same for a request as clients of the OpenAI API send it, as JSON text, terminated:
//   messages             objects with role and content (a string, null, or parts of type text), tool_calls, tool_call_id, name,
//                        reasoning_content; a template may look at other keys, too
//   tools                as in that API; needs a template
//   add_generation_prompt       true if left out
//   continue_final_message      true: the prompt ends where the last message's text does
//   enable_thinking             asks for thinking or forbids it where the template lets one choose; left out: as the template likes
//   chat_template_kwargs        an object: more variables of the template
PUMICE_API pumice_status pumice_chat_render_json(const pumice_model *model, const char *request, char *buffer, size_t *n);

// ---- tool calls ----------------------------------------------------------------------------------------------------

// Calls of tools told from the rest of an answer, whose text comes in pieces, cut anywhere, with the texts of control tokens in it. The
// formats are those whose marks the model's template has: DeepSeek V3, R1 and V3.1; Kimi K2; <tool_call> with JSON (Hermes, Qwen) or
// <arg_key> (GLM). Without such a template: <tool_call>, and an answer that is nothing but a JSON object with name and arguments, or a
// list of such. Text that cannot be part of a call is passed on at once; what begins like a call and is none is passed on as text.
typedef struct pumice_tool_stream pumice_tool_stream;
typedef bool pumice_tool_text_fn(void *user, const char *text, size_t bytes);  // not terminated; a false return stops
// The index-th call of the answer, whole. `id`: the model's own or a new one; `arguments`: the text of a JSON object.
typedef bool pumice_tool_call_fn(void *user, uint32_t index, const char *id, const char *name, const char *arguments);
PUMICE_API pumice_status pumice_tool_stream_begin(const pumice_model *model, pumice_tool_text_fn *text, pumice_tool_call_fn *call,
                                                  void *user, pumice_tool_stream **out);
// `end`: nothing follows; a call that lacks only its last marks counts. ERR_CANCELLED when a callback returned false.
PUMICE_API pumice_status pumice_tool_stream_push(pumice_tool_stream *stream, const char *text, size_t bytes, bool end);
PUMICE_API void pumice_tool_stream_end(pumice_tool_stream *stream);  // NULL is fine

// The same for a whole answer, as JSON: {"content": the text that is left, or null, "tool_calls": [as in the OpenAI API]}. *n: capacity
// in, bytes out as above.
PUMICE_API pumice_status pumice_tool_calls(const pumice_model *model, const char *text, size_t bytes, char *buffer, size_t *n);

// ---- sessions ------------------------------------------------------------------------------------------------------

typedef struct pumice_session pumice_session;

PUMICE_API pumice_status pumice_session_create(pumice_model *model, pumice_session **out);
PUMICE_API void pumice_session_destroy(pumice_session *session);

// Makes the session hold exactly these tokens: keeps the longest common prefix, drops the rest, evaluates what is new (at least the last
// token, so that logits are there). *n_reused (may be NULL) is the length of the kept prefix.
PUMICE_API pumice_status pumice_session_sync(pumice_session *session, const int32_t *tokens, size_t n, size_t *n_reused);

// Appends tokens. `all_logits`, if not NULL, is called with the logits [n_vocab] after every token in order; otherwise only those of the
// last token are kept for pumice_session_logits.
typedef void pumice_logits_fn(void *user, size_t index, const float *logits);
PUMICE_API pumice_status pumice_session_eval(pumice_session *session, const int32_t *tokens, size_t n, pumice_logits_fn *all_logits,
                                             void *user);

// What one session gets of a call for several.
typedef struct pumice_part {
  pumice_session *session;
  const int32_t *tokens;
  size_t n;
  size_t n_done;         // out: tokens that the session has taken
  pumice_status status;  // out
} pumice_part;

// Appends tokens[n] to each part's session, as pumice_session_eval does, in steps that the sessions share: weights are read once for all
// rows of a step, of which there are at most pumice_model_options.n_batch. Rows go into steps in the order of the parts, so single tokens
// come before pieces of prompts. All sessions are of one model, none twice; a wrong argument fails the call before anything is evaluated.
// A session that is cancelled stops within one step, alone: its part has ERR_CANCELLED, the others go on. A step that fails ends the parts
// that are not whole yet. Returns the first part's status that is not OK. With pumice_model_options.deterministic no steps are shared.
PUMICE_API pumice_status pumice_eval_parts(pumice_part *parts, size_t n_part);

PUMICE_API size_t pumice_session_length(const pumice_session *session);
PUMICE_API const int32_t *pumice_session_tokens(const pumice_session *session);          // [length] that it holds, until it changes
PUMICE_API pumice_status pumice_session_rewind(pumice_session *session, size_t length);  // keeps the first `length` tokens
PUMICE_API const float *pumice_session_logits(const pumice_session *session);            // [n_vocab] after the last token; NULL if none
// Makes `to` hold the first `length` tokens of `from`, another session of the same model, without evaluating them: for prompts that begin
// as a text does that the model has read already. The logits come along if all tokens do.
PUMICE_API pumice_status pumice_session_copy(pumice_session *to, const pumice_session *from, size_t length);
PUMICE_API pumice_status pumice_session_save(pumice_session *session, const char *path);  // whole or not at all
PUMICE_API pumice_status pumice_session_load(pumice_session *session, const char *path);  // of the same model and cache type
PUMICE_API void pumice_session_cancel(pumice_session *session);  // makes the running or next call stop within one step

typedef struct pumice_sampling {
  uint32_t size;
  bool greedy;           // always the likeliest token, after bias and penalties; the rest is ignored
  float temperature;     // 0 = 0.8
  uint32_t top_k;        // 0 = 40; UINT32_MAX = off
  float top_p, min_p;    // 0 = 0.95 and 0.05; top_p 1 and min_p < 0 = off
  float repeat_penalty;  // 0 or 1 = off
  float presence_penalty, frequency_penalty;
  uint32_t penalty_last_n;  // 0 = 64
  uint64_t seed;            // 0 = from the clock
} pumice_sampling;

typedef enum pumice_event { PUMICE_TEXT, PUMICE_THINKING } pumice_event;

// Called with whole UTF-8 characters of the answer (never terminated). A false return stops the generation.
typedef bool pumice_text_fn(void *user, pumice_event kind, const char *text, size_t bytes);

typedef enum pumice_stop {
  PUMICE_STOP_END,     // the model ended its answer
  PUMICE_STOP_LENGTH,  // max_tokens, or the context is full
  PUMICE_STOP_CALLER,  // the caller stopped it
  PUMICE_STOP_STRING   // one of the stop strings
} pumice_stop;

typedef struct pumice_result {
  uint32_t size;
  pumice_stop stop;
  uint64_t n_token;  // generated, the end token included
  double seconds;
  size_t stop_string;  // which one, with PUMICE_STOP_STRING
} pumice_result;

// Samples and evaluates up to max_tokens tokens (0 = until the context is full) after what the session holds. Thinking text is told apart
// by the model's own markers, which are not part of the text. The session then holds prompt and answer.
PUMICE_API pumice_status pumice_generate(pumice_session *session, const pumice_sampling *sampling, size_t max_tokens, pumice_text_fn *text,
                                         void *user, pumice_result *result);

// ---- answers in the making -----------------------------------------------------------------------------------------

// What pumice_generate does, one token at a time, for a caller that answers in several sessions at once:
//
//   begin an answer in each session, after its prompt was evaluated
//   until all are done: pumice_answer_next for each, then one pumice_eval_parts with the tokens that they gave
typedef struct pumice_answer pumice_answer;

typedef struct pumice_bias {
  int32_t token;
  float value;  // added to the token's logit; -INFINITY bans it
} pumice_bias;

typedef struct pumice_token_prob {
  int32_t token;
  float log_probability;  // natural
} pumice_token_prob;

// Called for every token that is sampled, before its text, with the probabilities that the model gave (before bias, penalties and
// temperature); `top`: the likeliest tokens, in falling order.
typedef void pumice_probs_fn(void *user, const pumice_token_prob *chosen, const pumice_token_prob *top, uint32_t n_top);

typedef struct pumice_answer_options {
  uint32_t size;
  const pumice_sampling *sampling;  // NULL: all defaults
  size_t max_tokens;                // 0 = until the context is full
  // Strings that end the answer, also in its thinking; UTF-8, not empty. They are never part of the text, which comes as soon as it cannot
  // begin one.
  const char *const *stop;
  size_t n_stop;
  const pumice_bias *bias;
  size_t n_bias;
  bool ignore_end;   // the model's end tokens are never chosen
  bool special;      // control tokens show their names (tool calls begin with such), instead of nothing
  uint32_t n_probs;  // tokens in `top`, at most 20
  // The answer follows a grammar in GBNF, whose rule "root" is the whole answer, or is JSON that a schema allows ("{}": any object);
  // NULL: anything. At most one of them. Thinking, with which the model may begin, follows none.
  const char *grammar, *json_schema;
  pumice_text_fn *text;
  pumice_probs_fn *probs;  // may be NULL
  void *user;
} pumice_answer_options;

// Copies what the options point to. The session must outlive the answer. ERR_ARGUMENT or ERR_FORMAT for a grammar or a schema that is wrong
// (pumice_error says where), ERR_UNSUPPORTED for a keyword of JSON Schema that is more than a grammar can say.
PUMICE_API pumice_status pumice_answer_begin(pumice_session *session, const pumice_answer_options *options, pumice_answer **out);

// Samples a token from the session's logits and emits text. *token, if not -1, is one that the session does not hold yet. Unless *done,
// evaluate it (pumice_eval_parts, pumice_session_eval) before the next call; when done, only if the session is to hold the whole answer.
// Allocates nothing.
PUMICE_API pumice_status pumice_answer_next(pumice_answer *answer, int32_t *token, bool *done);
PUMICE_API void pumice_answer_result(const pumice_answer *answer, pumice_result *result);  // so far; `stop` counts once it is done
PUMICE_API void pumice_answer_end(pumice_answer *answer);                                  // at any time; NULL is fine

// ---- energy --------------------------------------------------------------------------------------------------------

// What parts of the machine have taken, by the sensors that the system shows: NVIDIA's library, amdgpu, i915 and xe in /sys/class/drm,
// intel-rapl (Intel's and AMD's processors) in /sys/class/powercap. A thread samples them ten times a second while they are open.
typedef struct pumice_energy pumice_energy;
typedef struct pumice_energy_options {
  uint32_t size;
  const char *sysfs;  // NULL = /sys
  const char *nvml;   // NVIDIA's library; NULL = libnvidia-ml.so.1
} pumice_energy_options;

typedef struct pumice_energy_domain {
  uint32_t size;
  char name[64];
  char covers[16];  // "gpu", "package" (a processor and what is on its chip), "apu" (processor and graphics in one)
  char method[16];  // "counter" of energy, or "power", integrated
  bool counted;     // in the total: a processor that an "apu" covers is not
  double joules;    // since pumice_energy_open
  uint64_t samples;
  char reason[128];  // why it cannot be read: "permission: ..."; "" if it can
} pumice_energy_domain;

PUMICE_API pumice_status pumice_energy_open(const pumice_energy_options *options, pumice_energy **out);  // OK without sensors, too
PUMICE_API void pumice_energy_close(pumice_energy *energy);                                              // NULL is fine
// Fills up to *n domains and sets *n to the number there is. *joules: the sum of what is counted; `reason` (both may be NULL): why it is
// no figure, "no sensor" or that of the first domain; "" if it is one.
PUMICE_API pumice_status pumice_energy_read(pumice_energy *energy, pumice_energy_domain *domains, uint32_t *n, double *joules,
                                            char reason[128]);

#ifdef __cplusplus
}
#endif

#endif

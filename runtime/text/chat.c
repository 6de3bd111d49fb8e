#include "chat.h"

#include <string.h>

#include "strip.h"

typedef enum role { SYSTEM, USER, ASSISTANT, N_ROLE } role;

static const char *const role_names[N_ROLE] = {"system", "user", "assistant"};

// In the texts of formats these stand for the texts of the vocabulary's BOS and EOS tokens.
#define BOS "\x01"
#define EOS "\x02"

enum {
  SYSTEM_FIRST = 1 << 0,   // all system texts go to the front, an empty line between them
  TRIM = 1 << 1,           // texts are stripped of white space at both ends
  TRIM_ANSWERS = 1 << 2,   // ... of the assistant alone
  DROP_THOUGHTS = 1 << 3,  // of an earlier answer only what follows its last </think> stays
  DROP_FIRST = 1 << 4,     // ... its first </think>
  NO_INDENT = 1 << 5,      // with DROP_*: and if something was dropped, white space after it too
  KEEP_NEWEST = 1 << 6,    // answers after the last user turn keep their thoughts, in place of the empty block of `before`
  ANSWER_USER = 1 << 7,    // the assistant's turn is opened, and prompted for, only after a user turn
  ALWAYS_PROMPT = 1 << 8,  // the template adds the generation prompt whether asked to or not
};

// What stands around the text of each role's turn.
typedef struct turns {
  const char *prefix;  // of the whole conversation
  const char *before[N_ROLE], *after[N_ROLE];
} turns;

struct pm_chat_format {
  const char *name;
  const char *marks[4];  // the template has them all ...
  const char *lacks;     // ... and not this; the first row that fits counts
  const turns *turns;
  const char *prompt, *thinking_prompt;  // opens the answer; the second, if not NULL, when thinking is asked for
  uint32_t flags;
  const char *token, *model;   // of files without a template: a token of the vocabulary, and what the model's name contains
  const char *default_system;  // text of a system turn for a conversation that does not begin with one
  const char *system_preface;  // in the first system turn, before its text
};

static const turns deepseek_v2 = {BOS, {"", "User: ", "Assistant: "}, {"\n\n", "\n\n", EOS}};
static const turns deepseek_v3 = {BOS, {"", "<｜User｜>", "<｜Assistant｜>"}, {"", "", "<｜end▁of▁sentence｜>"}};
static const turns deepseek_v31 = {BOS, {"", "<｜User｜>", "<｜Assistant｜></think>"}, {"", "", "<｜end▁of▁sentence｜>"}};
static const turns deepseek_v31_pair = {BOS, {"", "<｜User｜>", "<｜Assistant｜><think></think>"}, {"", "", "<｜end▁of▁sentence｜>"}};
static const turns chatml = {
    "", {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"}, {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"}};
static const turns llama_3 = {BOS,
                              {"<|start_header_id|>system<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n",
                               "<|start_header_id|>assistant<|end_header_id|>\n\n"},
                              {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"}};
static const turns glm_4 = {"[gMASK]<sop>", {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"}, {"", "", ""}};
static const turns glm_47 = {"[gMASK]<sop>", {"<|system|>", "<|user|>", "<|assistant|></think>"}, {"", "", ""}};
static const turns kimi_k2 = {
    "",
    {"<|im_system|>system<|im_middle|>", "<|im_user|>user<|im_middle|>", "<|im_assistant|>assistant<|im_middle|>"},
    {"<|im_end|>", "<|im_end|>", "<|im_end|>"}};
static const turns kimi_k2_thinking = {
    "",
    {"<|im_system|>system<|im_middle|>", "<|im_user|>user<|im_middle|>", "<|im_assistant|>assistant<|im_middle|><think></think>"},
    {"<|im_end|>", "<|im_end|>", "<|im_end|>"}};

#define V3_MARKS "<｜Assistant｜>", "<｜User｜>"
#define KIMI_MARK "<|im_assistant|>assistant<|im_middle|>"
#define LLAMA_3_MARKS "<|start_header_id|>", "<|end_header_id|>"
#define LLAMA_3_PROMPT "<|start_header_id|>assistant<|end_header_id|>\n\n"
#define QWEN_SYSTEM "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
#define KIMI_SYSTEM "You are Kimi, an AI assistant created by Moonshot AI."
#define MOONLIGHT_SYSTEM "You are a helpful assistant provided by Moonshot-AI."
#define PLAIN_SYSTEM "You are a helpful assistant"
#define LLAMA_31_PREFACE "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

static const pm_chat_format formats[] = {
    {.name = "deepseek-v2", .marks = {"'Assistant: ' + message['content'] + eos_token"}, .turns = &deepseek_v2, .prompt = "Assistant:"},
    // The published V3.1 closes an empty block without opening it; a copy that went round with GGUF files opens it, too.
    {.name = "deepseek-v3.1",
     .marks = {V3_MARKS, "thinking", "<think></think>"},
     .turns = &deepseek_v31_pair,
     .prompt = "<｜Assistant｜><think></think>",
     .thinking_prompt = "<｜Assistant｜><think>",
     .flags = SYSTEM_FIRST | DROP_FIRST | ANSWER_USER},
    {.name = "deepseek-v3.1",
     .marks = {V3_MARKS, "thinking", "</think>"},
     .turns = &deepseek_v31,
     .prompt = "<｜Assistant｜></think>",
     .thinking_prompt = "<｜Assistant｜><think>",
     .token = "<｜Assistant｜>",
     .model = "V3.1",
     .flags = SYSTEM_FIRST | DROP_FIRST | ANSWER_USER},
    // R1 is V3 that drops earlier thoughts; since early 2025 its prompt opens the thinking block.
    {.name = "deepseek-r1",
     .marks = {V3_MARKS, "'<｜Assistant｜><think>"},
     .turns = &deepseek_v3,
     .prompt = "<｜Assistant｜><think>\n",
     .token = "<｜Assistant｜>",
     .model = "R1",
     .flags = SYSTEM_FIRST | DROP_THOUGHTS},
    {.name = "deepseek-v3",
     .marks = {V3_MARKS, "split('</think>')[-1].lstrip()"},
     .turns = &deepseek_v3,
     .prompt = "<｜Assistant｜>",
     .flags = DROP_THOUGHTS | NO_INDENT},
    {.name = "deepseek-r1",
     .marks = {V3_MARKS, "split('</think>')[-1]"},
     .turns = &deepseek_v3,
     .prompt = "<｜Assistant｜>",
     .flags = SYSTEM_FIRST | DROP_THOUGHTS},
    {.name = "deepseek-v3",
     .marks = {V3_MARKS},
     .turns = &deepseek_v3,
     .prompt = "<｜Assistant｜>",
     .flags = SYSTEM_FIRST,
     .token = "<｜Assistant｜>"},
    {.name = "kimi-k2",
     .marks = {KIMI_MARK, "<think></think>"},
     .turns = &kimi_k2_thinking,
     .prompt = KIMI_MARK,
     .flags = DROP_THOUGHTS,
     .default_system = KIMI_SYSTEM},
    {.name = "kimi-k2",
     .marks = {KIMI_MARK, KIMI_SYSTEM},
     .turns = &kimi_k2,
     .prompt = KIMI_MARK,
     .token = "<|im_assistant|>",
     .default_system = KIMI_SYSTEM},
    {.name = "kimi-k2", .marks = {KIMI_MARK, MOONLIGHT_SYSTEM}, .turns = &kimi_k2, .prompt = KIMI_MARK, .default_system = MOONLIGHT_SYSTEM},
    {.name = "kimi-k2", .marks = {KIMI_MARK, PLAIN_SYSTEM}, .turns = &kimi_k2, .prompt = KIMI_MARK, .default_system = PLAIN_SYSTEM},
    {.name = "kimi-k2", .marks = {KIMI_MARK}, .turns = &kimi_k2, .prompt = KIMI_MARK},
    {.name = "glm-4",  // 4.7; 4.5 and 4.6 have /nothink and lines of their own, and are not known
     .marks = {"[gMASK]<sop>", "enable_thinking", "</think>"},
     .lacks = "/nothink",
     .turns = &glm_47,
     .prompt = "<|assistant|></think>",
     .thinking_prompt = "<|assistant|><think>",
     .token = "[gMASK]",
     .model = "4.7",
     .flags = TRIM_ANSWERS | DROP_THOUGHTS | KEEP_NEWEST},
    {.name = "glm-4", .marks = {"[gMASK]<sop>"}, .lacks = "think", .turns = &glm_4, .prompt = "<|assistant|>", .token = "[gMASK]"},
    {.name = "llama-3",
     .marks = {LLAMA_3_MARKS, "Cutting Knowledge Date: December 2023"},
     .turns = &llama_3,
     .prompt = LLAMA_3_PROMPT,
     .flags = TRIM,
     .default_system = "",
     .system_preface = LLAMA_31_PREFACE},
    {.name = "llama-3",
     .marks = {LLAMA_3_MARKS, "add_generation_prompt"},
     .turns = &llama_3,
     .prompt = LLAMA_3_PROMPT,
     .flags = TRIM,
     .token = "<|start_header_id|>"},
    {.name = "llama-3", .marks = {LLAMA_3_MARKS}, .turns = &llama_3, .prompt = LLAMA_3_PROMPT, .flags = TRIM | ALWAYS_PROMPT},
    {.name = "chatml",
     .marks = {"<|im_start|>", QWEN_SYSTEM},
     .turns = &chatml,
     .prompt = "<|im_start|>assistant\n",
     .default_system = QWEN_SYSTEM},
    {.name = "chatml",
     .marks = {"<|im_start|>", PLAIN_SYSTEM ".<|im_end|>"},
     .turns = &chatml,
     .prompt = "<|im_start|>assistant\n",
     .default_system = PLAIN_SYSTEM "."},
    {.name = "chatml",
     .marks = {"<|im_start|>"},
     .lacks = "<|im_sep|>",
     .turns = &chatml,
     .prompt = "<|im_start|>assistant\n",
     .token = "<|im_start|>"},
};

// ---- recognition ---------------------------------------------------------------------------------------------------

static bool fits(const pm_chat_format *f, pm_span template) {
  for (size_t i = 0; i < sizeof f->marks / sizeof *f->marks && f->marks[i]; i++)
    if (!pm_span_find(template, pm_span_of(f->marks[i]))) return false;
  return !f->lacks || !pm_span_find(template, pm_span_of(f->lacks));
}

static bool fits_vocabulary(const pm_chat_format *f, const pm_tokenizer *t, pm_span model) {
  return f->token && pm_token_find(t, f->token) >= 0 && (!f->model || pm_span_find(model, pm_span_of(f->model)));
}

const pm_chat_format *pm_chat_format_detect(const pm_model_file *file, const pm_tokenizer *t) {
  pm_span template = {"", 0}, model = {"", 0};  // stay empty where the file has none
  if (pm_meta_string(file, "tokenizer.chat_template", 0, &template.at, &template.n) != PM_OK) return NULL;
  if (pm_meta_string(file, "general.name", 0, &model.at, &model.n) != PM_OK) return NULL;
  for (const pm_chat_format *f = formats; f < formats + sizeof formats / sizeof *formats; f++)
    if (template.n ? fits(f, template) : fits_vocabulary(f, t, model)) return f;
  return NULL;
}

const char *pm_chat_format_name(const pm_chat_format *f) { return f->name; }

// ---- rendering -----------------------------------------------------------------------------------------------------

typedef struct writer {
  const pm_chat_format *f;
  const pm_tokenizer *t;
  char *out;
  size_t capacity;
  size_t n;  // counts on when out is full
} writer;

static void put(writer *w, pm_span s) {
  if (w->n < w->capacity) memcpy(w->out + w->n, s.at, s.n < w->capacity - w->n ? s.n : w->capacity - w->n);
  w->n += s.n;
}

static void put_token(writer *w, int32_t id) {
  pm_span s;
  s.at = pm_token_bytes(w->t, id, true, &s.n);
  put(w, s);
}

// A text of the format, where BOS and EOS stand for tokens.
static void put_format(writer *w, const char *text) {
  while (*text) {
    size_t n = strcspn(text, BOS EOS);
    put(w, (pm_span){text, n});
    text += n;
    if (*text) put_token(w, *text++ == BOS[0] ? pm_tokenizer_bos(w->t) : pm_tokenizer_eos(w->t));
  }
}

static pm_span trim_left(pm_span s) { return pm_span_strip(s, NULL, true, false); }
static pm_span trim(pm_span s) { return pm_span_strip(s, NULL, true, true); }

#define THINK_OPEN "<think>"
#define THINK_CLOSE "</think>"

// Where the thoughts of an answer end, behind </think>; its beginning if it has none.
static const char *end_of_thoughts(pm_span s, bool first) {
  const char *behind = s.at;
  for (const char *p; (p = pm_span_find(s, PM_SPAN(THINK_CLOSE)));) {
    behind = p + sizeof THINK_CLOSE - 1;
    if (first) break;
    s = (pm_span){behind, s.n - (size_t)(behind - s.at)};
  }
  return behind;
}

// The text of a message as the format shows it.
static pm_span shown(const pm_chat_format *f, const pm_message *m, role r) {
  pm_span s = {m->content, strlen(m->content)};
  if (r == ASSISTANT && (f->flags & (DROP_THOUGHTS | DROP_FIRST))) {
    const char *behind = end_of_thoughts(s, f->flags & DROP_FIRST);
    bool dropped = behind > s.at;
    s = (pm_span){behind, s.n - (size_t)(behind - s.at)};
    if (dropped && (f->flags & NO_INDENT)) s = trim_left(s);
  }
  return (f->flags & TRIM) || (r == ASSISTANT && (f->flags & TRIM_ANSWERS)) ? trim(s) : s;
}

// The thoughts of an answer, without marks and white space; empty if it has none.
static pm_span thoughts(const pm_message *m) {
  pm_span s = {m->content, strlen(m->content)};
  const char *close = pm_span_find(s, PM_SPAN(THINK_CLOSE));
  if (!close) return (pm_span){"", 0};
  s.n = (size_t)(close - s.at);
  const char *open = pm_span_find(s, PM_SPAN(THINK_OPEN));
  if (open) s = (pm_span){open + sizeof THINK_OPEN - 1, (size_t)(close - open) - (sizeof THINK_OPEN - 1)};
  return trim(s);
}

static role role_of(const pm_message *m) {
  role r = 0;
  while (r < N_ROLE && (!m->role || strcmp(m->role, role_names[r]) != 0)) r++;
  return r;
}

static void put_turn(writer *w, role r, const char *preface, pm_span text) {
  put_format(w, w->f->turns->before[r]);
  put_format(w, preface ? preface : "");
  put(w, text);
  put_format(w, w->f->turns->after[r]);
}

static void put_systems_first(writer *w, const pm_message *messages, size_t n) {
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    if (role_of(&messages[i]) != SYSTEM) continue;
    if (any) put_format(w, "\n\n");
    put_turn(w, SYSTEM, NULL, shown(w->f, &messages[i], SYSTEM));
    any = true;
  }
}

static void put_answer(writer *w, const pm_message *m, bool asked, bool newest) {
  const pm_chat_format *f = w->f;
  pm_span kept = newest && (f->flags & KEEP_NEWEST) ? thoughts(m) : (pm_span){"", 0};
  if (kept.n) {
    put_format(w, f->thinking_prompt);
    put(w, kept);
    put_format(w, THINK_CLOSE);
  } else if (asked || !(f->flags & ANSWER_USER)) {
    put_format(w, f->turns->before[ASSISTANT]);
  }
  put(w, shown(f, m, ASSISTANT));
  put_format(w, f->turns->after[ASSISTANT]);
}

static void put_conversation(writer *w, const pm_message *messages, size_t n, bool add_prompt, bool thinking) {
  const pm_chat_format *f = w->f;
  size_t newest = 0;  // messages from here on follow the last user turn
  for (size_t i = 0; i < n; i++)
    if (role_of(&messages[i]) == USER) newest = i + 1;
  put_format(w, f->turns->prefix);
  if (f->flags & SYSTEM_FIRST) put_systems_first(w, messages, n);
  if (f->default_system && role_of(&messages[0]) != SYSTEM)
    put_turn(w, SYSTEM, f->system_preface, (pm_span){f->default_system, strlen(f->default_system)});
  bool asked = false;  // the turn before was the user's
  for (size_t i = 0; i < n; i++) {
    role r = role_of(&messages[i]);
    if (r == SYSTEM && (f->flags & SYSTEM_FIRST)) continue;
    if (r == ASSISTANT)
      put_answer(w, &messages[i], asked, i >= newest);
    else
      put_turn(w, r, r == SYSTEM && i == 0 ? f->system_preface : NULL, shown(f, &messages[i], r));
    asked = r == USER;
  }
  bool prompted = (add_prompt || (f->flags & ALWAYS_PROMPT)) && (asked || !(f->flags & ANSWER_USER));
  if (prompted) put_format(w, thinking && f->thinking_prompt ? f->thinking_prompt : f->prompt);
}

static pm_status check(const pm_message *messages, size_t n) {
  if (n == 0) PM_FAIL(PM_ERR_ARGUMENT, "a conversation without messages");
  for (size_t i = 0; i < n; i++) {
    const char *name = messages[i].role ? messages[i].role : "";
    if (role_of(&messages[i]) == N_ROLE)
      PM_FAIL(PM_ERR_ARGUMENT, "message %zu has the role \"%s\", expected system, user or assistant", i, name);
    if (!messages[i].content) PM_FAIL(PM_ERR_ARGUMENT, "message %zu of role %s has no content", i, name);
  }
  return PM_OK;
}

pm_status pm_chat_render(const pm_chat_format *f, const pm_tokenizer *t, const pm_message *messages, size_t n_message,
                         bool add_generation_prompt, bool thinking, char *buf, size_t *n) {
  PM_TRY(check(messages, n_message));
  writer w = {.f = f, .t = t, .out = buf, .capacity = *n};
  put_conversation(&w, messages, n_message, add_generation_prompt, thinking);
  size_t capacity = *n;
  *n = w.n;
  if (w.n < capacity) return buf[w.n] = 0, PM_OK;
  *n = w.n + 1;
  PM_FAIL(PM_ERR_ARGUMENT, "room for %zu bytes, the prompt and its terminator take %zu", capacity, *n);
}

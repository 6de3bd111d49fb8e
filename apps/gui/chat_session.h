// The conversation that is open and the answer that is being written: what the user does goes through here to the store and the engine,
// and what comes from the engine goes to the store first and then to the view.
#ifndef PM_CHAT_SESSION_H
#define PM_CHAT_SESSION_H

#include "engine_link.h"

typedef struct pm_gui_session pm_gui_session;

typedef struct pm_gui_session_events {
  void (*opened)(void *user);  // another conversation, another branch, a new message: pm_gui_session_path is another
  void (*listed)(void *user);  // conversations came, went, or have another title
  // The message of the open conversation that is being written has grown; later it is finished, in whatever conversation.
  void (*grown)(void *user, int64_t message, const char *content, const char *thinking);
  void (*finished)(void *user, int64_t chat);
  // Of the prompt that is being read, in [0, 1]; negative: it has been, and thinking may have begun or ended.
  void (*prompt)(void *user, double done);
  void (*failed)(void *user, const char *message);
} pm_gui_session_events;

pm_gui_session *pm_gui_session_create(pm_gui_store *store, pm_gui_engine *engine, const pm_gui_session_events *events, void *user);
void pm_gui_session_destroy(pm_gui_session *session);  // keeps what was written of an answer

void pm_gui_session_open(pm_gui_session *session, int64_t chat);  // 0: a new one, which is stored with its first message
int64_t pm_gui_session_chat(const pm_gui_session *session);
GPtrArray *pm_gui_session_path(const pm_gui_session *session);                           // of pm_gui_message
pm_gui_message *pm_gui_session_message(const pm_gui_session *session, int64_t message);  // of the path; NULL if it is not there
pm_gui_chat_settings *pm_gui_session_settings(pm_gui_session *session);
void pm_gui_session_save_settings(pm_gui_session *session);

typedef enum pm_gui_writing { PM_GUI_IDLE, PM_GUI_HERE, PM_GUI_ELSEWHERE } pm_gui_writing;
pm_gui_writing pm_gui_session_writing(const pm_gui_session *session);  // whether an answer is being written, in the open conversation
bool pm_gui_session_is_thinking(const pm_gui_session *session);
double pm_gui_session_rate(const pm_gui_session *session);     // tokens per second of the answer under way or the newest; negative: none
double pm_gui_session_context(const pm_gui_session *session);  // tokens that the open conversation takes; negative: not known

// Each returns false, after events->failed, where it cannot be done.
bool pm_gui_session_send(pm_gui_session *session, const char *text);
bool pm_gui_session_regenerate(pm_gui_session *session, int64_t message);              // another answer beside this one
bool pm_gui_session_edit(pm_gui_session *session, int64_t message, const char *text);  // another question beside this one
bool pm_gui_session_resume(pm_gui_session *session, int64_t message);                  // goes on with an answer, the last of the path
bool pm_gui_session_answer_now(pm_gui_session *session);                               // enough thinking
void pm_gui_session_stop(pm_gui_session *session);
void pm_gui_session_branch(pm_gui_session *session, int64_t message, int step);

#endif

// The list of damaged model files: what is done to a good one, and what the refusal must say.
#ifndef PM_TEST_CORRUPT_H
#define PM_TEST_CORRUPT_H

#include "gguf_doc.h"
#include "status.h"

typedef enum corrupt_level {
  CORRUPT_FILE,   // pm_model_file_open must refuse it
  CORRUPT_MODEL,  // well-formed for the loader; opening it as a model must be refused
} corrupt_level;

typedef struct corruption corruption;
typedef void corrupt_edit(gguf_doc *d, const corruption *c);
typedef void corrupt_save(gguf_doc *d, const corruption *c, char *path);  // path: in, of a file <folder>/model.gguf; out, of what to open

struct corruption {
  const char *name;
  corrupt_level level;
  pm_status status;
  const char *words[2];  // in the message, besides the file's name; NULL = anything
  corrupt_edit *edit;    // NULL = none
  corrupt_save *save;    // NULL = the edited document as it is
  const char *text;      // what edit and save act on and with
  uint64_t n;
};

// Row i; NULL past the end.
const corruption *corrupt_row(size_t i);

// Writes the damaged copy of `source`, a file made by pm_synth (shape "tiny", mix "Q4_K_M"), into a new folder <folder>/<row name>
// and gives the path to open.
enum { CORRUPT_PATH = 512 };
void corrupt_make(const corruption *c, const char *source, const char *folder, char path[CORRUPT_PATH]);

// Writes `d` as a good set of n files. path: in, <folder>/model.gguf; out, the first file, <folder>/model-00001-of-....gguf.
void corrupt_write_set(gguf_doc *d, char path[CORRUPT_PATH], uint32_t n);

// Removes a folder with everything in it.
void corrupt_remove(const char *folder);

#endif

// The commands of `pumice`, one cmd_<name>.c each; their order in the table of main.c is that of the help.
#ifndef PM_COMMANDS_H
#define PM_COMMANDS_H

#include "options.h"

extern const pm_command pm_cmd_run, pm_cmd_chat, pm_cmd_eval, pm_cmd_bench, pm_cmd_inspect, pm_cmd_plan, pm_cmd_replay, pm_cmd_devices,
    pm_cmd_doctor, pm_cmd_tune, pm_cmd_synth, pm_cmd_quantize, pm_cmd_imatrix, pm_cmd_tokenize, pm_cmd_serve;

#endif

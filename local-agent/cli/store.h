/* The commands of turing-agent that move, save and restore the spool. */
#ifndef LOCAL_AGENT_CLI_STORE_H
#define LOCAL_AGENT_CLI_STORE_H

#include "local-agent/agent-config.h"

/*
 * "store copy|check", "backup" and "restore": argv[0] is the command's name.
 * config is in force; each returns the exit status.
 */
int cli_store(const struct agent_config *config, int argc, char **argv);
/* See cli_store(). */
int cli_backup(const struct agent_config *config, int argc, char **argv);
/* See cli_store(). */
int cli_restore(const struct agent_config *config, int argc, char **argv);

/* The usage of each, on standard output. */
void cli_store_usage(void);
/* See cli_store_usage(). */
void cli_backup_usage(void);
/* See cli_store_usage(). */
void cli_restore_usage(void);

#endif

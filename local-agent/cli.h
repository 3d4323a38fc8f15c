/* The command line of turing-agent. */
#ifndef LOCAL_AGENT_CLI_H
#define LOCAL_AGENT_CLI_H

#include "local-agent/agent-config.h"

/* Exit statuses, as sysexits(3) has them where it matters. */
#define CLI_OK        0
#define CLI_FAILURE   1
#define CLI_USAGE     2
#define CLI_TEMPORARY 75

#define CLI_CONFIG_PATH "/etc/turing/turing-agent.conf"

/* The whole program: returns the exit status. */
int cli_main(int argc, char **argv);

/*
 * Says what getopt_long() stumbled over: an option that the command does not
 * take ('?', or a known one whose long name, or NULL, is given) or one without
 * its value (':'). Returns -1.
 */
int cli_refuse_option(const char *command, int option, const char *name,
                      char *const *argv);

/*
 * "queue list|show|release|discard|retry": argv[0] is "queue". config is in
 * force; returns the exit status.
 */
int cli_queue(const struct agent_config *config, int argc, char **argv);

/* The usage of the queue commands, on standard output. */
void cli_queue_usage(void);

#endif

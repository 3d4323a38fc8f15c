/* The command line of turing-agent. */
#ifndef LOCAL_AGENT_CLI_CLI_H
#define LOCAL_AGENT_CLI_CLI_H

#include "local-agent/agent-config.h"

/* Exit statuses, as sysexits(3) has them where it matters. */
#define CLI_OK        0
#define CLI_FAILURE   1
#define CLI_USAGE     2
#define CLI_TEMPORARY 75

#define CLI_CONFIG_PATH "/etc/turing/turing-agent.conf"

/* The whole program: returns the exit status. */
int cli_main(int argc, char **argv);

struct option;

/*
 * The next option of argv, of which argv[0] is the command, by getopt_long():
 * its letter, -1 at the end, or '?' after it was said what is wrong: the value
 * is missing (letters begins with ":"), or it is none of those whose letters
 * are allowed. optind is 1 and opterr 0 before the first.
 */
int cli_next_option(int argc, char **argv, const char *letters,
                    const struct option *options, const char *allowed);

/*
 * "queue list|show|release|discard|retry": argv[0] is "queue". config is in
 * force; returns the exit status.
 */
int cli_queue(const struct agent_config *config, int argc, char **argv);

/* The usage of the queue commands, on standard output. */
void cli_queue_usage(void);

#endif

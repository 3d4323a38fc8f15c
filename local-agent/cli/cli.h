/* The command line of turing-agent. */
#ifndef LOCAL_AGENT_CLI_CLI_H
#define LOCAL_AGENT_CLI_CLI_H

#include <stdio.h>

#include "common/cli/cli.h"
#include "local-agent/agent-config.h"

/* Runs the command line and returns the exit status. */
int agent_cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *error);

/* The tables, by what they are about. */
extern const struct cli_command agent_queue_commands[];
extern const struct cli_command agent_store_commands[];

/* The configuration of a command. */
const struct agent_config *agent_cli_config(const struct cli *cli);

#endif

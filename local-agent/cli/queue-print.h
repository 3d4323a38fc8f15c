/* How "turing-agent queue" shows messages, on standard output. */
#ifndef LOCAL_AGENT_CLI_QUEUE_PRINT_H
#define LOCAL_AGENT_CLI_QUEUE_PRINT_H

#include "store/spool/spool.h"

/* Prints a line for each recipient. */
void cli_print_line(const struct spool_message *message);

/* Prints all that is known, the history of each recipient included. */
void cli_print_message(const struct spool_message *message);

/* Prints one line of JSON. */
void cli_print_json(const struct spool_message *message);

#endif

/* The agent: its parts, put together, started and stopped in order. */
#ifndef LOCAL_AGENT_AGENT_H
#define LOCAL_AGENT_AGENT_H

#include "local-agent/agent-config.h"

struct agent;

/*
 * Opens the spool and starts every part; config outlives the agent. 0 or a
 * negative error with nothing left running. SIGPIPE is ignored, and SIGTERM,
 * SIGINT and SIGUSR1 are blocked, in every thread from here on.
 */
int agent_start(struct agent **agent, const struct agent_config *config,
                struct error *err);

/*
 * Waits for SIGTERM or SIGINT (0) or for the spool to become unwritable
 * (ERR_IO). On the thread that started the agent.
 */
int agent_wait(struct agent *agent);

/*
 * Stops accepting, answers what is under way, commits, stops and frees. NULL
 * is allowed.
 */
void agent_stop(struct agent *agent);

/* The port on which mail is taken. */
uint16_t agent_smtp_port(const struct agent *agent);

#endif

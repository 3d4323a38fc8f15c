/* Registers held mail with the cloud, in batches; a thread of its own. */
#ifndef LOCAL_AGENT_CLOUD_REGISTRAR_H
#define LOCAL_AGENT_CLOUD_REGISTRAR_H

#include "local-agent/agent-config.h"
#include "local-agent/queue/writer.h"

struct registrar;

struct registrar_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	void (*released)(void *context); /* mail was released: deliver */
	void *context;
};

/* Starts the thread. 0 or a negative error. */
int registrar_start(struct registrar **registrar,
                    const struct registrar_options *options, struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void registrar_stop(struct registrar *registrar);

/* Held mail was stored. Any thread; NULL is allowed. */
void registrar_wake(struct registrar *registrar);

#endif

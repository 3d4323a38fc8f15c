/*
 * What the agent's tests share: a configuration, a spool whose commits can be
 * made to fail or to wait, and a writer. Everything here ends the test when
 * it fails.
 */
#ifndef TESTS_UNIT_LOCAL_AGENT_LAB_H
#define TESTS_UNIT_LOCAL_AGENT_LAB_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http/client.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/agent-config.h"
#include "local-agent/queue/writer.h"
#include "store/spool/ops.h"
#include "tests/support/suite.h"

#define LAB_COUNT(rows)  (int)(sizeof(rows) / sizeof((rows)[0]))
#define LAB_PATIENCE_MS  5000
#define LAB_SEEN_MAXIMUM 4096

/* Once a test: quiet logs, libraries. */
static inline void lab_init(void)
{
	log_set_level((enum log_level)(LOG_LEVEL_ERROR - 1));
	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_int_eq(http_client_global_init(), 0);
}

/* Waits until what the expression says becomes true. */
#define LAB_AWAIT(expression)                                                  \
	do {                                                                   \
		int64_t lab_until_ms = clock_monotonic_ms() + LAB_PATIENCE_MS; \
		while (!(expression) && clock_monotonic_ms() < lab_until_ms)   \
			(void)poll(NULL, 0, 2);                                \
		ck_assert_msg(expression, "waited in vain: " #expression);     \
	} while (0)

/* A configuration with what is required; more is added as it is. */
static inline void lab_config(struct agent_config *config, uint16_t cloud_port,
                              const char *more)
{
	struct error err = {.text = ""};
	char text[2048];

	(void)snprintf(text, sizeof(text),
	               "agent { name = agent-1; hostname = agent.test; }\n"
	               "spool { location = \"/nonexistent\"; }\n"
	               "cloud { url = \"http://127.0.0.1:%u\"; key = k;\n"
	               " poll_wait = 1s; retry_min = 10ms;"
	               " retry_max = 20ms; }\n%s",
	               cloud_port, more);
	ck_assert_msg(agent_config_load_text("lab", text, config, &err) == 0,
	              "%s", err.text);
}

#define LAB_POLICY "policy { authserv_id = mx.test; }\n"

/* A spool that keeps nothing: it notes changes and answers as told. */
struct lab_spool {
	struct spool spool; /* first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed_gate;  /* commits wait */
	int waiting;       /* that wait at the gate */
	int result;        /* of the commits to come */
	int once;          /* results of that kind left; 0: for ever */
	int change_result; /* of every change, where result is 0 */
	unsigned commits;
	size_t largest;                /* changes in one commit */
	size_t kinds[SPOOL_RENEW + 1]; /* changes committed, by kind */
	enum spool_state states[LAB_SEEN_MAXIMUM]; /* of added recipients */
	size_t state_count;
	int64_t body_bytes; /* added */
	unsigned files;     /* added bodies that were in a file */
	char directory[64];
};

static inline void lab_note(struct lab_spool *lab,
                            const struct spool_change *change)
{
	size_t i;

	lab->kinds[change->kind]++;
	if (change->kind != SPOOL_ADD)
		return;
	lab->body_bytes += (int64_t)change->add.body.size;
	if (change->add.body.path) {
		struct stat info;

		ck_assert_int_eq(stat(change->add.body.path, &info), 0);
		ck_assert_int_eq(info.st_size, (off_t)change->add.body.size);
		lab->files++;
		(void)remove(change->add.body.path);
	}
	for (i = 0; i < change->add.message->recipient_count &&
	            lab->state_count < LAB_SEEN_MAXIMUM;
	     i++)
		lab->states[lab->state_count++] =
		    change->add.message->recipients[i].state;
}

static inline int lab_commit(struct spool *spool, struct spool_change *changes,
                             size_t count, struct error *err)
{
	struct lab_spool *lab = (struct lab_spool *)spool;
	int result;
	size_t i;

	(void)pthread_mutex_lock(&lab->lock);
	lab->waiting++;
	(void)pthread_cond_broadcast(&lab->changed);
	while (lab->closed_gate)
		(void)pthread_cond_wait(&lab->changed, &lab->lock);
	lab->waiting--;
	lab->commits++;
	if (count > lab->largest)
		lab->largest = count;
	result = lab->result;
	if (result && lab->once > 0 && --lab->once == 0)
		lab->result = 0;
	for (i = 0; i < count && result == 0; i++) {
		changes[i].result = lab->change_result;
		if (lab->change_result == 0)
			lab_note(lab, &changes[i]);
	}
	(void)pthread_mutex_unlock(&lab->lock);
	return result ? error_set(err, (enum error_code)result, "as told") : 0;
}

static inline const char *lab_directory(const struct spool *spool)
{
	return ((const struct lab_spool *)spool)->directory;
}

static inline void lab_spool_init(struct lab_spool *lab)
{
	static const struct spool_backend backend = {
	    .name = "lab",
	    .incoming_directory = lab_directory,
	    .commit = lab_commit,
	};

	*lab = (struct lab_spool){.spool = {.backend = &backend}};
	(void)pthread_mutex_init(&lab->lock, NULL);
	(void)pthread_cond_init(&lab->changed, NULL);
	(void)snprintf(lab->directory, sizeof(lab->directory),
	               "/tmp/turing-agent-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(lab->directory));
}

static inline void lab_spool_release(struct lab_spool *lab)
{
	ck_assert_int_eq(remove(lab->directory), 0);
	(void)pthread_cond_destroy(&lab->changed);
	(void)pthread_mutex_destroy(&lab->lock);
}

/* Commits wait from now on, or go on. */
static inline void lab_gate(struct lab_spool *lab, bool closed)
{
	(void)pthread_mutex_lock(&lab->lock);
	lab->closed_gate = closed;
	(void)pthread_cond_broadcast(&lab->changed);
	(void)pthread_mutex_unlock(&lab->lock);
}

/* Waits until a commit stands at the gate. */
static inline void lab_await_commit(struct lab_spool *lab)
{
	(void)pthread_mutex_lock(&lab->lock);
	while (lab->waiting == 0)
		(void)pthread_cond_wait(&lab->changed, &lab->lock);
	(void)pthread_mutex_unlock(&lab->lock);
}

/* What the next commits (once of them; 0: all) say. */
static inline void lab_fail(struct lab_spool *lab, int result, int once)
{
	(void)pthread_mutex_lock(&lab->lock);
	lab->result = result;
	lab->once = once;
	(void)pthread_mutex_unlock(&lab->lock);
}

static inline struct writer *lab_writer(struct spool *spool)
{
	struct writer_options options = {
	    .spool = spool,
	    .maximum_requests = 100000,
	    .maximum_bytes = (size_t)1 << 30,
	};
	struct writer *writer = NULL;
	struct error err = {.text = ""};

	ck_assert_msg(writer_start(&writer, &options, &err) == 0, "%s",
	              err.text);
	return writer;
}

#endif

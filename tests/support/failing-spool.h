/* A spool over a real one, whose store goes away when it is told. */
#ifndef TESTS_SUPPORT_FAILING_SPOOL_H
#define TESTS_SUPPORT_FAILING_SPOOL_H

#include <pthread.h>
#include <stdbool.h>

#include "store/spool/ops.h"

struct failing_spool {
	struct spool spool; /* first: what is tested is given its address */
	struct spool *inner;
	pthread_mutex_t lock; /* of what follows */
	int commit_code, read_code;
	bool applied;
	unsigned commits, reads; /* calls, failed ones too */
};

/* Puts it over inner, which stays the caller's. Nothing fails yet. */
void failing_spool_init(struct failing_spool *failing, struct spool *inner);

/* Frees what it holds; not inner. */
void failing_spool_release(struct failing_spool *failing);

/*
 * From now on commits give code (0: they succeed); applied: they are made all
 * the same, as by a server whose answer is lost.
 */
void failing_spool_commits(struct failing_spool *failing, int code,
                           bool applied);

/* From now on everything that is no commit gives code. */
void failing_spool_reads(struct failing_spool *failing, int code);

/* The server is away, with this code for all, or back (0). */
void failing_spool_away(struct failing_spool *failing, int code);

/* How many commits were asked for. */
unsigned failing_spool_commit_count(struct failing_spool *failing);

/* How many other calls were made. */
unsigned failing_spool_read_count(struct failing_spool *failing);

#endif

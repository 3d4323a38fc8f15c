/* How the files of the spool's copies work together. */
#ifndef STORE_COPY_SPOOL_PRIVATE_H
#define STORE_COPY_SPOOL_PRIVATE_H

#include "store/copy/spool.h"

/* What a run does with what it finds. */
enum copy_mode {
	COPY_ALL,     /* writes what is missing or not the same */
	COPY_COMPARE, /* writes nothing and counts */
	COPY_RESTORE  /* writes what is missing, without reading the rest */
};

/* A run over two spools. */
struct copy_spool_run {
	enum copy_mode mode;
	struct spool *source;
	struct spool *destination; /* NULL: the source alone is counted */
	const struct copy_control *control;
	struct copy_report *report;
};

/* The hash of a message with its body, leases left out. */
int copy_spool_hash(struct spool *spool, const struct spool_message *message,
                    uint8_t hash[CRYPTO_HASH_SIZE], struct error *err);

/*
 * Reads the source's body of message for a commit to the destination: to the
 * heap (*bytes), or, where it is large, to a file (*path) in the destination's
 * incoming directory. Both are the caller's to free() after the commit, which
 * takes the file over. ERR_CORRUPT when it is not as long as the message says.
 */
int copy_spool_body(struct spool *source, struct spool *destination,
                    const struct spool_message *message, char **bytes,
                    char **path, struct error *err);

/* The messages of both spools, by mode. */
int copy_spool_messages(const struct copy_spool_run *run, struct error *err);

/* The replica of the lists, by mode. */
int copy_spool_entries(const struct copy_spool_run *run, struct error *err);

/* The named values, by mode. */
int copy_spool_values(const struct copy_spool_run *run, struct error *err);

#endif

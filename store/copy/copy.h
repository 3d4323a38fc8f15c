/* What copies, comparisons and restores of both stores have in common. */
#ifndef STORE_COPY_COPY_H
#define STORE_COPY_COPY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/copy/digest.h"
#include "store/progress.h"

/* The most parts that a store has. */
#define COPY_PARTS_MAXIMUM 16

/* How a run is watched and stopped; zeroed: neither. */
struct copy_control {
	const struct store_progress *progress;
	/* Not 0: end between two writes, with ERR_UNAVAILABLE. */
	const volatile sig_atomic_t *stop;
};

/* What a run found and did of one kind of records. */
struct copy_part {
	const char *name;
	struct copy_digest source, destination; /* of a comparison */
	int64_t written;                        /* put into the destination */
	int64_t there;                          /* left as they were there */
	int64_t removed; /* deleted at the source, so here too */
	int64_t refused; /* another record of the destination has a name,
	                    a place or the like that this one needs */
	int64_t only_source, only_destination; /* in a comparison */
	int64_t different;                     /* in both, not the same */
};

/* What a run found and did; zero it before the first run. */
struct copy_report {
	struct copy_part parts[COPY_PARTS_MAXIMUM];
	size_t count;
};

/* The part of this name (a constant), added where missing. */
struct copy_part *copy_report_part(struct copy_report *report,
                                   const char *name);

/* Whether a comparison found the same on both sides. */
bool copy_part_equal(const struct copy_part *part);

/* As copy_part_equal() for all parts. */
bool copy_report_equal(const struct copy_report *report);

/* Tells how far a part is; control may be NULL. */
void copy_tell(const struct copy_control *control, const char *what,
               int64_t done, int64_t total);

/* 0, or ERR_UNAVAILABLE when the run is to end; control may be NULL. */
int copy_go_on(const struct copy_control *control, struct error *err);

#endif

/*
 * Copies of a spool: to another one (of another backend, too), comparisons,
 * and what a backup still has put back.
 *
 * A run keeps no notes: it walks through both spools in the order of the ids
 * and writes what is missing or not the same. So one that was cut off at any
 * point is simply run again.
 */
#ifndef STORE_COPY_SPOOL_H
#define STORE_COPY_SPOOL_H

#include "store/copy/copy.h"
#include "store/spool/spool.h"

/*
 * Makes the destination's messages (all fields but leases, and the bodies'
 * bytes), named values and replica of the lists those of the source; what is
 * only in the destination stays. No agent may work on either meanwhile. An
 * error of a store, ERR_CORRUPT for a body that is not as long as its message
 * says, ERR_UNAVAILABLE when it was stopped: run it again.
 */
int spool_copy(struct spool *source, struct spool *destination,
               const struct copy_control *control, struct copy_report *report,
               struct error *err);

/*
 * Reads both, bodies too, and counts what is on one side alone or not the
 * same. destination NULL: counts and hashes the source alone.
 */
int spool_compare(struct spool *source, struct spool *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err);

/*
 * Puts into the destination what the backup has and it has not: messages, named
 * values, and the replica where there is none. Nothing that is there changes,
 * so an agent may work on the destination meanwhile.
 */
int spool_restore(struct spool *backup, struct spool *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err);

#endif

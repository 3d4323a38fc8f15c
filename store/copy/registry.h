/*
 * Copies of a registry: to another one (of another backend, too), comparisons,
 * and what a backup still has put back.
 *
 * A run keeps no notes: it walks through both registries in the order of
 * registry_export() and writes what is missing or not the same. So one that
 * was cut off at any point is simply run again.
 */
#ifndef STORE_COPY_REGISTRY_H
#define STORE_COPY_REGISTRY_H

#include "store/copy/copy.h"
#include "store/registry/registry.h"

/* What a restore adds to the counters of the backup. */
#define COPY_COUNTER_LEAP 1000000

/*
 * Makes the destination's records those of the source, all kinds. Leases and
 * claims of mails are left out; what is only in the destination stays, but for
 * domains that were taken away at the source, and records that are over (see
 * registry_purge()) and older than all such records of the source. Clouds may
 * work on the source meanwhile (a later run brings over what they changed), not
 * on the destination. ERR_CONFLICT before anything was written when the
 * destination has decided more than the source (the copy would put old over
 * new), or has a tenant of the same name that is another one. ERR_UNAVAILABLE
 * when it was stopped: run it again.
 */
int registry_copy(struct registry *source, struct registry *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err);

/*
 * Reads both and counts what is on one side alone or not the same; counters
 * may be higher in the destination. destination NULL: counts and hashes the
 * source alone.
 */
int registry_compare(struct registry *source, struct registry *destination,
                     const struct copy_control *control,
                     struct copy_report *report, struct error *err);

/*
 * Puts into the destination what the backup has and it has not; nothing that
 * is there changes, so clouds may work on it meanwhile. Then decisions and
 * changes of the lists that were made after the backup may be gone, while
 * agents have cursors beyond what is left: so every counter is first raised to
 * the backup's plus COPY_COUNTER_LEAP, and whatever is decided next is above
 * any cursor. ERR_CONFLICT as registry_copy() for a tenant's name.
 */
int registry_restore(struct registry *backup, struct registry *destination,
                     const struct copy_control *control,
                     struct copy_report *report, struct error *err);

#endif

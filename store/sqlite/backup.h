/* Copies of a database file, made while others read and write it. */
#ifndef STORE_SQLITE_BACKUP_H
#define STORE_SQLITE_BACKUP_H

#include <stdbool.h>

#include "common/error.h"
#include "store/progress.h"

/*
 * Copies the database at source, as it is at one moment, to the new file at
 * target, which appears complete, checked (quick_check) and synced with its
 * directory, or not at all: "target.partial" until then, which a failure takes
 * away. Writers of the source wait for nothing meanwhile; its log grows.
 * Progress tells of "pages". ERR_EXISTS when target is there, ERR_NOT_FOUND
 * without a source, ERR_FULL, ERR_IO, ERR_CORRUPT. Any thread; a connection of
 * its own.
 */
int sqlite_backup_file(const char *source, const char *target,
                       const struct store_progress *progress,
                       struct error *err);

/*
 * Makes the directory for a copy, mode 0700, with parents; *made tells whether
 * it was missing. ERR_EXISTS when it is there and not empty.
 */
int sqlite_backup_prepare(const char *directory, bool *made, struct error *err);

/*
 * Ends what sqlite_backup_prepare() began: result 0 syncs the directory and its
 * parent; after a failure the directory, which must be empty then, is taken
 * away again when it was made. Returns result, or what syncing gave.
 */
int sqlite_backup_finish(const char *directory, bool made, int result,
                         struct error *err);

#endif

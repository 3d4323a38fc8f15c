/* The thread that moves the write-ahead log into the database file. */
#ifndef STORE_SQLITE_CHECKPOINT_H
#define STORE_SQLITE_CHECKPOINT_H

#include <pthread.h>

#include "common/error.h"

struct sqlite_db;
struct sqlite_checkpointer;

/*
 * Starts the thread for the file at path, with a connection of its own. It
 * works small and often while others write; when the log has grown
 * nevertheless, it moves the last few pages with *writer locked, so that the
 * log can begin anew. While a reader holds on to the log, it grows and nobody
 * waits. *writer is the mutex that every writer of this process holds
 * for its transactions. reserve is the file that sets space aside (see
 * sqlite-reserve.h), looked at once a second; NULL for none: an idle store is
 * not looked at then. The three stay the caller's until the stop.
 */
int sqlite_checkpointer_start(struct sqlite_checkpointer **checkpointer,
                              const char *path, const char *reserve,
                              pthread_mutex_t *writer, struct error *err);

/* Has the thread told of what db commits. db is closed before the stop. */
void sqlite_checkpointer_watch(struct sqlite_checkpointer *checkpointer,
                               struct sqlite_db *db);

/*
 * 0, or the ERR_IO or ERR_CORRUPT that ended the thread's work: the store is
 * not to be written any more then. Any thread.
 */
int sqlite_checkpointer_failure(struct sqlite_checkpointer *checkpointer);

/*
 * To be called by a writer before it locks the mutex: waits while the thread
 * wants it, which might otherwise not get it from a busy writer for long. NULL
 * is allowed.
 */
void sqlite_checkpointer_give_way(struct sqlite_checkpointer *checkpointer);

/* Ends the thread; NULL is allowed. */
void sqlite_checkpointer_stop(struct sqlite_checkpointer *checkpointer);

#endif

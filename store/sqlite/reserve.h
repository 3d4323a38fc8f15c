/*
 * Space set aside for the time when the file system is full, so that what
 * happened already can still be written.
 */
#ifndef STORE_SQLITE_RESERVE_H
#define STORE_SQLITE_RESERVE_H

#include <stdbool.h>

struct sqlite_reserve {
	const char *path; /* the file; NULL for none */
	int full_looks;   /* how often in a row there was no space */
};

/*
 * To be called about once a second, by one thread. Sets the file's blocks aside
 * while there is plenty of space; gives them back when the file system has been
 * full at two looks, which leaves its users time to take nothing new. True
 * while the file system is full or the blocks are given back: the log is to be
 * kept as short as it can be. The file stays between runs.
 */
bool sqlite_reserve_watch(struct sqlite_reserve *reserve);

#endif

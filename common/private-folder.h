/*
 * A folder of one process alone below a directory that everybody may write to,
 * such as /var/tmp. It is locked (flock() on the folder itself) while it is in
 * use, so that a later start can tell what a killed process left.
 */
#ifndef COMMON_PRIVATE_FOLDER_H
#define COMMON_PRIVATE_FOLDER_H

#include "common/error.h"

/*
 * Makes PARENT/PREFIX-XXXXXX, six random characters, with mode 0700. Gives the
 * descriptor that holds the lock, for private_folder_remove(), and the path,
 * which is freed by the caller. ERR_UNAVAILABLE, ERR_MEMORY.
 */
int private_folder_make(const char *parent, const char *prefix, char **path,
                        struct error *err);

/* Removes the files in it, and the folder; closes the descriptor. */
void private_folder_remove(const char *path, int lock);

/*
 * Removes the folders of that name below parent which nobody uses any more:
 * this user's, closed to others, locked by nobody, and with nothing in them
 * but plain files of this user. Whatever else has such a name stays as it is,
 * and no symbolic link is followed. What cannot be removed is left.
 */
void private_folder_sweep(const char *parent, const char *prefix);

#endif

/* Files written whole and safely. */
#ifndef COMMON_FS_H
#define COMMON_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

/*
 * Writes all of size bytes to fd, through EINTR and short writes. 0, ERR_FULL
 * (ENOSPC, EDQUOT) or ERR_IO.
 */
int fs_write_all(int fd, const void *bytes, size_t size, struct error *err);

/* fsync() of the directory at path. 0 or ERR_IO. */
int fs_sync_directory(const char *path, struct error *err);

/*
 * Replaces path by a file of size bytes and this mode: written beside it,
 * synced, renamed, directory synced. 0, ERR_FULL or ERR_IO; on failure the old
 * file stands.
 */
int fs_replace_file(const char *path, const void *bytes, size_t size,
                    unsigned mode, struct error *err);

/*
 * Reads the whole file at path into buffer (within its maximum). 0,
 * ERR_NOT_FOUND, ERR_LIMIT or ERR_IO.
 */
int fs_read_file(const char *path, struct buffer *buffer, struct error *err);

/* Whether the file can be read and has a certificate in PEM in it: 0 or a
 * negative error. */
int fs_check_certificates(const char *path, struct error *err);

/* Whether everybody may read or write the file, by its mode. */
bool fs_is_open_to_others(const char *path);

/*
 * As open() with these flags and O_CLOEXEC; where the file is missing, or must
 * be (O_EXCL), it is made with mode 0600. A file that root makes belongs to
 * whoever owns its directory. -1 with errno on failure.
 */
int fs_open_private(const char *path, int flags);

/*
 * Makes the directory and its parents with mode 0700 where missing. What root
 * makes belongs to whoever owns the directory above. 0 or ERR_IO.
 */
int fs_make_directory(const char *path, struct error *err);

/*
 * Takes an exclusive lock on the file at path, made where missing, held until
 * the returned descriptor is closed. ERR_EXISTS when another process has it
 * (the text says so), ERR_IO otherwise.
 */
int fs_lock_file(const char *path, struct error *err);

#endif

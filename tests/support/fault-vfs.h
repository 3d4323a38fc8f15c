/* A file layer under SQLite whose writes and syncs fail when they are told. */
#ifndef TESTS_SUPPORT_FAULT_VFS_H
#define TESTS_SUPPORT_FAULT_VFS_H

#include <stdbool.h>

enum fault { FAULT_WRITE, FAULT_SYNC, FAULT_READ };

/* Puts it under every connection opened from now on. */
void fault_vfs_install(void);

/* The next but skip call of this kind by this thread gives SQLite's code. */
void fault_vfs_arm(enum fault fault, int skip, int code);

/* As fault_vfs_arm(), for calls by all other threads. */
void fault_vfs_arm_others(enum fault fault, int skip, int code);

/* Ends that; whether it had happened. */
bool fault_vfs_disarm(void);

#endif

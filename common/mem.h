/*
 * Memory for the daemons: running out of it aborts. captcha and store report
 * ERR_MEMORY instead and do not use these.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/*
 * Lets the process keep what it freed, up to 64 MiB a heap, instead of giving
 * it back and asking again with every batch. Once, before threads start.
 */
void mem_keep_freed(void);

/* size zeroed bytes; never NULL, aborts when memory is out. Freed by free(). */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));

/* count * size zeroed bytes, the product checked; as mem_alloc(). */
void *mem_alloc_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));

/* Resizes to count * size bytes, the product checked; aborts when it cannot. */
void *mem_resize_array(void *block, size_t count, size_t size)
    __attribute__((returns_nonnull));

/*
 * Makes room for one more element of size bytes behind the count that array
 * has, and zeroes it; aborts when it cannot. Returns the array, which may have
 * moved; NULL with *capacity 0 begins one.
 */
void *mem_grow(void *array, size_t count, size_t *capacity, size_t size)
    __attribute__((returns_nonnull));

/* A copy of text, freed by free(); NULL gives NULL. */
char *mem_copy_string(const char *text);

/* A NUL-terminated copy of size bytes, freed by free(). */
char *mem_copy_bytes(const void *bytes, size_t size)
    __attribute__((returns_nonnull));

/* A formatted string, freed by free(). */
char *mem_format(const char *format, ...)
    __attribute__((format(printf, 1, 2), returns_nonnull));

#endif

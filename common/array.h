/* Arrays that grow by doubling; running out of memory is reported. */
#ifndef COMMON_ARRAY_H
#define COMMON_ARRAY_H

#include <stddef.h>

#include "common/error.h"

/*
 * Makes room for one more element of size bytes behind the count that *array
 * has, and zeroes it. *capacity is 0 where *array is NULL; the array is freed
 * by free(). 0, or ERR_MEMORY with the array as it was. The daemons' own code
 * calls mem_grow() instead.
 */
int array_grow(void **array, size_t count, size_t *capacity, size_t size,
               struct error *err);

#endif

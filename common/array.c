/* Arrays that grow by doubling; running out of memory is reported. */
#include "common/array.h"

#include <stdlib.h>
#include <string.h>

/* Few: most messages have one recipient. */
#define FIRST_CAPACITY 4

int array_grow(void **array, size_t count, size_t *capacity, size_t size,
               struct error *err)
{
	if (count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
		void *larger = reallocarray(*array, wanted, size);

		if (!larger)
			return error_set(err, ERR_MEMORY, "out of memory");
		*array = larger;
		*capacity = wanted;
	}
	memset((char *)*array + count * size, 0, size);
	return 0;
}

/* Memory that aborts when it runs out. */
#include "common/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/banned.h"

static void *checked(void *block)
{
	if (!block) {
		(void)fputs("fatal: out of memory\n", stderr);
		abort();
	}
	return block;
}

void mem_keep_freed(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_TOP_PAD, 1 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

void *mem_alloc(size_t size)
{
	return checked(calloc(1, size ? size : 1));
}

void *mem_alloc_array(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize_array(void *block, size_t count, size_t size)
{
	return checked(reallocarray(block, count ? count : 1, size ? size : 1));
}

void *mem_grow(void *array, size_t count, size_t *capacity, size_t size)
{
	void *grown = array;

	return checked(array_grow(&grown, count, capacity, size, NULL) ? NULL
	                                                               : grown);
}

char *mem_copy_string(const char *text)
{
	return text ? checked(strdup(text)) : NULL;
}

char *mem_copy_bytes(const void *bytes, size_t size)
{
	char *copy = mem_alloc(size + 1);

	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

char *mem_format(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return checked(length < 0 ? NULL : text);
}

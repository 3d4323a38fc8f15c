/* The bounded buffer. */
#include "common/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"

void buffer_init(struct buffer *buffer, size_t maximum)
{
	*buffer = (struct buffer){.maximum = maximum};
}

void buffer_release(struct buffer *buffer)
{
	free(buffer->data);
	buffer_init(buffer, buffer->maximum);
}

void buffer_reset(struct buffer *buffer)
{
	buffer->length = 0;
	if (buffer->data)
		buffer->data[0] = '\0';
}

int buffer_reserve(struct buffer *buffer, size_t extra)
{
	size_t needed, capacity;

	if (extra > buffer->maximum - buffer->length || extra > SIZE_MAX / 4)
		return ERR_LIMIT;
	needed = buffer->length + extra + 1;
	if (needed <= buffer->capacity)
		return 0;
	capacity = buffer->capacity ? buffer->capacity : 64;
	while (capacity < needed)
		capacity += capacity / 2;
	buffer->data = mem_resize_array(buffer->data, capacity, 1);
	buffer->capacity = capacity;
	buffer->data[buffer->length] = '\0';
	return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
	int result = buffer_reserve(buffer, size);

	if (result)
		return result;
	if (size)
		memcpy(buffer->data + buffer->length, bytes, size);
	buffer->length += size;
	buffer->data[buffer->length] = '\0';
	return 0;
}

int buffer_append_text(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, text, strlen(text));
}

int buffer_append_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	int length, result;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return ERR_INVALID;
	result = buffer_reserve(buffer, (size_t)length);
	if (result)
		return result;
	va_start(arguments, format);
	(void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1,
	                format, arguments);
	va_end(arguments);
	buffer->length += (size_t)length;
	return 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	if (size >= buffer->length) {
		buffer_reset(buffer);
		return;
	}
	buffer->length -= size;
	memmove(buffer->data, buffer->data + size, buffer->length + 1);
}

char *buffer_take(struct buffer *buffer)
{
	char *text = buffer->data ? buffer->data : mem_alloc(1);

	buffer_init(buffer, buffer->maximum);
	return text;
}

const char *buffer_text(const struct buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}

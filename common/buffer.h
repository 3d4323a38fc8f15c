/* A growing byte buffer with a maximum that is given when it is made. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include <stddef.h>

/*
 * data[0..length) is the content; where capacity > 0 a NUL stands at
 * data[length], which is not part of the content. Read the fields freely;
 * change them through the functions. Not for two threads at once.
 */
struct buffer {
	char *data;
	size_t length;
	size_t capacity;
	size_t maximum; /* of length, in bytes */
};

/* Makes an empty buffer that will never hold more than maximum bytes. */
void buffer_init(struct buffer *buffer, size_t maximum);

/* Frees the content and leaves an empty buffer with the same maximum. */
void buffer_release(struct buffer *buffer);

/* Makes length 0 and keeps the memory. */
void buffer_reset(struct buffer *buffer);

/*
 * Makes room for extra bytes beyond length. Returns 0, or ERR_LIMIT when the
 * maximum would be passed (nothing changes then). Aborts when out of memory.
 */
int buffer_reserve(struct buffer *buffer, size_t extra);

/* Appends size bytes. 0, or ERR_LIMIT with nothing appended. */
int buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Appends a NUL-terminated text without its NUL. As buffer_append(). */
int buffer_append_text(struct buffer *buffer, const char *text);

/* Appends a formatted text. As buffer_append(). */
int buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first size bytes (all, when size is larger than length). */
void buffer_consume(struct buffer *buffer, size_t size);

/*
 * Takes the content away: returns a NUL-terminated heap string that the
 * caller frees (never NULL), and leaves the buffer empty.
 */
char *buffer_take(struct buffer *buffer) __attribute__((returns_nonnull));

/* The content as a NUL-terminated string, "" when empty; owned by buffer. */
const char *buffer_text(const struct buffer *buffer)
    __attribute__((returns_nonnull));

#endif

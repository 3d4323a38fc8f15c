/* A plain HTTP peer on a socket, for requests that no client would send. */
#ifndef TESTS_SUPPORT_HTTP_PEER_H
#define TESTS_SUPPORT_HTTP_PEER_H

#include <stddef.h>
#include <stdint.h>

/* Connects to 127.0.0.1:port; fails the test when it cannot. */
int peer_connect(uint16_t port);

/* Sends size bytes; returns 0, or -1 when the other end has closed. */
int peer_send(int fd, const void *bytes, size_t size);

/* Sends a NUL-terminated text. */
int peer_send_text(int fd, const char *text);

/*
 * Reads into text until size - 1 bytes are there, the other end closes or
 * timeout_ms passed. Returns the number of bytes; text ends with a NUL.
 */
size_t peer_read(int fd, char *text, size_t size, int timeout_ms);

/* Reads one answer with its declared body, as peer_read(). */
size_t peer_read_answer(int fd, char *text, size_t size, int timeout_ms);

/* Whether the other end has closed, or closes within timeout_ms. */
int peer_is_closed(int fd, int timeout_ms);

/* Connects, sends request, reads until the end or timeout_ms, closes. */
size_t peer_exchange(uint16_t port, const char *request, char *text,
                     size_t size, int timeout_ms);

/* A listening socket on a free port of 127.0.0.1. */
int peer_listen(uint16_t *port);

#endif

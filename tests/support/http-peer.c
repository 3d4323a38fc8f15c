/* A plain HTTP peer on a socket. */
#include "tests/support/http-peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

int peer_connect(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int peer_send(int fd, const void *bytes, size_t size)
{
	const char *next = bytes;

	while (size > 0) {
		ssize_t sent = send(fd, next, size, MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		next += sent;
		size -= (size_t)sent;
	}
	return 0;
}

int peer_send_text(int fd, const char *text)
{
	return peer_send(fd, text, strlen(text));
}

/* Reads once; the bytes, 0 at the end, -1 when the time is over. */
static ssize_t read_some(int fd, char *bytes, size_t size, int64_t until_ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	int64_t left = until_ms - clock_monotonic_ms();
	ssize_t got;

	if (left < 0 || poll(&poller, 1, (int)left) <= 0)
		return -1;
	got = recv(fd, bytes, size, 0);
	return got < 0 ? 0 : got;
}

size_t peer_read(int fd, char *text, size_t size, int timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;
	size_t used = 0;
	ssize_t got;

	while (used + 1 < size) {
		got = read_some(fd, text + used, size - 1 - used, until_ms);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	return used;
}

/* The bytes that are still missing of an answer; 1 while its head lasts. */
static size_t missing(const char *text, size_t used)
{
	const char *end = used < 4 ? NULL : strstr(text, "\r\n\r\n");
	const char *length =
	    end ? strcasestr(text, "\r\nContent-Length:") : NULL;
	size_t whole;

	if (!end)
		return 1;
	if (!length || length > end)
		return 0;
	whole = (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
	return whole > used ? whole - used : 0;
}

size_t peer_read_answer(int fd, char *text, size_t size, int timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;
	size_t used = 0, wanted = 1;
	ssize_t got = 1;

	text[0] = '\0';
	while (got > 0 && wanted > 0 && used + wanted < size) {
		got = read_some(fd, text + used, wanted, until_ms);
		if (got > 0)
			used += (size_t)got;
		text[used] = '\0';
		/* Bytewise in the head: what follows may be another answer. */
		wanted = missing(text, used);
	}
	return used;
}

int peer_is_closed(int fd, int timeout_ms)
{
	char byte;

	return read_some(fd, &byte, 1, clock_monotonic_ms() + timeout_ms) == 0;
}

size_t peer_exchange(uint16_t port, const char *request, char *text,
                     size_t size, int timeout_ms)
{
	int fd = peer_connect(port);
	size_t used;

	(void)peer_send_text(fd, request);
	used = peer_read(fd, text, size, timeout_ms);
	(void)close(fd);
	return used;
}

int peer_listen(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size),
	                 0);
	*port = ntohs(address.sin_port);
	return fd;
}

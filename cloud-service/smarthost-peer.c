/* Resolves the smarthost's name and tries its addresses with a time limit. */
#include "cloud-service/smarthost-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

static int resolve(const char *host, uint16_t port, struct addrinfo **list,
                   struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	                         .ai_flags = AI_NUMERICSERV};
	char service[8];
	int code;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	code = getaddrinfo(host, service, &hints, list);
	if (code)
		return error_set(err, ERR_UNAVAILABLE, "%s: %s", host,
		                 gai_strerror(code));
	return 0;
}

/* libesmtp takes what follows the last colon as the port, and the rest as the
 * host, which it resolves: a bare IPv6 address is what it needs. */
static int print_peer(const struct addrinfo *info, char text[PEER_TEXT_SIZE],
                      struct error *err)
{
	char host[48], service[8];
	int written;

	if (getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host),
	                service, sizeof(service),
	                NI_NUMERICHOST | NI_NUMERICSERV))
		return error_set(err, ERR_UNAVAILABLE, "no numeric address");
	written = snprintf(text, PEER_TEXT_SIZE, "%s:%s", host, service);
	if (written < 0 || written >= PEER_TEXT_SIZE)
		return error_set(err, ERR_LIMIT, "the address is too long");
	return 0;
}

/* 0, or the errno of the failure. */
static int finish_connect(int fd, int64_t deadline_ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int64_t left = deadline_ms - clock_monotonic_ms();
	int number = 0, ready;
	socklen_t size = sizeof(number);

	do
		ready = poll(&wait, 1, left > 0 ? (int)left : 0);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready < 0 ? errno : ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size))
		return errno;
	return number;
}

static int try_connect(const struct addrinfo *info, int64_t deadline_ms)
{
	int fd = socket(info->ai_family,
	                SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int number = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, info->ai_addr, info->ai_addrlen))
		number = errno == EINPROGRESS ? finish_connect(fd, deadline_ms)
		                              : errno;
	close(fd);
	return number;
}

int peer_find(const char *host, uint16_t port, int64_t timeout_ms,
              char text[PEER_TEXT_SIZE], struct error *err)
{
	struct addrinfo *list, *info;
	int number = EHOSTUNREACH;
	int result = resolve(host, port, &list, err);

	if (result)
		return result;
	for (info = list; info && number; info = info->ai_next) {
		number = try_connect(info, clock_monotonic_ms() + timeout_ms);
		if (!number)
			result = print_peer(info, text, err);
	}
	freeaddrinfo(list);
	if (number)
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "%s port %u", host, (unsigned)port);
	return result;
}

int peer_resolve(const char *host, uint16_t port, char text[PEER_TEXT_SIZE],
                 struct error *err)
{
	struct addrinfo *list;
	int result = resolve(host, port, &list, err);

	if (result)
		return result;
	result = print_peer(list, text, err);
	freeaddrinfo(list);
	return result;
}

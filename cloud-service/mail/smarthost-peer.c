/* Resolves the smarthost's name and tries its addresses with a time limit. */
#include "cloud-service/mail/smarthost-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
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

/*
 * libesmtp takes what follows the first colon as the port: an IPv6 address
 * cannot be told to it. A host that has no other is told by its name, which
 * libesmtp then looks up itself.
 */
static int print_peer(const struct addrinfo *info, const char *host,
                      uint16_t port, char text[PEER_TEXT_SIZE],
                      struct error *err)
{
	char numeric[48];
	int written;

	if (info->ai_family == AF_INET &&
	    !getnameinfo(info->ai_addr, info->ai_addrlen, numeric,
	                 sizeof(numeric), NULL, 0, NI_NUMERICHOST))
		host = numeric;
	if (strchr(host, ':'))
		return error_set(err, ERR_INVALID,
		                 "an IPv6 address cannot be used: "
		                 "give the smarthost's name");
	written = snprintf(text, PEER_TEXT_SIZE, "%s:%u", host, (unsigned)port);
	if (written < 0 || written >= PEER_TEXT_SIZE)
		return error_set(err, ERR_LIMIT, "the name is too long");
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

/* Whether info is to be tried now: IPv4 in the first round, all others in the
 * second. */
static bool is_due(const struct addrinfo *info, int round)
{
	return (info->ai_family == AF_INET) == (round == 0);
}

int peer_find(const char *host, uint16_t port, int64_t timeout_ms,
              char text[PEER_TEXT_SIZE], struct error *err)
{
	struct addrinfo *list, *info;
	int number = EHOSTUNREACH, round;
	int result = resolve(host, port, &list, err);

	if (result)
		return result;
	for (round = 0; round < 2; round++)
		for (info = list; info && number; info = info->ai_next) {
			if (!is_due(info, round))
				continue;
			number = try_connect(info,
			                     clock_monotonic_ms() + timeout_ms);
			if (!number)
				result =
				    print_peer(info, host, port, text, err);
		}
	freeaddrinfo(list);
	if (number)
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "%s port %u", host, (unsigned)port);
	return result;
}

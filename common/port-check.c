/* Looks whether ports are free, or taken by a daemon of ours. */
#include "common/port-check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/network.h"

/* A socket of the address's family, with the address; -1 for none. */
static int open_for(const char *address, uint16_t port,
                    struct sockaddr_storage *storage, socklen_t *size)
{
	*size = network_socket_address(address, port, storage);
	return *size ? socket(storage->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)
	             : -1;
}

int port_check(const char *address, uint16_t port, struct error *err)
{
	struct sockaddr_storage storage;
	socklen_t size;
	int one = 1, fd = open_for(address, port, &storage, &size), fault = 0;

	if (fd < 0)
		return error_set(err, ERR_INVALID, "%s: cannot be listened on",
		                 address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&storage, size) || listen(fd, 1))
		fault = errno;
	(void)close(fd);
	if (!fault)
		return 0;
	return error_set_errno(err,
	                       fault == EADDRINUSE ? ERR_EXISTS
	                       : fault == EACCES || fault == EPERM
	                           ? ERR_DENIED
	                           : ERR_INVALID,
	                       fault, "%s port %u", address, (unsigned)port);
}

bool port_has_daemon(const char *address, uint16_t port)
{
	static const char request[] =
	    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n";
	struct timeval limit = {.tv_sec = 5};
	struct sockaddr_storage storage;
	socklen_t size;
	char answer[2048];
	size_t used = 0;
	ssize_t got = 0;
	int fd = open_for(address, port, &storage, &size);

	if (fd < 0)
		return false;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (struct sockaddr *)&storage, size))
		got = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	while (got > 0 && used < sizeof(answer) - 1) {
		got = recv(fd, answer + used, sizeof(answer) - 1 - used, 0);
		used += got > 0 ? (size_t)got : 0;
	}
	(void)close(fd);
	answer[used] = '\0';
	return strstr(answer, "{\"status\":\"ok\"}") != NULL;
}

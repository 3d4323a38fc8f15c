/* The control port of the proxy between libmongoc and the server. */
#include "tests/support/fault-control.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

#define VARIABLE "TURING_TEST_FAULT_PORT"

const char *const fault_names[] = {"cut-before", "cut-after",    "cut-middle",
                                   "swallow",    "stall-before", "stall-after"};
const int fault_count = sizeof(fault_names) / sizeof(*fault_names);

bool fault_control_present(void)
{
	const char *port = getenv(VARIABLE);

	if (port && *port)
		return true;
	puts("mongodb absent: " VARIABLE " is not set");
	return false;
}

static int connect_control(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const char *port = getenv(VARIABLE);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_ptr_nonnull(port);
	ck_assert_int_ge(fd, 0);
	address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One request on a connection of its own; the answer as a number. */
static int ask(const char *request)
{
	char answer[100] = "";
	int fd = connect_control();
	size_t size = 0;
	ssize_t got;

	ck_assert_int_eq(write(fd, request, strlen(request)),
	                 (ssize_t)strlen(request));
	while (!memchr(answer, '\n', size) && size < sizeof(answer) - 1 &&
	       (got = read(fd, answer + size, sizeof(answer) - 1 - size)) > 0)
		size += (size_t)got;
	(void)close(fd);
	ck_assert_msg(size && strncmp(answer, "error", 5) != 0, "%s: %s",
	              request, answer);
	return atoi(answer);
}

void fault_arm(const char *fault, int at, double seconds)
{
	char *request = mem_format("arm %s %d * %.3f 1\n", fault, at, seconds);

	(void)ask(request);
	free(request);
}

bool fault_disarm(void)
{
	return ask("disarm\n") > 0;
}

void fault_set_down(bool down)
{
	(void)ask(down ? "down\n" : "up\n");
}

int fault_exchanges(void)
{
	return ask("count\n");
}

void fault_reset(void)
{
	(void)ask("reset\n");
}

char *fault_direct_uri(const char *uri)
{
	const char *server = getenv("TURING_TEST_DIRECT_URI");
	const char *hosts = strstr(uri, "://"), *path, *options;
	int host_length, name_length;

	ck_assert_ptr_nonnull(server);
	ck_assert_ptr_nonnull(hosts);
	path = strchr(hosts + 3, '/');
	ck_assert_ptr_nonnull(path);
	name_length = (int)strcspn(path + 1, "?");
	host_length = (int)(strstr(server, "://") + 3 - server);
	host_length += (int)strcspn(server + host_length, "/?");
	options = strchr(server, '?');
	return mem_format("%.*s/%.*s%s", host_length, server, name_length,
	                  path + 1, options ? options : "");
}

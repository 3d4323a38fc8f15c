/* Ports that are free, taken, or of no address of this machine. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/network.h"
#include "common/port-check.h"
#include "tests/support/suite.h"

/* A socket that listens on a port of the kernel's choice. */
static int listen_somewhere(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size),
	                 0);
	*port = ntohs(address.sin_port);
	return fd;
}

START_TEST(test_ports)
{
	struct error err = {.text = ""};
	uint16_t port;
	int fd = listen_somewhere(&port);

	ck_assert_int_eq(port_check("127.0.0.1", port, &err), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1 port "));
	/* Whoever listens there says nothing: it is none of our daemons. */
	ck_assert(!port_has_daemon("127.0.0.1", port));
	(void)close(fd);
	ck_assert_int_eq(port_check("127.0.0.1", port, &err), 0);
	ck_assert(!port_has_daemon("127.0.0.1", port));
	ck_assert_int_eq(port_check("192.0.2.1", port, &err), ERR_INVALID);
	ck_assert_int_eq(port_check("localhost", port, &err), ERR_INVALID);
	ck_assert(!port_has_daemon("localhost", port));
}
END_TEST

START_TEST(test_socket_addresses)
{
	struct sockaddr_storage storage;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	ck_assert_uint_eq(network_socket_address("192.0.2.1", 25, &storage),
	                  sizeof(v4));
	memcpy(&v4, &storage, sizeof(v4));
	ck_assert_int_eq(v4.sin_family, AF_INET);
	ck_assert_int_eq(v4.sin_port, htons(25));
	ck_assert_int_eq(v4.sin_addr.s_addr, htonl(0xc0000201));
	ck_assert_uint_eq(network_socket_address("::1", 25, &storage),
	                  sizeof(v6));
	memcpy(&v6, &storage, sizeof(v6));
	ck_assert_int_eq(v6.sin6_family, AF_INET6);
	ck_assert_int_eq(v6.sin6_port, htons(25));
	ck_assert(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
	ck_assert_uint_eq(network_socket_address("::1%lo", 25, &storage), 0);
	ck_assert_uint_eq(network_socket_address("localhost", 25, &storage), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("port check");
	TCase *tests = tcase_create("ports");

	tcase_set_timeout(tests, 30); /* one that says nothing takes five */
	tcase_add_test(tests, test_ports);
	tcase_add_test(tests, test_socket_addresses);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/* IP networks: parsed, printed in one form, and compared; numeric addresses of
 * sockets. */
#ifndef COMMON_NETWORK_H
#define COMMON_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NETWORK_TEXT_SIZE 50 /* an IPv6 address, "/128" and the NUL */

/* A prefix. IPv4 stands as IPv4-mapped IPv6, with 96 bits more. */
struct network {
	uint8_t bytes[16];
	unsigned prefix_bits; /* 0 .. 128 */
	bool is_ipv4;
};

/*
 * Reads "192.0.2.0/24", "2001:db8::/32" or one address; bits behind the prefix
 * are cleared, and IPv4-mapped addresses taken as IPv4. 0, or ERR_INVALID.
 */
int network_parse(const char *text, struct network *network);

/* Writes the canonical form, without "/32" or "/128"; returns text. */
char *network_format(const struct network *network,
                     char text[NETWORK_TEXT_SIZE]);

/* Whether the address (a network of full length) is in network. */
bool network_contains(const struct network *network,
                      const struct network *address);

/*
 * Writes the socket address of a numeric address and a port: its size, or 0
 * when the text is no such address.
 */
socklen_t network_socket_address(const char *address, uint16_t port,
                                 struct sockaddr_storage *storage);

#endif

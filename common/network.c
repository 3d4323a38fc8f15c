/* IP networks, by prefix, and addresses of sockets. */
#include "common/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* 0 .. maximum in decimal digits alone, or -1. */
static int parse_bits(const char *text, int maximum)
{
	int bits = 0;

	if (!*text || strlen(text) > 3)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		bits = bits * 10 + (*text - '0');
	}
	return bits <= maximum ? bits : -1;
}

static void clear_behind_prefix(struct network *network)
{
	unsigned bits = network->prefix_bits, i;

	for (i = 0; i < 16; i++) {
		if (bits >= 8) {
			bits -= 8;
			continue;
		}
		network->bytes[i] &= (uint8_t)(0xff00U >> bits);
		bits = 0;
	}
}

int network_parse(const char *text, struct network *network)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct network parsed = {.prefix_bits = 128};
	char address[INET6_ADDRSTRLEN];
	int bits;

	if (length >= sizeof(address))
		return ERR_INVALID;
	memcpy(address, text, length);
	address[length] = '\0';
	parsed.is_ipv4 = inet_pton(AF_INET, address, parsed.bytes + 12) == 1;
	if (parsed.is_ipv4)
		memcpy(parsed.bytes, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, address, parsed.bytes) != 1)
		return ERR_INVALID;
	if (slash) {
		bits = parse_bits(slash + 1, parsed.is_ipv4 ? 32 : 128);
		if (bits < 0)
			return ERR_INVALID;
		parsed.prefix_bits =
		    (unsigned)bits + (parsed.is_ipv4 ? 96U : 0U);
	}
	if (parsed.prefix_bits >= 96 &&
	    memcmp(parsed.bytes, mapped, sizeof(mapped)) == 0)
		parsed.is_ipv4 = true;
	clear_behind_prefix(&parsed);
	*network = parsed;
	return 0;
}

char *network_format(const struct network *network,
                     char text[NETWORK_TEXT_SIZE])
{
	char address[INET6_ADDRSTRLEN] = "";
	unsigned bits = network->prefix_bits;

	if (network->is_ipv4)
		(void)inet_ntop(AF_INET, network->bytes + 12, address,
		                sizeof(address));
	else
		(void)inet_ntop(AF_INET6, network->bytes, address,
		                sizeof(address));
	if (bits == 128)
		(void)snprintf(text, NETWORK_TEXT_SIZE, "%s", address);
	else
		(void)snprintf(text, NETWORK_TEXT_SIZE, "%s/%u", address,
		               network->is_ipv4 ? bits - 96 : bits);
	return text;
}

bool network_contains(const struct network *network,
                      const struct network *address)
{
	unsigned whole = network->prefix_bits / 8;
	unsigned rest = network->prefix_bits % 8;

	/* ::/0 is a network of IPv6, though IPv4 is mapped into its space. */
	if (network->is_ipv4 != address->is_ipv4)
		return false;
	if (memcmp(network->bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 || ((network->bytes[whole] ^ address->bytes[whole]) &
	                     (0xff00U >> rest) & 0xffU) == 0;
}

socklen_t network_socket_address(const char *address, uint16_t port,
                                 struct sockaddr_storage *storage)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
	                         .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
	                          .sin6_port = htons(port)};

	*storage = (struct sockaddr_storage){0};
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		memcpy(storage, &v4, sizeof(v4));
		return sizeof(v4);
	}
	if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
		memcpy(storage, &v6, sizeof(v6));
		return sizeof(v6);
	}
	return 0;
}

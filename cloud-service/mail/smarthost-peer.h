/* Where the smarthost is, and whether it can be reached. */
#ifndef CLOUD_SMARTHOST_PEER_H
#define CLOUD_SMARTHOST_PEER_H

#include <stdint.h>

#include "common/error.h"

#define PEER_TEXT_SIZE 264 /* a name, ":", a port and a NUL */

/*
 * Resolves host (a name or a numeric address) and connects to the first of its
 * addresses, IPv4 before IPv6, that answers within timeout_ms; the connection
 * is closed at once. Writes what to tell libesmtp, whose connect() waits for
 * minutes: that address and the port, or the name where it is an IPv6 address.
 * ERR_UNAVAILABLE when none answers, ERR_INVALID when host is an IPv6 address,
 * for which libesmtp has no way.
 */
int peer_find(const char *host, uint16_t port, int64_t timeout_ms,
              char text[PEER_TEXT_SIZE], struct error *err);

#endif

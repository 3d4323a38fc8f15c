/* Where the smarthost is, and whether it can be reached. */
#ifndef CLOUD_SMARTHOST_PEER_H
#define CLOUD_SMARTHOST_PEER_H

#include <stdint.h>

#include "common/error.h"

#define PEER_TEXT_SIZE 64 /* "[address]:port" of either family */

/*
 * Resolves host (a name or a numeric address) and connects to the first of its
 * addresses that answers within timeout_ms; the connection is closed at once.
 * Writes that address and port for libesmtp, whose connect() waits for minutes
 * and takes names. ERR_UNAVAILABLE when none answers.
 */
int peer_find(const char *host, uint16_t port, int64_t timeout_ms,
              char text[PEER_TEXT_SIZE], struct error *err);

/* Resolves without connecting: the first address. */
int peer_resolve(const char *host, uint16_t port, char text[PEER_TEXT_SIZE],
                 struct error *err);

#endif

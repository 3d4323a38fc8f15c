/* Whether a daemon could listen where its configuration says. */
#ifndef COMMON_PORT_CHECK_H
#define COMMON_PORT_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/*
 * Binds to the numeric address and port and lets go again: 0, ERR_EXISTS when
 * somebody listens there, ERR_DENIED when the user may not, ERR_INVALID when
 * the machine has no such address; with a text that names it.
 */
int port_check(const char *address, uint16_t port, struct error *err);

/*
 * Whether a daemon of ours answers GET /healthz there, within five seconds, as
 * one under load may need: then it is it that listens.
 */
bool port_has_daemon(const char *address, uint16_t port);

#endif

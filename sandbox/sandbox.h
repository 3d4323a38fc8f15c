/*
 * The sandbox mail server: accepts everything for every domain and stores it
 * in Maildirs. For demonstrations and tests.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct sandbox;

/* What it does; the texts must outlive the sandbox. */
struct sandbox_options {
	const char *address; /* numeric */
	uint16_t port;       /* 0: any free one */
	const char *maildir; /* the folder of the Maildirs; made when missing */
	bool quiet;          /* no line a message on standard output */
};

/* Listens and accepts. ERR_UNAVAILABLE, ERR_INVALID or ERR_IO. */
int sandbox_start(struct sandbox **sandbox,
                  const struct sandbox_options *options, struct error *err);

/* The port in force. */
uint16_t sandbox_port(const struct sandbox *sandbox);

/* Stops and frees. NULL is allowed. */
void sandbox_stop(struct sandbox *sandbox);

/* Runs the program turing-sandbox; returns its exit status. */
int sandbox_main(int argc, char **argv);

#endif

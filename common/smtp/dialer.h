/* An SMTP client session on a socket, driven by an event loop. */
#ifndef SMTP_DIALER_H
#define SMTP_DIALER_H

#include <stdint.h>

#include "common/loop.h"
#include "common/smtp/client.h"

struct smtp_dialer;

struct smtp_dialer_options {
	const char *address; /* numeric */
	uint16_t port;
	int64_t connect_timeout_ms;
	int64_t timeout_scale_percent; /* of smtp_client_timeout_ms(); 100 */
	struct smtp_client_options smtp;
	/* Ready for a transaction, for the first time or again. */
	void (*ready)(void *context);
	/*
	 * The session is over, why in words; every transaction was told. Called
	 * once, last; smtp_dialer_free() may be called from within.
	 */
	void (*closed)(void *context, const char *why);
	void *context;
};

/*
 * Starts to connect; on the loop's thread, as everything here. Never NULL:
 * a failure is told through closed, later from the loop.
 */
struct smtp_dialer *smtp_dialer_new(struct loop *loop,
                                    const struct smtp_dialer_options *options);

/* Cuts the connection and frees; closed is not called. NULL is allowed. */
void smtp_dialer_free(struct smtp_dialer *dialer);

/* As smtp_client_begin(), and starts sending. */
int smtp_dialer_begin(struct smtp_dialer *dialer,
                      const struct smtp_transaction *transaction);

/* Says QUIT when nothing is under way and closes; closed follows. */
void smtp_dialer_quit(struct smtp_dialer *dialer);

#endif

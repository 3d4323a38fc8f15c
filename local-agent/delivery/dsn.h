/*
 * Delivery status notifications (RFC 3464): whether the sender of a message
 * that failed is told, and the mail that tells him.
 */
#ifndef LOCAL_AGENT_DELIVERY_DSN_H
#define LOCAL_AGENT_DELIVERY_DSN_H

#include "common/buffer.h"
#include "local-agent/agent-config.h"
#include "store/spool/spool.h"

/* Bytes of the failed message's header that a DSN has at the most. */
#define DSN_HEADER_MAXIMUM 16384

#define DSN_RECIPIENTS 500        /* that one DSN names at the most */
#define DSN_MAXIMUM    (2U << 20) /* bytes of a whole DSN */

/* What a DSN tells. */
struct dsn {
	struct id id; /* of the DSN itself */
	int64_t now_ms;
	const struct spool_message *failed;
	const size_t *recipients; /* indices of those that failed */
	size_t count;
	const char *header; /* how the failed message begins */
	size_t header_size;
};

/*
 * Why no DSN may be sent for the message, or NULL when one may: only to a
 * sender as given that a pass covers, who is not of the tenant's own domains
 * (own_domain(), of a folded domain), and never for what is a report or an
 * automatic answer itself (RFC 3834 section 2, RFC 3464 section 2). Static.
 */
const char *dsn_forbidden(const struct spool_message *message,
                          bool (*own_domain)(const char *domain, void *context),
                          void *context);

/*
 * Appends the DSN as a whole mail: multipart/report with a text in English and
 * French, message/delivery-status, and the header of the failed message. What
 * others chose cannot end a line or a part of it. out needs room for
 * DSN_MAXIMUM bytes.
 */
void dsn_print(const struct agent_config *config, const struct dsn *dsn,
               struct buffer *out);

#endif

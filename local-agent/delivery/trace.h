/* The headers that the agent puts in front of a message on delivery. */
#ifndef LOCAL_AGENT_DELIVERY_TRACE_H
#define LOCAL_AGENT_DELIVERY_TRACE_H

#include "common/buffer.h"
#include "store/spool/spool.h"

#define TRACE_MAXIMUM 4096 /* bytes of a whole block */

/*
 * Whether the value of a Received field (unfolded) is one that trace_print()
 * wrote under this host name.
 */
bool trace_is_own(const char *received, const char *hostname);

/*
 * Appends Received: (RFC 5321 section 4.4), X-Turing-Id: and X-Turing-Verdict:
 * for the delivery of message to the recipients whose indices are given, lines
 * folded at 78 columns and ended by CRLF. Names that a client chose are
 * reduced to harmless characters. The recipient is named only when there is
 * one. out needs room for TRACE_MAXIMUM bytes.
 */
void trace_print(const struct spool_message *message, const size_t *recipients,
                 size_t count, const char *hostname, struct buffer *out);

#endif

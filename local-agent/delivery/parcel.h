/*
 * A message on its way to a next hop, as data: its bytes, those of its
 * recipients that are ours, and the outcome of each as a change of the spool.
 * It knows no connection, and commits nothing.
 */
#ifndef LOCAL_AGENT_DELIVERY_PARCEL_H
#define LOCAL_AGENT_DELIVERY_PARCEL_H

#include "common/smtp/client.h"
#include "local-agent/agent-config.h"
#include "store/spool/spool.h"

struct parcel {
	const struct agent_config *config;
	struct spool_message message;
	char *body; /* NULL: in the spool */
	size_t body_size;
	bool fresh;           /* the cloud never heard of it */
	const char *next_hop; /* "ADDRESS:PORT" of the message's recipients;
	                         "": the configured one */
	size_t *indices;      /* into message.recipients */
	const char **addresses;
	size_t count;
	size_t sending; /* the first ones: the others go to another next hop,
	                   and are claimed again for it */
	/* The outcomes, one a recipient. */
	struct spool_change *changes;
	char **replies;
	enum smtp_outcome *outcomes;
	bool *ended;   /* a 421: of the session, not of the recipient */
	bool answered; /* the next hop said something of a recipient */
	/* While it is sent. */
	struct buffer trace;
	size_t offset; /* of trace, then of body */
	struct spool_body *file;
};

/* A parcel of message (taken over) for the recipients whose lease is ours and
 * ends at lease_until_ms; NULL, and the message released, if none is. */
struct parcel *parcel_new(const struct agent_config *config,
                          struct spool_message *message,
                          int64_t lease_until_ms);

/* Frees a parcel, with its body. */
void parcel_free(struct parcel *parcel);

/* Begins at the first byte, with trace fields of now; opens a body that is in
 * the spool. 0 or an error of the store. */
int parcel_open(struct parcel *parcel, struct spool *spool);

/* Closes the body; the bytes cannot be read any more. */
void parcel_close(struct parcel *parcel);

/* The bytes of an open parcel, for a transaction: as smtp_source's. */
struct smtp_source parcel_source(struct parcel *parcel);

/* Notes the outcome of the recipient at index, as the next hop's reply says. */
void parcel_set_reply(struct parcel *parcel, size_t index,
                      enum smtp_outcome outcome,
                      const struct smtp_reply *reply);

/* Every recipient is deferred as after a 4xx, for a reason of ours. */
void parcel_defer(struct parcel *parcel, const char *why);

/*
 * The next hop was not asked: every recipient waits until due_ms, without
 * having been tried.
 */
void parcel_postpone(struct parcel *parcel, int64_t due_ms, const char *why);

/* As parcel_postpone() until now, for the recipients that were not sent. */
void parcel_postpone_others(struct parcel *parcel);

/* Whether a 421 ended the session before one of the recipients was answered. */
bool parcel_was_cut(const struct parcel *parcel);

/* Those that a 421 ended beside others that were answered are due now. */
void parcel_hasten(struct parcel *parcel);

/* Logs what became of the recipient at index, once its change has a result. */
void parcel_log(const struct parcel *parcel, size_t index);

#endif

/* What the files of delivery share. All of it belongs to the loop's thread. */
#ifndef LOCAL_AGENT_DELIVERY_PRIVATE_H
#define LOCAL_AGENT_DELIVERY_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/backoff.h"
#include "common/metrics.h"
#include "common/smtp/dialer.h"
#include "local-agent/delivery/delivery.h"
#include "local-agent/queue/trouble.h"

/* A message on its way out, with those of its recipients that are ours. */
struct parcel {
	struct writer_request request; /* first, so that one gives the other */
	struct parcel *next;
	struct parcel *next_kept; /* of delivery-lease.c */
	struct delivery *delivery;
	struct spool_message message;
	char *body; /* NULL: in the spool */
	size_t body_size, reserved;
	int64_t lease_until_ms;
	bool kept;            /* among those whose claims are prolonged */
	bool lost;            /* a claim is not ours any more */
	bool settling;        /* its outcome was handed to the writer */
	bool open;            /* begun, and its outcome is not committed */
	bool fresh;           /* the cloud never heard of it */
	bool answered;        /* the next hop said something of a recipient */
	bool put_back;        /* a session was lost once, without an answer */
	int64_t turned_away;  /* how often by a 421, which ended the session */
	const char *next_hop; /* "ADDRESS:PORT" of the message's recipients;
	                         "": the configured one */
	size_t *indices;      /* into message.recipients */
	const char **addresses;
	struct spool_change *changes; /* one a recipient */
	char **replies;
	enum smtp_outcome *outcomes;
	bool *ended; /* a 421: of the session, not of the recipient */
	size_t count;
	size_t sending; /* the first ones: the others go to another next hop,
	                   and are claimed again for it */
	/* While it is sent. */
	struct smtp_transaction transaction;
	struct delivery_connection *connection;
	struct buffer trace;
	size_t offset; /* of trace, then of body */
	struct spool_body *file;
	struct loop_timer *retry; /* of a commit that failed */
};

struct parcel_list {
	struct parcel *first, *last;
	size_t count;
};

/* A session with the next hop. */
struct delivery_connection {
	struct delivery_connection *next;
	struct delivery *delivery;
	struct smtp_dialer *dialer;
	struct parcel *parcel; /* under way, or NULL */
	struct parcel *only;   /* elsewhere: what is still to be begun */
	struct loop_timer *idle;
	int64_t sent; /* messages */
	bool ready, greeted, quitting;
	bool elsewhere; /* for one parcel, with another next hop */
};

/* The thread that claims due mail, so that the loop never waits for it. */
struct claimer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool wanted, woken, stopping;
	/* Of the thread alone. */
	int64_t last_claim_ms;
	struct trouble trouble;
};

/* By the last bytes of their ids. */
#define DELIVERY_BUCKETS 1024

struct delivery {
	struct delivery_options options;
	struct backoff backoff;
	struct claimer claimer;
	struct parcel_list waiting;
	struct parcel_list elsewhere; /* those with a next hop of their own */
	size_t elsewhere_count;       /* connections for these */
	struct trouble reading;       /* bodies */
	struct delivery_connection *connections;
	int64_t connection_count;
	unsigned connecting;
	size_t in_flight;  /* parcels begun or waiting for their commit */
	size_t open;       /* of these, what a crash could deliver again */
	size_t window;     /* how many of them there may be */
	size_t committed;  /* since it grew */
	unsigned failures; /* connections in a row that never got ready */
	struct loop_timer *probe;  /* while the next hop is away */
	struct loop_timer *resume; /* while the store is away */
	struct parcel *kept[DELIVERY_BUCKETS];
	struct loop_timer *renewal;
	struct renewal *renewing; /* with the writer, or NULL */
	bool probing, stopping, cut;
	atomic_bool away;
	atomic_size_t reserved, handed;
	/* For delivery_stop(). */
	pthread_mutex_t lock;
	pthread_cond_t quiet;
	bool is_quiet;
	bool is_over; /* set on the loop: the writer may be gone, and nothing is
	                 handed to it */
	struct metric *delivered, *deferred, *failed, *uncertain, *connects;
	struct metric *lost;
};

/* A parcel of message (taken over) for the recipients whose lease is ours and
 * ends at lease_until_ms; NULL, and the message released, if none is. */
struct parcel *parcel_new(struct delivery *delivery,
                          struct spool_message *message,
                          int64_t lease_until_ms);

/* Frees a parcel and gives its memory back. */
void parcel_free(struct parcel *parcel);

/* Puts a parcel at the end. */
void parcel_list_append(struct parcel_list *list, struct parcel *parcel);

/* Puts a parcel at the beginning. */
void parcel_list_prepend(struct parcel_list *list, struct parcel *parcel);

/* Takes the first one, or NULL. */
struct parcel *parcel_list_take(struct parcel_list *list);

/* Opens the body and begins its transaction on connection; 0 or an error. */
int parcel_begin(struct parcel *parcel, struct delivery_connection *connection);

/* Every recipient is deferred as after a 4xx, for a reason of ours. */
void parcel_defer(struct parcel *parcel, const char *why);

/*
 * The next hop was not asked: every recipient waits until due_ms, without
 * having been tried.
 */
void parcel_postpone(struct parcel *parcel, int64_t due_ms, const char *why);

/* Does what can be done: begins parcels, opens connections, asks for more. */
void delivery_pump(struct delivery *delivery);

/* Counts a parcel out; the last one wakes delivery_stop(). */
void delivery_parcel_ended(struct delivery *delivery);

/* Puts a parcel at the end of those that wait for its next hop. */
void delivery_queue(struct delivery *delivery, struct parcel *parcel);

/* Puts what was begun and comes back before all others, and pumps. */
void delivery_requeue(struct delivery *delivery, struct parcel *parcel);

/*
 * A parcel begins, and what became of it is committed (or it is put back). So
 * many may be between the two: few at first, so that an agent that crashes
 * again and again delivers little again, and more with every one that was
 * committed.
 */
void delivery_opened(struct delivery *delivery, struct parcel *parcel);
void delivery_closed(struct delivery *delivery, struct parcel *parcel);

/* The next hop answered: it is not away (any more). */
void delivery_reached(struct delivery *delivery);

/* A connection never got ready, and why. */
void delivery_unreached(struct delivery *delivery, const char *why);

/* Opens a connection to the next hop. */
void connection_open(struct delivery *delivery);

/* Opens one for this parcel alone, to its own next hop. */
void connection_open_elsewhere(struct delivery *delivery,
                               struct parcel *parcel);

/* A connection that can take a parcel now, the least used one, or NULL. */
struct delivery_connection *connection_find(struct delivery *delivery);

/* Begins the parcel; what cannot be begun is deferred. */
void connection_send(struct delivery_connection *connection,
                     struct parcel *parcel);

/* The transaction is over: the connection serves the next, or quits. */
void connection_release(struct delivery_connection *connection);

/* Says QUIT on those that are idle; cuts all when cut. */
void connections_close(struct delivery *delivery, bool cut);

/* Prolongs the parcel's claims from now on, until it is freed. */
void lease_keep(struct parcel *parcel);
/* Ends that; nothing if it was not kept. */
void lease_drop(struct parcel *parcel);
/* Whether its claims are ours for long enough to begin now. */
bool lease_is_safe(const struct parcel *parcel);
/*
 * Of a message that was claimed: the recipients that are in a parcel already,
 * whose claim had ended meanwhile, are shown as not claimed.
 */
void lease_skip_kept(struct delivery *delivery, struct spool_message *message);
/* Starts and ends prolonging. */
void lease_start(struct delivery *delivery);
void lease_stop(struct delivery *delivery);

/* Starts the claimer's thread. */
int claimer_start(struct delivery *delivery, struct error *err);
/* Ends the thread; the functions below may still be called. */
void claimer_stop(struct delivery *delivery);
/* Frees what the claimer holds, once the loop has ended too. */
void claimer_release(struct delivery *delivery);
/* Sets whether mail is wanted. Any thread. */
void claimer_want(struct delivery *delivery, bool wanted);
/* Looks at once, if mail is wanted. Any thread. */
void claimer_wake(struct delivery *delivery);

#endif

/* Requests to the writer as a list: which are committed together, as one array
 * of changes, and how each is told of its result. */
#ifndef LOCAL_AGENT_QUEUE_WRITER_REQUESTS_H
#define LOCAL_AGENT_QUEUE_WRITER_REQUESTS_H

#include "local-agent/queue/writer.h"

/* In the order in which they came. Zeroed when empty; of one thread at a
 * time. */
struct writer_requests {
	struct writer_request *first, *last;
	size_t count, bytes;
};

/* The changes of several requests, one behind the other. Zeroed to begin with;
 * free(all) ends it. */
struct writer_changes {
	struct spool_change *all;
	size_t count, capacity;
};

/* Puts a request at the end. */
void writer_requests_append(struct writer_requests *list,
                            struct writer_request *request);

/*
 * Moves the first ones to the end of batch, which is empty: as many as are
 * committed together, so that the first does not wait for too many, but one at
 * least where there is one.
 */
void writer_requests_take_batch(struct writer_requests *list,
                                struct writer_requests *batch);

/* Moves those that add mail to the end of adds. */
void writer_requests_take_adds(struct writer_requests *list,
                               struct writer_requests *adds);

/* Copies the changes of all, in order; what changes held is forgotten. */
void writer_requests_flatten(const struct writer_requests *list,
                             struct writer_changes *changes);

/* Sets the result of all to what is no success. */
void writer_requests_fail(struct writer_requests *list, int result);

/* Each change was done or not, as the copies that flatten made tell. */
void writer_requests_succeed(struct writer_requests *list,
                             const struct writer_changes *changes);

/* Has done called for all, with one message for each loop. The list is empty
 * then. */
void writer_requests_tell(struct writer_requests *list);

#endif

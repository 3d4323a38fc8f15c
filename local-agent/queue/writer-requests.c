/* Requests to the writer as a list: taken in batches, flattened, told. */
#include "local-agent/queue/writer-requests.h"

#include <string.h>

#include "common/mem.h"

/* A batch ends here, so that the first in it does not wait for too many. */
#define BATCH_CHANGES 512
#define BATCH_BYTES   (16U << 20)

void writer_requests_append(struct writer_requests *list,
                            struct writer_request *request)
{
	request->next = NULL;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
	list->count++;
	list->bytes += request->bytes;
}

static struct writer_request *take_first(struct writer_requests *list)
{
	struct writer_request *request = list->first;

	list->first = request->next;
	if (!list->first)
		list->last = NULL;
	request->next = NULL;
	list->count--;
	list->bytes -= request->bytes;
	return request;
}

void writer_requests_take_batch(struct writer_requests *list,
                                struct writer_requests *batch)
{
	size_t changes = 0;

	while (list->first) {
		const struct writer_request *first = list->first;

		changes += first->count;
		if (batch->first && (changes > BATCH_CHANGES ||
		                     batch->bytes + first->bytes > BATCH_BYTES))
			return;
		writer_requests_append(batch, take_first(list));
	}
}

static bool adds_mail(const struct writer_request *request)
{
	size_t i;

	for (i = 0; i < request->count; i++)
		if (request->changes[i].kind == SPOOL_ADD)
			return true;
	return false;
}

void writer_requests_take_adds(struct writer_requests *list,
                               struct writer_requests *adds)
{
	struct writer_requests rest = {.first = NULL};

	while (list->first) {
		struct writer_request *request = take_first(list);

		writer_requests_append(adds_mail(request) ? adds : &rest,
		                       request);
	}
	*list = rest;
}

void writer_requests_flatten(const struct writer_requests *list,
                             struct writer_changes *changes)
{
	const struct writer_request *request;
	size_t count = 0;

	for (request = list->first; request; request = request->next)
		count += request->count;
	if (count > changes->capacity) {
		changes->all = mem_resize_array(changes->all, count,
		                                sizeof(*changes->all));
		changes->capacity = count;
	}
	changes->count = 0;
	for (request = list->first; request; request = request->next) {
		memcpy(changes->all + changes->count, request->changes,
		       request->count * sizeof(*changes->all));
		changes->count += request->count;
	}
}

void writer_requests_fail(struct writer_requests *list, int result)
{
	struct writer_request *request;

	for (request = list->first; request; request = request->next)
		request->result = result;
}

void writer_requests_succeed(struct writer_requests *list,
                             const struct writer_changes *changes)
{
	const struct spool_change *change = changes->all;
	struct writer_request *request;
	size_t i;

	for (request = list->first; request; request = request->next) {
		request->result = 0;
		for (i = 0; i < request->count; i++)
			request->changes[i].result = (change++)->result;
	}
}

/* Runs done for a chain of requests of one loop. */
static void tell_chain(void *argument)
{
	struct writer_request *request = argument, *next;

	for (; request; request = next) {
		next = request->next;
		request->done(request, request->result);
	}
}

void writer_requests_tell(struct writer_requests *list)
{
	while (list->first) {
		struct loop *loop = list->first->loop;
		struct writer_requests same = {.first = NULL}, rest = same;

		while (list->first) {
			struct writer_request *request = take_first(list);

			writer_requests_append(
			    request->loop == loop ? &same : &rest, request);
		}
		if (loop)
			loop_post(loop, tell_chain, same.first);
		else
			tell_chain(same.first);
		*list = rest;
	}
}

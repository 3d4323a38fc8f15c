/* Changes of messages in MongoDB's spool: read, changed, and written back
 * where nobody else changed them meanwhile. */
#include "store/spool/mongodb/private.h"

#include <time.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "store/mongodb/db.h"

#define LOAD_IDS     500 /* documents read at once */
#define PAUSE_MAX_MS 200

/* --- one write of many ------------------------------------------------- */

static bool add_update(mongoc_bulk_operation_t *bulk,
                       const struct spool_mongodb_edit *edit,
                       bson_error_t *error)
{
	const struct spool_mongodb_record *record = edit->record;
	bson_t *selector = bson_new();
	bson_t *update =
	    spool_mongodb_make_update(record, &edit->token, edit->drop_body);
	bool ok;

	(void)mongodb_append_id(selector, "_id", &record->message.id);
	(void)mongodb_append_id(selector, "turing.version", &record->version);
	/* Index: _id. */
	ok = mongoc_bulk_operation_update_one_with_opts(bulk, selector, update,
	                                                NULL, error);
	bson_destroy(update);
	bson_destroy(selector);
	return ok;
}

static int execute(struct spool_mongodb *spool, mongoc_bulk_operation_t *bulk,
                   size_t count, struct error *err)
{
	bson_error_t error;
	bson_t reply;
	int result = 0;

	if (!mongoc_bulk_operation_execute(bulk, &reply, &error))
		result = mongodb_write_failure(spool->db, "changing messages",
		                               &error, &reply, err);
	else if (mongodb_get_int(&reply, "nMatched") != (int64_t)count)
		result = error_set(err, ERR_CONFLICT, "changed by another");
	bson_destroy(&reply);
	return result;
}

int spool_mongodb_edits_send(struct spool_mongodb *spool,
                             const struct spool_mongodb_edit *edits,
                             size_t count, struct error *err)
{
	mongoc_client_t *client = mongodb_take(spool->db, err);
	mongoc_collection_t *collection;
	mongoc_bulk_operation_t *bulk;
	bson_error_t error;
	bson_t *options;
	int result = 0;

	if (!client)
		return ERR_UNAVAILABLE;
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(spool->db), SPOOL_MONGODB_MESSAGES);
	options = BCON_NEW("ordered", BCON_BOOL(false));
	bulk = mongoc_collection_create_bulk_operation_with_opts(collection,
	                                                         options);
	for (size_t i = 0; i < count && !result; i++)
		if (!add_update(bulk, &edits[i], &error))
			result = mongodb_failure("changing messages", &error,
			                         NULL, false, err);
	if (!result)
		result = execute(spool, bulk, count, err);
	mongoc_bulk_operation_destroy(bulk);
	bson_destroy(options);
	mongoc_collection_destroy(collection);
	mongodb_give(spool->db, client);
	return result;
}

bool spool_mongodb_edit_is_made(const struct spool_mongodb_record *record,
                                const struct id *token)
{
	if (id_equal(&record->version, token))
		return true;
	for (size_t i = 0; i < record->message.recipient_count; i++)
		if (id_equal(&record->tokens[i], token))
			return true;
	return false;
}

/* --- the changes of a batch, by message -------------------------------- */

/* A change and the message that it is of. */
struct reference {
	struct id id;
	size_t index;
};

/* All changes of one message. */
struct group {
	struct id id, token;
	const struct reference *references; /* in the order of the batch */
	size_t count;
	struct spool_mongodb_record record;
	struct id file; /* in GridFS, that goes when the change is made */
	bool found;
	bool sent;      /* a write with the token was sent */
	bool unknown;   /* and it is not known whether it was made */
	bool uncertain; /* for its answer was lost */
	bool over;      /* every change has its result */
};

struct work {
	struct spool_mongodb *spool;
	struct spool_change *changes;
	bool *done;
	struct reference *references;
	struct group *groups;
	struct id *ids;                   /* of those to be read */
	struct spool_mongodb_edit *edits; /* of those to be written */
	size_t reference_count, group_count, edit_count;
};

static int by_id(const void *a, const void *b)
{
	const struct reference *left = a, *right = b;
	int order = memcmp(&left->id, &right->id, sizeof(left->id));

	if (order)
		return order;
	return left->index < right->index ? -1 : 1;
}

static int by_group_id(const void *id, const void *group)
{
	return memcmp(id, &((const struct group *)group)->id,
	              sizeof(struct id));
}

const struct id *spool_mongodb_edited(const struct spool_change *change)
{
	switch (change->kind) {
	case SPOOL_MOVE:
		return &change->move.id;
	case SPOOL_REGISTERED:
	case SPOOL_REPORTED:
		return &change->mark.id;
	case SPOOL_REFUSED:
		return &change->refuse.id;
	case SPOOL_RENEW:
		return &change->renew.id;
	case SPOOL_DSN:
		return &change->dsn.id;
	default:
		return NULL;
	}
}

static void make_groups(struct work *work)
{
	for (size_t i = 0; i < work->reference_count; i++) {
		const struct reference *reference = &work->references[i];
		struct group *group = &work->groups[work->group_count];

		if (i > 0 && id_equal(&reference[-1].id, &reference->id)) {
			group[-1].count++;
			continue;
		}
		group->id = reference->id;
		group->references = reference;
		group->count = 1;
		random_bytes(&group->token, sizeof(group->token));
		work->group_count++;
	}
}

static int init_work(struct work *work, size_t first, size_t end)
{
	size_t room = end - first;

	work->references = calloc(room, sizeof(*work->references));
	work->groups = calloc(room, sizeof(*work->groups));
	work->ids = calloc(room, sizeof(*work->ids));
	work->edits = calloc(room, sizeof(*work->edits));
	if (!work->references || !work->groups || !work->ids || !work->edits)
		return ERR_MEMORY;
	for (size_t i = first; i < end; i++) {
		const struct id *id = spool_mongodb_edited(&work->changes[i]);

		if (id && !work->done[i])
			work->references[work->reference_count++] =
			    (struct reference){*id, i};
	}
	if (work->reference_count)
		qsort(work->references, work->reference_count,
		      sizeof(*work->references), by_id);
	make_groups(work);
	return 0;
}

static void free_work(struct work *work)
{
	for (size_t i = 0; work->groups && i < work->group_count; i++)
		spool_mongodb_record_release(&work->groups[i].record);
	free(work->references);
	free(work->groups);
	free(work->ids);
	free(work->edits);
}

/* --- reading ----------------------------------------------------------- */

static int load_one(const bson_t *document, void *context, struct error *err)
{
	struct work *work = context;
	struct id id = mongodb_get_id(document, "_id");
	struct group *group = bsearch(&id, work->groups, work->group_count,
	                              sizeof(*work->groups), by_group_id);

	if (!group)
		return 0;
	spool_mongodb_record_release(&group->record);
	group->found = true;
	return spool_mongodb_record_read(document, &group->record, err);
}

static int load_some(struct work *work, const struct id *ids, size_t count,
                     struct error *err)
{
	bson_t *projection = spool_mongodb_projection();
	bson_t *selector = bson_new();
	/* Index: _id. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection};
	int result;

	spool_mongodb_append_in(selector, "_id", ids, count);
	result = mongodb_find_each(work->spool->db, &find, load_one, work, err);
	bson_destroy(selector);
	bson_destroy(projection);
	return result;
}

/* Reads the messages of all groups that are not over. */
static int load(struct work *work, struct error *err)
{
	size_t count = 0;
	int result = 0;

	for (size_t i = 0; i < work->group_count; i++) {
		struct group *group = &work->groups[i];

		if (group->over)
			continue;
		group->found = false;
		work->ids[count++] = group->id;
	}
	for (size_t i = 0; i < count && !result; i += LOAD_IDS)
		result =
		    load_some(work, work->ids + i,
		              count - i < LOAD_IDS ? count - i : LOAD_IDS, err);
	return result;
}

/* --- deciding ---------------------------------------------------------- */

static void end_group(struct work *work, struct group *group)
{
	for (size_t i = 0; i < group->count; i++)
		work->done[group->references[i].index] = true;
	group->over = true;
	spool_mongodb_record_release(&group->record);
}

static void end_with(struct work *work, struct group *group, int result)
{
	for (size_t i = 0; i < group->count; i++)
		work->changes[group->references[i].index].result = result;
	end_group(work, group);
}

/* The group's changes are in the store. */
static void end_made(struct work *work, struct group *group)
{
	struct error ignored;

	/* What stays behind is swept at a later open. */
	if (!id_is_none(&group->file))
		(void)spool_mongodb_file_delete(work->spool, &group->file,
		                                &ignored);
	end_group(work, group);
}

/*
 * Makes the group's changes in its record. What may have been made by a write
 * whose answer was lost, and is in the way of itself now, stays uncertain.
 */
static int apply(struct work *work, struct group *group, bool *changed)
{
	*changed = false;
	for (size_t i = 0; i < group->count; i++) {
		struct spool_change *change =
		    &work->changes[group->references[i].index];
		int result = spool_mongodb_apply(&group->record, change,
		                                 &group->token, changed);

		if (result == ERR_MEMORY)
			return result;
		if (group->uncertain &&
		    (result == ERR_CONFLICT || result == ERR_INVALID))
			result = ERR_UNCERTAIN;
		change->result = result;
	}
	return 0;
}

/* Puts the group among those to be written. */
static void make_edit(struct work *work, struct group *group)
{
	struct spool_mongodb_record *record = &group->record;
	struct spool_mongodb_summary summary;
	bool drop_body;

	spool_mongodb_summarise(&record->message, &summary);
	drop_body = summary.over && record->message.body_present;
	if (drop_body)
		group->file = record->body_file;
	work->edits[work->edit_count++] = (struct spool_mongodb_edit){
	    .record = record, .token = group->token, .drop_body = drop_body};
	group->sent = true;
}

/* Ends the group, or lets it be written. */
static int decide(struct work *work, struct group *group, struct error *err)
{
	bool changed;

	group->unknown = group->uncertain;
	if (!group->found) {
		end_with(work, group,
		         group->uncertain ? ERR_UNCERTAIN : ERR_NOT_FOUND);
		return 0;
	}
	if (group->sent &&
	    spool_mongodb_edit_is_made(&group->record, &group->token)) {
		end_made(work, group);
		return 0;
	}
	group->file = (struct id){{0}};
	if (apply(work, group, &changed))
		return error_set(err, ERR_MEMORY, "out of memory");
	if (changed)
		make_edit(work, group);
	else
		end_group(work, group);
	return 0;
}

static void note_outcome(struct work *work, int result)
{
	for (size_t i = 0; i < work->group_count; i++) {
		struct group *group = &work->groups[i];

		if (group->over)
			continue;
		if (!result)
			end_made(work, group);
		group->unknown = group->unknown || result == ERR_CONFLICT ||
		                 result == ERR_UNCERTAIN;
		group->uncertain = group->uncertain || result == ERR_UNCERTAIN;
	}
}

/* One round: reads, decides, writes. ERR_CONFLICT: some are not over. */
static int run_once(struct work *work, struct error *err)
{
	int result = load(work, err);

	work->edit_count = 0;
	for (size_t i = 0; i < work->group_count && !result; i++)
		if (!work->groups[i].over)
			result = decide(work, &work->groups[i], err);
	if (result < 0 || !work->edit_count)
		return result;
	result = spool_mongodb_edits_send(work->spool, work->edits,
	                                  work->edit_count, err);
	note_outcome(work, result);
	return result;
}

static bool any_unknown(const struct work *work)
{
	for (size_t i = 0; i < work->group_count; i++)
		if (!work->groups[i].over && work->groups[i].unknown)
			return true;
	return false;
}

/* Those who want the same message go at different times. */
static void rest(unsigned round)
{
	uint32_t most = round < 7 ? 2U << round : PAUSE_MAX_MS;
	const struct timespec pause = {.tv_nsec = (long)random_below(most + 1) *
	                                          1000000};

	(void)nanosleep(&pause, NULL);
}

static int run(struct work *work, struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + SPOOL_MONGODB_PATIENCE_MS;
	int result;

	for (unsigned round = 0;; round++) {
		result = run_once(work, err);
		if (!result)
			return 0;
		if (result != ERR_CONFLICT && !any_unknown(work))
			return result;
		if (clock_monotonic_ms() >= end_ms)
			break;
		rest(round);
	}
	for (size_t i = 0; i < work->group_count; i++)
		if (!work->groups[i].over)
			end_with(work, &work->groups[i], ERR_UNCERTAIN);
	return 0;
}

int spool_mongodb_change_messages(struct spool_mongodb *spool,
                                  struct spool_change *changes, bool *done,
                                  size_t first, size_t end, struct error *err)
{
	struct work work = {.spool = spool, .changes = changes, .done = done};
	int result = init_work(&work, first, end);

	if (result < 0)
		result = error_set(err, ERR_MEMORY, "out of memory");
	else if (work.group_count)
		result = run(&work, err);
	free_work(&work);
	return result;
}

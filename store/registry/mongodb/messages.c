/* Registered mail in MongoDB: adding, reading, attaching, events. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/message-documents.h"

/* --- adding ------------------------------------------------------------- */

/* Messages on their way into the collection. */
struct addition {
	const struct registry_message *messages;
	size_t count;
	int *results;
	bson_t **documents; /* of those that are tried */
	size_t *places;     /* where in messages each of those is */
	int *inserted;      /* what became of each of those */
	size_t tried;
};

static void addition_release(struct addition *addition)
{
	for (size_t i = 0; i < addition->tried; i++)
		bson_destroy(addition->documents[i]);
	free(addition->documents);
	free(addition->places);
	free(addition->inserted);
}

static int addition_make(struct addition *addition, struct error *err)
{
	addition->documents =
	    calloc(addition->count, sizeof(*addition->documents));
	addition->places = calloc(addition->count, sizeof(*addition->places));
	addition->inserted =
	    calloc(addition->count, sizeof(*addition->inserted));
	if (!addition->documents || !addition->places || !addition->inserted)
		return registry_mongodb_memory(err);
	return 0;
}

/* The result of looking for the tenant; the last one is remembered. */
struct known_tenant {
	struct id id;
	int result;
};

static int look_for_tenant(struct registry_mongodb *mongo,
                           const struct id *tenant, struct known_tenant *known,
                           struct error *err)
{
	if (id_equal(&known->id, tenant))
		return known->result;
	known->result = registry_mongodb_need_tenant(mongo, tenant, err);
	known->id = *tenant;
	return known->result;
}

/* Makes the documents of all that have a tenant and no result yet. */
static int prepare(struct registry_mongodb *mongo, struct addition *addition,
                   struct error *err)
{
	struct known_tenant known = {0};

	for (size_t i = 0; i < addition->count; i++) {
		const struct registry_message *message = &addition->messages[i];
		int error;

		if (addition->results[i])
			continue;
		error = look_for_tenant(mongo, &message->tenant, &known, err);
		if (!error)
			error = registry_mongodb_message_document(
			    message, true,
			    &addition->documents[addition->tried], err);
		if (error == ERR_NOT_FOUND || error == ERR_LIMIT)
			addition->results[i] = error;
		else if (error)
			return error;
		else
			addition->places[addition->tried++] = i;
	}
	return 0;
}

/* One that is there already is another tenant's, or this one's. */
static int judge(const bson_t *document, void *context, struct error *err)
{
	struct addition *addition = context;
	struct id id = mongodb_get_id(document, "_id");
	struct id tenant = mongodb_get_id(document, "tenant");

	(void)err;
	for (size_t i = 0; i < addition->tried; i++) {
		const struct registry_message *message =
		    &addition->messages[addition->places[i]];

		if (addition->inserted[i] == ERR_EXISTS &&
		    id_equal(&message->id, &id) &&
		    !id_equal(&message->tenant, &tenant))
			addition->inserted[i] = ERR_DENIED;
	}
	return 0;
}

static int judge_known(struct registry_mongodb *mongo,
                       struct addition *addition, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_MESSAGE,
	                            .selector = &selector,
	                            .projection = &projection};
	struct id *ids = calloc(addition->tried, sizeof(*ids));
	size_t count = 0;
	int error = 0;

	if (!ids)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < addition->tried; i++)
		if (addition->inserted[i] == ERR_EXISTS)
			ids[count++] =
			    addition->messages[addition->places[i]].id;
	(void)BSON_APPEND_INT32(&projection, "tenant", 1);
	(void)registry_mongodb_append_in(&selector, "_id", ids, count);
	/* Index: _id. */
	if (count)
		error =
		    mongodb_find_each(mongo->db, &find, judge, addition, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	free(ids);
	return error;
}

static int insert(struct registry_mongodb *mongo, struct addition *addition,
                  struct error *err)
{
	bool changed = false;
	int error;

	if (!addition->tried)
		return 0;
	error = mongodb_insert_many(mongo->db, REGISTRY_MESSAGE,
	                            (const bson_t *const *)addition->documents,
	                            addition->tried, false, addition->inserted,
	                            err);
	if (!error)
		error = judge_known(mongo, addition, err);
	for (size_t i = 0; i < addition->tried; i++) {
		changed = changed || !addition->inserted[i];
		if (!error)
			addition->results[addition->places[i]] =
			    addition->inserted[i];
	}
	if (changed)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_message_add(struct registry *registry,
                                 const struct registry_message *messages,
                                 size_t count, int *results, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct addition addition = {
	    .messages = messages, .count = count, .results = results};
	int error = addition_make(&addition, err);

	if (!error)
		error = prepare(mongo, &addition, err);
	if (!error)
		error = insert(mongo, &addition, err);
	addition_release(&addition);
	return error;
}

/* --- reading ------------------------------------------------------------ */

int registry_mongodb_message_read(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  struct registry_message *message,
                                  struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct registry_message read = {0};
	bson_t selector = BSON_INITIALIZER;
	bson_t *document = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	(void)mongodb_append_id(&selector, "tenant", tenant);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_MESSAGE, &selector, NULL,
	                         &document, err);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such message");
	if (!error)
		error = registry_mongodb_message_parse(document, &read, err);
	bson_destroy(document);
	if (error)
		registry_message_release(&read);
	else
		*message = read;
	return error;
}

/* --- changes ------------------------------------------------------------ */

static void attachment_update(bson_t *update,
                              const struct registry_attachment *attachment)
{
	const struct id *challenge = &attachment->challenge;
	bson_t set, unset;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)mongodb_append_text(&set, "challenge_reason", attachment->reason);
	if (!id_is_none(challenge))
		(void)mongodb_append_id(&set, "challenge", challenge);
	(void)bson_append_document_end(update, &set);
	if (!id_is_none(challenge))
		return;
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$unset", &unset);
	(void)BSON_APPEND_INT32(&unset, "challenge", 1);
	(void)bson_append_document_end(update, &unset);
}

int registry_mongodb_message_attach(
    struct registry *registry, const struct id *tenant,
    const struct registry_attachment *attachments, size_t count,
    struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t **selectors = calloc(count, sizeof(*selectors));
	bson_t **updates = calloc(count, sizeof(*updates));
	int64_t matched = 0;
	size_t made = 0;
	int error;

	if (!selectors || !updates) {
		error = registry_mongodb_memory(err);
		goto out;
	}
	for (; made < count; made++) {
		selectors[made] = bson_new();
		updates[made] = bson_new();
		(void)mongodb_append_id(selectors[made], "_id",
		                        &attachments[made].message);
		(void)mongodb_append_id(selectors[made], "tenant", tenant);
		attachment_update(updates[made], &attachments[made]);
	}
	/* Index: _id. Done twice it is as done once. */
	error = mongodb_update_each(
	    mongo->db, REGISTRY_MESSAGE, (const bson_t *const *)selectors,
	    (const bson_t *const *)updates, count, &matched, err);
out:
	for (size_t i = 0; i < made; i++) {
		bson_destroy(selectors[i]);
		bson_destroy(updates[i]);
	}
	free(selectors);
	free(updates);
	if (!error && matched > 0)
		registry_mongodb_changed(mongo);
	if (!error && matched < (int64_t)count)
		return error_set(err, ERR_NOT_FOUND, "no such message");
	return error;
}

/* --- events ------------------------------------------------------------- */

struct event {
	const struct id *tenant, *message;
	const char *recipient;
	enum registry_state state;
	int64_t now_ms;
	const char *why; /* not NULL */
};

/* The why of a release, with what the agent adds to it; on the heap. */
static int join_why(const bson_t *recipient, const char *added, char **joined,
                    struct error *err)
{
	char *why = NULL, *both = NULL;
	int result;

	if (mongodb_get_text(recipient, "why", &why))
		return registry_mongodb_memory(err);
	if (!*added || !strcmp(added, why)) {
		*joined = why;
		return 0;
	}
	result = asprintf(&both, "%s%s%s", why, *why ? "; " : "", added);
	free(why);
	if (result < 0)
		return registry_mongodb_memory(err);
	*joined = both;
	return 0;
}

static void event_update(bson_t *update, const struct event *event,
                         const char *by, const char *why, bool was_held)
{
	bson_t set, count;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)BSON_APPEND_UTF8(&set, "recipients.$.state",
	                       registry_state_name(event->state));
	(void)mongodb_append_time(&set, "recipients.$.changed", event->now_ms);
	if (by)
		(void)mongodb_append_text(&set, "recipients.$.by", by);
	(void)mongodb_append_text(&set, "recipients.$.why", why);
	(void)bson_append_document_end(update, &set);
	if (!was_held)
		return;
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &count);
	(void)BSON_APPEND_INT32(&count, "held", -1);
	(void)bson_append_document_end(update, &count);
}

/* Moves the recipient from the state in which he was found. */
static int move(struct registry_mongodb *mongo, const struct event *event,
                const struct registry_mongodb_recipient *found, bool *moved,
                struct error *err)
{
	bool keeps = registry_event_keeps_release(found->state, event->state);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	char *joined = NULL;
	int error = 0;

	/* The end of what was released here stays that release's. */
	if (keeps)
		error = join_why(&found->view, event->why, &joined, err);
	event_update(&update, event, keeps ? NULL : "agent",
	             keeps ? joined : event->why,
	             found->state == REGISTRY_HELD);
	(void)registry_mongodb_recipient_selector(
	    &selector, event->tenant, event->message, event->recipient,
	    found->state);
	/* Index: _id. Done once it matches no more, and is found to be so. */
	if (!error)
		error = mongodb_update(mongo->db, REGISTRY_MESSAGE, &selector,
		                       &update, false, true, moved, err);
	free(joined);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* Judges the recipient as he is and moves him; *again when he was no longer
 * as he was read. */
static int note_event(struct registry_mongodb *mongo, const struct event *event,
                      bool *again, struct error *err)
{
	struct registry_mongodb_recipient found;
	bson_t *document = NULL;
	bool moved = false;
	int error = registry_mongodb_recipient_read(
	    mongo, event->tenant, event->message, event->recipient, &document,
	    &found, err);

	*again = false;
	if (error)
		return error;
	if (found.state == event->state)
		error = 0;
	else if (!registry_event_allowed(found.state, event->state))
		error = error_set(err, ERR_CONFLICT, "the recipient is %s",
		                  registry_state_name(found.state));
	else if (!(error = move(mongo, event, &found, &moved, err)))
		*again = !moved;
	bson_destroy(document);
	/* What did not move may have done so before its answer was lost. */
	if (moved || *again)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_message_event(struct registry *registry,
                                   const struct id *tenant, const struct id *id,
                                   const char *recipient,
                                   enum registry_state state, int64_t now_ms,
                                   const char *why, struct error *err)
{
	struct event event = {tenant, id,     recipient,
	                      state,  now_ms, why ? why : ""};
	bool again = true;
	int error = 0;

	/* States never go round, so it ends. */
	while (!error && again)
		error =
		    note_event(registry_mongodb(registry), &event, &again, err);
	return error;
}

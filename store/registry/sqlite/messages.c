/* Registered mail in SQLite: adding, reading, attaching, events. */
#include "store/registry/sqlite/private.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "store/registry/sqlite/addresses.h"
#include "store/registry/sqlite/message-rows.h"

/* --- adding ------------------------------------------------------------- */

/* 0 when the id is free; ERR_EXISTS or ERR_DENIED by whose message it is. */
static int need_free_id(struct sqlite_db *db,
                        const struct registry_message *message,
                        struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT tenant FROM message WHERE id = ?1");
	struct id tenant;
	int result;

	sqlite_bind_id(query, 1, &message->id);
	if ((result = sqlite_step(query, err)) <= 0)
		return result;
	tenant = sqlite_column_id(query, 0);
	sqlite_reset(query);
	return id_equal(&tenant, &message->tenant) ? ERR_EXISTS : ERR_DENIED;
}

/* Adds the recipients, each address once; *held counts them. */
static int add_recipients(struct sqlite_db *db,
                          const struct registry_message *message, int64_t *held,
                          struct error *err)
{
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct registry_recipient *recipient =
		    &message->recipients[i];
		struct sqlite_query *query = sqlite_query(
		    db, "INSERT INTO recipient (message, address, tenant,"
		        " position, state, changed_ms, by, why)"
		        " VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)"
		        " ON CONFLICT (message, address) DO NOTHING");
		int error;

		sqlite_bind_id(query, 1, &message->id);
		sqlite_bind_text(query, 2, recipient->address);
		sqlite_bind_id(query, 3, &message->tenant);
		sqlite_bind_int(query, 4, (int64_t)i);
		sqlite_bind_int(query, 5,
		                recipient->changed_ms ? recipient->changed_ms
		                                      : message->registered_ms);
		registry_sqlite_bind(query, 6, recipient->by);
		registry_sqlite_bind(query, 7, recipient->why);
		if ((error = sqlite_run(query, err)))
			return error;
		*held += sqlite_db_changes(db);
	}
	return 0;
}

void registry_sqlite_bind_message(struct sqlite_query *query,
                                  const struct registry_message *message)
{
	const char *const texts[] = {
	    message->sender,      message->sender_normal,
	    message->header_from, message->subject,
	    message->message_id,  message->client_address,
	    message->helo,        message->challenge_reason,
	};

	sqlite_bind_id(query, 1, &message->id);
	sqlite_bind_id(query, 2, &message->tenant);
	if (!id_is_none(&message->challenge))
		sqlite_bind_id(query, 3, &message->challenge);
	sqlite_bind_int(query, 4, message->received_ms);
	sqlite_bind_int(query, 5, message->registered_ms);
	sqlite_bind_int(query, 6, message->expires_ms);
	sqlite_bind_int(query, 7, message->size);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		registry_sqlite_bind(query, 8 + (int)i, texts[i]);
	sqlite_bind_int(query, 16, message->auth.stated);
	sqlite_bind_int(query, 17, message->auth.aligned);
	sqlite_bind_int(query, 18, message->auth.spf);
	sqlite_bind_int(query, 19, message->auth.dkim);
	sqlite_bind_int(query, 20, message->auth.dmarc);
	sqlite_bind_text(query, 21, message->auth.spf_domain);
	sqlite_bind_text(query, 22, message->auth.dkim_domain);
	sqlite_bind_text(query, 23, message->auth.dmarc_domain);
}

struct addition {
	const struct registry_message *messages;
	size_t count;
	int *results;
	int64_t added, held;
};

static int add_message(struct sqlite_db *db,
                       const struct registry_message *message,
                       struct addition *addition, struct error *err)
{
	struct sqlite_query *query;
	int64_t held = 0;
	int error;

	if ((error = registry_sqlite_need_tenant(db, &message->tenant, err)) ||
	    (error = need_free_id(db, message, err)) ||
	    (error = add_recipients(db, message, &held, err)))
		return error;
	query = sqlite_query(db, MESSAGE_INSERT);
	registry_sqlite_bind_message(query, message);
	sqlite_bind_int(query, 24, held);
	if ((error = sqlite_run(query, err)))
		return error;
	addition->added++;
	addition->held += held;
	return 0;
}

static int add_messages(struct sqlite_db *db, void *context, struct error *err)
{
	struct addition *addition = context;
	int error;

	for (size_t i = 0; i < addition->count; i++) {
		if (addition->results[i])
			continue;
		error = add_message(db, &addition->messages[i], addition, err);
		if (error && error != ERR_EXISTS && error != ERR_DENIED &&
		    error != ERR_NOT_FOUND)
			return error;
		addition->results[i] = error;
	}
	if ((error = registry_sqlite_count_up(db, "messages", addition->added,
	                                      err)))
		return error;
	return registry_sqlite_count_up(db, "recipients-held", addition->held,
	                                err);
}

int registry_sqlite_message_add(struct registry *registry,
                                const struct registry_message *messages,
                                size_t count, int *results, struct error *err)
{
	struct addition addition = {messages, count, results, 0, 0};

	return registry_sqlite_write(registry, add_messages, &addition, err);
}

/* --- reading ------------------------------------------------------------ */

static void read_auth(struct sqlite_query *query, struct mail_auth *auth)
{
	auth->stated = sqlite_column_int(query, 15) != 0;
	auth->aligned = sqlite_column_int(query, 16) != 0;
	auth->spf = (enum auth_result)sqlite_column_int(query, 17);
	auth->dkim = (enum auth_result)sqlite_column_int(query, 18);
	auth->dmarc = (enum auth_result)sqlite_column_int(query, 19);
	(void)snprintf(auth->spf_domain, sizeof(auth->spf_domain), "%s",
	               sqlite_column_text(query, 20));
	(void)snprintf(auth->dkim_domain, sizeof(auth->dkim_domain), "%s",
	               sqlite_column_text(query, 21));
	(void)snprintf(auth->dmarc_domain, sizeof(auth->dmarc_domain), "%s",
	               sqlite_column_text(query, 22));
}

static int read_recipient(struct sqlite_query *query,
                          struct registry_recipient *recipient,
                          struct error *err)
{
	char **const texts[] = {&recipient->address, &recipient->by,
	                        &recipient->why};

	recipient->state = (enum registry_state)sqlite_column_int(query, 0);
	recipient->changed_ms = sqlite_column_int(query, 1);
	return registry_sqlite_copy(query, 2, texts, 3, err);
}

static int read_recipients(struct sqlite_db *db,
                           struct registry_message *message, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state, changed_ms, address, by, why FROM recipient"
	        " WHERE message = ?1 ORDER BY position");
	size_t capacity = 0;
	int result, error;

	sqlite_bind_id(query, 1, &message->id);
	while ((result = sqlite_step(query, err)) > 0) {
		struct registry_recipient *recipient;

		error = array_grow((void **)&message->recipients,
		                   message->recipient_count, &capacity,
		                   sizeof(*recipient), err);
		if (error)
			return error;
		recipient = &message->recipients[message->recipient_count++];
		if ((error = read_recipient(query, recipient, err)))
			return error;
	}
	return result;
}

int registry_sqlite_read_message(struct sqlite_db *db,
                                 struct sqlite_query *query,
                                 struct registry_message *message,
                                 struct error *err)
{
	char **const texts[] = {
	    &message->sender,      &message->sender_normal,
	    &message->header_from, &message->subject,
	    &message->message_id,  &message->client_address,
	    &message->helo,        &message->challenge_reason,
	};
	int error;

	message->id = sqlite_column_id(query, 0);
	message->tenant = sqlite_column_id(query, 1);
	message->challenge = sqlite_column_id(query, 2);
	message->received_ms = sqlite_column_int(query, 3);
	message->registered_ms = sqlite_column_int(query, 4);
	message->expires_ms = sqlite_column_int(query, 5);
	message->size = sqlite_column_int(query, 6);
	read_auth(query, &message->auth);
	error = registry_sqlite_copy(query, 7, texts, 8, err);
	return error ? error : read_recipients(db, message, err);
}

struct reading {
	const struct id *tenant, *id;
	struct registry_message message;
};

static int read_one(struct sqlite_db *db, void *context, struct error *err)
{
	struct reading *reading = context;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT " MESSAGE_COLUMNS
	                     " FROM message WHERE id = ?1 AND tenant = ?2");
	int result;

	sqlite_bind_id(query, 1, reading->id);
	sqlite_bind_id(query, 2, reading->tenant);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such message");
	return registry_sqlite_read_message(db, query, &reading->message, err);
}

int registry_sqlite_message_read(struct registry *registry,
                                 const struct id *tenant, const struct id *id,
                                 struct registry_message *message,
                                 struct error *err)
{
	struct reading reading = {.tenant = tenant, .id = id};
	int error = registry_sqlite_read(registry, read_one, &reading, err);

	if (error)
		registry_message_release(&reading.message);
	else
		*message = reading.message;
	return error;
}

/* --- changes ------------------------------------------------------------ */

struct attaching {
	const struct id *tenant;
	const struct registry_attachment *attachments;
	size_t count;
	bool missing; /* one was not there */
};

static int attach(struct sqlite_db *db, void *context, struct error *err)
{
	struct attaching *attaching = context;
	int error = 0;

	for (size_t i = 0; i < attaching->count && !error; i++) {
		const struct registry_attachment *attachment =
		    &attaching->attachments[i];
		struct sqlite_query *query = sqlite_query(
		    db, "UPDATE message SET challenge = ?3,"
		        " challenge_reason = ?4 WHERE id = ?1 AND tenant = ?2");

		sqlite_bind_id(query, 1, &attachment->message);
		sqlite_bind_id(query, 2, attaching->tenant);
		if (!id_is_none(&attachment->challenge))
			sqlite_bind_id(query, 3, &attachment->challenge);
		registry_sqlite_bind(query, 4, attachment->reason);
		error = sqlite_run(query, err);
		if (!error && !sqlite_db_changes(db))
			attaching->missing = true;
	}
	return error;
}

int registry_sqlite_message_attach(
    struct registry *registry, const struct id *tenant,
    const struct registry_attachment *attachments, size_t count,
    struct error *err)
{
	struct attaching attaching = {
	    .tenant = tenant, .attachments = attachments, .count = count};
	int error = registry_sqlite_write(registry, attach, &attaching, err);

	if (!error && attaching.missing)
		return error_set(err, ERR_NOT_FOUND, "no such message");
	return error;
}

int registry_sqlite_unhold(struct sqlite_db *db, const struct id *message,
                           struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE message SET held = held - 1 WHERE id = ?1");
	int error;

	sqlite_bind_id(query, 1, message);
	error = sqlite_run(query, err);
	return error ? error
	             : registry_sqlite_count_up(db, "recipients-held", -1, err);
}

int registry_sqlite_delete_message(struct sqlite_db *db, const struct id *id,
                                   int64_t *rows, struct error *err)
{
	static const char *const statements[] = {
	    "DELETE FROM recipient WHERE message = ?1",
	    "DELETE FROM message WHERE id = ?1",
	};
	int error = registry_sqlite_addresses_forget(db, id, err);

	for (size_t i = 0; i < 2 && !error; i++) {
		struct sqlite_query *query = sqlite_query(db, statements[i]);

		sqlite_bind_id(query, 1, id);
		error = sqlite_run(query, err);
		*rows += sqlite_db_changes(db);
	}
	return error;
}

struct event {
	const struct id *tenant, *message;
	const char *recipient;
	enum registry_state state;
	int64_t now_ms;
	const char *why;
};

static int read_state(struct sqlite_db *db, const struct event *event,
                      enum registry_state *state, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state FROM recipient"
	        " WHERE message = ?1 AND address = ?2 AND tenant = ?3");
	int result;

	sqlite_bind_id(query, 1, event->message);
	sqlite_bind_text(query, 2, event->recipient);
	sqlite_bind_id(query, 3, event->tenant);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such recipient");
	*state = (enum registry_state)sqlite_column_int(query, 0);
	sqlite_reset(query);
	return 0;
}

/* The end of what was released here stays that release's. */
static const char after_release[] =
    "UPDATE recipient SET state = ?3, changed_ms = ?4,"
    " why = CASE WHEN ?5 IN ('', why) THEN why WHEN why = '' THEN ?5"
    " ELSE why || '; ' || ?5 END WHERE message = ?1 AND address = ?2";
static const char of_agent[] =
    "UPDATE recipient SET state = ?3, changed_ms = ?4, by = 'agent', why = ?5"
    " WHERE message = ?1 AND address = ?2";

static int note_event(struct sqlite_db *db, void *context, struct error *err)
{
	const struct event *event = context;
	struct sqlite_query *query;
	enum registry_state state = REGISTRY_HELD;
	int error = read_state(db, event, &state, err);

	if (error || state == event->state)
		return error;
	if (!registry_event_allowed(state, event->state))
		return error_set(err, ERR_CONFLICT, "the recipient is %s",
		                 registry_state_name(state));
	query =
	    sqlite_query(db, registry_event_keeps_release(state, event->state)
	                         ? after_release
	                         : of_agent);
	sqlite_bind_id(query, 1, event->message);
	sqlite_bind_text(query, 2, event->recipient);
	sqlite_bind_int(query, 3, event->state);
	sqlite_bind_int(query, 4, event->now_ms);
	registry_sqlite_bind(query, 5, event->why);
	error = sqlite_run(query, err);
	if (!error && state == REGISTRY_HELD)
		error = registry_sqlite_unhold(db, event->message, err);
	return error;
}

int registry_sqlite_message_event(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  const char *recipient,
                                  enum registry_state state, int64_t now_ms,
                                  const char *why, struct error *err)
{
	struct event event = {tenant, id, recipient, state, now_ms, why};

	return registry_sqlite_write(registry, note_event, &event, err);
}

/*
 * Searches in registered mail. Each statement begins at the index that finds
 * the fewest rows for what is asked and filters by the rest.
 */
#include "store/registry-sqlite.h"

#include <stdlib.h>

#include "store/registry-sqlite-message.h"

/* ?1 tenant, ?2 held, ?3 sender, ?4 recipient, ?5 challenge, ?6 expires
 * before, ?7 after, ?8 limit; what is not asked for is NULL. */
#define FILTER                                                                 \
	" AND id > ?7"                                                         \
	" AND (?1 IS NULL OR +tenant = ?1)"                                    \
	" AND (?2 IS NULL OR +held > 0)"                                       \
	" AND (?3 IS NULL OR +sender_normal = ?3)"                             \
	" AND (?5 IS NULL OR +challenge = ?5)"                                 \
	" AND (?6 IS NULL OR (+held > 0 AND +expires_ms < ?6))"

#define LIST(index, condition)                                                 \
	"SELECT " MESSAGE_COLUMNS " FROM message INDEXED BY " index            \
	" WHERE " condition FILTER " ORDER BY id LIMIT ?8"

/* A recipient's: where only held ones are asked for, he is a held one. */
#define LIST_RECIPIENT(condition)                                              \
	"SELECT " MESSAGE_COLUMNS " FROM (SELECT m.*, r.message AS position"   \
	" FROM recipient r"                                                    \
	" INDEXED BY recipient_by_address CROSS JOIN message m"                \
	" ON m.id = r.message"                                                 \
	" WHERE r.address = ?4 AND r.message > ?7" condition                   \
	" AND (?2 IS NULL OR r.state = 0)) WHERE TRUE" FILTER                  \
	" ORDER BY position LIMIT ?8"

static const char *choose(const struct registry_query *query)
{
	if (query->recipient)
		return query->tenant ? LIST_RECIPIENT(" AND r.tenant = ?1")
		                     : LIST_RECIPIENT("");
	if (query->challenge)
		return LIST("message_by_challenge", "challenge = ?5");
	if (query->sender_normal)
		return query->tenant
		           ? LIST("message_by_sender",
		                  "sender_normal = ?3 AND tenant = ?1")
		           : LIST("message_by_sender", "sender_normal = ?3");
	if (query->expires_before_ms > 0)
		return LIST("message_expiry", "held > 0 AND expires_ms < ?6");
	if (query->held)
		return query->tenant
		           ? LIST("message_held", "held > 0 AND tenant = ?1")
		           : LIST("message_held_any", "held > 0");
	if (query->tenant)
		return LIST("message_of_tenant", "tenant = ?1");
	return LIST("sqlite_autoindex_message_1", "TRUE");
}

static void bind(struct sqlite_query *query,
                 const struct registry_query *wanted)
{
	if (wanted->tenant)
		sqlite_bind_id(query, 1, wanted->tenant);
	if (wanted->held)
		sqlite_bind_int(query, 2, 1);
	sqlite_bind_text(query, 3, wanted->sender_normal);
	sqlite_bind_text(query, 4, wanted->recipient);
	if (wanted->challenge)
		sqlite_bind_id(query, 5, wanted->challenge);
	if (wanted->expires_before_ms > 0)
		sqlite_bind_int(query, 6, wanted->expires_before_ms);
	sqlite_bind_id(query, 7, &wanted->after);
	sqlite_bind_int(query, 8, (int64_t)wanted->limit + 1);
}

struct listing {
	const struct registry_query *wanted;
	struct registry_messages page;
};

static int list_messages(struct sqlite_db *db, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_messages *page = &listing->page;
	struct sqlite_query *query = sqlite_query(db, choose(listing->wanted));
	size_t capacity = 0;
	int result, error;

	bind(query, listing->wanted);
	while ((result = sqlite_step(query, err)) > 0) {
		if (page->count == listing->wanted->limit) {
			page->more = true;
			return 0;
		}
		error = registry_sqlite_grow((void **)&page->messages,
		                             page->count, &capacity,
		                             sizeof(*page->messages), err);
		if (error)
			return error;
		error = registry_sqlite_read_message(
		    db, query, &page->messages[page->count++], err);
		if (error)
			return error;
	}
	return result;
}

int registry_sqlite_message_list(struct registry *registry,
                                 const struct registry_query *query,
                                 struct registry_messages *page,
                                 struct error *err)
{
	struct listing listing = {.wanted = query};
	int error =
	    registry_sqlite_read(registry, list_messages, &listing, err);

	if (error)
		registry_messages_release(&listing.page);
	else
		*page = listing.page;
	return error;
}

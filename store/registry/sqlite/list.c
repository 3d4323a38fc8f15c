/*
 * Searches in registered mail. Each statement begins at the index that finds
 * the fewest rows for what is asked and filters by the rest.
 */
#include "store/registry/sqlite/private.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "store/registry/sqlite/addresses.h"
#include "store/registry/sqlite/message-rows.h"

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

/* Those of an address: who shares its key is told apart by the texts. A
 * recipient where only held ones are asked for is a held one. */
#define OF_ADDRESS                                                             \
	FILTER " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM recipient r"         \
	       " WHERE r.message = m.id AND r.address = ?4"                    \
	       " AND (?2 IS NULL OR r.state = 0)))"

static const char in_table[] =
    "SELECT " MESSAGE_COLUMNS " FROM message_address a CROSS JOIN message m"
    " ON m.row = a.row WHERE a.key = ?9 AND a.stamp >= ?10" OF_ADDRESS
    " ORDER BY a.stamp";
/* Of as many rows as it has places for, those that are left free are NULL. */
#define WAITING_ROWS  16
#define FIRST_WAITING 11
static const char waiting[] =
    "SELECT " MESSAGE_COLUMNS " FROM message m WHERE m.row IN"
    " (?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,"
    " ?25, ?26)" OF_ADDRESS;

static const char *choose(const struct registry_query *query)
{
	if (query->challenge)
		return LIST("message_by_challenge", "challenge = ?5");
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
	struct registry_sqlite_addresses *addresses;
	const struct registry_query *wanted;
	struct registry_messages page; /* with one more than wanted */
	size_t capacity;
};

/* Where the id belongs in the page; *found when it is there already. */
static size_t place_of(const struct registry_messages *page,
                       const struct id *id, bool *found)
{
	size_t place = page->count;
	int order = 1;

	while (place > 0 && (order = memcmp(page->messages[place - 1].id.bytes,
	                                    id->bytes, sizeof(id->bytes))) > 0)
		place--;
	*found = place > 0 && !order;
	return place;
}

static void drop_last(struct registry_messages *page)
{
	registry_message_release(&page->messages[--page->count]);
}

/* Whether the page is full with what comes before all of the stamp. */
static bool is_full_before(const struct listing *listing, int64_t stamp)
{
	const struct registry_messages *page = &listing->page;

	return page->count > listing->wanted->limit &&
	       stamp > registry_sqlite_address_stamp(
	                   &page->messages[page->count - 1].id);
}

/* Puts the row's message where it belongs, unless the page is full before. */
static int insert(struct sqlite_db *db, struct listing *listing,
                  struct sqlite_query *query, struct error *err)
{
	struct registry_messages *page = &listing->page;
	struct registry_message *messages;
	struct id id = sqlite_column_id(query, 0);
	bool found;
	size_t place = place_of(page, &id, &found);
	int error;

	if (found || place > listing->wanted->limit)
		return 0;
	error = array_grow((void **)&page->messages, page->count,
	                   &listing->capacity, sizeof(*page->messages), err);
	if (error)
		return error;
	messages = page->messages;
	memmove(&messages[place + 1], &messages[place],
	        (page->count++ - place) * sizeof(*messages));
	memset(&messages[place], 0, sizeof(*messages));
	error = registry_sqlite_read_message(db, query, &messages[place], err);
	if (!error && page->count > listing->wanted->limit + 1)
		drop_last(page);
	return error;
}

/* Of rows that are ordered by id, or by stamp, those behind the page's end are
 * left unread. */
static int insert_rows(struct sqlite_db *db, struct listing *listing,
                       struct sqlite_query *query, bool ordered,
                       struct error *err)
{
	int result;

	while ((result = sqlite_step(query, err)) > 0) {
		struct id id = sqlite_column_id(query, 0);
		int64_t stamp = registry_sqlite_address_stamp(&id);

		if (ordered && is_full_before(listing, stamp))
			break;
		if ((result = insert(db, listing, query, err)))
			break;
	}
	sqlite_reset(query);
	return result < 0 ? result : 0;
}

/* Those that wait. */
static int list_waiting(struct sqlite_db *db, struct listing *listing,
                        const struct address_places *places, struct error *err)
{
	int error = 0;

	for (size_t i = 0; i < places->count && !error; i += WAITING_ROWS) {
		struct sqlite_query *query = sqlite_query(db, waiting);

		if (is_full_before(listing, places->places[i].stamp))
			break;
		bind(query, listing->wanted);
		for (size_t j = i; j < places->count && j < i + WAITING_ROWS;
		     j++)
			sqlite_bind_int(query, FIRST_WAITING + (int)(j - i),
			                places->places[j].row);
		error = insert_rows(db, listing, query, false, err);
	}
	return error;
}

/* Those of one address: in the table, and those that wait. */
static int list_of_address(struct sqlite_db *db, struct listing *listing,
                           struct error *err)
{
	const struct registry_query *wanted = listing->wanted;
	int64_t stamp = registry_sqlite_address_stamp(&wanted->after);
	int32_t key = registry_sqlite_address_key(
	    listing->addresses,
	    wanted->recipient ? ADDRESS_OF_RECIPIENT : ADDRESS_OF_SENDER,
	    wanted->recipient ? wanted->recipient : wanted->sender_normal);
	struct address_places places = {0};
	struct sqlite_query *query;
	int error = registry_sqlite_addresses_find(listing->addresses, db, key,
	                                           stamp, &places, err);

	if (!error) {
		query = sqlite_query(db, in_table);
		bind(query, wanted);
		sqlite_bind_int(query, 9, key);
		sqlite_bind_int(query, 10, stamp);
		error = insert_rows(db, listing, query, true, err);
	}
	if (!error)
		error = list_waiting(db, listing, &places, err);
	free(places.places);
	return error;
}

static int list_messages(struct sqlite_db *db, void *context, struct error *err)
{
	struct listing *listing = context;
	const struct registry_query *wanted = listing->wanted;
	struct registry_messages *page = &listing->page;
	struct sqlite_query *query;
	int error;

	if (wanted->recipient ||
	    (wanted->sender_normal && !wanted->challenge)) {
		error = list_of_address(db, listing, err);
	} else {
		query = sqlite_query(db, choose(wanted));
		bind(query, wanted);
		error = insert_rows(db, listing, query, true, err);
	}
	page->more = !error && page->count > wanted->limit;
	if (page->more)
		drop_last(page);
	return error;
}

int registry_sqlite_message_list(struct registry *registry,
                                 const struct registry_query *query,
                                 struct registry_messages *page,
                                 struct error *err)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;
	struct listing listing = {.addresses = sqlite->addresses,
	                          .wanted = query};
	int error =
	    registry_sqlite_read(registry, list_messages, &listing, err);

	if (error)
		registry_messages_release(&listing.page);
	else
		*page = listing.page;
	return error;
}

/* An agent's replica of the lists in MongoDB's spool. */
#include "store/spool/mongodb/private.h"

#include "store/mongodb/db.h"

/*
 * An apply is written down whole in the agent's document first ("pending"),
 * then made, then taken off: whoever finds one makes it (again). So it is all
 * or nothing without a transaction.
 */
#define PENDING_MAXIMUM (12U << 20)

/* --- an entry as a document -------------------------------------------- */

static void append_entry(bson_t *parent, const char *key,
                         const struct entry *entry)
{
	bson_t view;

	bson_append_document_begin(parent, key, -1, &view);
	(void)mongodb_append_id(&view, "entry", &entry->id);
	BSON_APPEND_BOOL(&view, "deleted", entry->deleted);
	BSON_APPEND_UTF8(&view, "scope", entry_scope_name(entry->scope));
	BSON_APPEND_UTF8(&view, "colour", entry_colour_name(entry->colour));
	BSON_APPEND_UTF8(&view, "kind", entry_kind_name(entry->kind));
	BSON_APPEND_UTF8(&view, "origin", entry_origin_name(entry->origin));
	BSON_APPEND_UTF8(&view, "demand", mail_pass_name(entry->demand));
	(void)mongodb_append_time(&view, "expires", entry->expires_ms);
	(void)mongodb_append_time(&view, "created", entry->created_ms);
	BSON_APPEND_INT64(&view, "revision", entry->revision);
	(void)mongodb_append_text(&view, "scope_value", entry->scope_value);
	(void)mongodb_append_text(&view, "value", entry->value);
	(void)mongodb_append_text(&view, "note", entry->note);
	bson_append_document_end(parent, &view);
}

/* The value of a word by its parser, which gives -1 for an unknown one. */
static int read_word(const bson_t *document, const char *key,
                     int (*parse)(const char *name), int *value)
{
	char *word = NULL;
	int result = mongodb_get_text(document, key, &word);

	*value = result < 0 ? -1 : parse(word);
	free(word);
	return result;
}

static int read_words(const bson_t *document, struct entry *entry)
{
	int scope = -1, colour = -1, kind = -1, origin = -1;
	int result = read_word(document, "scope", entry_scope_parse, &scope);

	if (!result)
		result =
		    read_word(document, "colour", entry_colour_parse, &colour);
	if (!result)
		result = read_word(document, "kind", entry_kind_parse, &kind);
	if (!result)
		result =
		    read_word(document, "origin", entry_origin_parse, &origin);
	if (result < 0)
		return result;
	if (scope < 0 || colour < 0 || kind < 0 || origin < 0)
		return ERR_CORRUPT;
	entry->scope = (enum entry_scope)scope;
	entry->colour = (enum entry_colour)colour;
	entry->kind = (enum entry_kind)kind;
	entry->origin = (enum entry_origin)origin;
	return 0;
}

/* Released by entry_release() whatever comes back. */
static int read_entry(const bson_t *document, struct entry *entry)
{
	int result = read_words(document, entry);

	if (!result)
		result = mongodb_get_demand(document, &entry->demand);
	entry->id = mongodb_get_id(document, "entry");
	entry->expires_ms = mongodb_get_int(document, "expires");
	entry->created_ms = mongodb_get_int(document, "created");
	entry->revision = mongodb_get_int(document, "revision");
	if (!result)
		result = mongodb_get_text(document, "scope_value",
		                          &entry->scope_value);
	if (!result)
		result = mongodb_get_text(document, "value", &entry->value);
	if (!result)
		result = mongodb_get_text(document, "note", &entry->note);
	return result;
}

/* --- what is written down ---------------------------------------------- */

static void append_owner(bson_t *selector, const char *key,
                         const struct spool_mongodb *spool)
{
	(void)mongodb_append_text(selector, key, spool->owner);
}

static bson_t *make_pending(bool clear, const struct entry *entries,
                            size_t count, int64_t revision)
{
	bson_t *update = bson_new();
	bson_t set, pending, list;

	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	BSON_APPEND_DOCUMENT_BEGIN(&set, "pending", &pending);
	BSON_APPEND_BOOL(&pending, "clear", clear);
	BSON_APPEND_INT64(&pending, "revision", revision);
	BSON_APPEND_ARRAY_BEGIN(&pending, "entries", &list);
	for (size_t i = 0; i < count; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		append_entry(&list, index, &entries[i]);
	}
	bson_append_array_end(&pending, &list);
	bson_append_document_end(&set, &pending);
	bson_append_document_end(update, &set);
	return update;
}

static int update_agent(struct spool_mongodb *spool, const bson_t *update,
                        struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	append_owner(selector, "_id", spool);
	/* Index: _id. */
	result = mongodb_update(spool->db, SPOOL_MONGODB_AGENTS, selector,
	                        update, true, true, NULL, err);
	bson_destroy(selector);
	return result;
}

static int clear_pending(struct spool_mongodb *spool, struct error *err)
{
	bson_t *update = BCON_NEW("$unset", "{", "pending", BCON_INT32(1), "}");
	int result = update_agent(spool, update, err);

	bson_destroy(update);
	return result;
}

/* --- making it --------------------------------------------------------- */

static int empty_replica(struct spool_mongodb *spool, struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	append_owner(selector, "owner", spool);
	/* Index: owner_entry. */
	result = mongodb_delete(spool->db, SPOOL_MONGODB_REPLICA, selector,
	                        false, NULL, err);
	bson_destroy(selector);
	return result;
}

/* Adds the write of one entry: it is put, or taken away. */
static bool add_entry(struct spool_mongodb *spool,
                      mongoc_bulk_operation_t *bulk, const bson_t *entry,
                      const bson_t *upsert, bson_error_t *error)
{
	struct id id = mongodb_get_id(entry, "entry");
	bson_t *selector = bson_new();
	bson_t key;
	bool ok;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "_id", &key);
	append_owner(&key, "owner", spool);
	(void)mongodb_append_id(&key, "entry", &id);
	bson_append_document_end(selector, &key);
	/* Index: _id. */
	if (mongodb_get_bool(entry, "deleted")) {
		ok = mongoc_bulk_operation_remove_one_with_opts(bulk, selector,
		                                                NULL, error);
	} else {
		bson_t *document = bson_copy(selector);

		append_owner(document, "owner", spool);
		(void)bson_concat(document, entry);
		ok = mongoc_bulk_operation_replace_one_with_opts(
		    bulk, selector, document, upsert, error);
		bson_destroy(document);
	}
	bson_destroy(selector);
	return ok;
}

static int add_entries(struct spool_mongodb *spool,
                       mongoc_bulk_operation_t *bulk, const bson_t *list,
                       struct error *err)
{
	bson_t *upsert = BCON_NEW("upsert", BCON_BOOL(true));
	bson_error_t error;
	bson_iter_t iter;
	int result = 0;

	(void)bson_iter_init(&iter, list);
	while (!result && bson_iter_next(&iter)) {
		const uint8_t *bytes = NULL;
		uint32_t length = 0;
		bson_t view;

		if (BSON_ITER_HOLDS_DOCUMENT(&iter))
			bson_iter_document(&iter, &length, &bytes);
		if (!bytes || !bson_init_static(&view, bytes, length))
			result = error_set(err, ERR_CORRUPT, "an entry");
		else if (!add_entry(spool, bulk, &view, upsert, &error))
			result = mongodb_failure("putting entries", &error,
			                         NULL, false, err);
	}
	bson_destroy(upsert);
	return result;
}

/* In order: of the same entry twice the later one counts. */
static int put_entries(struct spool_mongodb *spool, const bson_t *list,
                       struct error *err)
{
	struct mongodb_handle handle;
	mongoc_bulk_operation_t *bulk;
	bson_error_t error;
	bson_t reply;
	int result;

	if (!bson_count_keys(list))
		return 0;
	result =
	    mongodb_handle_take(&handle, spool->db, SPOOL_MONGODB_REPLICA, err);
	if (result < 0)
		return result;
	bulk = mongoc_collection_create_bulk_operation_with_opts(
	    handle.collection, NULL);
	result = add_entries(spool, bulk, list, err);
	if (!result) {
		if (!mongoc_bulk_operation_execute(bulk, &reply, &error))
			result = mongodb_write_failure(
			    spool->db, "putting entries", &error, &reply, err);
		bson_destroy(&reply);
	}
	mongoc_bulk_operation_destroy(bulk);
	mongodb_handle_give(&handle);
	return result;
}

/* Makes what is written down: any number of times with the same outcome. */
static int make_apply(struct spool_mongodb *spool, const bson_t *pending,
                      struct error *err)
{
	char text[32];
	bson_t list;
	int result = 0;

	if (!mongodb_get_document(pending, "entries", &list))
		return error_set(err, ERR_CORRUPT, "pending entries");
	if (mongodb_get_bool(pending, "clear"))
		result = empty_replica(spool, err);
	if (!result)
		result = put_entries(spool, &list, err);
	if (result < 0)
		return result;
	(void)snprintf(text, sizeof(text), "%lld",
	               (long long)mongodb_get_int(pending, "revision"));
	result = spool_mongodb_set(spool, "policy.revision", text, err);
	return result < 0 ? result : clear_pending(spool, err);
}

/* The replica is locked. */
static int finish(struct spool_mongodb *spool, struct error *err)
{
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	bson_t pending;
	int result;

	append_owner(selector, "_id", spool);
	/* Index: _id. */
	result = mongodb_find_one(spool->db, SPOOL_MONGODB_AGENTS, selector,
	                          NULL, &found, err);
	if (!result && mongodb_get_document(found, "pending", &pending))
		result = make_apply(spool, &pending, err);
	if (result == ERR_NOT_FOUND)
		result = 0;
	if (!result)
		spool->replica_pending = false;
	bson_destroy(found);
	bson_destroy(selector);
	return result;
}

int spool_mongodb_finish_apply(struct spool_mongodb *spool, struct error *err)
{
	int result;

	(void)pthread_mutex_lock(&spool->replica);
	result = finish(spool, err);
	(void)pthread_mutex_unlock(&spool->replica);
	return result;
}

/* The replica is locked, and nothing is pending. */
static int apply(struct spool_mongodb *spool, const bson_t *update,
                 struct error *err)
{
	int result = update_agent(spool, update, err);

	/* What may have been written down is made before anything else. */
	spool->replica_pending = !result || result == ERR_UNCERTAIN;
	return result < 0 ? result : finish(spool, err);
}

int spool_mongodb_entries_apply(struct spool *base, bool clear,
                                const struct entry *entries, size_t count,
                                int64_t revision, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	bson_t *update = make_pending(clear, entries, count, revision);
	int result = 0;

	if (update->len > PENDING_MAXIMUM)
		result = error_set(err, ERR_LIMIT, "too many entries at once");
	(void)pthread_mutex_lock(&spool->replica);
	if (!result && spool->replica_pending)
		result = finish(spool, err);
	if (!result)
		result = apply(spool, update, err);
	(void)pthread_mutex_unlock(&spool->replica);
	bson_destroy(update);
	return result;
}

/* --- reading ----------------------------------------------------------- */

struct reader {
	void (*each)(const struct entry *entry, void *context);
	void *context;
};

static int see(const bson_t *document, void *context, struct error *err)
{
	struct reader *reader = context;
	struct entry entry = {.deleted = false};
	int result = read_entry(document, &entry);

	if (!result)
		reader->each(&entry, reader->context);
	entry_release(&entry);
	return result < 0 ? error_set(err, (enum error_code)result, "an entry")
	                  : 0;
}

int spool_mongodb_entries_each(struct spool *base,
                               void (*each)(const struct entry *, void *),
                               void *context, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct reader reader = {each, context};
	bson_t *sort = BCON_NEW("owner", BCON_INT32(1), "entry", BCON_INT32(1));
	bson_t *selector = bson_new();
	/* Index: owner_entry. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_REPLICA,
	                            .selector = selector,
	                            .sort = sort};
	int result = 0;

	append_owner(selector, "owner", spool);
	(void)pthread_mutex_lock(&spool->replica);
	if (spool->replica_pending)
		result = finish(spool, err);
	(void)pthread_mutex_unlock(&spool->replica);
	if (!result)
		result = mongodb_find_each(spool->db, &find, see, &reader, err);
	bson_destroy(selector);
	bson_destroy(sort);
	return result;
}

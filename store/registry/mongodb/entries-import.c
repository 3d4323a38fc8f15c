/*
 * Entries put into the registry in MongoDB as they are: a portion is looked up
 * at once and written at once, with the results that one by one would give.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/policy-sequencer.h"

/* How many entries are looked up, or written, in one exchange. */
#define PORTION 1000

/* What becomes of a record. */
enum way {
	WAY_INSERT,  /* its id is nowhere */
	WAY_REPLACE, /* its id is at its place, and only there */
	WAY_TAKEN,   /* its id is there, and is to stay as it is */
	WAY_ALONE    /* it depends on those before it, or moves */
};

struct slot {
	const struct registry_record *record;
	int *result;
	bson_t *document;
	uint8_t place[REGISTRY_MONGODB_PLACE];
	enum way way;
};

struct portion {
	struct registry_mongodb *mongo;
	bool replace;
	struct slot slots[PORTION];
	struct slot *by_id[PORTION]; /* the earlier of two first */
	size_t count;
	const bson_t *documents[PORTION], *selectors[PORTION]; /* of a write */
	int results[PORTION];
};

/* --- one by one --------------------------------------------------------- */

static int see_any(const bson_t *document, void *context, struct error *err)
{
	(void)document;
	(void)err;
	*(bool *)context = true;
	return 0;
}

static int find_id(struct registry_mongodb *mongo, const struct id *id,
                   bool *found, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	struct mongodb_find find = {
	    .collection = REGISTRY_ENTRY, .selector = &selector, .limit = 1};
	int error;

	(void)mongodb_append_id(&selector, "id", id);
	/* Index: entry_id. */
	error = mongodb_find_each(mongo->db, &find, see_any, found, err);
	bson_destroy(&selector);
	return error;
}

static void place_selector(bson_t *selector, const struct slot *slot)
{
	(void)mongodb_append_bytes(selector, "_id", slot->place,
	                           sizeof(slot->place));
	(void)mongodb_append_id(selector, "id", &slot->record->entry.id);
}

/* Replaces the entry that has this id at its place; ERR_EXISTS where it is
 * another's. */
static int replace_there(struct registry_mongodb *mongo,
                         const struct slot *slot, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	bool matched = false;
	int error;

	place_selector(&selector, slot);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_ENTRY, &selector,
	                       slot->document, false, true, &matched, err);
	bson_destroy(&selector);
	return error || matched ? error : ERR_EXISTS;
}

/* Takes the entry away from wherever else it was. */
static int leave_others(struct registry_mongodb *mongo, const struct slot *slot,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER, other;
	int error;

	(void)mongodb_append_id(&selector, "id", &slot->record->entry.id);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &other);
	(void)mongodb_append_bytes(&other, "$ne", slot->place,
	                           sizeof(slot->place));
	(void)bson_append_document_end(&selector, &other);
	/* Index: entry_id. */
	error = mongodb_delete(mongo->db, REGISTRY_ENTRY, &selector, false,
	                       NULL, err);
	bson_destroy(&selector);
	return error;
}

/*
 * An entry that moves to another place is put there before it leaves its old
 * one: if that place is another's, it stays. Where a crash left it at both, it
 * comes to be at one.
 */
static int import_alone(const struct portion *portion, const struct slot *slot,
                        struct error *err)
{
	struct registry_mongodb *mongo = portion->mongo;
	bool found = false;
	int error = find_id(mongo, &slot->record->entry.id, &found, err);

	if (error)
		return error;
	if (found && !portion->replace)
		return ERR_EXISTS;
	error = mongodb_insert(mongo->db, REGISTRY_ENTRY, slot->document, err);
	if (!found)
		return error;
	if (error == ERR_EXISTS)
		error = replace_there(mongo, slot, err);
	return error ? error : leave_others(mongo, slot, err);
}

/* --- what is there ------------------------------------------------------ */

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = *(struct slot *const *)left;
	const struct slot *b = *(struct slot *const *)right;
	int order = memcmp(a->record->entry.id.bytes, b->record->entry.id.bytes,
	                   sizeof(a->record->entry.id.bytes));

	return order ? order : a < b ? -1 : a > b;
}

static int compare_id(const void *key, const void *member)
{
	const struct slot *slot = *(struct slot *const *)member;

	return memcmp(((const struct id *)key)->bytes,
	              slot->record->entry.id.bytes,
	              sizeof(slot->record->entry.id.bytes));
}

/* The first record of the portion with this id. */
static struct slot *slot_of(struct portion *portion, const struct id *id)
{
	struct slot **found = bsearch(id, portion->by_id, portion->count,
	                              sizeof(*portion->by_id), compare_id);

	while (found > portion->by_id && !compare_id(id, found - 1))
		found--;
	return found ? *found : NULL;
}

/* What is at one place; an id that is at several is looked at alone. */
static int note_there(const bson_t *document, void *context, struct error *err)
{
	struct portion *portion = context;
	struct id id = mongodb_get_id(document, "id");
	struct slot *slot = slot_of(portion, &id);
	uint8_t place[REGISTRY_MONGODB_PLACE];
	int error =
	    registry_mongodb_bytes(document, "_id", place, sizeof(place), err);

	if (error || !slot)
		return error;
	if (!portion->replace)
		slot->way = WAY_TAKEN;
	else if (slot->way == WAY_INSERT &&
	         !memcmp(place, slot->place, sizeof(place)))
		slot->way = WAY_REPLACE;
	else
		slot->way = WAY_ALONE;
	return 0;
}

static int look_up(struct portion *portion, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector,
	                            .projection = &projection};
	struct id *ids = malloc(portion->count * sizeof(*ids));
	size_t count = 0;
	int error;

	if (!ids)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < portion->count; i++) {
		const struct id *id = &portion->by_id[i]->record->entry.id;

		if (!count || !id_equal(&ids[count - 1], id))
			ids[count++] = *id;
	}
	(void)registry_mongodb_append_in(&selector, "id", ids, count);
	(void)BSON_APPEND_INT32(&projection, "id", 1);
	/* Index: entry_id. */
	error = mongodb_find_each(portion->mongo->db, &find, note_there,
	                          portion, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	free(ids);
	return error;
}

/* --- writing ------------------------------------------------------------ */

/* The records of one way within the run, in one write. */
static size_t gather(struct portion *portion, size_t from, size_t to,
                     enum way way)
{
	size_t count = 0;

	for (size_t i = from; i < to; i++)
		if (portion->slots[i].way == way)
			portion->documents[count++] =
			    portion->slots[i].document;
	return count;
}

static int insert_run(struct portion *portion, size_t from, size_t to,
                      struct error *err)
{
	size_t count = gather(portion, from, to, WAY_INSERT);
	int error = mongodb_insert_many(portion->mongo->db, REGISTRY_ENTRY,
	                                portion->documents, count, false,
	                                portion->results, err);

	if (error)
		return error;
	count = 0;
	for (size_t i = from; i < to; i++) {
		struct slot *slot = &portion->slots[i];

		if (slot->way == WAY_INSERT)
			*slot->result = portion->results[count++];
		if (*slot->result && *slot->result != ERR_EXISTS)
			return error_set(err, ERR_LIMIT,
			                 "an entry is too large");
	}
	return 0;
}

static int replace_run(struct portion *portion, size_t from, size_t to,
                       struct error *err)
{
	size_t count = gather(portion, from, to, WAY_REPLACE), made = 0;
	bson_t *selectors;
	int error;

	if (!count)
		return 0;
	selectors = calloc(count, sizeof(*selectors));
	if (!selectors)
		return registry_mongodb_memory(err);
	for (size_t i = from; i < to; i++) {
		if (portion->slots[i].way != WAY_REPLACE)
			continue;
		bson_init(&selectors[made]);
		place_selector(&selectors[made], &portion->slots[i]);
		portion->selectors[made] = &selectors[made];
		made++;
	}
	/* Index: _id. */
	error = mongodb_update_each(portion->mongo->db, REGISTRY_ENTRY,
	                            portion->selectors, portion->documents,
	                            count, NULL, err);
	for (size_t i = 0; i < made; i++)
		bson_destroy(&selectors[i]);
	free(selectors);
	return error;
}

/* Records whose order does not matter to what comes of them. */
static int write_run(struct portion *portion, size_t from, size_t to,
                     struct error *err)
{
	int error;

	for (size_t i = from; i < to; i++)
		*portion->slots[i].result =
		    portion->slots[i].way == WAY_TAKEN ? ERR_EXISTS : 0;
	error = insert_run(portion, from, to, err);
	return error ? error : replace_run(portion, from, to, err);
}

/* In order: what is done alone comes behind all that was before it. */
static int write_all(struct portion *portion, struct error *err)
{
	size_t from = 0;

	for (size_t i = 0; i < portion->count; i++) {
		struct slot *slot = &portion->slots[i];
		int error;

		if (slot->way != WAY_ALONE)
			continue;
		if ((error = write_run(portion, from, i, err)))
			return error;
		error = import_alone(portion, slot, err);
		if (error && error != ERR_EXISTS)
			return error;
		*slot->result = error;
		from = i + 1;
	}
	return write_run(portion, from, portion->count, err);
}

/* --- portions ----------------------------------------------------------- */

static int fill(struct portion *portion, const struct registry_record *records,
                size_t count, int *results, struct error *err)
{
	for (portion->count = 0; portion->count < count; portion->count++) {
		size_t i = portion->count;
		struct slot *slot = &portion->slots[i];
		const struct entry *entry = &records[i].entry;

		*slot =
		    (struct slot){.record = &records[i], .result = &results[i]};
		slot->document =
		    registry_mongodb_entry_document(&records[i].tenant, entry);
		if (!slot->document)
			return error_set(err, ERR_LIMIT,
			                 "an entry is too large");
		registry_mongodb_entry_place(&records[i].tenant, entry->scope,
		                             entry->scope_value, entry->kind,
		                             entry->value, slot->place);
		portion->by_id[i] = slot;
	}
	qsort(portion->by_id, portion->count, sizeof(*portion->by_id),
	      compare_slots);
	return 0;
}

/* The later of two with one id finds what became of the earlier. */
static void mark_repeated(struct portion *portion)
{
	for (size_t i = 1; i < portion->count; i++)
		if (!compare_id(&portion->by_id[i]->record->entry.id,
		                &portion->by_id[i - 1]))
			portion->by_id[i]->way = WAY_ALONE;
}

static int import_portion(struct portion *portion,
                          const struct registry_record *records, size_t count,
                          int *results, struct error *err)
{
	int error = fill(portion, records, count, results, err);

	if (!error) {
		mark_repeated(portion);
		error = look_up(portion, err);
	}
	if (!error)
		error = write_all(portion, err);
	for (size_t i = 0; i < portion->count; i++)
		bson_destroy(portion->slots[i].document);
	return error;
}

/* A revision that is in use was given out, whatever the counters say; raised
 * before, so that none is ever above the count. Each tenant's highest alone. */
static int raise_policy(struct registry_mongodb *mongo,
                        const struct registry_record *records, size_t count,
                        struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++) {
		int64_t highest = records[i].entry.revision;
		bool is_first = true;

		for (size_t j = 0; is_first && j < i; j++)
			is_first =
			    !id_equal(&records[j].tenant, &records[i].tenant);
		for (size_t j = i + 1; is_first && j < count; j++)
			if (id_equal(&records[j].tenant, &records[i].tenant) &&
			    records[j].entry.revision > highest)
				highest = records[j].entry.revision;
		if (is_first)
			error = registry_mongodb_policy_raise(
			    mongo, &records[i].tenant, highest, err);
	}
	return error;
}

int registry_mongodb_entries_import(struct registry_mongodb *mongo,
                                    const struct registry_record *records,
                                    size_t count, bool replace, int *results,
                                    struct error *err)
{
	struct portion *portion;
	int error = raise_policy(mongo, records, count, err);

	if (error)
		return error;
	portion = calloc(1, sizeof(*portion));
	if (!portion)
		return registry_mongodb_memory(err);
	portion->mongo = mongo;
	portion->replace = replace;
	for (size_t at = 0; !error && at < count; at += PORTION) {
		size_t some = count - at < PORTION ? count - at : PORTION;

		error = import_portion(portion, records + at, some,
		                       results + at, err);
	}
	free(portion);
	return error;
}

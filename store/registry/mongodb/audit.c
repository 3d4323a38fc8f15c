/*
 * The audit in MongoDB. A line's _id is its tenant's id and its own, one behind
 * the other: unique, in the order in which lines are read, and the only index
 * that reading needs.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/page.h"
#include "store/registry/mongodb/private.h"

struct key {
	struct id tenant, line;
};

static struct key key_of(const struct id *tenant, const struct id *line)
{
	return (struct key){*tenant, *line};
}

static bool append_line(bson_t *document, const struct registry_audit *line)
{
	struct key key = key_of(&line->tenant, &line->id);

	return mongodb_append_bytes(document, "_id", &key, sizeof(key)) &&
	       mongodb_append_id(document, "tenant", &line->tenant) &&
	       mongodb_append_id(document, "id", &line->id) &&
	       mongodb_append_time(document, "at", line->at_ms) &&
	       mongodb_append_text(document, "actor", line->actor) &&
	       mongodb_append_text(document, "action", line->action) &&
	       mongodb_append_text(document, "object", line->object) &&
	       mongodb_append_text(document, "detail", line->detail);
}

static int read_line(const bson_t *document, struct registry_audit *line,
                     struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"actor", &line->actor},
	    {"action", &line->action},
	    {"object", &line->object},
	    {"detail", &line->detail}};

	line->id = mongodb_get_id(document, "id");
	line->tenant = mongodb_get_id(document, "tenant");
	line->at_ms = mongodb_get_int(document, "at");
	return registry_mongodb_texts(document, texts, 4, err);
}

static void release_line(struct registry_audit *line)
{
	struct registry_record record = {.kind = REGISTRY_AUDIT,
	                                 .audit = *line};

	registry_record_release(&record);
}

int registry_mongodb_audit_add(struct registry *registry,
                               const struct registry_audit *line,
                               struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t document = BSON_INITIALIZER;
	int error;

	(void)append_line(&document, line);
	error = mongodb_insert(mongo->db, REGISTRY_AUDIT_LINE, &document, err);
	bson_destroy(&document);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

/* Reads lines behind one key, up to another one, by key. NULL: no bound. */
static int walk(struct registry_mongodb *mongo, const struct key *after,
                const struct key *last, size_t limit,
                int (*each)(const bson_t *document, void *context,
                            struct error *err),
                void *context, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, part;
	struct mongodb_find find = {.collection = REGISTRY_AUDIT_LINE,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit};
	int error;

	if (after) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &part);
		(void)mongodb_append_bytes(&part, "$gt", after, sizeof(*after));
		if (last)
			(void)mongodb_append_bytes(&part, "$lte", last,
			                           sizeof(*last));
		(void)bson_append_document_end(&selector, &part);
	}
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: _id. */
	error = mongodb_find_each(mongo->db, &find, each, context, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

struct teller {
	void (*each)(const struct registry_audit *line, void *context);
	void *context;
};

static int tell(const bson_t *document, void *context, struct error *err)
{
	const struct teller *teller = context;
	struct registry_audit line = {.at_ms = 0};
	int error = read_line(document, &line, err);

	if (!error)
		teller->each(&line, teller->context);
	release_line(&line);
	return error;
}

int registry_mongodb_audit_each(
    struct registry *registry, const struct id *tenant, const struct id *after,
    size_t limit, void (*each)(const struct registry_audit *, void *),
    void *context, struct error *err)
{
	struct teller teller = {each, context};
	struct key first = key_of(tenant, after), last = first;

	memset(&last.line, 0xff, sizeof(last.line));
	return walk(registry_mongodb(registry), &first, &last, limit, tell,
	            &teller, err);
}

/* --- copies ------------------------------------------------------------- */

static int parse(const bson_t *document, struct registry_record *record,
                 struct error *err)
{
	return read_line(document, &record->audit, err);
}

int registry_mongodb_audit_export(struct registry_mongodb *mongo,
                                  enum registry_kind kind,
                                  const struct registry_record *after,
                                  size_t limit, struct registry_records *page,
                                  struct error *err)
{
	struct registry_mongodb_listing listing = {
	    .kind = kind, .limit = limit, .parse = parse};
	struct key key;
	int error;

	if (after)
		key = key_of(&after->audit.tenant, &after->audit.id);
	error = walk(mongo, after ? &key : NULL, NULL, limit + 1,
	             registry_mongodb_listing_read, &listing, err);
	return registry_mongodb_listing_end(&listing, error, page);
}

static int replace_line(struct registry_mongodb *mongo,
                        const struct registry_audit *line,
                        const bson_t *document, struct error *err)
{
	struct key key = key_of(&line->tenant, &line->id);
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", &key, sizeof(key));
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_AUDIT_LINE, &selector,
	                       document, true, true, NULL, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_audit_import(struct registry_mongodb *mongo,
                                  const struct registry_record *records,
                                  size_t count, bool replace, int *results,
                                  struct error *err)
{
	bson_t **documents = calloc(count ? count : 1, sizeof(bson_t *));
	int error = 0;

	if (!documents)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < count; i++) {
		documents[i] = bson_new();
		(void)append_line(documents[i], &records[i].audit);
	}
	if (!replace)
		error = mongodb_insert_many(mongo->db, REGISTRY_AUDIT_LINE,
		                            (const bson_t *const *)documents,
		                            count, false, results, err);
	for (size_t i = 0; i < count; i++) {
		if (replace && !error)
			error = results[i] = replace_line(
			    mongo, &records[i].audit, documents[i], err);
		bson_destroy(documents[i]);
	}
	free(documents);
	return error;
}

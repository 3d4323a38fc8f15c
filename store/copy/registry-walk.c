/* Walks through the records of two registries and writes what is missing. */
#include "store/copy/registry-private.h"

#include <string.h>

#include "store/copy/registry-record.h"

/* Where the walk is in one registry. */
struct cursor {
	struct registry *registry; /* NULL: an empty one */
	struct registry_records page;
	size_t at;
	bool begun;
};

/* A walk; what is to be imported points into the source's page. */
struct walk {
	const struct copy_registry_run *run;
	enum registry_kind kind;
	struct copy_part *part;
	struct cursor source, destination;
	struct registry_record batch[COPY_REGISTRY_PAGE];
	int results[COPY_REGISTRY_PAGE];
	size_t pending;
	int64_t done, total;
	/* The oldest of what is over: in the source, in the copy alone. */
	int64_t oldest_ms, oldest_extra_ms;
};

/* --- cursors ------------------------------------------------------------ */

static bool is_spent(const struct cursor *cursor)
{
	return cursor->at == cursor->page.count;
}

static int load(struct cursor *cursor, enum registry_kind kind,
                struct error *err)
{
	struct registry_records next = {0};
	const struct registry_record *last = NULL;
	int result;

	if (!cursor->registry || (cursor->begun && !cursor->page.more))
		return 0;
	if (cursor->page.count > 0)
		last = &cursor->page.records[cursor->page.count - 1];
	result = registry_export(cursor->registry, kind, last,
	                         COPY_REGISTRY_PAGE, &next, err);
	if (result < 0)
		return result;
	registry_records_release(&cursor->page);
	cursor->page = next;
	cursor->at = 0;
	cursor->begun = true;
	return 0;
}

static const struct registry_record *current(const struct cursor *cursor)
{
	return is_spent(cursor) ? NULL : &cursor->page.records[cursor->at];
}

int copy_registry_each(struct registry *registry, enum registry_kind kind,
                       int (*each)(const struct registry_record *record,
                                   void *context, struct error *err),
                       void *context, struct error *err)
{
	struct cursor cursor = {.registry = registry};
	int result = load(&cursor, kind, err);

	while (!result && !is_spent(&cursor)) {
		result = each(current(&cursor), context, err);
		cursor.at++;
		if (!result && is_spent(&cursor))
			result = load(&cursor, kind, err);
	}
	registry_records_release(&cursor.page);
	return result;
}

/* --- writing ------------------------------------------------------------ */

static int count_results(struct walk *walk, struct error *err)
{
	for (size_t i = 0; i < walk->pending; i++)
		switch (walk->results[i]) {
		case 0:
			walk->part->written++;
			break;
		case ERR_EXISTS:
			walk->part->refused++;
			break;
		default:
			return error_set(err, (enum error_code)walk->results[i],
			                 "%s: a record cannot be written: %s",
			                 walk->part->name,
			                 error_name(walk->results[i]));
		}
	return 0;
}

static int import_pending(struct walk *walk, struct error *err)
{
	int result = 0;

	if (walk->pending > 0)
		result =
		    registry_import(walk->run->destination, walk->batch,
		                    walk->pending, true, walk->results, err);
	if (!result)
		result = count_results(walk, err);
	walk->pending = 0;
	return result;
}

/* The batch has room for a page of the source. */
static int put(struct walk *walk, const struct registry_record *record)
{
	walk->batch[walk->pending++] = *record;
	return 0;
}

/*
 * A domain that was taken away, or given to another tenant, at the source; not
 * one of a tenant that the source does not know.
 */
static int remove_domain(struct walk *walk,
                         const struct registry_record *record,
                         struct error *err)
{
	struct registry_tenant tenant = {0};
	int result = registry_tenant_read(walk->run->source, &record->tenant,
	                                  &tenant, err);

	if (result == ERR_NOT_FOUND)
		return 0;
	if (!result)
		result = registry_domain_remove(walk->run->destination,
		                                &record->tenant, record->domain,
		                                err);
	walk->part->removed += !result;
	registry_tenant_release(&tenant);
	return result;
}

static void note_oldest(const struct registry_record *record,
                        int64_t *oldest_ms)
{
	int64_t since_ms;

	if (copy_record_is_over(record, &since_ms) && since_ms < *oldest_ms)
		*oldest_ms = since_ms;
}

/*
 * What is over and older than all that the source has was deleted there by its
 * retention after an earlier run: it goes here, too.
 */
static int follow_retention(struct walk *walk, struct error *err)
{
	size_t deleted = COPY_REGISTRY_PAGE;
	int result = 0;

	if (walk->run->compares || walk->oldest_ms == INT64_MAX ||
	    walk->oldest_extra_ms >= walk->oldest_ms)
		return 0;
	while (!result && deleted == COPY_REGISTRY_PAGE) {
		result = registry_purge(walk->run->destination, walk->kind,
		                        walk->oldest_ms, COPY_REGISTRY_PAGE,
		                        &deleted, err);
		walk->part->removed += result ? 0 : (int64_t)deleted;
	}
	return result;
}

/* --- the three cases ---------------------------------------------------- */

static void add_hash(const struct registry_record *record,
                     struct copy_digest *digest)
{
	uint8_t hash[CRYPTO_HASH_SIZE];

	copy_record_hash(record, hash);
	copy_digest_add(digest, hash);
}

static int only_in_source(struct walk *walk,
                          const struct registry_record *record)
{
	if (!walk->run->compares)
		return put(walk, record);
	walk->part->only_source++;
	add_hash(record, &walk->part->source);
	return 0;
}

static int only_in_destination(struct walk *walk,
                               const struct registry_record *record,
                               struct error *err)
{
	note_oldest(record, &walk->oldest_extra_ms);
	if (!walk->run->compares)
		return walk->kind == REGISTRY_DOMAINS
		           ? remove_domain(walk, record, err)
		           : 0;
	walk->part->only_destination++;
	add_hash(record, &walk->part->destination);
	return 0;
}

static bool is_same(const struct registry_record *ours,
                    const struct registry_record *theirs)
{
	uint8_t our_hash[CRYPTO_HASH_SIZE], their_hash[CRYPTO_HASH_SIZE];

	/* They only grow, and what was given out once is not given again. */
	if (ours->kind == REGISTRY_COUNTERS)
		return theirs->counters.policy_revision >=
		           ours->counters.policy_revision &&
		       theirs->counters.decision_sequence >=
		           ours->counters.decision_sequence;
	copy_record_hash(ours, our_hash);
	copy_record_hash(theirs, their_hash);
	return memcmp(our_hash, their_hash, sizeof(our_hash)) == 0;
}

static int in_both(struct walk *walk, const struct registry_record *ours,
                   const struct registry_record *theirs)
{
	bool same = is_same(ours, theirs);

	if (!walk->run->compares && !same)
		return put(walk, ours);
	if (!walk->run->compares) {
		walk->part->there++;
		return 0;
	}
	add_hash(ours, &walk->part->source);
	add_hash(theirs, &walk->part->destination);
	walk->part->different += !same;
	return 0;
}

/* --- the walk ----------------------------------------------------------- */

static int refill(struct walk *walk, struct error *err)
{
	int result = 0;

	if (is_spent(&walk->source)) {
		result = copy_go_on(walk->run->control, err);
		if (!result)
			result = import_pending(walk, err);
		if (!result)
			result = load(&walk->source, walk->kind, err);
		copy_tell(walk->run->control, walk->part->name, walk->done,
		          walk->total);
	}
	if (!result && is_spent(&walk->destination))
		result = load(&walk->destination, walk->kind, err);
	return result;
}

static int step(struct walk *walk, const struct registry_record *ours,
                const struct registry_record *theirs, struct error *err)
{
	int order;

	if (ours && theirs)
		order = copy_record_order(ours, theirs);
	else
		order = ours ? -1 : 1;
	walk->source.at += order <= 0;
	walk->destination.at += order >= 0;
	walk->done += order <= 0;
	if (ours && order <= 0)
		note_oldest(ours, &walk->oldest_ms);
	if (order < 0)
		return only_in_source(walk, ours);
	return order > 0 ? only_in_destination(walk, theirs, err)
	                 : in_both(walk, ours, theirs);
}

static int walk_all(struct walk *walk, struct error *err)
{
	int result = refill(walk, err);

	while (!result) {
		const struct registry_record *ours = current(&walk->source);
		const struct registry_record *theirs =
		    current(&walk->destination);

		if (!ours && !theirs)
			break;
		result = step(walk, ours, theirs, err);
		if (!result)
			result = refill(walk, err);
	}
	return result;
}

static int64_t expected(const struct copy_registry_run *run,
                        enum registry_kind kind)
{
	struct registry_totals totals = {0};

	if (kind != REGISTRY_MESSAGES ||
	    registry_count(run->source, &totals, NULL))
		return -1;
	return totals.messages;
}

int copy_registry_kind(const struct copy_registry_run *run,
                       enum registry_kind kind, struct error *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int result;

	if (!walk)
		return error_set(err, ERR_MEMORY, "out of memory");
	walk->run = run;
	walk->kind = kind;
	walk->part = copy_report_part(run->report, registry_kind_name(kind));
	walk->source.registry = run->source;
	walk->destination.registry = run->destination;
	walk->total = expected(run, kind);
	walk->oldest_ms = walk->oldest_extra_ms = INT64_MAX;
	result = walk_all(walk, err);
	if (!result)
		result = follow_retention(walk, err);
	copy_tell(run->control, walk->part->name, walk->done,
	          result < 0 ? walk->total : walk->done);
	registry_records_release(&walk->source.page);
	registry_records_release(&walk->destination.page);
	explicit_bzero(walk->batch, sizeof(walk->batch));
	free(walk);
	return result;
}

/* Copies of the named values of a spool and of its replica of the lists. */
#include "store/copy/spool-private.h"

#include <string.h>

#include "common/array.h"

#define BATCH_SIZE 500

/* The replica's revision is a value, too. */
#define REVISION "policy.revision"

/* --- named values ------------------------------------------------------- */

struct pair {
	char *name, *value;
};

struct pairs {
	struct pair *items;
	size_t count, capacity;
	bool failed; /* for want of memory */
};

static void pairs_release(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].name);
		free(pairs->items[i].value);
	}
	free(pairs->items);
}

static void take_pair(const char *name, const char *value, void *context)
{
	struct pairs *pairs = context;
	struct pair *pair;

	pairs->failed = pairs->failed ||
	                array_grow((void **)&pairs->items, pairs->count,
	                           &pairs->capacity, sizeof(*pair), NULL) != 0;
	if (pairs->failed)
		return;
	pair = &pairs->items[pairs->count++];
	pair->name = strdup(name);
	pair->value = strdup(value);
	pairs->failed = !pair->name || !pair->value;
}

static int pairs_read(struct pairs *pairs, struct spool *spool,
                      struct error *err)
{
	int result = 0;

	if (spool)
		result = spool_values_each(spool, take_pair, pairs, err);
	if (!result && pairs->failed)
		result = error_set(err, ERR_MEMORY, "out of memory");
	return result;
}

static void add_pair(struct copy_digest *digest, const struct pair *pair)
{
	uint8_t sum[CRYPTO_HASH_SIZE];
	struct copy_hash hash;

	copy_hash_begin(&hash, "value");
	copy_hash_text(&hash, pair->name);
	copy_hash_text(&hash, pair->value);
	copy_hash_end(&hash, sum);
	copy_digest_add(digest, sum);
}

static int set_value(const struct copy_spool_run *run, const struct pair *pair,
                     struct copy_part *part, struct error *err)
{
	struct spool_change change = {
	    .kind = SPOOL_SET,
	    .set = {.name = pair->name, .value = pair->value}};
	int result = spool_commit(run->destination, &change, 1, err);

	if (!result && change.result)
		result =
		    error_set(err, (enum error_code)change.result,
		              "the value %s cannot be written", pair->name);
	part->written += !result;
	return result;
}

/* ours or theirs may be NULL: it is on the other side alone. */
static int take_values(const struct copy_spool_run *run,
                       const struct pair *ours, const struct pair *theirs,
                       struct copy_part *part, struct error *err)
{
	bool same = ours && theirs && strcmp(ours->value, theirs->value) == 0;

	if (run->mode == COPY_COMPARE) {
		if (ours)
			add_pair(&part->source, ours);
		if (theirs)
			add_pair(&part->destination, theirs);
		part->only_source += !theirs;
		part->only_destination += !ours;
		part->different += ours && theirs && !same;
		return 0;
	}
	if (!ours)
		return 0;
	if (same || (theirs && run->mode == COPY_RESTORE)) {
		part->there++;
		return 0;
	}
	return set_value(run, ours, part, err);
}

static int merge_values(const struct copy_spool_run *run,
                        const struct pairs *ours, const struct pairs *theirs,
                        struct copy_part *part, struct error *err)
{
	size_t i = 0, j = 0;
	int result = 0;

	while (!result && (i < ours->count || j < theirs->count)) {
		int order;

		if (i < ours->count && j < theirs->count)
			order =
			    strcmp(ours->items[i].name, theirs->items[j].name);
		else
			order = i < ours->count ? -1 : 1;
		result = take_values(run, order <= 0 ? &ours->items[i] : NULL,
		                     order >= 0 ? &theirs->items[j] : NULL,
		                     part, err);
		i += order <= 0;
		j += order >= 0;
	}
	return result;
}

int copy_spool_values(const struct copy_spool_run *run, struct error *err)
{
	struct copy_part *part = copy_report_part(run->report, "values");
	struct pairs ours = {0}, theirs = {0};
	int result = pairs_read(&ours, run->source, err);

	if (!result)
		result = pairs_read(&theirs, run->destination, err);
	if (!result)
		result = merge_values(run, &ours, &theirs, part, err);
	copy_tell(run->control, "values", (int64_t)ours.count,
	          (int64_t)ours.count);
	pairs_release(&ours);
	pairs_release(&theirs);
	return result;
}

/* --- the replica -------------------------------------------------------- */

static void add_entry(const struct entry *entry, void *context)
{
	uint8_t sum[CRYPTO_HASH_SIZE];
	struct copy_hash hash;

	copy_hash_begin(&hash, "entry");
	copy_hash_entry(&hash, entry);
	copy_hash_end(&hash, sum);
	copy_digest_add(context, sum);
}

static int digest_entries(struct spool *spool, struct copy_digest *digest,
                          struct error *err)
{
	*digest = (struct copy_digest){0};
	return spool ? spool_entries_each(spool, add_entry, digest, err) : 0;
}

/* Entries on their way, some at a time. */
struct flow {
	const struct copy_spool_run *run;
	struct copy_part *part;
	struct entry entries[BATCH_SIZE];
	size_t count;
	bool clear;
	int result;
	struct error err;
};

/* The revision counts once the last entry is there. */
static void flush_entries(struct flow *flow, int64_t revision)
{
	if (!flow->result)
		flow->result = copy_go_on(flow->run->control, &flow->err);
	if (!flow->result)
		flow->result = spool_entries_apply(
		    flow->run->destination, flow->clear, flow->entries,
		    flow->count, revision, &flow->err);
	if (!flow->result) {
		flow->clear = false;
		flow->part->written += (int64_t)flow->count;
		copy_tell(flow->run->control, "entries", flow->part->written,
		          flow->part->source.count);
	}
	for (size_t i = 0; i < flow->count; i++)
		entry_release(&flow->entries[i]);
	flow->count = 0;
}

static void take_entry(const struct entry *entry, void *context)
{
	struct flow *flow = context;

	if (flow->result)
		return;
	if (flow->count == BATCH_SIZE)
		flush_entries(flow, 0);
	if (!flow->result)
		entry_copy(&flow->entries[flow->count++], entry);
}

static int read_revision(struct spool *spool, int64_t *revision,
                         struct error *err)
{
	char *text = NULL;
	int result = spool_get(spool, REVISION, &text, err);

	if (result == ERR_NOT_FOUND) {
		*revision = 0;
		return 0;
	}
	if (!result)
		*revision = strtoll(text, NULL, 10);
	free(text);
	return result;
}

static int rewrite_entries(const struct copy_spool_run *run,
                           struct copy_part *part, struct error *err)
{
	struct flow *flow;
	int64_t revision = 0;
	int result = read_revision(run->source, &revision, err);

	if (result < 0)
		return result;
	flow = calloc(1, sizeof(*flow));
	if (!flow)
		return error_set(err, ERR_MEMORY, "out of memory");
	flow->run = run;
	flow->part = part;
	flow->clear = true;
	result = spool_entries_each(run->source, take_entry, flow, err);
	if (!result || flow->result)
		flush_entries(flow, revision);
	if (flow->result)
		result = error_set(err, flow->err.code, "%s", flow->err.text);
	for (size_t i = 0; i < flow->count; i++)
		entry_release(&flow->entries[i]);
	free(flow);
	return result;
}

static void report_difference(struct copy_part *part)
{
	int64_t more = part->source.count - part->destination.count;

	part->only_source = more > 0 ? more : 0;
	part->only_destination = more < 0 ? -more : 0;
	part->different =
	    more == 0 && !copy_digest_equal(&part->source, &part->destination);
}

/* Whether an agent has never had a policy here. */
static int has_no_replica(struct spool *spool, bool *none, struct error *err)
{
	char *text = NULL;
	int result = spool_get(spool, REVISION, &text, err);

	*none = result == ERR_NOT_FOUND;
	free(text);
	return *none ? 0 : result;
}

int copy_spool_entries(const struct copy_spool_run *run, struct error *err)
{
	struct copy_part *part = copy_report_part(run->report, "entries");
	bool writes = false;
	int result = digest_entries(run->source, &part->source, err);

	if (!result)
		result =
		    digest_entries(run->destination, &part->destination, err);
	if (result < 0)
		return result;
	if (run->mode == COPY_COMPARE)
		report_difference(part);
	else if (run->mode == COPY_RESTORE)
		result = has_no_replica(run->destination, &writes, err);
	else
		writes = !copy_digest_equal(&part->source, &part->destination);
	if (!result && writes)
		result = rewrite_entries(run, part, err);
	else if (run->mode != COPY_COMPARE)
		part->there = part->source.count;
	copy_tell(run->control, "entries", part->source.count,
	          part->source.count);
	return result;
}

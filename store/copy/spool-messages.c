/* Walks through the messages of two spools and writes what is missing. */
#include "store/copy/spool-private.h"

#include <string.h>
#include <unistd.h>

#define PAGE_SIZE   100
#define BATCH_BYTES (8 << 20) /* of bodies in memory */

/* Where the walk is in one spool. */
struct cursor {
	struct spool *spool; /* NULL: an empty one */
	struct spool_page page;
	size_t at;
	bool begun;
};

/* A walk, and what of it is still to be committed. */
struct walk {
	const struct copy_spool_run *run;
	struct copy_part *part;
	struct cursor source, destination;
	struct spool_change changes[PAGE_SIZE];
	char *bytes[PAGE_SIZE], *paths[PAGE_SIZE];
	size_t pending, pending_bytes;
	int64_t done, done_bytes, total_bytes;
};

/* --- cursors ------------------------------------------------------------ */

static bool is_spent(const struct cursor *cursor)
{
	return cursor->at == cursor->page.count;
}

static int load(struct cursor *cursor, struct error *err)
{
	struct spool_query query = {.limit = PAGE_SIZE};
	struct spool_page next = {0};
	int result;

	if (!cursor->spool || (cursor->begun && !cursor->page.more))
		return 0;
	if (cursor->page.count > 0)
		query.after = cursor->page.messages[cursor->page.count - 1].id;
	result = spool_list(cursor->spool, &query, &next, err);
	if (result < 0)
		return result;
	spool_page_release(&cursor->page);
	cursor->page = next;
	cursor->at = 0;
	cursor->begun = true;
	return 0;
}

static const struct spool_message *current(const struct cursor *cursor)
{
	return is_spent(cursor) ? NULL : &cursor->page.messages[cursor->at];
}

/* --- writing ------------------------------------------------------------ */

static void drop_pending(struct walk *walk)
{
	for (size_t i = 0; i < walk->pending; i++) {
		free(walk->bytes[i]);
		free(walk->paths[i]);
	}
	walk->pending = walk->pending_bytes = 0;
}

/* Counts what came of one change. */
static int take_result(struct walk *walk, const struct spool_change *change,
                       struct error *err)
{
	char id[ID_TEXT_SIZE];

	if (change->result == 0)
		walk->part->written++;
	else if (change->result == ERR_EXISTS)
		walk->part->there++;
	else
		return error_set(err, (enum error_code)change->result,
		                 "message %s cannot be written: %s",
		                 id_format(&change->add.message->id, id),
		                 error_name(change->result));
	return 0;
}

static int commit_pending(struct walk *walk, struct error *err)
{
	int result = 0;

	if (walk->pending > 0)
		result = spool_commit(walk->run->destination, walk->changes,
		                      walk->pending, err);
	for (size_t i = 0; !result && i < walk->pending; i++)
		result = take_result(walk, &walk->changes[i], err);
	drop_pending(walk);
	return result;
}

/* Adds the message to what is to be committed. It stays in its page. */
static int put(struct walk *walk, const struct spool_message *message,
               struct error *err)
{
	struct spool_change *change = &walk->changes[walk->pending];
	char *bytes = NULL, *path = NULL;
	int result;

	*change = (struct spool_change){
	    .kind = SPOOL_COPY,
	    .add = {.message = message,
	            .replace = walk->run->mode == COPY_ALL}};
	if (message->body_present) {
		result =
		    copy_spool_body(walk->run->source, walk->run->destination,
		                    message, &bytes, &path, err);
		if (result < 0)
			return result;
		change->add.body.bytes = bytes;
		change->add.body.path = path;
		change->add.body.size = (size_t)message->size;
		walk->done_bytes += message->size;
		walk->pending_bytes += bytes ? (size_t)message->size : 0;
	}
	walk->bytes[walk->pending] = bytes;
	walk->paths[walk->pending] = path;
	walk->pending++;
	return walk->pending_bytes > BATCH_BYTES ? commit_pending(walk, err)
	                                         : 0;
}

/* --- the three cases ---------------------------------------------------- */

static int add_hash(struct spool *spool, const struct spool_message *message,
                    struct copy_digest *digest, uint8_t hash[CRYPTO_HASH_SIZE],
                    struct error *err)
{
	int result = copy_spool_hash(spool, message, hash, err);

	if (!result)
		copy_digest_add(digest, hash);
	return result;
}

static int only_in_source(struct walk *walk,
                          const struct spool_message *message,
                          struct error *err)
{
	uint8_t hash[CRYPTO_HASH_SIZE];

	if (walk->run->mode != COPY_COMPARE)
		return put(walk, message, err);
	walk->part->only_source++;
	return add_hash(walk->run->source, message, &walk->part->source, hash,
	                err);
}

static int only_in_destination(struct walk *walk,
                               const struct spool_message *message,
                               struct error *err)
{
	uint8_t hash[CRYPTO_HASH_SIZE];

	if (walk->run->mode != COPY_COMPARE)
		return 0;
	walk->part->only_destination++;
	return add_hash(walk->run->destination, message,
	                &walk->part->destination, hash, err);
}

static int in_both(struct walk *walk, const struct spool_message *ours,
                   const struct spool_message *theirs, struct error *err)
{
	uint8_t our_hash[CRYPTO_HASH_SIZE], their_hash[CRYPTO_HASH_SIZE];
	struct copy_digest seen = {0};
	bool compares = walk->run->mode == COPY_COMPARE;
	int result;

	walk->done_bytes += ours->body_present ? ours->size : 0;
	if (walk->run->mode == COPY_RESTORE) {
		walk->part->there++;
		return 0;
	}
	result =
	    add_hash(walk->run->source, ours,
	             compares ? &walk->part->source : &seen, our_hash, err);
	if (!result)
		result = add_hash(walk->run->destination, theirs,
		                  compares ? &walk->part->destination : &seen,
		                  their_hash, err);
	if (result < 0)
		return result;
	if (memcmp(our_hash, their_hash, sizeof(our_hash)) == 0) {
		walk->part->there += !compares;
		return 0;
	}
	if (!compares) {
		walk->done_bytes -= ours->body_present ? ours->size : 0;
		return put(walk, ours, err);
	}
	walk->part->different++;
	return 0;
}

/* --- the walk ----------------------------------------------------------- */

/* Before the source's page goes, what points into it is committed. */
static int refill(struct walk *walk, struct error *err)
{
	int result = 0;

	if (is_spent(&walk->source)) {
		result = copy_go_on(walk->run->control, err);
		if (!result)
			result = commit_pending(walk, err);
		if (!result)
			result = load(&walk->source, err);
		copy_tell(walk->run->control,
		          walk->run->mode == COPY_COMPARE ? "bytes compared"
		                                          : "bytes of bodies",
		          walk->done_bytes, walk->total_bytes);
	}
	if (!result && is_spent(&walk->destination))
		result = load(&walk->destination, err);
	return result;
}

static int step(struct walk *walk, const struct spool_message *ours,
                const struct spool_message *theirs, struct error *err)
{
	int order;

	if (ours && theirs)
		order = memcmp(ours->id.bytes, theirs->id.bytes,
		               sizeof(ours->id.bytes));
	else
		order = ours ? -1 : 1;
	walk->source.at += order <= 0;
	walk->destination.at += order >= 0;
	walk->done += order <= 0;
	if (order < 0)
		return only_in_source(walk, ours, err);
	return order > 0 ? only_in_destination(walk, theirs, err)
	                 : in_both(walk, ours, theirs, err);
}

static int walk_all(struct walk *walk, struct error *err)
{
	int result = refill(walk, err);

	while (!result) {
		const struct spool_message *ours = current(&walk->source);
		const struct spool_message *theirs =
		    current(&walk->destination);

		if (!ours && !theirs)
			break;
		result = step(walk, ours, theirs, err);
		if (!result)
			result = refill(walk, err);
	}
	return result;
}

/* Files that were written for a commit that never came. */
static void unlink_pending(const struct walk *walk)
{
	for (size_t i = 0; i < walk->pending; i++)
		if (walk->paths[i])
			(void)unlink(walk->paths[i]);
}

int copy_spool_messages(const struct copy_spool_run *run, struct error *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	struct spool_totals totals = {.body_bytes = 0};
	int result;

	if (!walk)
		return error_set(err, ERR_MEMORY, "out of memory");
	walk->run = run;
	walk->part = copy_report_part(run->report, "messages");
	walk->source.spool = run->source;
	walk->destination.spool = run->destination;
	result = spool_count(run->source, &totals, err);
	walk->total_bytes = totals.body_bytes;
	if (!result)
		result = walk_all(walk, err);
	if (result < 0)
		unlink_pending(walk);
	copy_tell(run->control, "messages", walk->done,
	          result < 0 ? -1 : walk->done);
	drop_pending(walk);
	spool_page_release(&walk->source.page);
	spool_page_release(&walk->destination.page);
	free(walk);
	return result;
}

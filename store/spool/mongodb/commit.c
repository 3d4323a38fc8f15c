/* One batch of changes to MongoDB's spool in a few writes. */
#include "store/spool/mongodb/private.h"

#include <unistd.h>

#include "store/spool/input.h"

/* A message that a change is of, and the change's place in the batch. */
struct touch {
	struct id id;
	size_t index;
};

static const struct id *id_of(const struct spool_change *change)
{
	if (change->kind == SPOOL_ADD || change->kind == SPOOL_COPY)
		return &change->add.message->id;
	return spool_mongodb_edited(change);
}

static int by_id(const void *a, const void *b)
{
	const struct touch *left = a, *right = b;
	int order = memcmp(&left->id, &right->id, sizeof(left->id));

	if (order)
		return order;
	return left->index < right->index ? -1 : 1;
}

/*
 * Sets cuts[i] where changes[i] adds a message that an earlier change is of:
 * the batch is made in parts, within which messages are added first.
 */
static int find_cuts(const struct spool_change *changes, const bool *done,
                     size_t count, bool *cuts)
{
	struct touch *touches = calloc(count, sizeof(*touches));
	size_t touched = 0;

	if (!touches)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++)
		if (!done[i] && id_of(&changes[i]))
			touches[touched++] =
			    (struct touch){*id_of(&changes[i]), i};
	if (touched)
		qsort(touches, touched, sizeof(*touches), by_id);
	for (size_t i = 1; i < touched; i++) {
		enum spool_change_kind kind = changes[touches[i].index].kind;

		if ((kind == SPOOL_ADD || kind == SPOOL_COPY) &&
		    id_equal(&touches[i - 1].id, &touches[i].id))
			cuts[touches[i].index] = true;
	}
	free(touches);
	return 0;
}

static int set_values(struct spool_mongodb *spool, struct spool_change *changes,
                      bool *done, size_t first, size_t end, struct error *err)
{
	int result = 0;

	for (size_t i = first; i < end && !result; i++) {
		if (done[i] || changes[i].kind != SPOOL_SET)
			continue;
		result = spool_mongodb_set(spool, changes[i].set.name,
		                           changes[i].set.value, err);
		done[i] = !result;
	}
	return result;
}

/*
 * Whether a change's outcome is not known: a value, such as a cursor, that
 * stands behind it must not be set then.
 */
static bool any_uncertain(const struct spool_change *changes, size_t first,
                          size_t end)
{
	for (size_t i = first; i < end; i++)
		if (changes[i].result == ERR_UNCERTAIN)
			return true;
	return false;
}

static int run_part(struct spool_mongodb *spool, struct spool_change *changes,
                    bool *done, size_t first, size_t end, struct error *err)
{
	int result =
	    spool_mongodb_add_messages(spool, changes, done, first, end, err);

	if (!result)
		result = spool_mongodb_change_messages(spool, changes, done,
		                                       first, end, err);
	if (!result && any_uncertain(changes, first, end))
		return error_set(err, ERR_UNCERTAIN,
		                 "the outcome of a change is not known");
	return result < 0 ? result
	                  : set_values(spool, changes, done, first, end, err);
}

static int run_parts(struct spool_mongodb *spool, struct spool_change *changes,
                     bool *done, size_t count, struct error *err)
{
	bool *cuts = calloc(count, sizeof(*cuts));
	size_t first = 0;
	int result = cuts ? find_cuts(changes, done, count, cuts) : ERR_MEMORY;

	if (result < 0)
		result = error_set(err, ERR_MEMORY, "out of memory");
	for (size_t i = 1; i <= count && !result; i++) {
		if (i < count && !cuts[i])
			continue;
		result = run_part(spool, changes, done, first, i, err);
		first = i;
	}
	free(cuts);
	return result;
}

/*
 * What the caller is told when the batch broke off: the failure, when nothing
 * was changed before it; otherwise each change's own result.
 */
static int settle(struct spool_change *changes, const bool *done, size_t count,
                  int result)
{
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any = any || (done[i] && (!changes[i].result ||
		                          changes[i].result == ERR_UNCERTAIN));
	for (size_t i = 0; i < count; i++)
		if (!any)
			changes[i].result = result;
		else if (!done[i])
			changes[i].result = ERR_UNCERTAIN;
	return any ? 0 : result;
}

/* The files are the spool's whatever became of their changes. */
static void remove_sources(const struct spool_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if ((changes[i].kind == SPOOL_ADD ||
		     changes[i].kind == SPOOL_COPY) &&
		    changes[i].add.body.path)
			(void)unlink(changes[i].add.body.path);
}

int spool_mongodb_commit(struct spool *base, struct spool_change *changes,
                         size_t count, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct error local = {.text = ""};
	bool *done = calloc(count, sizeof(*done));
	int result = 0;

	if (!done)
		result = error_set(&local, ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		changes[i].result = spool_change_check(&changes[i]);
		if (done)
			done[i] = changes[i].result < 0;
	}
	if (!result)
		result = run_parts(spool, changes, done, count, &local);
	if (result < 0 && done)
		result = settle(changes, done, count, result);
	remove_sources(changes, count);
	free(done);
	if (result < 0)
		(void)error_set(err, (enum error_code)result, "%s", local.text);
	return result;
}

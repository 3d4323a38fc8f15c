/* A spool over a real one, whose store goes away when it is told. */
#include "tests/support/failing-spool.h"

static struct failing_spool *of(struct spool *spool)
{
	return (struct failing_spool *)spool;
}

/* Counts a call; the failure that it is to give. */
static int fail_read(struct spool *spool, struct error *err)
{
	struct failing_spool *failing = of(spool);
	int code;

	(void)pthread_mutex_lock(&failing->lock);
	failing->reads++;
	code = failing->read_code;
	(void)pthread_mutex_unlock(&failing->lock);
	return code ? error_set(err, (enum error_code)code, "as told") : 0;
}

static const char *incoming_directory(const struct spool *spool)
{
	return spool_incoming_directory(
	    ((const struct failing_spool *)spool)->inner);
}

static const char *engine(const struct spool *spool)
{
	(void)spool;
	return "a store that fails";
}

static int commit(struct spool *spool, struct spool_change *changes,
                  size_t count, struct error *err)
{
	struct failing_spool *failing = of(spool);
	bool applied;
	int code;

	(void)pthread_mutex_lock(&failing->lock);
	failing->commits++;
	code = failing->commit_code;
	applied = failing->applied;
	(void)pthread_mutex_unlock(&failing->lock);
	if (!code)
		return spool_commit(failing->inner, changes, count, err);
	if (applied)
		(void)spool_commit(failing->inner, changes, count, NULL);
	return error_set(err, (enum error_code)code, "as told");
}

static int read_message(struct spool *spool, const struct id *id,
                        struct spool_message *message, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code : spool_read(of(spool)->inner, id, message, err);
}

static int body_open(struct spool *spool, const struct id *id,
                     struct spool_body *body, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code
	            : of(spool)->inner->backend->body_open(of(spool)->inner, id,
	                                                   body, err);
}

static int claim(struct spool *spool, const char *owner, int64_t now_ms,
                 int64_t lease_ms, size_t limit, struct spool_page *page,
                 struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code
	            : spool_claim(of(spool)->inner, owner, now_ms, lease_ms,
	                          limit, page, err);
}

static int next_due(struct spool *spool, int64_t *due_ms, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code : spool_next_due(of(spool)->inner, due_ms, err);
}

static int list(struct spool *spool, const struct spool_query *query,
                struct spool_page *page, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code : spool_list(of(spool)->inner, query, page, err);
}

static int count(struct spool *spool, struct spool_totals *totals,
                 struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code : spool_count(of(spool)->inner, totals, err);
}

static int purge(struct spool *spool, int64_t before_ms, size_t limit,
                 size_t *deleted, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code
	            : spool_purge(of(spool)->inner, before_ms, limit, deleted,
	                          err);
}

static int get(struct spool *spool, const char *name, char **value,
               struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code : spool_get(of(spool)->inner, name, value, err);
}

static int entries_apply(struct spool *spool, bool clear,
                         const struct entry *entries, size_t number,
                         int64_t revision, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code
	            : spool_entries_apply(of(spool)->inner, clear, entries,
	                                  number, revision, err);
}

static int entries_each(struct spool *spool,
                        void (*each)(const struct entry *, void *),
                        void *context, struct error *err)
{
	int code = fail_read(spool, err);

	return code ? code
	            : spool_entries_each(of(spool)->inner, each, context, err);
}

void failing_spool_init(struct failing_spool *failing, struct spool *inner)
{
	static const struct spool_backend backend = {
	    .name = "failing",
	    .engine = engine,
	    .incoming_directory = incoming_directory,
	    .commit = commit,
	    .read = read_message,
	    .body_open = body_open,
	    .claim = claim,
	    .next_due = next_due,
	    .list = list,
	    .count = count,
	    .purge = purge,
	    .get = get,
	    .entries_apply = entries_apply,
	    .entries_each = entries_each,
	};

	*failing = (struct failing_spool){.spool = {.backend = &backend},
	                                  .inner = inner};
	(void)pthread_mutex_init(&failing->lock, NULL);
}

void failing_spool_release(struct failing_spool *failing)
{
	(void)pthread_mutex_destroy(&failing->lock);
}

void failing_spool_commits(struct failing_spool *failing, int code,
                           bool applied)
{
	(void)pthread_mutex_lock(&failing->lock);
	failing->commit_code = code;
	failing->applied = applied;
	(void)pthread_mutex_unlock(&failing->lock);
}

void failing_spool_reads(struct failing_spool *failing, int code)
{
	(void)pthread_mutex_lock(&failing->lock);
	failing->read_code = code;
	(void)pthread_mutex_unlock(&failing->lock);
}

void failing_spool_away(struct failing_spool *failing, int code)
{
	failing_spool_commits(failing, code, false);
	failing_spool_reads(failing, code);
}

unsigned failing_spool_commit_count(struct failing_spool *failing)
{
	unsigned number;

	(void)pthread_mutex_lock(&failing->lock);
	number = failing->commits;
	(void)pthread_mutex_unlock(&failing->lock);
	return number;
}

unsigned failing_spool_read_count(struct failing_spool *failing)
{
	unsigned number;

	(void)pthread_mutex_lock(&failing->lock);
	number = failing->reads;
	(void)pthread_mutex_unlock(&failing->lock);
	return number;
}

/* The spool's backends by name, its states and their names. */
#include "store/spool/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/spool/input.h"
#include "store/spool/ops.h"

const char *const spool_backend_names[] = {"sqlite", "mongodb", NULL};

static const struct spool_backend *const backends[] = {
    &spool_sqlite_backend,
    &spool_mongodb_backend,
};

static const char *const state_names[SPOOL_STATE_COUNT] = {
    [SPOOL_HELD] = "held",         [SPOOL_QUEUED] = "queued",
    [SPOOL_DEFERRED] = "deferred", [SPOOL_DELIVERED] = "delivered",
    [SPOOL_FAILED] = "failed",     [SPOOL_DISCARDED] = "discarded",
    [SPOOL_EXPIRED] = "expired",   [SPOOL_QUARANTINED] = "quarantined",
};

static const char *const dsn_names[SPOOL_DSN_COUNT] = {
    [SPOOL_DSN_NONE] = "none",
    [SPOOL_DSN_DUE] = "due",
    [SPOOL_DSN_QUEUED] = "queued",
    [SPOOL_DSN_SENT] = "sent",
};

#define FINAL                                                                  \
	(SPOOL_IN(SPOOL_DELIVERED) | SPOOL_IN(SPOOL_FAILED) |                  \
	 SPOOL_IN(SPOOL_DISCARDED) | SPOOL_IN(SPOOL_EXPIRED))
#define FROM_WAITING                                                           \
	(SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DISCARDED) |                  \
	 SPOOL_IN(SPOOL_EXPIRED))
#define FROM_QUEUE                                                             \
	(SPOOL_IN(SPOOL_DELIVERED) | SPOOL_IN(SPOOL_DEFERRED) |                \
	 SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_FAILED) |                     \
	 SPOOL_IN(SPOOL_DISCARDED))

/* The states that each state may become. */
static const unsigned may_become[SPOOL_STATE_COUNT] = {
    [SPOOL_HELD] = FROM_WAITING,   [SPOOL_QUARANTINED] = FROM_WAITING,
    [SPOOL_QUEUED] = FROM_QUEUE,   [SPOOL_DEFERRED] = FROM_QUEUE,
    [SPOOL_FAILED] = FROM_WAITING,
};

const char *spool_state_name(enum spool_state state)
{
	return (unsigned)state < SPOOL_STATE_COUNT ? state_names[state]
	                                           : "unknown";
}

int spool_state_parse(const char *name)
{
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		if (!strcmp(name, state_names[i]))
			return i;
	return -1;
}

bool spool_state_is_final(enum spool_state state)
{
	return (unsigned)state < SPOOL_STATE_COUNT && (SPOOL_IN(state) & FINAL);
}

bool spool_recipient_is_kept(const struct spool_recipient *recipient)
{
	return recipient->state == SPOOL_FAILED && recipient->keep_until_ms;
}

bool spool_recipient_is_over(const struct spool_recipient *recipient)
{
	return spool_state_is_final(recipient->state) &&
	       !spool_recipient_is_kept(recipient);
}

const char *spool_dsn_name(enum spool_dsn dsn)
{
	return (unsigned)dsn < SPOOL_DSN_COUNT ? dsn_names[dsn] : "unknown";
}

int spool_dsn_parse(const char *name)
{
	for (int i = 0; i < SPOOL_DSN_COUNT; i++)
		if (!strcmp(name, dsn_names[i]))
			return i;
	return -1;
}

bool spool_state_may_become(enum spool_state from, enum spool_state to)
{
	return (unsigned)from < SPOOL_STATE_COUNT &&
	       (unsigned)to < SPOOL_STATE_COUNT &&
	       (may_become[from] & SPOOL_IN(to));
}

static void release_recipient(struct spool_recipient *recipient)
{
	free(recipient->address);
	free(recipient->by);
	free(recipient->why);
	free(recipient->history);
	free(recipient->reply);
	free(recipient->lease_owner);
	free(recipient->next_hop);
}

void spool_message_release(struct spool_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++)
		release_recipient(&message->recipients[i]);
	free(message->recipients);
	free(message->sender);
	free(message->sender_normal);
	free(message->header_from);
	free(message->subject);
	free(message->message_id);
	free(message->client_address);
	free(message->client_name);
	free(message->helo);
	free(message->protocol);
	free(message->challenge_reason);
	free(message->auth_notice);
	free(message->registration_refusal);
	memset(message, 0, sizeof(*message));
}

void spool_page_release(struct spool_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		spool_message_release(&page->messages[i]);
	free(page->messages);
	memset(page, 0, sizeof(*page));
}

static int open_backend(struct spool **spool,
                        const struct spool_options *options, bool shared,
                        struct error *err)
{
	int result = spool_options_check(options, err);

	if (result < 0)
		return result;
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (!strcmp(options->backend, backends[i]->name))
			return backends[i]->open(spool, options, shared, err);
	return error_set(err, ERR_INVALID, "no such spool backend: \"%s\"",
	                 options->backend);
}

int spool_open(struct spool **spool, const struct spool_options *options,
               struct error *err)
{
	return open_backend(spool, options, false, err);
}

int spool_open_shared(struct spool **spool, const struct spool_options *options,
                      struct error *err)
{
	return open_backend(spool, options, true, err);
}

void spool_close(struct spool *spool)
{
	if (spool)
		spool->backend->close(spool);
}

const char *spool_engine(const struct spool *spool)
{
	return spool->backend->engine(spool);
}

bool spool_commits_at_once(const struct spool *spool)
{
	return spool->backend->commits_at_once;
}

const char *spool_incoming_directory(const struct spool *spool)
{
	return spool->backend->incoming_directory(spool);
}

int spool_commit(struct spool *spool, struct spool_change *changes,
                 size_t count, struct error *err)
{
	return count ? spool->backend->commit(spool, changes, count, err) : 0;
}

int spool_read(struct spool *spool, const struct id *id,
               struct spool_message *message, struct error *err)
{
	return spool->backend->read(spool, id, message, err);
}

int spool_body_open(struct spool *spool, const struct id *id,
                    struct spool_body **body, struct error *err)
{
	struct spool_body *opened = calloc(1, sizeof(*opened));
	int result;

	if (!opened)
		return error_set(err, ERR_MEMORY, "out of memory");
	opened->fd = -1;
	result = spool->backend->body_open(spool, id, opened, err);
	if (result < 0)
		spool_body_close(opened);
	else
		*body = opened;
	return result;
}

static long read_file(struct spool_body *body, void *bytes, size_t size)
{
	ssize_t got;

	do
		got = read(body->fd, bytes, size);
	while (got < 0 && errno == EINTR);
	return got < 0 ? body->read_error : (long)got;
}

long spool_body_read(struct spool_body *body, void *bytes, size_t size)
{
	size_t left = body->size - body->offset;

	if (size == 0)
		return ERR_INVALID;
	if (body->fd >= 0)
		return read_file(body, bytes, size);
	if (size > left)
		size = left;
	if (size)
		memcpy(bytes, body->bytes + body->offset, size);
	body->offset += size;
	return (long)size;
}

void spool_body_close(struct spool_body *body)
{
	if (!body)
		return;
	if (body->fd >= 0)
		(void)close(body->fd);
	free(body->bytes);
	free(body);
}

int spool_claim(struct spool *spool, const char *owner, int64_t now_ms,
                int64_t lease_ms, size_t limit, struct spool_page *page,
                struct error *err)
{
	int result = spool_claim_check(owner, now_ms, lease_ms, limit, err);

	return result < 0 ? result
	                  : spool->backend->claim(spool, owner, now_ms,
	                                          lease_ms, limit, page, err);
}

int spool_next_due(struct spool *spool, int64_t *due_ms, struct error *err)
{
	return spool->backend->next_due(spool, due_ms, err);
}

int spool_list(struct spool *spool, const struct spool_query *query,
               struct spool_page *page, struct error *err)
{
	int result = spool_query_check(query, err);

	return result < 0 ? result
	                  : spool->backend->list(spool, query, page, err);
}

int spool_count(struct spool *spool, struct spool_totals *totals,
                struct error *err)
{
	return spool->backend->count(spool, totals, err);
}

int spool_purge(struct spool *spool, int64_t before_ms, size_t limit,
                size_t *deleted, struct error *err)
{
	int result = spool_limit_check(limit, err);

	return result < 0 ? result
	                  : spool->backend->purge(spool, before_ms, limit,
	                                          deleted, err);
}

int spool_get(struct spool *spool, const char *name, char **value,
              struct error *err)
{
	return spool->backend->get(spool, name, value, err);
}

int spool_values_each(struct spool *spool,
                      void (*each)(const char *name, const char *value,
                                   void *context),
                      void *context, struct error *err)
{
	return spool->backend->values_each(spool, each, context, err);
}

int spool_entries_apply(struct spool *spool, bool clear,
                        const struct entry *entries, size_t count,
                        int64_t revision, struct error *err)
{
	return spool->backend->entries_apply(spool, clear, entries, count,
	                                     revision, err);
}

int spool_entries_each(struct spool *spool,
                       void (*each)(const struct entry *entry, void *context),
                       void *context, struct error *err)
{
	return spool->backend->entries_each(spool, each, context, err);
}

int spool_check(struct spool *spool, struct error *err)
{
	return spool->backend->check(spool, err);
}

int spool_backup(struct spool *spool, const char *directory,
                 const struct store_progress *progress, struct error *err)
{
	if (!directory || !*directory)
		return error_set(err, ERR_INVALID, "no directory to write to");
	if (!spool->backend->backup)
		return error_set(err, ERR_INVALID,
		                 "%s: its server has tools of its own for a "
		                 "backup",
		                 spool_engine(spool));
	return spool->backend->backup(spool, directory, progress, err);
}

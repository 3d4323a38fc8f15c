/* The white and black lists in SQLite. */
#include "store/registry/sqlite/rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"

#define ENTRIES "SELECT " ENTRY_COLUMNS " FROM entry "

static const struct id none;

/* Reads a row without its texts, which stay the statement's. */
static void read_borrowed(struct sqlite_query *query, struct entry *entry)
{
	entry->id = sqlite_column_id(query, 0);
	entry->scope = (enum entry_scope)sqlite_column_int(query, 1);
	entry->scope_value = (char *)sqlite_column_text(query, 2);
	entry->kind = (enum entry_kind)sqlite_column_int(query, 3);
	entry->value = (char *)sqlite_column_text(query, 4);
	entry->colour = (enum entry_colour)sqlite_column_int(query, 5);
	entry->origin = (enum entry_origin)sqlite_column_int(query, 6);
	entry->demand = (enum mail_pass)sqlite_column_int(query, 7);
	entry->deleted = sqlite_column_int(query, 8) != 0;
	entry->expires_ms = sqlite_column_int(query, 9);
	entry->created_ms = sqlite_column_int(query, 10);
	entry->revision = sqlite_column_int(query, 11);
	entry->note = (char *)sqlite_column_text(query, 12);
}

int registry_sqlite_read_entry(struct sqlite_query *query, struct entry *entry,
                               struct error *err)
{
	read_borrowed(query, entry);
	entry->scope_value = strdup(entry->scope_value);
	entry->value = strdup(entry->value);
	entry->note = strdup(entry->note);
	if (!entry->scope_value || !entry->value || !entry->note)
		return error_set(err, ERR_MEMORY, "out of memory");
	return 0;
}

/* --- changes ------------------------------------------------------------ */

struct put {
	const struct id *tenant;
	const struct entry *entry;
	struct id id;
	int64_t revision;
};

void registry_sqlite_bind_entry(struct sqlite_query *query,
                                const struct entry *entry)
{
	sqlite_bind_id(query, 1, &entry->id);
	sqlite_bind_int(query, 2, entry->scope);
	registry_sqlite_bind(query, 3, entry->scope_value);
	sqlite_bind_int(query, 4, entry->kind);
	sqlite_bind_text(query, 5, entry->value);
	sqlite_bind_int(query, 6, entry->colour);
	sqlite_bind_int(query, 7, entry->origin);
	sqlite_bind_int(query, 8, entry->demand);
	sqlite_bind_int(query, 9, entry->deleted);
	sqlite_bind_int(query, 10, entry->expires_ms);
	sqlite_bind_int(query, 11, entry->created_ms);
	sqlite_bind_int(query, 12, entry->revision);
	registry_sqlite_bind(query, 13, entry->note);
}

static int put_entry(struct sqlite_db *db, void *context, struct error *err)
{
	struct put *put = context;
	struct entry entry = *put->entry;
	struct sqlite_query *query;
	int result =
	    registry_sqlite_next_revision(db, put->tenant, &put->revision, err);

	if (result)
		return result;
	query = sqlite_query(
	    db, ENTRY_INSERT
	    " ON CONFLICT (tenant, scope, scope_value, kind, value)"
	    " DO UPDATE SET colour = excluded.colour,"
	    " origin = excluded.origin,"
	    " demands_pass = excluded.demands_pass, deleted = 0,"
	    " expires_ms = excluded.expires_ms,"
	    " created_ms = excluded.created_ms,"
	    " revision = excluded.revision, note = excluded.note"
	    " WHERE excluded.origin <> ?15 OR entry.origin = ?15"
	    " OR entry.deleted OR (entry.expires_ms > 0"
	    " AND entry.expires_ms <= excluded.created_ms)"
	    " RETURNING id");
	entry.deleted = false;
	entry.revision = put->revision;
	registry_sqlite_bind_entry(query, &entry);
	sqlite_bind_id(query, 14, put->tenant);
	sqlite_bind_int(query, 15, ENTRY_FROM_CAPTCHA);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (result == 0)
		return error_set(err, ERR_CONFLICT,
		                 "somebody wrote an entry there");
	put->id = sqlite_column_id(query, 0);
	return sqlite_run(query, err);
}

int registry_sqlite_entry_put(struct registry *registry,
                              const struct id *tenant,
                              const struct entry *entry, struct entry *stored,
                              struct error *err)
{
	struct put put = {.tenant = tenant, .entry = entry};
	int error = registry_sqlite_write(registry, put_entry, &put, err);

	if (!error && stored) {
		stored->id = put.id;
		stored->revision = put.revision;
	}
	return error;
}

struct removal {
	const struct id *tenant, *id;
};

static int remove_entry(struct sqlite_db *db, void *context, struct error *err)
{
	const struct removal *removal = context;
	struct sqlite_query *query;
	int64_t revision;
	int error =
	    registry_sqlite_next_revision(db, removal->tenant, &revision, err);

	if (error)
		return error;
	query = sqlite_query(db, "UPDATE entry SET deleted = 1, revision = ?3"
	                         " WHERE id = ?1 AND tenant = ?2"
	                         " AND deleted = 0");
	sqlite_bind_id(query, 1, removal->id);
	sqlite_bind_id(query, 2, removal->tenant);
	sqlite_bind_int(query, 3, revision);
	if ((error = sqlite_run(query, err)))
		return error;
	if (!sqlite_db_changes(db))
		return error_set(err, ERR_NOT_FOUND, "no such entry");
	return 0;
}

int registry_sqlite_entry_remove(struct registry *registry,
                                 const struct id *tenant, const struct id *id,
                                 struct error *err)
{
	struct removal removal = {tenant, id};

	return registry_sqlite_write(registry, remove_entry, &removal, err);
}

/* --- lists -------------------------------------------------------------- */

struct listing {
	const struct id *tenant, *after_id;
	int64_t after_revision;
	size_t limit;
	struct registry_entries page;
};

/* Reads rows into the page, one of which may be more than its limit. */
static int collect(struct sqlite_query *query, struct listing *listing,
                   struct error *err)
{
	struct registry_entries *page = &listing->page;
	size_t capacity = 0;
	int result, error;

	while ((result = sqlite_step(query, err)) > 0) {
		if (page->count == listing->limit) {
			page->more = true;
			sqlite_reset(query);
			return 0;
		}
		if ((error = array_grow((void **)&page->entries, page->count,
		                        &capacity, sizeof(struct entry), err)))
			return error;
		page->count++;
		if ((error = registry_sqlite_read_entry(
		         query, &page->entries[page->count - 1], err)))
			return error;
	}
	return result;
}

static int list_entries(struct sqlite_db *db, void *context, struct error *err)
{
	struct listing *listing = context;
	struct sqlite_query *query = sqlite_query(
	    db, ENTRIES "WHERE tenant = ?1 AND deleted = 0 AND id > ?2"
	                " ORDER BY id LIMIT ?3");

	sqlite_bind_id(query, 1, listing->tenant);
	sqlite_bind_id(query, 2, listing->after_id);
	sqlite_bind_int(query, 3, (int64_t)listing->limit + 1);
	return collect(query, listing, err);
}

static int list_changes(struct sqlite_db *db, void *context, struct error *err)
{
	struct listing *listing = context;
	struct sqlite_query *query =
	    sqlite_query(db, ENTRIES "WHERE tenant = ?1 AND revision > ?2"
	                             " ORDER BY revision LIMIT ?3");

	sqlite_bind_id(query, 1, listing->tenant);
	sqlite_bind_int(query, 2, listing->after_revision);
	sqlite_bind_int(query, 3, (int64_t)listing->limit + 1);
	return collect(query, listing, err);
}

static int list(struct registry *registry, registry_sqlite_job job,
                struct listing *listing, struct registry_entries *page,
                struct error *err)
{
	int error = registry_sqlite_read(registry, job, listing, err);

	if (error)
		registry_entries_release(&listing->page);
	else
		*page = listing->page;
	return error;
}

int registry_sqlite_entry_list(struct registry *registry,
                               const struct id *tenant, const struct id *after,
                               size_t limit, struct registry_entries *page,
                               struct error *err)
{
	struct listing listing = {
	    .tenant = tenant, .after_id = after, .limit = limit};

	return list(registry, list_entries, &listing, page, err);
}

int registry_sqlite_entry_changes(struct registry *registry,
                                  const struct id *tenant, int64_t after,
                                  size_t limit, struct registry_entries *page,
                                  struct error *err)
{
	struct listing listing = {
	    .tenant = tenant, .after_revision = after, .limit = limit};

	return list(registry, list_changes, &listing, page, err);
}

struct revision {
	const struct id *tenant;
	int64_t value;
};

static int read_revision(struct sqlite_db *db, void *context, struct error *err)
{
	struct revision *revision = context;
	struct sqlite_query *query;

	if (id_is_none(revision->tenant)) {
		query = sqlite_query(db, "SELECT value FROM counter"
		                         " WHERE name = 'global-policy'");
	} else {
		query = sqlite_query(
		    db, "SELECT ifnull((SELECT policy_revision FROM tenant"
		        " WHERE id = ?1), 0)");
		sqlite_bind_id(query, 1, revision->tenant);
	}
	return registry_sqlite_number(query, &revision->value, err);
}

int registry_sqlite_policy_revision(struct registry *registry,
                                    const struct id *tenant, int64_t *revision,
                                    struct error *err)
{
	struct revision read = {.tenant = tenant};
	int error = registry_sqlite_read(registry, read_revision, &read, err);

	if (!error)
		*revision = read.value;
	return error;
}

/* --- look-ups ----------------------------------------------------------- */

struct match {
	struct sqlite_db *db;
	const struct id *tenant;
	const struct entry_subject *subjects;
	size_t count;
	struct entry *best; /* of each subject; value is NULL: none yet */
	size_t at;          /* the subject whose keys are looked up */
	struct error *err;
	int error; /* the first */
};

/* Keeps the row for the subject at i when it matches and is stronger than what
 * was found. */
static void consider(struct match *match, struct sqlite_query *query, size_t i)
{
	struct entry *best = match->best[i].value ? &match->best[i] : NULL;
	struct entry entry, copy = {0};

	read_borrowed(query, &entry);
	if (!entry_matches(&entry, &match->subjects[i]) ||
	    entry_stronger(best, &entry) == best)
		return;
	match->error = registry_sqlite_read_entry(query, &copy, match->err);
	if (match->error) {
		entry_release(&copy);
		return;
	}
	entry_release(&match->best[i]);
	match->best[i] = copy;
}

/* Considers the query's rows for the subjects from first up to end. */
static void consider_all(struct match *match, struct sqlite_query *query,
                         size_t first, size_t end)
{
	int result = 0;

	while (!match->error && (result = sqlite_step(query, match->err)) > 0)
		for (size_t i = first; i < end && !match->error; i++)
			consider(match, query, i);
	if (!match->error)
		match->error = result;
	else
		sqlite_reset(query);
}

static void match_key(enum entry_scope scope, const char *scope_value,
                      enum entry_kind kind, const char *value, void *context)
{
	struct match *match = context;
	struct sqlite_query *query;

	if (match->error)
		return;
	query = sqlite_query(match->db,
	                     ENTRIES "WHERE tenant = ?1 AND scope = ?2"
	                             " AND scope_value = ?3 AND kind = ?4"
	                             " AND value = ?5 AND deleted = 0");
	sqlite_bind_id(query, 1,
	               scope == ENTRY_SCOPE_GLOBAL ? &none : match->tenant);
	sqlite_bind_int(query, 2, scope);
	registry_sqlite_bind(query, 3, scope_value);
	sqlite_bind_int(query, 4, kind);
	registry_sqlite_bind(query, 5, value);
	consider_all(match, query, match->at, match->at + 1);
}

/* Patterns and networks cannot be looked up: they are few, and read once for
 * all subjects. */
static void match_scanned(struct match *match, const struct id *tenant)
{
	struct sqlite_query *query;

	if (match->error)
		return;
	query =
	    sqlite_query(match->db, ENTRIES "INDEXED BY entry_scanned"
	                                    " WHERE tenant = ?1 AND deleted = 0"
	                                    " AND kind <= 1");
	sqlite_bind_id(query, 1, tenant);
	consider_all(match, query, 0, match->count);
}

static int match_entries(struct sqlite_db *db, void *context, struct error *err)
{
	struct match *match = context;

	match->db = db;
	match->err = err;
	for (match->at = 0; match->at < match->count; match->at++)
		entry_each_key(&match->subjects[match->at], match_key, match);
	match_scanned(match, &none);
	if (!id_is_none(match->tenant))
		match_scanned(match, match->tenant);
	return match->error;
}

int registry_sqlite_entry_match(struct registry *registry,
                                const struct id *tenant,
                                const struct entry_subject *subjects,
                                size_t count, struct entry *entries,
                                struct error *err)
{
	struct match match = {.tenant = tenant,
	                      .subjects = subjects,
	                      .count = count,
	                      .best = entries};
	int error = registry_sqlite_read(registry, match_entries, &match, err);

	for (size_t i = 0; i < count && error; i++)
		entry_release(&entries[i]);
	return error;
}

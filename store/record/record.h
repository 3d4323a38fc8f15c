/*
 * Records of simple kinds. A kind is described once, by a table of its fields
 * and one of its indexes; adding, finding, listing, changing, purging and
 * copying its records is written once for all kinds, for each backend.
 *
 * Guarantees, the same for every backend:
 *
 *  - A function that returns 0 has put its change on stable storage.
 *  - A record is changed and deleted under a condition: ERR_CONFLICT when it is
 *    no longer as the caller knows it, nothing changed then.
 *  - ERR_UNCERTAIN: it may have been done; read again.
 *  - ERR_INVALID names the field.
 *
 * All functions may be called from any thread. Times are milliseconds since
 * 1970 in UTC. Texts that are read are heap strings, never NULL; those that are
 * given may be NULL, which is "". ERR_MEMORY instead of an abort.
 */
#ifndef STORE_RECORD_RECORD_H
#define STORE_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/error.h"
#include "common/id.h"

/* The most fields of a kind, and of an index or a key. */
#define RECORD_FIELDS_MAXIMUM 40
#define RECORD_KEY_MAXIMUM    4

/* The longest text of a field that names no other maximum, in bytes. */
#define RECORD_TEXT_MAXIMUM 65536

/* The most records of one page, of one put and of one purge. */
#define RECORD_LIMIT_MAXIMUM 100000

/* What a field is in the record's struct, and how it is kept. */
enum record_type {
	RECORD_ID,   /* struct id; none is all zero */
	RECORD_TEXT, /* char *; UTF-8 where it is part of an index */
	RECORD_WORD, /* int: the index of a word, which is what is stored */
	RECORD_INT,  /* int64_t, 0 or more */
	RECORD_TIME, /* int64_t: milliseconds since 1970; 0: none */
	RECORD_BOOL, /* bool */
	RECORD_HASH  /* uint8_t[CRYPTO_HASH_SIZE] */
};

enum record_flag {
	RECORD_REQUIRED = 1, /* an id that is not none, a text that is not "",
	                        a number or time above 0 */
	RECORD_FIXED = 2,    /* record_update() leaves it as it is */
	RECORD_SECRET = 4    /* in copies, never in JSON; wiped when released */
};

/*
 * A field: a column in SQLite (a time's has "_ms" behind its name), a key of
 * the document in MongoDB, a member in JSON.
 */
struct record_field {
	const char *name; /* [a-z_]; a time's has no unit; NULL ends a table */
	enum record_type type;
	unsigned flags; /* of enum record_flag */
	size_t offset;  /* in the record's struct */
	/* Of a text in bytes, of a RECORD_INT as a value; 0: none but
	 * RECORD_TEXT_MAXIMUM. */
	size_t maximum;
	const char *const *words; /* of a RECORD_WORD, NULL-ended */
	/* Looks at a text that is not "". 0, or ERR_INVALID with what is
	 * wrong, without the field's name. NULL: all are fine. */
	int (*check)(const char *text, struct error *err);
};

/* An index: what records are found and listed by. */
struct record_index {
	const char *fields;  /* "tenant,login"; NULL ends a table */
	bool unique;         /* no two records are equal in all of them */
	const char *only_if; /* a RECORD_INT or RECORD_TIME: records where it
	                        is above 0 alone are in the index; NULL: all */
};

/* To whom the records of a kind belong, by their field "tenant". */
enum record_owner {
	RECORD_OF_TENANT,  /* each to a tenant, which record_add() looks for */
	RECORD_OF_EITHER,  /* as above, or to none */
	RECORD_OF_OPERATOR /* no tenant is looked for; there may be such a
	                      field all the same */
};

/* A kind of record. */
struct record_kind {
	const char *name;  /* [a-z_]: the table, the collection */
	const char *label; /* what its records are called in reports */
	size_t size;       /* of the record's struct */
	enum record_owner owner;
	const struct record_field *fields;
	const struct record_index *indexes;
	/* The fields of the primary key, "id" or "tenant,id": ids, hashes and
	 * texts, one text at the most and then alone. They are never changed.
	 * Pages for copies are in its order. */
	const char *key;
	/* A RECORD_TIME that record_purge() goes by, the first field of an
	 * index; NULL: records are kept. */
	const char *purge_by;
	/* What the fields must be together; NULL: nothing. 0 or ERR_INVALID
	 * with the field named. */
	int (*check)(const void *record, struct error *err);
};

/*
 * How most records begin: first member of their struct, with
 * RECORD_HEAD_FIELDS first in the table of fields. A kind that is only added to
 * does without and names the fields that it has.
 *
 * A kind with a field "version" can be changed; the version is its ETag. Where
 * there are such fields, record_add() makes version 1 and "changed" the same as
 * "created"; record_update() counts version up and sets "changed".
 */
struct record_head {
	struct id id, tenant;
	int64_t created_ms, changed_ms, version;
};

/* clang-format off */
#define RECORD_HEAD_FIELDS                                                     \
	{.name = "id", .type = RECORD_ID,                                      \
	 .flags = RECORD_REQUIRED | RECORD_FIXED,                              \
	 .offset = offsetof(struct record_head, id)},                          \
	{.name = "tenant", .type = RECORD_ID, .flags = RECORD_FIXED,           \
	 .offset = offsetof(struct record_head, tenant)},                      \
	{.name = "created", .type = RECORD_TIME, .flags = RECORD_FIXED,        \
	 .offset = offsetof(struct record_head, created_ms)},                  \
	{.name = "changed", .type = RECORD_TIME, .flags = RECORD_FIXED,        \
	 .offset = offsetof(struct record_head, changed_ms)},                  \
	{.name = "version", .type = RECORD_INT, .flags = RECORD_FIXED,         \
	 .offset = offsetof(struct record_head, version)}
/* clang-format on */

/*
 * What a kind that is worked off has besides, anywhere in its struct, with
 * RECORD_CLAIM_FIELDS(offset of it) in its table of fields and an index over
 * "due" where due is above 0. It has a version.
 */
struct record_claim {
	int64_t due_ms;   /* when it is to be worked on; 0: never */
	int64_t until_ms; /* until when claim_owner has it; 0: nobody has */
	char *owner;
	int64_t attempts; /* claims so far */
};

/* clang-format off */
#define RECORD_CLAIM_FIELDS(at)                                                \
	{.name = "due", .type = RECORD_TIME,                                   \
	 .offset = (at) + offsetof(struct record_claim, due_ms)},              \
	{.name = "until", .type = RECORD_TIME,                                 \
	 .offset = (at) + offsetof(struct record_claim, until_ms)},            \
	{.name = "owner", .type = RECORD_TEXT,                                 \
	 .offset = (at) + offsetof(struct record_claim, owner)},               \
	{.name = "attempts", .type = RECORD_INT,                               \
	 .offset = (at) + offsetof(struct record_claim, attempts)}
/* clang-format on */

/* Where records are kept; made by a backend's function, which see. */
struct record_store;

/* Frees the texts of a record and wipes its secrets; the struct stays the
 * caller's. A zeroed one is allowed. */
void record_release(const struct record_kind *kind, void *record);

/*
 * Adds a record, after a look at its fields; sets its version and changed time,
 * where it has such. ERR_EXISTS when its key, or what a unique index holds, is
 * taken; ERR_NOT_FOUND without its tenant; ERR_INVALID.
 */
int record_add(struct record_store *store, const struct record_kind *kind,
               void *record, struct error *err);

/*
 * Reads the one record that has the fields of index (the fields of a unique
 * index as the kind writes them; NULL: the key) as they are in like into
 * *record, which the caller releases; like may be the same struct only if
 * nothing in it is on the heap. ERR_NOT_FOUND with *record untouched.
 */
int record_read(struct record_store *store, const struct record_kind *kind,
                const char *index, const void *like, void *record,
                struct error *err);

/*
 * Gives the record of this key all fields of *record that are not
 * RECORD_FIXED, if its version still is record's; sets version and changed
 * time of *record to the new ones. ERR_CONFLICT for another version,
 * ERR_NOT_FOUND, ERR_EXISTS for what a unique index holds, ERR_INVALID.
 */
int record_update(struct record_store *store, const struct record_kind *kind,
                  void *record, int64_t now_ms, struct error *err);

/*
 * Deletes the record of this key. Where the kind has a version, and record's is
 * not 0, or else a purge_by, and record's is not 0, only if it still is
 * record's: ERR_CONFLICT. ERR_NOT_FOUND.
 */
int record_delete(struct record_store *store, const struct record_kind *kind,
                  const void *record, struct error *err);

/* What record_list() looks for. */
struct record_query {
	/* The fields of an index as the kind writes them; NULL: the key. The
	 * order is that of its fields, then of the key's. */
	const char *index;
	/* So many of its first fields are as they are in like. */
	size_t equal;
	const void *like;  /* NULL with equal 0 */
	const void *after; /* the last record of the page before; NULL */
	size_t limit;      /* 1..RECORD_LIMIT_MAXIMUM */
};

/* Some records of one kind, one behind the other. */
struct record_page {
	void *records;
	size_t count;
	bool more;
};

/* Frees and clears; a zeroed struct is allowed. */
void record_page_release(const struct record_kind *kind,
                         struct record_page *page);

/* Record number i of a page. */
void *record_at(const struct record_kind *kind, const struct record_page *page,
                size_t i);

/* Reads a page; the caller releases it. */
int record_list(struct record_store *store, const struct record_kind *kind,
                const struct record_query *query, struct record_page *page,
                struct error *err);

/*
 * Calls each for every record that the query finds (its limit is that of the
 * pages), until it returns other than 0, which is returned. The record is
 * borrowed. Each may use the store.
 */
int record_each(struct record_store *store, const struct record_kind *kind,
                const struct record_query *query,
                int (*each)(const void *record, void *context,
                            struct error *err),
                void *context, struct error *err);

/*
 * Deletes at most limit records whose purge_by is above 0 and before before_ms,
 * in small writes. *deleted tells how many; fewer than limit: there are no
 * more. ERR_INVALID for a kind without purge_by.
 */
int record_purge(struct record_store *store, const struct record_kind *kind,
                 int64_t before_ms, size_t limit, size_t *deleted,
                 struct error *err);

/*
 * Puts records in as they are, version and all, after a look at each: for
 * copies, and where a new record takes the place of an old one. results[i]
 * is 0, or ERR_EXISTS where its key or what a unique index holds is taken; with
 * replace a record with the same key is replaced. No tenant is looked for. 0
 * when each record has its result.
 */
int record_put(struct record_store *store, const struct record_kind *kind,
               const void *records, size_t count, bool replace, int *results,
               struct error *err);

/*
 * Claims at most limit records that are due at now_ms and not claimed (or until
 * when they were has passed): owner has them until now_ms + lease_ms, attempts
 * and version are one more. No record is claimed by two at once; the longest
 * due come first. The claim ends by a record_update(), whose condition fails
 * when another has claimed the record since. Nobody who waits for changes is
 * woken. ERR_INVALID for a kind that is not worked off.
 */
int record_claim(struct record_store *store, const struct record_kind *kind,
                 const char *owner, int64_t now_ms, int64_t lease_ms,
                 size_t limit, struct record_page *page, struct error *err);

/*
 * Below 0, 0 or above 0 as a comes before, is the same as or comes after b in
 * the order of the kind's key.
 */
int record_order(const struct record_kind *kind, const void *a, const void *b);

/* The index of a word in a NULL-ended list; -1 when it is not in it. */
int record_word(const char *const *words, const char *text);

/* 0 when every field of a record, and all together, are as the kind says, else
 * ERR_INVALID. record_add(), record_update() and record_put() ask it. */
int record_check(const struct record_kind *kind, const void *record,
                 struct error *err);

#endif

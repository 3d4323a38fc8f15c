/* What the files of the records' MongoDB backend share. */
#ifndef STORE_RECORD_MONGODB_PRIVATE_H
#define STORE_RECORD_MONGODB_PRIVATE_H

#include "store/mongodb/db.h"
#include "store/record/mongodb/engine.h"
#include "store/record/ops.h"

/* The field, beside those of the kind, that has the token of the change that
 * was made last. */
#define RECORD_MONGODB_TOKEN "last_change"

struct record_mongodb {
	struct record_store store; /* first */
	struct mongodb_db *db;
	void (*changed)(void *context);
	void *context;
};

/* The whole of which store is the first member. */
static inline struct record_mongodb *record_mongodb(struct record_store *store)
{
	return (struct record_mongodb *)store;
}

/* --- document.c --------------------------------------------------------- */

/* What the field is called in a document: "_id" for one that is the key. */
const char *record_mongodb_name(const struct record_kind *kind,
                                const struct record_field *field);

/* Appends a field's value under a name. false: the document is full. */
bool record_mongodb_append(bson_t *document, const char *name,
                           const struct record_field *field,
                           const void *record);

/*
 * Appends the record's _id under a name: the key's value, or those of a key of
 * several one behind the other, of which the first count are record's and the
 * others all bytes of filler.
 */
bool record_mongodb_append_id(bson_t *document, const char *name,
                              const struct record_kind *kind,
                              const void *record, size_t count, int filler);

/* Appends "_id": the record's. */
bool record_mongodb_append_key(bson_t *document, const struct record_kind *kind,
                               const void *record);

/* Appends the condition that the version is record's: documents of before there
 * were versions have version 1. */
bool record_mongodb_append_version(bson_t *selector,
                                   const struct record_field *version,
                                   const void *record);

/* Appends the condition that records are in the index: only_if is above 0. A
 * condition for it that is there already is stricter. */
bool record_mongodb_append_only_if(bson_t *selector,
                                   const struct record_kind *kind,
                                   const struct record_index *index);

/* Appends all fields but "_id". */
bool record_mongodb_append_fields(bson_t *document,
                                  const struct record_kind *kind,
                                  const void *record);

/*
 * Reads a document into a zeroed record. What an older program did not write is
 * none: the version 1, and the changed time that of the creation. ERR_CORRUPT
 * names the field; the record is the caller's to release, on failure too.
 */
int record_mongodb_read_document(const struct record_kind *kind,
                                 const bson_t *document, void *record,
                                 struct error *err);

/* --- engine.c ----------------------------------------------------------- */

/* Room for the longest name of an index, and for its keys. */
#define RECORD_MONGODB_INDEX_SIZE 256

/*
 * Writes the name of an index, "_id_" for the key's (index NULL or the same
 * fields).
 */
void record_mongodb_index_name(const struct record_kind *kind,
                               const struct record_index *index,
                               char name[RECORD_MONGODB_INDEX_SIZE]);

/* The index that begins with a time and has all records where it is above 0;
 * NULL when there is none. */
const struct record_index *record_mongodb_index_by(
    const struct record_kind *kind, const char *time);

/* Whether the index is that of the key, and so no other than that of _id. */
bool record_mongodb_is_key(const struct record_kind *kind,
                           const struct record_index *index);

/* --- write.c ------------------------------------------------------------ */

/* Tells those who watch. */
void record_mongodb_changed(struct record_mongodb *mongo);

/*
 * Makes an update of a record of which selector has the _id and the version;
 * set is what it $sets, to which the next version and a token are added. *made
 * tells whether it was made; ERR_UNCERTAIN, ERR_EXISTS.
 */
int record_mongodb_change(struct record_mongodb *mongo,
                          const struct record_kind *kind, const void *record,
                          bson_t *set, bool *made, struct error *err);

/* --- the operations: see struct record_ops ------------------------------ */

/* write.c */
int record_mongodb_add(struct record_store *store,
                       const struct record_kind *kind, const void *record,
                       struct error *err);
/* write.c */
int record_mongodb_update(struct record_store *store,
                          const struct record_kind *kind, const void *record,
                          int64_t now_ms, struct error *err);
/* write.c */
int record_mongodb_remove(struct record_store *store,
                          const struct record_kind *kind, const void *record,
                          const struct record_field *guard, struct error *err);
/* read.c */
int record_mongodb_read(struct record_store *store,
                        const struct record_kind *kind,
                        const struct record_index *index, const void *like,
                        void *record, struct error *err);
/* read.c */
int record_mongodb_list(struct record_store *store,
                        const struct record_kind *kind,
                        const struct record_index *index,
                        const struct record_query *query,
                        struct record_page *page, struct error *err);
/* put.c */
int record_mongodb_purge(struct record_store *store,
                         const struct record_kind *kind, int64_t before_ms,
                         size_t limit, size_t *deleted, struct error *err);
/* put.c */
int record_mongodb_put(struct record_store *store,
                       const struct record_kind *kind, const void *records,
                       size_t count, bool replace, int *results,
                       struct error *err);
/* claim.c */
int record_mongodb_claim(struct record_store *store,
                         const struct record_kind *kind, const char *owner,
                         int64_t now_ms, int64_t lease_ms, size_t limit,
                         struct record_page *page, struct error *err);

#endif

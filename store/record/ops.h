/* For the backends of records: the operations each one has, and the fields. */
#ifndef STORE_RECORD_OPS_H
#define STORE_RECORD_OPS_H

#include "store/record/record.h"

/*
 * The contracts are those of the functions of record.h with the same names.
 * What record.c has checked needs no second look: fields are valid, texts of
 * indexes are UTF-8, limits are in bounds, the kind has what the function
 * needs. Texts may be NULL and count as "".
 */
struct record_ops {
	int (*add)(struct record_store *store, const struct record_kind *kind,
	           const void *record, struct error *err);
	/* index NULL: the key; *record is zeroed, and released by record.c
	 * after a failure. */
	int (*read)(struct record_store *store, const struct record_kind *kind,
	            const struct record_index *index, const void *like,
	            void *record, struct error *err);
	/* record has the version that it must still have; it becomes one more,
	 * and "changed" (where there is such a field) now_ms. */
	int (*update)(struct record_store *store,
	              const struct record_kind *kind, const void *record,
	              int64_t now_ms, struct error *err);
	/* guard: the field that must still be record's; NULL: none. */
	int (*remove)(struct record_store *store,
	              const struct record_kind *kind, const void *record,
	              const struct record_field *guard, struct error *err);
	/* index is query's, NULL: the key; *page is zeroed, and released by
	 * record.c after a failure. */
	int (*list)(struct record_store *store, const struct record_kind *kind,
	            const struct record_index *index,
	            const struct record_query *query, struct record_page *page,
	            struct error *err);
	int (*purge)(struct record_store *store, const struct record_kind *kind,
	             int64_t before_ms, size_t limit, size_t *deleted,
	             struct error *err);
	int (*put)(struct record_store *store, const struct record_kind *kind,
	           const void *records, size_t count, bool replace,
	           int *results, struct error *err);
	/* *page is zeroed, and released by record.c after a failure. */
	int (*claim)(struct record_store *store, const struct record_kind *kind,
	             const char *owner, int64_t now_ms, int64_t lease_ms,
	             size_t limit, struct record_page *page, struct error *err);
};

/* Every backend's state begins with this. */
struct record_store {
	const struct record_ops *ops;
	const struct record_kind *const *kinds; /* NULL-ended */
};

/* How many fields a kind has. */
size_t record_field_count(const struct record_kind *kind);

/* The field of this name; NULL when there is none. */
const struct record_field *record_field(const struct record_kind *kind,
                                        const char *name);

/*
 * The fields that a list as "tenant,login" names, in its order; returns how
 * many. An unknown name is left out.
 */
size_t record_fields(const struct record_kind *kind, const char *names,
                     const struct record_field *fields[RECORD_KEY_MAXIMUM]);

/*
 * The order of a list by an index (NULL: by the key): the index's fields, then
 * those of the key that are not among them, unless the index is unique.
 * Returns how many.
 */
size_t record_order_fields(
    const struct record_kind *kind, const struct record_index *index,
    const struct record_field *fields[2 * RECORD_KEY_MAXIMUM]);

/* Room for one more record at the end of a page, zeroed, already counted; NULL
 * when memory is out, with *err. */
void *record_page_add(const struct record_kind *kind, struct record_page *page,
                      struct error *err);

/* Where a field is in a record. */
static inline void *record_place(void *record, const struct record_field *field)
{
	return (char *)record + field->offset;
}

/* As record_place(), to be read. */
static inline const void *record_value(const void *record,
                                       const struct record_field *field)
{
	return (const char *)record + field->offset;
}

/* The number, time, word's index or truth in a field. */
int64_t record_number(const void *record, const struct record_field *field);

/* Sets what record_number() returns. */
void record_set_number(void *record, const struct record_field *field,
                       int64_t number);

/* A text, or a word: never NULL. */
const char *record_text(const void *record, const struct record_field *field);

/*
 * Sets a text, copied, or a word: ERR_CORRUPT for one that the field does not
 * know, ERR_MEMORY.
 */
int record_set_text(void *record, const struct record_field *field,
                    const char *text, size_t size, struct error *err);

/* The bytes of an id or a hash. */
const uint8_t *record_bytes(const void *record,
                            const struct record_field *field);

/* How many bytes they are: 16 or 32; 0 for other types. */
size_t record_bytes_size(const struct record_field *field);

/* Sets them. ERR_CORRUPT when size is another. */
int record_set_bytes(void *record, const struct record_field *field,
                     const void *bytes, size_t size, struct error *err);

#endif

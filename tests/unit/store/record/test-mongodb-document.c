/* Records as documents in MongoDB: every type is written and read, old and
 * damaged documents are told apart, and keys are where they belong. */
#include <string.h>

#include "store/record/mongodb/private.h"
#include "tests/support/suite.h"

struct sample {
	struct record_head head;
	char *name, *note;
	int colour;
	int64_t amount, due_ms;
	bool ready;
	uint8_t hash[CRYPTO_HASH_SIZE];
};

static const char *const colours[] = {"white", "black", NULL};

#define AT(member) .offset = offsetof(struct sample, member)

static const struct record_field fields[] = {
    RECORD_HEAD_FIELDS,
    {.name = "name", .type = RECORD_TEXT, AT(name), .flags = RECORD_REQUIRED},
    {.name = "note", .type = RECORD_TEXT, AT(note)},
    {.name = "colour", .type = RECORD_WORD, AT(colour), .words = colours},
    {.name = "amount", .type = RECORD_INT, AT(amount)},
    {.name = "due", .type = RECORD_TIME, AT(due_ms)},
    {.name = "ready", .type = RECORD_BOOL, AT(ready)},
    {.name = "hash", .type = RECORD_HASH, AT(hash), .flags = RECORD_REQUIRED},
    {.name = NULL}};

static const struct record_index indexes[] = {
    {"tenant,name", true, NULL}, {"due", false, "due"}, {NULL, false, NULL}};

static const struct record_kind by_id = {.name = "sample",
                                         .label = "samples",
                                         .size = sizeof(struct sample),
                                         .fields = fields,
                                         .indexes = indexes,
                                         .key = "id"};

static struct record_kind keyed(const char *key)
{
	struct record_kind kind = by_id;

	kind.key = key;
	return kind;
}

static struct sample sample_of(void)
{
	struct sample sample = {.head = {.id = {{1, 2, 3}},
	                                 .tenant = {{4, 5}},
	                                 .created_ms = 1700000000001,
	                                 .changed_ms = 1700000000002,
	                                 .version = 7},
	                        .name = (char *)"n\xc3\xa9",
	                        .note = (char *)"\xe9\x01",
	                        .colour = 1,
	                        .amount = INT64_MAX,
	                        .due_ms = 1700000000003,
	                        .ready = true};

	memset(sample.hash, 0xab, sizeof(sample.hash));
	return sample;
}

static void write_document(bson_t *document, const struct record_kind *kind,
                           const struct sample *sample)
{
	ck_assert(record_mongodb_append_key(document, kind, sample));
	ck_assert(record_mongodb_append_fields(document, kind, sample));
}

static void ck_assert_sample_eq(const struct sample *a, const struct sample *b)
{
	ck_assert(id_equal(&a->head.id, &b->head.id));
	ck_assert(id_equal(&a->head.tenant, &b->head.tenant));
	ck_assert_int_eq(a->head.created_ms, b->head.created_ms);
	ck_assert_int_eq(a->head.changed_ms, b->head.changed_ms);
	ck_assert_int_eq(a->head.version, b->head.version);
	ck_assert_str_eq(a->name, b->name);
	ck_assert_str_eq(a->note, b->note);
	ck_assert_int_eq(a->colour, b->colour);
	ck_assert_int_eq(a->amount, b->amount);
	ck_assert_int_eq(a->due_ms, b->due_ms);
	ck_assert_int_eq(a->ready, b->ready);
	ck_assert_mem_eq(a->hash, b->hash, sizeof(a->hash));
}

static const char *const keys[] = {"id", "name", "hash", "tenant,id"};

START_TEST(all_that_is_written_is_read)
{
	struct record_kind kind = keyed(keys[_i]);
	struct sample sample = sample_of(), read = {.colour = 0};
	bson_t document = BSON_INITIALIZER;

	write_document(&document, &kind, &sample);
	ck_assert_int_eq(
	    record_mongodb_read_document(&kind, &document, &read, NULL), 0);
	ck_assert_sample_eq(&sample, &read);
	record_release(&kind, &read);
	bson_destroy(&document);
}
END_TEST

/* By a type of BSON that an operator can read, and an index can order. */
START_TEST(values_have_their_types)
{
	static const struct {
		const char *name;
		bson_type_t type;
	} rows[] = {
	    {"_id", BSON_TYPE_BINARY},        {"tenant", BSON_TYPE_BINARY},
	    {"created", BSON_TYPE_DATE_TIME}, {"version", BSON_TYPE_INT64},
	    {"name", BSON_TYPE_UTF8},         {"note", BSON_TYPE_BINARY},
	    {"colour", BSON_TYPE_UTF8},       {"amount", BSON_TYPE_INT64},
	    {"due", BSON_TYPE_DATE_TIME},     {"ready", BSON_TYPE_BOOL},
	    {"hash", BSON_TYPE_BINARY},
	};
	struct sample sample = sample_of();
	bson_t document = BSON_INITIALIZER;
	bson_iter_t found;
	size_t size;

	write_document(&document, &by_id, &sample);
	ck_assert(!bson_has_field(&document, "id"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_msg(
		    bson_iter_init_find(&found, &document, rows[i].name), "%s",
		    rows[i].name);
		ck_assert_msg(bson_iter_type(&found) == rows[i].type, "%s",
		              rows[i].name);
	}
	ck_assert_str_eq(mongodb_get_bytes(&document, "colour", &size),
	                 "black");
	bson_destroy(&document);
}
END_TEST

/* A key of several is their bytes one behind the other, so that its order is
 * theirs; each stands in the document as well. */
START_TEST(keys_of_several)
{
	struct record_kind kind = keyed("tenant,id");
	struct sample sample = sample_of();
	bson_t document = BSON_INITIALIZER, bounds = BSON_INITIALIZER;
	uint8_t wanted[32];
	const void *found;
	size_t size = 0;

	memcpy(wanted, sample.head.tenant.bytes, 16);
	memcpy(wanted + 16, sample.head.id.bytes, 16);
	write_document(&document, &kind, &sample);
	found = mongodb_get_bytes(&document, "_id", &size);
	ck_assert_uint_eq(size, 32);
	ck_assert_mem_eq(found, wanted, 32);
	ck_assert(bson_has_field(&document, "id"));
	ck_assert(bson_has_field(&document, "tenant"));

	memset(wanted + 16, 0xff, 16);
	ck_assert(
	    record_mongodb_append_id(&bounds, "$lte", &kind, &sample, 1, 0xff));
	found = mongodb_get_bytes(&bounds, "$lte", &size);
	ck_assert_uint_eq(size, 32);
	ck_assert_mem_eq(found, wanted, 32);
	bson_destroy(&bounds);
	bson_destroy(&document);
}
END_TEST

/* Of before a field was there. */
START_TEST(old_documents)
{
	struct sample sample = sample_of(), read = {.colour = 0};
	bson_t document = BSON_INITIALIZER, old = BSON_INITIALIZER;

	write_document(&document, &by_id, &sample);
	bson_copy_to_excluding_noinit(&document, &old, "changed", "version",
	                              "note", "colour", "amount", "due",
	                              "ready", NULL);
	ck_assert_int_eq(
	    record_mongodb_read_document(&by_id, &old, &read, NULL), 0);
	ck_assert_int_eq(read.head.version, 1);
	ck_assert_int_eq(read.head.changed_ms, sample.head.created_ms);
	ck_assert_str_eq(read.note, "");
	ck_assert_int_eq(read.colour + read.amount + read.due_ms + read.ready,
	                 0);
	record_release(&by_id, &read);
	bson_destroy(&old);
	bson_destroy(&document);
}
END_TEST

/* What is wrong is not taken for something else. */
START_TEST(damaged_documents)
{
	static const char *const names[] = {"_id", "tenant", "colour", "hash"};
	struct sample sample = sample_of(), read = {.colour = 0};
	bson_t document = BSON_INITIALIZER, bad = BSON_INITIALIZER;
	struct error err = {0};

	write_document(&document, &by_id, &sample);
	bson_copy_to_excluding_noinit(&document, &bad, names[_i], NULL);
	ck_assert(BSON_APPEND_UTF8(&bad, names[_i], "green"));
	ck_assert_int_eq(
	    record_mongodb_read_document(&by_id, &bad, &read, &err),
	    ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, _i ? names[_i] : "id"));
	record_release(&by_id, &read);
	bson_destroy(&bad);
	bson_destroy(&document);
}
END_TEST

static char *json_of(const bson_t *document)
{
	return bson_as_relaxed_extended_json(document, NULL);
}

START_TEST(conditions)
{
	struct sample sample = sample_of();
	bson_t selector = BSON_INITIALIZER;
	char *json;

	ck_assert(
	    record_mongodb_append_version(&selector, &fields[4], &sample));
	json = json_of(&selector);
	ck_assert_str_eq(json, "{ \"version\" : 7 }");
	bson_free(json);

	/* No version is the first one. */
	sample.head.version = 1;
	bson_reinit(&selector);
	ck_assert(
	    record_mongodb_append_version(&selector, &fields[4], &sample));
	json = json_of(&selector);
	ck_assert_str_eq(json, "{ \"version\" : { \"$in\" : [ 1, null ] } }");
	bson_free(json);

	bson_reinit(&selector);
	ck_assert(
	    record_mongodb_append_only_if(&selector, &by_id, &indexes[0]));
	ck_assert(bson_empty(&selector));
	for (int i = 0; i < 2; i++) {
		ck_assert(record_mongodb_append_only_if(&selector, &by_id,
		                                        &indexes[1]));
		json = json_of(&selector);
		ck_assert_str_eq(json, "{ \"due\" : { \"$gt\" : { \"$date\" : "
		                       "\"1970-01-01T00:00:00Z\" } } }");
		bson_free(json);
	}
	bson_destroy(&selector);
}
END_TEST

START_TEST(names_of_indexes)
{
	static const struct record_index key = {"id", true, NULL};
	char name[RECORD_MONGODB_INDEX_SIZE];

	record_mongodb_index_name(&by_id, &indexes[0], name);
	ck_assert_str_eq(name, "sample_tenant_name");
	record_mongodb_index_name(&by_id,
	                          record_mongodb_index_by(&by_id, "due"), name);
	ck_assert_str_eq(name, "sample_due");
	record_mongodb_index_name(&by_id, &key, name);
	ck_assert_str_eq(name, "_id_");
	record_mongodb_index_name(&by_id, NULL, name);
	ck_assert_str_eq(name, "_id_");
	ck_assert_ptr_null(record_mongodb_index_by(&by_id, "ten"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record-mongodb-document");
	TCase *all = tcase_create("documents");

	tcase_add_loop_test(all, all_that_is_written_is_read, 0, 4);
	tcase_add_test(all, values_have_their_types);
	tcase_add_test(all, keys_of_several);
	tcase_add_test(all, old_documents);
	tcase_add_loop_test(all, damaged_documents, 0, 4);
	tcase_add_test(all, conditions);
	tcase_add_test(all, names_of_indexes);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}

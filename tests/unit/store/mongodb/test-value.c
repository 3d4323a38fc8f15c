/* Values in BSON documents: what is written is read, and what is not there or
 * of another kind stands for none. */
#include <stdlib.h>
#include <string.h>

#include "store/mongodb/db.h"
#include "tests/support/suite.h"

static const struct id some = {
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

START_TEST(ids)
{
	bson_t document = BSON_INITIALIZER;
	struct id id;
	bson_iter_t iter;

	ck_assert(mongodb_append_id(&document, "a", &some));
	ck_assert(mongodb_append_bytes(&document, "b", some.bytes, 16));
	ck_assert(bson_append_binary(&document, "c", -1, BSON_SUBTYPE_UUID,
	                             some.bytes, 15));
	ck_assert(bson_iter_init_find(&iter, &document, "a"));
	ck_assert_int_eq(bson_iter_type(&iter), BSON_TYPE_BINARY);
	id = mongodb_get_id(&document, "a");
	ck_assert(id_equal(&id, &some));
	for (const char *const *key =
	         (const char *const[]){"b", "c", "d", "", "a.b", NULL};
	     *key; key++) {
		id = mongodb_get_id(&document, *key);
		ck_assert_msg(id_is_none(&id), "%s", *key);
	}
	bson_destroy(&document);
}
END_TEST

static const struct {
	const char *text; /* NULL too */
	bson_type_t type;
} texts[] = {
    {NULL, BSON_TYPE_UTF8},
    {"", BSON_TYPE_UTF8},
    {"held", BSON_TYPE_UTF8},
    {"\xc3\xa9t\xc3\xa9", BSON_TYPE_UTF8},
    {"$where.\n\t\x01", BSON_TYPE_UTF8},
    {"\xf0\x9f\x98\x80", BSON_TYPE_UTF8},
    {"\xe9t\xe9", BSON_TYPE_BINARY},        /* ISO 8859-1 */
    {"\xc3", BSON_TYPE_BINARY},             /* cut off */
    {"\xed\xa0\x80", BSON_TYPE_BINARY},     /* a surrogate */
    {"\xc0\x80", BSON_TYPE_BINARY},         /* overlong */
    {"\xf5\x80\x80\x80", BSON_TYPE_BINARY}, /* above U+10FFFF */
};

/* Wherever in it a byte is, and whatever stands around, as libbson has it. */
START_TEST(texts_of_any_length)
{
	static const char *const odd[] = {
	    "\x7f", "\x01", "\x80",         "\xff",         "\xc3\xa9", "\xc3",
	    "\xa9", "",     "\xe2\x82\xac", "\xed\xa0\x80", "\xc0\x80"};

	for (size_t o = 0; o < sizeof(odd) / sizeof(odd[0]); o++)
		for (size_t length = 0; length < 40; length++)
			for (size_t place = 0; place <= length; place++) {
				size_t more = *odd[o] ? strlen(odd[o]) : 1;
				char bytes[48];

				memset(bytes, 'a', sizeof(bytes));
				memcpy(bytes + place, odd[o], more);
				ck_assert_int_eq(
				    mongodb_is_text(bytes, length + more),
				    bson_utf8_validate(bytes, length + more,
				                       false));
			}
}
END_TEST

START_TEST(text)
{
	bson_t document = BSON_INITIALIZER;
	const char *given = texts[_i].text;
	char *read = strdup("freed");
	bson_iter_t iter;
	size_t size = 99;

	ck_assert(mongodb_append_text(&document, "t", given));
	ck_assert(bson_iter_init_find(&iter, &document, "t"));
	ck_assert_int_eq(bson_iter_type(&iter), texts[_i].type);
	ck_assert_int_eq(mongodb_get_text(&document, "t", &read), 0);
	ck_assert_str_eq(read, given ? given : "");
	ck_assert_ptr_nonnull(mongodb_get_bytes(&document, "t", &size));
	ck_assert_uint_eq(size, given ? strlen(given) : 0);
	ck_assert_int_eq(mongodb_get_text(&document, "u", &read), 0);
	ck_assert_str_eq(read, "");
	free(read);
	bson_destroy(&document);
}
END_TEST

START_TEST(bytes)
{
	static const uint8_t given[] = {0, 255, 0, 1};
	bson_t document = BSON_INITIALIZER;
	const void *read;
	size_t size = 7;

	ck_assert(mongodb_append_bytes(&document, "b", given, sizeof(given)));
	ck_assert(mongodb_append_bytes(&document, "e", NULL, 0));
	read = mongodb_get_bytes(&document, "b", &size);
	ck_assert_uint_eq(size, sizeof(given));
	ck_assert_mem_eq(read, given, sizeof(given));
	ck_assert_ptr_nonnull(mongodb_get_bytes(&document, "e", &size));
	ck_assert_uint_eq(size, 0);
	size = 7;
	ck_assert_ptr_null(mongodb_get_bytes(&document, "x", &size));
	ck_assert_uint_eq(size, 7);
	ck_assert(!mongodb_append_bytes(&document, "l", given, SIZE_MAX));
	bson_destroy(&document);
}
END_TEST

START_TEST(numbers)
{
	bson_t document = BSON_INITIALIZER;

	bson_append_int32(&document, "i", -1, -5);
	bson_append_int64(&document, "l", -1, INT64_MIN);
	bson_append_double(&document, "d", -1, 12345678901.0);
	bson_append_double(&document, "n", -1, 0.0 / 0.0);
	bson_append_double(&document, "h", -1, 1e300);
	ck_assert(mongodb_append_time(&document, "t", 1795248000000LL));
	bson_append_bool(&document, "y", -1, true);
	bson_append_utf8(&document, "s", -1, "7", -1);
	ck_assert_int_eq(mongodb_get_int(&document, "i"), -5);
	ck_assert_int_eq(mongodb_get_int(&document, "l"), INT64_MIN);
	ck_assert_int_eq(mongodb_get_int(&document, "d"), 12345678901);
	ck_assert_int_eq(mongodb_get_int(&document, "n"), 0);
	ck_assert_int_eq(mongodb_get_int(&document, "h"), 0);
	ck_assert_int_eq(mongodb_get_int(&document, "t"), 1795248000000LL);
	ck_assert_int_eq(mongodb_get_int(&document, "y"), 0);
	ck_assert_int_eq(mongodb_get_int(&document, "s"), 0);
	ck_assert_int_eq(mongodb_get_int(&document, "missing"), 0);
	ck_assert(mongodb_get_bool(&document, "y"));
	ck_assert(!mongodb_get_bool(&document, "i"));
	ck_assert(!mongodb_get_bool(&document, "missing"));
	bson_destroy(&document);
}
END_TEST

START_TEST(nested)
{
	bson_t document = BSON_INITIALIZER, child, list, view;
	char *read = NULL;

	bson_append_document_begin(&document, "turing", -1, &child);
	mongodb_append_text(&child, "owner", "agent-1");
	bson_append_array_begin(&child, "to", -1, &list);
	bson_append_int32(&list, "0", -1, 4);
	bson_append_int32(&list, "1", -1, 5);
	bson_append_array_end(&child, &list);
	bson_append_document_end(&document, &child);
	ck_assert_int_eq(mongodb_get_text(&document, "turing.owner", &read), 0);
	ck_assert_str_eq(read, "agent-1");
	ck_assert_int_eq(mongodb_get_int(&document, "turing.to.1"), 5);
	ck_assert_int_eq(mongodb_get_int(&document, "turing.to.2"), 0);
	ck_assert(mongodb_get_document(&document, "turing", &view));
	ck_assert(mongodb_get_document(&view, "to", &view));
	ck_assert_int_eq((int)bson_count_keys(&view), 2);
	ck_assert(!mongodb_get_document(&document, "turing.owner", &view));
	ck_assert(!mongodb_get_document(&document, "owner", &view));
	free(read);
	bson_destroy(&document);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-value");
	TCase *all = tcase_create("values");

	tcase_add_test(all, ids);
	tcase_add_test(all, texts_of_any_length);
	tcase_add_loop_test(all, text, 0,
	                    (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_test(all, bytes);
	tcase_add_test(all, numbers);
	tcase_add_test(all, nested);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}

/* The documents of messages in the shape MailHog writes, without a server. */
#include "common/mem.h"
#include "store/spool/mongodb/private.h"
#include "tests/support/suite.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

/* Nothing here reaches a server: no body is large enough for GridFS. */
static struct spool_mongodb spool = {.large_body_bytes = 1 << 20};

static struct spool_recipient recipients[] = {
    {.address = (char *)"Me@customer.example"},
    {.address = (char *)"\"a@b\"@other.example"},
};

static struct spool_message message = {.received_ms = 1795248000123,
                                       .size = 7,
                                       .sender = (char *)"you@far.example",
                                       .helo = (char *)"mx.far.example",
                                       .recipients = recipients,
                                       .recipient_count = 2};

static bson_t *make(const char *bytes, size_t size)
{
	struct spool_change change = {
	    .kind = SPOOL_ADD,
	    .add = {.message = &message,
	            .body = {.bytes = bytes, .size = size}}};
	struct spool_mongodb_body body = {.size = 0};
	struct error err = {.text = ""};
	bson_t *document = NULL;

	message.id = (struct id){{1, 2, 3}};
	ck_assert_int_eq(
	    spool_mongodb_body_prepare(&spool, &change, false, &body, &err), 0);
	ck_assert_int_eq(
	    spool_mongodb_make_document(&change, &body, &document, &err), 0);
	ck_assert_ptr_nonnull(document);
	ck_assert(bson_validate(document, BSON_VALIDATE_UTF8, NULL));
	spool_mongodb_body_release(&body);
	return document;
}

/* The document at key as JSON with single spaces; "null" or "" where it is
 * none. */
static char *json_at(const bson_t *document, const char *key)
{
	bson_iter_t iter, found;
	bson_t view;
	char *json, *copy;

	ck_assert(bson_iter_init(&iter, document));
	if (!bson_iter_find_descendant(&iter, key, &found))
		return mem_copy_string("");
	if (BSON_ITER_HOLDS_NULL(&found))
		return mem_copy_string("null");
	ck_assert(mongodb_get_document(document, key, &view));
	json = bson_as_relaxed_extended_json(&view, NULL);
	copy = mem_copy_string(json);
	bson_free(json);
	for (char *twice; (twice = strstr(copy, "  "));)
		memmove(twice, twice + 1, strlen(twice));
	return copy;
}

static void expect_json(const bson_t *document, const char *key,
                        const char *expected)
{
	char *json = json_at(document, key);

	ck_assert_str_eq(json, expected);
	free(json);
}

static void expect_text(const bson_t *document, const char *key,
                        const char *expected)
{
	size_t size = 0;
	const char *text = mongodb_get_bytes(document, key, &size);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(size, strlen(expected));
	ck_assert_mem_eq(text, expected, size);
}

/* The bytes as a reader of the body takes them. */
static void expect_exact(const bson_t *document, const char *bytes, size_t size,
                         bool binary)
{
	size_t got = 0;
	const char *found =
	    mongodb_get_bytes(document, "turing.body.bytes", &got);

	ck_assert_int_eq(found != NULL, binary);
	if (!found)
		found = mongodb_get_bytes(document, "raw.data", &got);
	ck_assert_ptr_nonnull(found);
	ck_assert_uint_eq(got, size);
	ck_assert(!size || !memcmp(found, bytes, size));
}

static const struct {
	const char *bytes;
	size_t size; /* 0: strlen() */
	bool binary; /* kept apart, for it is no text */
	const char *headers, *body, *data, *mime;
} rows[] = {
    {"", 0, false, "{ }", "", "", "null"},
    {"\r\n", 0, false, "{ }", "", "\r\n", "null"},
    {"no header at all", 0, false, "{ }", "no header at all",
     "no header at all", "null"},
    {"A: 1\r\n\r\nx\r\n", 0, false, "{ \"A\" : [ \"1\" ] }", "x\r\n",
     "A: 1\r\n\r\nx\r\n", "null"},
    {"A: 1\r\nB:2\r\nA: 3\r\n\r\n", 0, false,
     "{ \"A\" : [ \"1\", \"3\" ], \"B\" : [ \"2\" ] }", "",
     "A: 1\r\nB:2\r\nA: 3\r\n\r\n", "null"},
    {"A: one\r\n two\r\n\tthree\r\n\r\nx", 0, false,
     "{ \"A\" : [ \"one two\\tthree\" ] }", "x",
     "A: one\r\n two\r\n\tthree\r\n\r\nx", "null"},
    {"a.b.c: 1\r\n$where: 2\r\nx$y: 3\r\n\r\n", 0, false,
     "{ \"a\xef\xbc\x8e"
     "b\xef\xbc\x8e"
     "c\" : [ \"1\" ], \"\xef\xbc\x84where\" : [ \"2\" ],"
     " \"x$y\" : [ \"3\" ] }",
     "", "a.b.c: 1\r\n$where: 2\r\nx$y: 3\r\n\r\n", "null"},
    {" folded first\r\n: no name\r\nno colon\r\nb d: 1\r\nOk: 1\r\n\r\nx", 0,
     false, "{ \"Ok\" : [ \"1\" ] }", "x",
     " folded first\r\n: no name\r\nno colon\r\nb d: 1\r\nOk: 1\r\n\r\nx",
     "null"},
    {"S: caf\xc3\xa9\r\n\r\n\xe2\x82\xac", 0, false,
     "{ \"S\" : [ \"caf\xc3\xa9\" ] }", "\xe2\x82\xac",
     "S: caf\xc3\xa9\r\n\r\n\xe2\x82\xac", "null"},
    {"S: caf\xe9\r\n\r\n\xff\xfe", 0, true, "{ \"S\" : [ \"caf" BAD "\" ] }",
     BAD BAD, "S: caf" BAD "\r\n\r\n" BAD BAD, "null"},
    {"S\xe9: 1\r\nT: 2\r\n\r\n", 0, true, "{ \"T\" : [ \"2\" ] }", "",
     "S" BAD ": 1\r\nT: 2\r\n\r\n", "null"},
    {"A: \0b\r\n\r\nx\0y", 12, true, "{ \"A\" : [ \"" BAD "b\" ] }",
     "x" BAD "y", "A: " BAD "b\r\n\r\nx" BAD "y", "null"},
    {"\xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80", 0, true, "{ }",
     BAD BAD BAD " " BAD BAD " " BAD BAD BAD BAD,
     BAD BAD BAD " " BAD BAD " " BAD BAD BAD BAD, "null"},
    /* Multiparts. */
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n"
     "X: 1\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\nafter",
     0, false, "{ \"Content-Type\" : [ \"multipart/mixed; boundary=b\" ] }",
     "pre\r\n--b\r\nX: 1\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\nafter", NULL,
     "{ \"parts\" : [ { \"headers\" : { \"X\" : [ \"1\" ] }, \"body\" :"
     " \"one\", \"size\" : 11, \"mime\" : null }, { \"headers\" : { },"
     " \"body\" : \"two\", \"size\" : 5, \"mime\" : null } ] }"},
    {"content-type: MULTIPART/x; a=\"; boundary=no\";\r\n"
     " BOUNDARY = \"q \\\"b\"\r\n\r\n--q \"b \r\n\r\n1\r\n--q \"b--",
     0, false, NULL, NULL, NULL,
     "{ \"parts\" : [ { \"headers\" : { }, \"body\" : \"1\", \"size\" : 3,"
     " \"mime\" : null } ] }"},
    /* No boundary, no end, a longer boundary that is another's. */
    {"Content-Type: multipart/mixed\r\n\r\n--\r\nx", 0, false, NULL, NULL, NULL,
     "null"},
    {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\nx", 0, false,
     NULL, NULL, NULL, "null"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\nx", 0, false, NULL, NULL,
     NULL, "{ \"parts\" : [ ] }"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nopen", 0, false,
     NULL, NULL, NULL,
     "{ \"parts\" : [ { \"headers\" : { }, \"body\" : \"open\", \"size\" : 4,"
     " \"mime\" : null } ] }"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--bb\r\n\r\nno\r\nx--b"
     "\r\n--b\r\n\r\nyes\r\n--b--",
     0, false, NULL, NULL, NULL,
     "{ \"parts\" : [ { \"headers\" : { }, \"body\" : \"yes\", \"size\" : 5,"
     " \"mime\" : null } ] }"},
    /* One within the other: what is in the parts is not told twice. */
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
     "Content-Type: multipart/alternative; boundary=bb\r\n\r\n"
     "--bb\r\n\r\nin\r\n--bb--\r\n--b--\r\n",
     0, false, NULL, NULL, NULL,
     "{ \"parts\" : [ { \"headers\" : { \"Content-Type\" : ["
     " \"multipart/alternative; boundary=bb\" ] }, \"body\" : \"\","
     " \"size\" : 70, \"mime\" : { \"parts\" : [ { \"headers\" : { },"
     " \"body\" : \"in\", \"size\" : 4, \"mime\" : null } ] } } ] }"},
};

START_TEST(documents)
{
	const char *bytes = rows[_i].bytes;
	size_t size = rows[_i].size ? rows[_i].size : strlen(bytes);
	bson_t *document = make(bytes, size);

	expect_exact(document, bytes, size, rows[_i].binary);
	if (rows[_i].headers)
		expect_json(document, "content.headers", rows[_i].headers);
	if (rows[_i].body)
		expect_text(document, "content.body", rows[_i].body);
	if (rows[_i].data)
		expect_text(document, "raw.data", rows[_i].data);
	expect_json(document, "mime", rows[_i].mime);
	expect_json(document, "content.mime", "null");
	ck_assert_int_eq(mongodb_get_int(document, "content.size"),
	                 (int64_t)size);
	bson_destroy(document);
}
END_TEST

START_TEST(envelope)
{
	bson_t *document = make("x", 1);
	struct id id = mongodb_get_id(document, "_id");
	static const char *const fields[] = {"_id",  "id",      "from",
	                                     "to",   "content", "created",
	                                     "mime", "raw",     "turing"};
	bson_iter_t iter;

	ck_assert(id_equal(&id, &message.id));
	expect_text(document, "id", "01020300-0000-0000-0000-000000000000");
	expect_json(document, "from",
	            "{ \"relays\" : [ ], \"mailbox\" : \"you\", \"domain\" :"
	            " \"far.example\", \"params\" : \"\" }");
	expect_json(document, "to.1",
	            "{ \"relays\" : [ ], \"mailbox\" : \"\\\"a@b\\\"\","
	            " \"domain\" : \"other.example\", \"params\" : \"\" }");
	expect_json(document, "raw",
	            "{ \"from\" : \"you@far.example\", \"to\" : ["
	            " \"Me@customer.example\", \"\\\"a@b\\\"@other.example\" ],"
	            " \"data\" : \"x\", \"helo\" : \"mx.far.example\" }");
	ck_assert_int_eq(mongodb_get_int(document, "created"),
	                 message.received_ms);
	/* Nothing of ours but below one key. */
	ck_assert(bson_iter_init(&iter, document));
	for (size_t i = 0; bson_iter_next(&iter); i++) {
		ck_assert_uint_lt(i, sizeof(fields) / sizeof(fields[0]));
		ck_assert_str_eq(bson_iter_key(&iter), fields[i]);
	}
	bson_destroy(document);
}
END_TEST

/* Envelopes of bytes that are no text: shown somehow, kept exactly. */
START_TEST(hostile_envelope)
{
	struct spool_mongodb_record record = {.body_size = 0};
	struct error err = {.text = ""};
	char *sender = message.sender, *helo = message.helo;
	bson_t *document;

	message.sender = (char *)"caf\xe9@\xff";
	message.helo = NULL;
	document = make("x", 1);
	expect_text(document, "raw.from", "caf" BAD "@" BAD);
	expect_text(document, "from.mailbox", "caf" BAD);
	expect_text(document, "from.domain", BAD);
	expect_text(document, "raw.helo", "");
	ck_assert_msg(!spool_mongodb_record_read(document, &record, &err), "%s",
	              err.text);
	ck_assert_str_eq(record.message.sender, message.sender);
	ck_assert_str_eq(record.message.helo, "");
	spool_mongodb_record_release(&record);
	bson_destroy(document);
	message.sender = sender;
	message.helo = helo;
}
END_TEST

/* Many fields, many parts, deep parts: bounded, and in no long time. */
START_TEST(bounds)
{
	struct buffer text;
	bson_t *document;
	bson_t view;

	buffer_init(&text, 1 << 20);
	for (int i = 0; i < 20000; i++)
		ck_assert_int_eq(buffer_append_format(&text, "F%d: v\r\n", i),
		                 0);
	ck_assert_int_eq(buffer_append_text(&text, "\r\nbody"), 0);
	document = make(text.data, text.length);
	ck_assert(mongodb_get_document(document, "content.headers", &view));
	ck_assert_int_eq(bson_count_keys(&view), 2000);
	expect_text(document, "content.body", "body");
	expect_exact(document, text.data, text.length, false);
	bson_destroy(document);

	buffer_reset(&text);
	ck_assert_int_eq(
	    buffer_append_text(
	        &text, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"),
	    0);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(buffer_append_text(&text, "--b\r\nX: 1\r\n"),
		                 0);
	document = make(text.data, text.length);
	ck_assert(mongodb_get_document(document, "mime.parts", &view));
	ck_assert_int_eq(bson_count_keys(&view), 100);
	bson_destroy(document);
	buffer_release(&text);
}
END_TEST

START_TEST(depth)
{
	struct buffer text;
	char key[200] = "";
	bson_t *document;
	bson_t view;

	buffer_init(&text, 1 << 20);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(
		    buffer_append_format(&text,
		                         "Content-Type: multipart/x;"
		                         " boundary=b%d\r\n\r\n--b%d\r\n",
		                         i, i),
		    0);
	document = make(text.data, text.length);
	for (int i = 0; i < 8; i++) {
		size_t length = strlen(key);

		(void)snprintf(key + length, sizeof(key) - length,
		               "%smime.parts.0", i ? "." : "");
		ck_assert(mongodb_get_document(document, key, &view));
	}
	expect_json(&view, "mime", "null");
	ck_assert_uint_gt(strlen(key), 0);
	bson_destroy(document);
	buffer_release(&text);
}
END_TEST

/* What does not fit a document is to go to GridFS. */
START_TEST(too_large_for_a_document)
{
	struct spool_mongodb roomy = {.large_body_bytes = 64 << 20};
	char *bytes = mem_alloc(1 << 20);
	struct spool_change change = {
	    .kind = SPOOL_ADD,
	    .add = {.message = &message,
	            .body = {.bytes = bytes, .size = 1 << 20}}};
	struct spool_mongodb_body body = {.size = 0};
	struct error err = {.text = ""};
	bson_t *document = NULL;

	message.id = (struct id){{1}};
	memset(bytes, 0xff, 1 << 20);
	memcpy(bytes,
	       "Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n", 48);
	ck_assert_int_eq(
	    spool_mongodb_body_prepare(&roomy, &change, false, &body, &err), 0);
	ck_assert_int_eq(
	    spool_mongodb_make_document(&change, &body, &document, &err), 0);
	ck_assert_ptr_null(document);
	spool_mongodb_body_release(&body);
	/* Without the parts, as a text, there is room. */
	memset(bytes, 'x', 1 << 20);
	document = make(bytes, 1 << 20);
	ck_assert_uint_lt(document->len, 4U << 20);
	bson_destroy(document);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-mailhog");
	TCase *tests = tcase_create("documents");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, documents, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tests, envelope);
	tcase_add_test(tests, hostile_envelope);
	tcase_add_test(tests, bounds);
	tcase_add_test(tests, depth);
	tcase_add_test(tests, too_large_for_a_document);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

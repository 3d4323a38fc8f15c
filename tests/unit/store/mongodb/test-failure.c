/* What libmongoc and a server say of a failure, as our codes: for reads, and
 * for writes, of which it must be told whether they may have been done. */
#include <string.h>

#include "store/mongodb/private.h"
#include "tests/support/suite.h"

#define SERVER MONGOC_ERROR_SERVER

static const struct {
	uint32_t domain, code;
	int read, write;
	const char *message; /* NULL: "it failed" */
} rows[] = {
    {SERVER, 11000, ERR_EXISTS, ERR_EXISTS, NULL},
    {SERVER, 11001, ERR_EXISTS, ERR_EXISTS, NULL},
    {SERVER, 10107, ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {SERVER, 13435, ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {SERVER, 13436, ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {SERVER, 189, ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {SERVER, 91, ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {SERVER, 11600, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {SERVER, 11602, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {SERVER, 64, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {SERVER, 50, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {SERVER, 6, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {SERVER, 13, ERR_DENIED, ERR_DENIED, NULL},
    {SERVER, 18, ERR_DENIED, ERR_DENIED, NULL},
    {SERVER, 14031, ERR_FULL, ERR_FULL, NULL},
    {SERVER, 10334, ERR_LIMIT, ERR_LIMIT, NULL},
    {SERVER, 2, ERR_INVALID, ERR_INVALID, NULL},
    {SERVER, 0, ERR_UNAVAILABLE, ERR_UNAVAILABLE, "not master"},
    {SERVER, 0, ERR_UNAVAILABLE, ERR_UNAVAILABLE, "node is recovering"},
    {SERVER, 0, ERR_EXISTS, ERR_EXISTS, "E11000 duplicate key error x"},
    {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, ERR_UNAVAILABLE,
     ERR_UNCERTAIN, NULL},
    {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, ERR_UNAVAILABLE,
     ERR_UNAVAILABLE, NULL},
    {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, ERR_UNAVAILABLE,
     ERR_UNAVAILABLE, NULL},
    {MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY,
     ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION, ERR_VERSION,
     ERR_VERSION, NULL},
    {MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
     ERR_UNAVAILABLE, ERR_UNAVAILABLE, NULL},
    {MONGOC_ERROR_WRITE_CONCERN, 64, ERR_UNAVAILABLE, ERR_UNCERTAIN, NULL},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, ERR_DENIED,
     ERR_DENIED, NULL},
    {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, ERR_UNAVAILABLE,
     ERR_UNAVAILABLE, "socket error or timeout"},
    {MONGOC_ERROR_SCRAM, MONGOC_ERROR_SCRAM_PROTOCOL_ERROR, ERR_DENIED,
     ERR_DENIED, NULL},
    {MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, ERR_LIMIT, ERR_LIMIT,
     "Document 0 is too large for the cluster"},
    {MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, ERR_INVALID, ERR_INVALID,
     NULL},
    {MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, ERR_INVALID,
     ERR_INVALID, NULL},
};

static bson_error_t error_of(int row)
{
	bson_error_t error = {.domain = rows[row].domain,
	                      .code = rows[row].code};

	snprintf(error.message, sizeof(error.message), "%s",
	         rows[row].message ? rows[row].message : "it failed");
	return error;
}

START_TEST(codes)
{
	bson_error_t error = error_of(_i);
	struct error err = {.text = ""};

	ck_assert_int_eq(mongodb_failure("find", &error, NULL, false, &err),
	                 rows[_i].read);
	ck_assert_int_eq(err.code, rows[_i].read);
	ck_assert_int_eq(strncmp(err.text, "find: ", 6), 0);
	ck_assert_int_eq(mongodb_failure("insert", &error, NULL, true, &err),
	                 rows[_i].write);
	ck_assert_int_eq(mongodb_failure("insert", &error, NULL, true, NULL),
	                 rows[_i].write);
}
END_TEST

/* Where libmongoc tries again by itself, the first try may have been done. */
START_TEST(second_tries)
{
	struct mongodb_db db = {.retries = true};
	bson_error_t error = error_of(_i);
	struct error err = {.text = ""};
	int expected = rows[_i].write;

	if (expected == ERR_UNAVAILABLE && error.domain == SERVER)
		expected = ERR_UNCERTAIN;
	ck_assert_int_eq(
	    mongodb_write_failure(&db, "insert", &error, NULL, &err), expected);
	ck_assert_int_eq(err.code, expected);
	db.retries = false;
	ck_assert_int_eq(
	    mongodb_write_failure(&db, "insert", &error, NULL, &err),
	    rows[_i].write);
}
END_TEST

/* A write that is done, but perhaps not by a majority. */
START_TEST(write_concerns)
{
	bson_t *replies[] = {
	    BCON_NEW("writeConcernError", "{", "code", BCON_INT32(91), "}"),
	    BCON_NEW("writeErrors", "[", "]", "writeConcernErrors", "[", "{",
	             "code", BCON_INT32(64), "}", "]"),
	};
	bson_error_t error = {.domain = SERVER, .code = 91};

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    mongodb_failure("insert", &error, replies[i], true, NULL),
		    ERR_UNCERTAIN);
		ck_assert_int_eq(
		    mongodb_failure("find", &error, replies[i], false, NULL),
		    ERR_UNAVAILABLE);
		bson_destroy(replies[i]);
	}
}
END_TEST

/* A key that is taken, or a user that is refused, is not quoted. */
START_TEST(texts)
{
	static const uint32_t quoting[] = {11000, 18, 13, 11};

	for (size_t i = 0; i < 4; i++) {
		bson_error_t error = {.domain = SERVER, .code = quoting[i]};
		struct error err = {.text = ""};

		snprintf(error.message, sizeof(error.message),
		         "{ login: \"a@example.org\" }");
		mongodb_failure("insert", &error, NULL, true, &err);
		ck_assert_ptr_null(strstr(err.text, "example"));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-failure");
	TCase *all = tcase_create("failures");
	int count = (int)(sizeof(rows) / sizeof(rows[0]));

	tcase_add_loop_test(all, codes, 0, count);
	tcase_add_loop_test(all, second_tries, 0, count);
	tcase_add_test(all, write_concerns);
	tcase_add_test(all, texts);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}

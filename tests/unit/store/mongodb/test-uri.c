/* Connection URIs: those that would lose mail are refused by the option's name,
 * and no password is ever in a text. */
#include <string.h>

#include "store/mongodb/private.h"
#include "tests/support/suite.h"

#define SECRET "hunter2secret"
#define HOST   "mongodb://u:" SECRET "@db.example.org:27017/mail"

static const struct {
	const char *uri;
	const char *names; /* what the text names; NULL: it is taken */
} uris[] = {
    {HOST, NULL},
    {HOST "?w=majority&journal=true", NULL},
    {HOST "?w=majority&wtimeoutMS=5000", NULL},
    {HOST "?readConcernLevel=majority", NULL},
    {HOST "?readConcernLevel=linearizable", NULL},
    {HOST "?readPreference=primary", NULL},
    {HOST "?retryWrites=false", NULL},
    {HOST "?replicaSet=rs0&tls=true", NULL},
    {"mongodb://a.example.org,b.example.org/mail?replicaSet=r", NULL},
    {HOST "?tls=true&tlsCAFile=/dev/null", NULL},
    {HOST "?tls=true&tlsCAFile=/nonexistent/ca.pem", "tlscafile"},
    {HOST "?tls=true&tlsCertificateKeyFile=/nonexistent/key.pem",
     "tlscertificatekeyfile"},
    {HOST "?w=0", "w"},
    {HOST "?w=1", "w"},
    {HOST "?w=2", "w"},
    {HOST "?w=own-tag", "w"},
    {HOST "?journal=false", "journal"},
    {HOST "?w=majority&journal=false", "journal"},
    {HOST "?readPreference=secondary", "readPreference"},
    {HOST "?readPreference=secondaryPreferred", "readPreference"},
    {HOST "?readPreference=primaryPreferred", "readPreference"},
    {HOST "?readPreference=nearest", "readPreference"},
    {HOST "?readConcernLevel=local", "readConcernLevel"},
    {HOST "?readConcernLevel=available", "readConcernLevel"},
    {"mongodb://u:" SECRET "@db.example.org/", "database"},
    {"mongodb://u:" SECRET "@db.example.org/a.b", "URI"},
    {"mongodb://u:" SECRET "@db.example.org/a$b", "URI"},
    {"mongodb://u:" SECRET "@db.example.org/"
     "0123456789012345678901234567890123456789012345678901234567890123",
     "database"},
    {"", "URI"},
    {"/var/lib/mail", "URI"},
    {"mongodb://", "URI"},
    {"mongodb://u:" SECRET "@/mail", "URI"},
    {"mongodb://u:" SECRET "@" SECRET "@db.example.org/mail", "URI"},
    {"mongodb://u:" SECRET "/x@db.example.org/mail", "URI"},
    {"http://u:" SECRET "@db.example.org/mail", "URI"},
    {"mongodb://db.example.org:99999/mail", "URI"},
};

START_TEST(checked)
{
	struct mongodb_options options = {.uri = uris[_i].uri};
	struct error err = {.text = ""};
	mongoc_uri_t *uri = NULL;
	int code = mongodb_uri_read(&options, &uri, &err);

	ck_assert_ptr_null(strstr(err.text, SECRET));
	if (!uris[_i].names) {
		ck_assert_msg(!code, "%s: %s", uris[_i].uri, err.text);
		mongoc_uri_destroy(uri);
		return;
	}
	ck_assert_msg(code == ERR_INVALID, "%s", uris[_i].uri);
	ck_assert_int_eq(err.code, ERR_INVALID);
	ck_assert_msg(strstr(err.text, uris[_i].names) != NULL, "%s", err.text);
	ck_assert_ptr_null(uri);
}
END_TEST

static mongoc_uri_t *read_uri(const char *text, const char *database)
{
	struct mongodb_options options = {
	    .uri = text, .database = database, .program = "turing-test"};
	struct error err = {.text = ""};
	mongoc_uri_t *uri = NULL;

	ck_assert_msg(!mongodb_uri_read(&options, &uri, &err), "%s", err.text);
	return uri;
}

static int32_t number(const mongoc_uri_t *uri, const char *option)
{
	return mongoc_uri_get_option_as_int32(uri, option, -1);
}

START_TEST(defaults)
{
	mongoc_uri_t *uri = read_uri("mongodb://h/d", "other");
	const mongoc_write_concern_t *concern =
	    mongoc_uri_get_write_concern(uri);

	ck_assert_str_eq(mongoc_uri_get_database(uri), "d");
	ck_assert_str_eq(mongoc_uri_get_appname(uri), "turing-test");
	ck_assert(mongoc_write_concern_get_wmajority(concern));
	ck_assert(mongoc_write_concern_get_journal(concern));
	ck_assert_int_eq(number(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS),
	                 5000);
	ck_assert_int_eq(number(uri, MONGOC_URI_CONNECTTIMEOUTMS), 5000);
	ck_assert_int_eq(number(uri, MONGOC_URI_SOCKETTIMEOUTMS), 20000);
	ck_assert_int_eq(number(uri, MONGOC_URI_WAITQUEUETIMEOUTMS), 10000);
	ck_assert_int_eq(number(uri, MONGOC_URI_MAXPOOLSIZE), 32);
	mongoc_uri_destroy(uri);
}
END_TEST

START_TEST(what_is_said_stays)
{
	mongoc_uri_t *uri = read_uri("mongodb://h/?socketTimeoutMS=7&"
	                             "maxPoolSize=3&wtimeoutMS=9&appName=x",
	                             "mine");
	const mongoc_write_concern_t *concern =
	    mongoc_uri_get_write_concern(uri);

	ck_assert_str_eq(mongoc_uri_get_database(uri), "mine");
	ck_assert_str_eq(mongoc_uri_get_appname(uri), "x");
	ck_assert_int_eq(number(uri, MONGOC_URI_SOCKETTIMEOUTMS), 7);
	ck_assert_int_eq(number(uri, MONGOC_URI_MAXPOOLSIZE), 3);
	ck_assert_int_eq(mongoc_write_concern_get_wtimeout_int64(concern), 9);
	ck_assert(mongoc_write_concern_get_wmajority(concern));
	mongoc_uri_destroy(uri);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-uri");
	TCase *all = tcase_create("uris");

	tcase_add_loop_test(all, checked, 0,
	                    (int)(sizeof(uris) / sizeof(uris[0])));
	tcase_add_test(all, defaults);
	tcase_add_test(all, what_is_said_stays);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}

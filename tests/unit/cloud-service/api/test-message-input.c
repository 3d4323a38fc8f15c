/* What agents may send about a message: every field, hostile ones too. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/message-input.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "common/smtp/syntax.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;

static void set_up(void)
{
	cloud_fixture_open(&fixture, NULL);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

static const char base[] =
    "{\"id\":\"01a1fd5f-b472-7000-982a-000000000001\","
    "\"received_at\":\"2026-11-21T09:00:00Z\","
    "\"expires_at\":\"2026-12-05T10:00:00+01:00\","
    "\"sender\":\"Person@Example.org\",\"subject\":\"Hello\","
    "\"size\":1234,\"auth\":{\"stated\":true,\"spf\":\"pass\"},"
    "\"recipients\":[\"Bob@ACME.test\"]}";

/* The base with one field replaced by this JSON; NULL takes it away. */
static json_t *with(const char *field, const char *value)
{
	json_t *object = json_loads(base, 0, NULL);
	json_t *given;

	ck_assert_ptr_nonnull(object);
	json_object_del(object, field);
	if (value) {
		given = json_loads(value, JSON_DECODE_ANY, NULL);
		ck_assert_msg(given != NULL, "%s", value);
		json_object_set_new(object, field, given);
	}
	return object;
}

static int read_object(const json_t *object, struct registry_message *message,
                       struct error *err)
{
	json_t *refused = json_array();
	int result = message_input_read(
	    object, &fixture.tenant, &fixture.domains, message, refused, err);

	json_decref(refused);
	return result;
}

START_TEST(the_good_case)
{
	struct registry_message message;
	json_t *object = with("unknown", "[1,{\"a\":2}]");
	struct error err = {0};

	ck_assert_msg(!read_object(object, &message, &err), "%s", err.text);
	ck_assert_str_eq(message.sender, "Person@Example.org");
	ck_assert_str_eq(message.sender_normal, "person@example.org");
	ck_assert_str_eq(message.subject, "Hello");
	ck_assert_str_eq(message.header_from, "");
	ck_assert_int_eq(message.size, 1234);
	ck_assert(message.auth.stated);
	ck_assert_int_eq(message.auth.spf, AUTH_PASS);
	ck_assert_int_eq(message.auth.dkim, AUTH_NONE);
	ck_assert_uint_eq(message.recipient_count, 1);
	ck_assert_str_eq(message.recipients[0].address, "bob@acme.test");
	ck_assert_int_eq(message.expires_ms - message.received_ms,
	                 INT64_C(14) * 24 * 3600 * 1000);
	registry_message_release(&message);
	json_decref(object);
}
END_TEST

/* With this field so, the error begins with that text; NULL: accepted. */
static const struct field_row {
	const char *field, *value, *error;
} field_rows[] = {
    {"id", NULL, "id: missing"},
    {"id", "7", "id: not a string"},
    {"id", "\"\"", "id: not a UUID"},
    {"id", "\"00000000-0000-0000-0000-000000000000\"", "id: not a UUID"},
    {"id", "\"01a1fd5f-b472-7000-982a-00000000000g\"", "id: not a UUID"},
    {"received_at", NULL, "received_at: missing"},
    {"received_at", "\"yesterday\"", "received_at: not an RFC 3339"},
    {"received_at", "0", "received_at: not a string"},
    {"expires_at", "\"9999-01-01T00:00:00Z\"", "expires_at: too far"},
    {"expires_at", "{}", "expires_at: not a string"},
    {"sender", "null", NULL},
    {"sender", "\"\"", NULL},
    {"sender", "\"#@[]\"", NULL},
    {"sender", "\"no address at all\"", NULL},
    {"sender", "\"a\\r\\nb@example.org\"", NULL},
    {"sender", "\"a\\u007fb@example.org\"", NULL},
    {"sender", "[]", "sender: not a string"},
    {"size", "-1", "size: out of range"},
    {"size", "1.5", "size: not a whole number"},
    {"size", "\"1\"", "size: not a whole number"},
    {"subject", "7", "subject: not a string"},
    {"subject", "\"a\\u0000b\"", NULL},
    {"helo", "false", "helo: not a string"},
    {"client_address", "\"1\\n2\"", "client_address: has control"},
    {"auth", "[]", "auth: not an object"},
    {"auth", "null", NULL},
    {"auth", "{\"stated\":1}", "auth.stated: not true or false"},
    {"auth", "{\"spf\":true}", "auth.spf: not a string"},
    {"auth", "{\"spf\":\"excellent\"}", NULL},
    {"auth", "{\"spf_domain\":\"a\\tb\"}", "auth.spf_domain: has control"},
    {"challenge_reason", "\"list\"", NULL},
    {"challenge_reason", "\"List!\"", "challenge_reason: not a reason"},
    {"challenge_reason", "3", "challenge_reason: not a string"},
    {"recipients", NULL, "recipients: missing"},
    {"recipients", "[]", "recipients: empty"},
    {"recipients", "\"bob@acme.test\"", "recipients: not an array"},
    {"recipients", "[\"bob@acme.test\",7]", "recipients[1]: not a str"},
    {"recipients", "[\"bob\"]", "recipients[0]: not a mail"},
    {"recipients", "[\"<bob@acme.test>\"]", "recipients[0]: not a mail"},
    {"recipients", "[\"bob@other.test\"]", "recipients[0]: not of a domain"},
    {"recipients", "[\"bob@sub.acme.test\"]", "recipients[0]: not of a"},
    {"recipients", "[\"bob@acme.test.evil.example\"]", "recipients[0]: not of"},
    {"recipients", "[\"bob@acme.test\",\"BOB@acme.TEST\"]", NULL},
};

START_TEST(fields)
{
	const struct field_row *row = &field_rows[_i];
	struct registry_message message;
	struct error err = {0};
	json_t *object;
	int result;

	/* JSON with a NUL is refused before it comes here. */
	if (row->value && strstr(row->value, "\\u0000"))
		return;
	object = with(row->field, row->value);
	result = read_object(object, &message, &err);
	if (row->error) {
		ck_assert_int_eq(result, ERR_INVALID);
		ck_assert_msg(
		    !strncmp(err.text, row->error, strlen(row->error)),
		    "%s %s: %s", row->field, row->value ? row->value : "-",
		    err.text);
	} else {
		ck_assert_msg(!result, "%s: %s", row->value, err.text);
		ck_assert_uint_eq(message.recipient_count, 1);
		registry_message_release(&message);
	}
	json_decref(object);
}
END_TEST

/* A sender that is no address has no normal form, so it is never another's. */
START_TEST(odd_senders_are_nobody)
{
	static const char *const senders[] = {
	    "\"\\\"a\\u0001b\\\"@example.org\"", "\"a b@example.org\"",
	    "\"\\u007f\""};

	for (size_t i = 0; i < sizeof(senders) / sizeof(*senders); i++) {
		struct registry_message message;
		json_t *object = with("sender", senders[i]);
		struct error err = {0};

		ck_assert_msg(!read_object(object, &message, &err), "%s",
		              err.text);
		ck_assert_str_eq(message.sender_normal, "");
		ck_assert_uint_gt(strlen(message.sender), 0);
		registry_message_release(&message);
		json_decref(object);
	}
}
END_TEST

/* Local parts of an address of ours; each is taken by all or by none. */
static const char *const local_parts[] = {
    "jean",       "a..b",       ".a",       "a.",        "\"a b\"",
    "\"x\\\"y\"", "\"a..b\"",   "\"\"",     "J\xc3\xa9", "\"\xc3\xa9 \"",
    "a+b",        "!#$%&'*/=?", "a b",      "a@b",       "\"a\x01\"",
    "\"a\x7f\"",  "\xe9",       "\xc2\x85", "",          "\"a",
    "(c)a",       "<a>",        "a\\b",     "a,b",       "\"a\"b",
    "-",          "_",          "a@@",      "\"a@b\"",   "\"<>\"",
};

/* What the agent's SMTP takes for an address, the cloud takes. */
START_TEST(one_grammar)
{
	char *address = mem_format("%s@acme.test", local_parts[_i]);
	char *path = mem_format("<%s>", address), parsed[SMTP_PATH_SIZE];
	const char *text = path, *why;
	bool taken = smtp_path_parse(SMTP_FORWARD_PATH, SMTP_PATH_UTF8, &text,
	                             parsed, &why) == 0;
	json_t *list = json_pack("[o]", json_string(address));
	json_t *object = with("recipients", NULL);
	struct registry_message message;
	struct error err = {0};
	char folded[MAIL_ADDRESS_SIZE];

	ck_assert_msg(taken == mail_address_valid(address, true), "%s",
	              address);
	ck_assert(!taken || mail_address_fold(address, folded) == 0);
	if (list) { /* else it is no UTF-8, and no JSON */
		json_object_set_new(object, "recipients", list);
		ck_assert_msg((read_object(object, &message, &err) == 0) ==
		                  taken,
		              "%s: %s", address, err.text);
		if (taken)
			registry_message_release(&message);
	}
	json_decref(object);
	free(address);
	free(path);
}
END_TEST

/* One odd recipient leaves the others alone. */
START_TEST(refused_recipients_are_told)
{
	json_t *object =
	    with("recipients", "[\"a b@acme.test\",\"Bob@acme.test\","
	                       "\"eve@other.test\"]");
	json_t *refused = json_array();
	struct registry_message message;
	struct error err = {0};
	char *text;

	ck_assert_msg(!message_input_read(object, &fixture.tenant,
	                                  &fixture.domains, &message, refused,
	                                  &err),
	              "%s", err.text);
	ck_assert_uint_eq(message.recipient_count, 1);
	ck_assert_str_eq(message.recipients[0].address, "bob@acme.test");
	text = json_dumps(refused, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(
	    text,
	    "[{\"address\":\"a b@acme.test\",\"error\":\"not a mail address\"},"
	    "{\"address\":\"eve@other.test\",\"error\":\"not of a domain of "
	    "yours\"}]");
	free(text);
	registry_message_release(&message);
	json_decref(refused);
	json_decref(object);
}
END_TEST

static char *quoted(char letter, size_t count)
{
	char *text = mem_alloc(count + 3);

	memset(text, letter, count + 2);
	text[0] = text[count + 1] = '"';
	return text;
}

static const struct {
	const char *field;
	size_t length;
	bool refused; /* else cut */
} length_rows[] = {
    {"sender", 320, false},          {"sender", 5000, false},
    {"client_address", 64, false},   {"client_address", 65, true},
    {"challenge_reason", 40, false}, {"challenge_reason", 41, true},
    {"subject", 1000, false},        {"subject", 100000, false},
    {"message_id", 5000, false},     {"helo", 5000, false},
    {"header_from", 5000, false},
};

START_TEST(lengths)
{
	char *text = quoted('a', length_rows[_i].length);
	json_t *object = with(length_rows[_i].field, text);
	struct registry_message message;
	struct error err = {0};
	int result = read_object(object, &message, &err);

	ck_assert_int_eq(result, length_rows[_i].refused ? ERR_INVALID : 0);
	if (!result) {
		ck_assert_uint_le(strlen(message.subject), 1000);
		ck_assert_uint_le(strlen(message.message_id), 998);
		ck_assert_uint_le(strlen(message.helo), 255);
		ck_assert_uint_le(strlen(message.header_from), 320);
		ck_assert_uint_le(strlen(message.sender), 320);
		registry_message_release(&message);
	}
	json_decref(object);
	free(text);
}
END_TEST

START_TEST(a_text_is_cut_at_a_character)
{
	struct registry_message message;
	struct error err = {0};
	char text[1100];
	json_t *object;
	size_t i;

	text[0] = 'x'; /* so that the limit falls into a character */
	for (i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[i] = '\0';
	object = with("unknown", "1");
	json_object_set_new(object, "subject", json_string(text));
	ck_assert_int_eq(read_object(object, &message, &err), 0);
	ck_assert_uint_eq(strlen(message.subject), 999);
	registry_message_release(&message);
	json_decref(object);
}
END_TEST

START_TEST(too_many_recipients)
{
	json_t *object = with("unknown", "1"), *array = json_array();
	struct registry_message message;
	struct error err = {0};
	char address[64];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(address, sizeof(address), "user%d@acme.test", i);
		json_array_append_new(array, json_string(address));
	}
	json_object_set(object, "recipients", array);
	ck_assert_int_eq(read_object(object, &message, &err), 0);
	ck_assert_uint_eq(message.recipient_count, 1000);
	registry_message_release(&message);
	json_array_append_new(array, json_string("one@acme.test"));
	ck_assert_int_eq(read_object(object, &message, &err), ERR_INVALID);
	ck_assert_str_eq(err.text, "recipients: more than 1000 elements");
	json_decref(array);
	json_decref(object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-api-message-input");
	TCase *tcase = tcase_create("fields");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, the_good_case);
	tcase_add_loop_test(tcase, fields, 0,
	                    (int)(sizeof(field_rows) / sizeof(field_rows[0])));
	tcase_add_test(tcase, odd_senders_are_nobody);
	tcase_add_loop_test(tcase, one_grammar, 0,
	                    sizeof(local_parts) / sizeof(*local_parts));
	tcase_add_test(tcase, refused_recipients_are_told);
	tcase_add_loop_test(
	    tcase, lengths, 0,
	    (int)(sizeof(length_rows) / sizeof(length_rows[0])));
	tcase_add_test(tcase, a_text_is_cut_at_a_character);
	tcase_add_test(tcase, too_many_recipients);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}

/* Tests of the registration against a cloud that fails and lies. */
#include "local-agent/cloud/registrar.h"

#include <string.h>

#include "common/clock.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/fake-cloud.h"

static struct spool_fixture store;
static struct fake_cloud cloud;
static struct agent_config config;
static struct writer *writer;
static struct registrar *registrar;
static _Atomic unsigned releases;
static int dishonest_row, dishonest_left;

static void on_released(void *context)
{
	(void)context;
	atomic_fetch_add(&releases, 1);
}

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	cloud = (struct fake_cloud){.port = 0};
	atomic_store(&releases, 0);
}

static int64_t patience_ms; /* before refused mail is tried again; 0: long */

static void start_registrar(void)
{
	struct registrar_options options = {&config, store.spool, NULL,
	                                    on_released, NULL};

	lab_config(&config, cloud.port, LAB_POLICY);
	if (patience_ms)
		config.queue_retry_min_ms = patience_ms;
	writer = lab_writer(store.spool);
	options.writer = writer;
	ck_assert_int_eq(registrar_start(&registrar, &options, NULL), 0);
}

static void start(void)
{
	fake_start(&cloud);
	start_registrar();
}

static void teardown(void)
{
	registrar_stop(registrar);
	writer_stop(writer);
	fake_stop(&cloud);
	agent_config_release(&config);
	fixture_close(&store);
	registrar = NULL;
}

static struct id add_unregistered(size_t recipients)
{
	struct spool_message message = fixture_message(recipients, SPOOL_HELD);
	struct id id = message.id;

	message.registered = false;
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "b\r\n", 3)),
	    0);
	spool_message_release(&message);
	return id;
}

static int64_t unregistered(void)
{
	struct spool_totals totals;

	ck_assert_int_eq(spool_count(store.spool, &totals, NULL), 0);
	return totals.unregistered;
}

START_TEST(registers_all_in_batches)
{
	int i;

	for (i = 0; i < 1200; i++)
		(void)add_unregistered(1);
	start();
	LAB_AWAIT(unregistered() == 0);
	ck_assert_uint_eq(atomic_load(&cloud.items), 1200);
	ck_assert_uint_eq(atomic_load(&cloud.largest), 500);
	ck_assert_uint_eq(atomic_load(&releases), 0);
}
END_TEST

START_TEST(new_mail_is_registered_when_woken)
{
	start();
	LAB_AWAIT(unregistered() == 0);
	(void)add_unregistered(2);
	registrar_wake(registrar);
	LAB_AWAIT(unregistered() == 0);
}
END_TEST

/* What was decided here meanwhile needs no registration. */
START_TEST(nothing_held_is_not_sent)
{
	struct id id = add_unregistered(1);

	ck_assert_int_eq(fixture_move(&store, id, 0, SPOOL_DISCARDED), 0);
	start();
	LAB_AWAIT(unregistered() == 0);
	ck_assert_uint_eq(fake_asked(&cloud, FAKE_MESSAGES), 0);
}
END_TEST

static json_t *result_of(json_t *body, size_t index, const char *status,
                         json_t *recipients)
{
	json_t *message =
	    json_array_get(json_object_get(body, "messages"), index);

	return json_pack("{s:O, s:s, s:o}", "id",
	                 json_object_get(message, "id"), "status", status,
	                 "recipients", recipients);
}

static json_t *address_of(json_t *body, size_t index)
{
	json_t *message = json_array_get(json_object_get(body, "messages"), 0);

	return json_incref(
	    json_array_get(json_object_get(message, "recipients"), index));
}

static json_t *verdicts(struct fake_cloud *fake, struct http_request *request,
                        json_t *body, unsigned *status)
{
	json_t *list = json_pack(
	    "[{s:o, s:s, s:s, s:s}, {s:o, s:s}, {s:o, s:s}, {s:s, s:s}]",
	    "address", address_of(body, 0), "verdict", "release", "by", "list",
	    "why", "white", "address", address_of(body, 1), "verdict",
	    "discard", "address", address_of(body, 2), "verdict", "hold",
	    "address", "nobody@elsewhere.test", "verdict", "release");

	(void)fake;
	(void)request;
	*status = 200;
	return json_pack("{s:[o]}", "results",
	                 result_of(body, 0, "known", list));
}

START_TEST(immediate_verdicts_are_applied)
{
	struct id id = add_unregistered(3);
	struct spool_message message;

	cloud.messages = verdicts;
	start();
	LAB_AWAIT(unregistered() == 0);
	LAB_AWAIT(atomic_load(&releases) == 1);
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_QUEUED);
	ck_assert_int_eq(fixture_state(&store, id, 1), SPOOL_DISCARDED);
	ck_assert_int_eq(fixture_state(&store, id, 2), SPOOL_HELD);
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	ck_assert_str_eq(message.recipients[0].by, "list");
	ck_assert_str_eq(message.recipients[0].why, "white");
	spool_message_release(&message);
}
END_TEST

/* --- a cloud that fails or lies, then becomes honest ---------------------- */

static const struct {
	const char *name;
	unsigned status;
	const char *body; /* %ID: the first message's id */
} lies[] = {
    {"down", 500, "{}"},
    {"busy", 503, NULL},
    {"denied", 401, "{\"detail\": \"no such key\"}"},
    {"too many", 429, "{}"},
    {"empty object", 200, "{}"},
    {"no body", 200, NULL},
    {"no content", 204, NULL},
    {"an array", 200, "[]"},
    {"no results", 200, "{\"results\": []}"},
    {"results no array", 200, "{\"results\": {}}"},
    {"results of text", 200, "{\"results\": [\"registered\"]}"},
    {"no id", 200, "{\"results\": [{\"status\": \"registered\"}]}"},
    {"another's id", 200,
     "{\"results\": [{\"id\": \"01020304-0506-7708-890a-0b0c0d0e0f10\","
     " \"status\": \"registered\"}]}"},
    {"id no id", 200,
     "{\"results\": [{\"id\": \"x\", \"status\": \"registered\"}]}"},
    {"unknown status", 200,
     "{\"results\": [{\"id\": \"%ID\", \"status\": \"maybe\"}]}"},
    {"status no text", 200,
     "{\"results\": [{\"id\": \"%ID\", \"status\": 1}]}"},
    {"unknown verdict", 200,
     "{\"results\": [{\"id\": \"%ID\", \"status\": \"known\", \"recipients\":"
     " [{\"address\": \"a@b\", \"verdict\": \"deliver\"}]}]}"},
    {"verdict no text", 200,
     "{\"results\": [{\"id\": \"%ID\", \"status\": \"known\", \"recipients\":"
     " [{\"address\": \"a@b\", \"verdict\": true}]}]}"},
    {"recipient no object", 200,
     "{\"results\": [{\"id\": \"%ID\", \"status\": \"known\", \"recipients\":"
     " [1]}]}"},
};

static json_t *expand(const char *text, json_t *body)
{
	json_t *message = json_array_get(json_object_get(body, "messages"), 0);
	const char *id = json_string_value(json_object_get(message, "id"));
	const char *place = text ? strstr(text, "%ID") : NULL;
	char *whole;
	json_t *json;

	if (!text)
		return NULL;
	whole = place ? mem_format("%.*s%s%s", (int)(place - text), text, id,
	                           place + 3)
	              : mem_copy_string(text);
	json = json_loads(whole, 0, NULL);
	free(whole);
	return json;
}

static json_t *lie(struct fake_cloud *fake, struct http_request *request,
                   json_t *body, unsigned *status)
{
	if (dishonest_left-- <= 0)
		return fake_register(fake, request, body, status);
	*status = lies[dishonest_row].status;
	return expand(lies[dishonest_row].body, body);
}

START_TEST(nothing_is_believed_that_was_not_agreed)
{
	struct id id = add_unregistered(1);

	dishonest_row = _i;
	dishonest_left = 3;
	cloud.messages = lie;
	start();
	LAB_AWAIT(fake_asked(&cloud, FAKE_MESSAGES) >= 3);
	LAB_AWAIT(unregistered() == 0);
	ck_assert_msg(fake_asked(&cloud, FAKE_MESSAGES) == 4, "%s: asked %u",
	              lies[_i].name, fake_asked(&cloud, FAKE_MESSAGES));
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_HELD);
	ck_assert_uint_eq(atomic_load(&releases), 0);
}
END_TEST

START_TEST(absent_cloud_is_asked_again)
{
	fake_start(&cloud);
	fake_stop(&cloud); /* its port is free and known now */
	(void)add_unregistered(1);
	start_registrar();
	(void)poll(NULL, 0, 100);
	ck_assert_int_eq(unregistered(), 1);
	fake_start(&cloud);
	LAB_AWAIT(unregistered() == 0);
}
END_TEST

/* --- refused mail --------------------------------------------------------- */

static struct id poison;

static bool has_poison(json_t *body, size_t *count)
{
	json_t *message, *list = json_object_get(body, "messages");
	bool found = false;
	char text[ID_TEXT_SIZE];
	size_t i;

	(void)id_format(&poison, text);
	json_array_foreach(
	    list, i,
	    message) if (strcmp(json_string_value(json_object_get(message,
	                                                          "id")),
	                        text) == 0) found = true;
	*count = json_array_size(list);
	return found;
}

/* Refuses a whole request because of one message in it. */
static json_t *refuse_request(struct fake_cloud *fake,
                              struct http_request *request, json_t *body,
                              unsigned *status)
{
	size_t count;

	if (!has_poison(body, &count))
		return fake_register(fake, request, body, status);
	*status = 422;
	return json_pack("{s:s, s:s}", "type",
	                 "urn:turing:problem:invalid-field", "detail",
	                 "one of them is wrong");
}

/* Refuses the message alone. */
static json_t *refuse_item(struct fake_cloud *fake,
                           struct http_request *request, json_t *body,
                           unsigned *status)
{
	json_t *answer = fake_register(fake, request, body, status);
	char text[ID_TEXT_SIZE];
	json_t *result;
	size_t i;

	(void)id_format(&poison, text);
	json_array_foreach(
	    json_object_get(answer, "results"), i,
	    result) if (strcmp(json_string_value(json_object_get(result, "id")),
	                       text) == 0)
	    json_object_set_new(result, "status", json_string("refused"));
	return answer;
}

static const fake_answer refusals[] = {refuse_request, refuse_item};

START_TEST(refused_mail_does_not_hold_up_the_rest)
{
	int i;

	for (i = 0; i < 10; i++) {
		struct id id = add_unregistered(1);

		if (i == 4)
			poison = id;
	}
	cloud.messages = refusals[_i];
	start();
	LAB_AWAIT(unregistered() == 1);
	(void)add_unregistered(1);
	registrar_wake(registrar);
	LAB_AWAIT(unregistered() == 1 && atomic_load(&cloud.items) >= 11);
	ck_assert_int_eq(fixture_state(&store, poison, 0), SPOOL_HELD);
}
END_TEST

static struct spool_message read_one(struct id id)
{
	struct spool_message message;

	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	return message;
}

static unsigned attempts_of(struct id id)
{
	struct spool_message message = read_one(id);
	unsigned attempts = message.registration_attempts;

	spool_message_release(&message);
	return attempts;
}

/* It is found by halves: no request is sent for each of the others. */
START_TEST(refused_mail_is_found_by_halves)
{
	for (int i = 0; i < 64; i++) {
		struct id id = add_unregistered(1);

		if (i == 37)
			poison = id;
	}
	cloud.messages = refuse_request;
	start();
	LAB_AWAIT(unregistered() == 1 && attempts_of(poison) == 1);
	ck_assert_uint_le(fake_asked(&cloud, FAKE_MESSAGES), 15);
}
END_TEST

/* A proxy that lets no large request pass. */
static json_t *refuse_size(struct fake_cloud *fake,
                           struct http_request *request, json_t *body,
                           unsigned *status)
{
	if (json_array_size(json_object_get(body, "messages")) <= 10)
		return fake_register(fake, request, body, status);
	*status = 413;
	return NULL;
}

START_TEST(large_requests_are_divided)
{
	for (int i = 0; i < 64; i++)
		(void)add_unregistered(1);
	cloud.messages = refuse_size;
	start();
	LAB_AWAIT(unregistered() == 0);
	/* In vain: 64, two of 32, four of 16; then eight of 8. */
	ck_assert_uint_eq(fake_asked(&cloud, FAKE_MESSAGES), 15);
}
END_TEST

/* Nor is it asked about without end, by an agent that was started anew
 * neither. */
START_TEST(refused_mail_is_put_aside)
{
	unsigned asked;

	poison = add_unregistered(1);
	cloud.messages = refusals[_i];
	start();
	LAB_AWAIT(attempts_of(poison) == 1);
	(void)add_unregistered(1);
	registrar_wake(registrar);
	LAB_AWAIT(unregistered() == 1);
	asked = fake_asked(&cloud, FAKE_MESSAGES);
	ck_assert_uint_le(asked, 4);
	registrar_stop(registrar);
	writer_stop(writer);
	agent_config_release(&config);
	(void)add_unregistered(1);
	start_registrar();
	LAB_AWAIT(unregistered() == 1);
	ck_assert_uint_eq(fake_asked(&cloud, FAKE_MESSAGES), asked + 1);
	ck_assert_uint_eq(attempts_of(poison), 1);
}
END_TEST

/* Its next try comes later each time; it ends once the cloud takes it. */
START_TEST(pause_after_a_refusal_grows)
{
	struct spool_message message;

	poison = add_unregistered(1);
	cloud.messages = refuse_item;
	patience_ms = 50;
	start();
	for (int i = 0; i < 4; i++) {
		LAB_AWAIT((registrar_wake(registrar),
		           attempts_of(poison) > (unsigned)i));
	}
	message = read_one(poison);
	ck_assert_str_eq(message.registration_refusal, "no reason given");
	ck_assert_int_gt(message.registration_retry_ms,
	                 clock_wall_ms() +
	                     (50 << (message.registration_attempts - 1)) / 2);
	spool_message_release(&message);
	poison = (struct id){{0}};
	LAB_AWAIT((registrar_wake(registrar), unregistered() == 0));
	patience_ms = 0;
}
END_TEST

/* Refuses the second recipient alone. */
static json_t *refuse_second(struct fake_cloud *fake,
                             struct http_request *request, json_t *body,
                             unsigned *status)
{
	json_t *answer = fake_register(fake, request, body, status);
	json_t *result = json_array_get(json_object_get(answer, "results"), 0);

	json_object_set_new(result, "refused_recipients",
	                    json_pack("[{s:o, s:s}]", "address",
	                              address_of(body, 1), "error",
	                              "not of a domain of yours"));
	return answer;
}

START_TEST(one_refused_recipient_harms_no_other)
{
	struct id id = add_unregistered(2);
	struct spool_message message;

	cloud.messages = refuse_second;
	start();
	LAB_AWAIT(unregistered() == 0);
	message = read_one(id);
	ck_assert_str_eq(message.registration_refusal,
	                 "User1@customer.example: not of a domain of yours");
	ck_assert_uint_eq(message.registration_attempts, 0);
	ck_assert_int_eq(message.recipients[1].state, SPOOL_HELD);
	spool_message_release(&message);
	(void)poll(NULL, 0, 300);
	ck_assert_uint_eq(fake_asked(&cloud, FAKE_MESSAGES), 1);
}
END_TEST

/* What an MX handed over and no cloud takes for an address stays here. */
static struct id add_odd(size_t recipients, size_t good)
{
	struct spool_message message = fixture_message(recipients, SPOOL_HELD);
	struct id id = message.id;

	free(message.sender);
	message.sender = mem_copy_string("\"a\x01\"@\xe9.example");
	for (size_t i = good; i < recipients; i++) {
		free(message.recipients[i].address);
		message.recipients[i].address =
		    mem_copy_string("\"a\x01\"@customer.example");
	}
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "b\r\n", 3)),
	    0);
	spool_message_release(&message);
	return id;
}

START_TEST(odd_recipients_are_not_sent)
{
	struct id odd = add_odd(1, 0), mixed = add_odd(2, 1);
	struct spool_message message;

	start();
	LAB_AWAIT(unregistered() == 0);
	ck_assert_uint_eq(atomic_load(&cloud.items), 1);
	for (int i = 0; i < 2; i++) {
		message = read_one(i ? odd : mixed);
		ck_assert_ptr_nonnull(
		    strstr(message.registration_refusal, "not a mail address"));
		spool_message_release(&message);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent registrar");
	TCase *tests = tcase_create("registration");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, registers_all_in_batches);
	tcase_add_test(tests, new_mail_is_registered_when_woken);
	tcase_add_test(tests, nothing_held_is_not_sent);
	tcase_add_test(tests, immediate_verdicts_are_applied);
	tcase_add_loop_test(tests, nothing_is_believed_that_was_not_agreed, 0,
	                    LAB_COUNT(lies));
	tcase_add_test(tests, absent_cloud_is_asked_again);
	tcase_add_loop_test(tests, refused_mail_does_not_hold_up_the_rest, 0,
	                    LAB_COUNT(refusals));
	tcase_add_loop_test(tests, refused_mail_is_put_aside, 0,
	                    LAB_COUNT(refusals));
	tcase_add_test(tests, refused_mail_is_found_by_halves);
	tcase_add_test(tests, large_requests_are_divided);
	tcase_add_test(tests, pause_after_a_refusal_grows);
	tcase_add_test(tests, one_refused_recipient_harms_no_other);
	tcase_add_test(tests, odd_recipients_are_not_sent);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

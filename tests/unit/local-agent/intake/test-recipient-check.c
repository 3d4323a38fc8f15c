/* Whether recipients exist: what a next hop says, how long it is believed, and
 * what is said while it is away. */
#include "local-agent/intake/recipient-check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "local-agent/intake/recipient-cache.h"
#include "tests/unit/local-agent/hop.h"

#define THREADS 4

/* A next hop that knows its recipients by their names. */
static struct {
	struct smtp_listener *listener;
	struct loop *loop;
	_Atomic unsigned asked, messages;
	_Atomic bool closes; /* hangs up on the next RCPT */
	char sender[64];     /* of the last MAIL */
} hop;

static struct agent_config config;
static struct recipient_check *check;
static struct loop *loop; /* of those who ask */

static void hop_mail(struct smtp_server *server, void *context,
                     const struct smtp_mail *mail, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)snprintf(hop.sender, sizeof(hop.sender), "%s", mail->sender);
	if (strcmp(mail->sender, "refused@x.test") == 0)
		smtp_reply_set(reply, 550, "", "not from you");
}

static void hop_rcpt(struct smtp_server *server, void *context,
                     const char *recipient, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	atomic_fetch_add(&hop.asked, 1);
	if (atomic_exchange(&hop.closes, false))
		smtp_reply_set(reply, 421, "4.3.0", "closing");
	else if (strncmp(recipient, "absent", 6) == 0)
		smtp_reply_set(reply, 550, "5.1.1", "nobody");
	else if (strncmp(recipient, "later", 5) == 0)
		smtp_reply_set(reply, 450, "4.2.0", "later");
}

static void hop_data(struct smtp_server *server, void *context,
                     struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)reply;
	atomic_fetch_add(&hop.messages, 1);
}

static void hop_body(struct smtp_server *server, void *context,
                     const char *bytes, size_t size)
{
	(void)server;
	(void)context;
	(void)bytes;
	(void)size;
}

static void hop_over(struct smtp_server *server, void *context)
{
	(void)server;
	(void)context;
}

static void *hop_session_new(void *context, struct loop *session_loop)
{
	(void)context;
	(void)session_loop;
	return mem_alloc(1);
}

static void hop_start(uint16_t port)
{
	static const struct smtp_server_policy policy = {
	    hop_mail, hop_rcpt, hop_data, hop_body, hop_over, hop_over};

	hop_listen(&hop.listener, &hop.loop, port, &policy, hop_session_new,
	           free);
}

static void hop_stop(void)
{
	smtp_listener_stop(hop.listener, 100);
	loop_stop(hop.loop);
	hop.listener = NULL;
}

static void setup(void)
{
	lab_init();
	memset(&hop, 0, sizeof(hop));
	hop_start(0);
	ck_assert_int_eq(loop_start(&loop, "asker", NULL), 0);
}

/* With the next hop, and more keys of the section. */
static void start(const char *more)
{
	struct error err = {.text = ""};
	char text[600];

	(void)snprintf(text, sizeof(text),
	               LAB_POLICY "next_hop { address = \"127.0.0.1:%u\"; }\n"
	                          "recipients { timeout = 2s; %s; }\n",
	               smtp_listener_port(hop.listener), more);
	lab_config(&config, 1, text);
	ck_assert_msg(recipient_check_start(&check, &config, &err) == 0, "%s",
	              err.text);
}

static void stop(void)
{
	recipient_check_stop(check);
	agent_config_release(&config);
}

static void teardown(void)
{
	loop_stop(loop);
	if (hop.listener)
		hop_stop();
}

/* A question asked on a loop, and its answer. */
struct asker {
	const char *address;
	struct loop *loop;
	struct recipient_question *question;
	bool drops; /* at once */
	_Atomic int answer;
	_Atomic bool asked;
};

static void on_answered(void *context, enum recipient_answer answer)
{
	struct asker *asker = context;

	atomic_store(&asker->answer, (int)answer);
}

static void ask_here(void *argument)
{
	struct asker *asker = argument;
	enum recipient_answer answer =
	    recipient_check_ask(check, asker->address, asker->loop, on_answered,
	                        asker, &asker->question);

	if (answer != RECIPIENT_ASKED)
		atomic_store(&asker->answer, (int)answer);
	else if (asker->drops)
		recipient_question_drop(asker->question);
	atomic_store(&asker->asked, true);
}

static enum recipient_answer ask(const char *address)
{
	struct asker asker = {.address = address, .loop = loop, .answer = -1};

	loop_post(loop, ask_here, &asker);
	LAB_AWAIT(atomic_load(&asker.asked) && atomic_load(&asker.answer) >= 0);
	return (enum recipient_answer)atomic_load(&asker.answer);
}

/* Whether the answer came, and says what it should. */
static bool has_answer(struct asker *asker, bool exists)
{
	return atomic_load(&asker->answer) ==
	       (int)(exists ? RECIPIENT_EXISTS : RECIPIENT_ABSENT);
}

/* Of two recipients, each three times; how often the next hop was. */
static unsigned ask_thrice(void)
{
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
		ck_assert_int_eq(ask("absent@ours.test"), RECIPIENT_ABSENT);
	}
	return atomic_load(&hop.asked);
}

START_TEST(asks_once_and_believes_for_a_while)
{
	start("positive = 1h; negative = 1h");
	ck_assert_uint_eq(ask_thrice(), 2);
	ck_assert_str_eq(hop.sender, "");
	/* What is not known is asked anew. */
	ck_assert_int_eq(ask("later@ours.test"), RECIPIENT_UNSURE);
	ck_assert_int_eq(ask("later@ours.test"), RECIPIENT_UNSURE);
	ck_assert_uint_eq(atomic_load(&hop.asked), 4);
	ck_assert_uint_eq(atomic_load(&hop.messages), 0);
	stop();
}
END_TEST

START_TEST(what_is_old_is_asked_anew)
{
	start("positive = 0ms; negative = 0ms; sender = \"a@x.test\"");
	ck_assert_uint_eq(ask_thrice(), 6);
	ck_assert_str_eq(hop.sender, "a@x.test");
	stop();
}
END_TEST

/* The next hop away means what was known, or a refusal for now; then it is
 * asked again. */
START_TEST(next_hop_away)
{
	uint16_t port = smtp_listener_port(hop.listener);

	start("positive = 0ms; negative = 0ms; stale = 1h");
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	ck_assert_int_eq(ask("absent@ours.test"), RECIPIENT_ABSENT);
	hop_stop();
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	ck_assert_int_eq(ask("absent@ours.test"), RECIPIENT_UNSURE);
	ck_assert_int_eq(ask("paul@ours.test"), RECIPIENT_UNSURE);
	hop_start(port);
	ck_assert_int_eq(ask("paul@ours.test"), RECIPIENT_EXISTS);
	stop();
}
END_TEST

START_TEST(stale_answers_end)
{
	start("positive = 0ms; stale = 0ms");
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	hop_stop();
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_UNSURE);
	stop();
}
END_TEST

/* A refusal of our own sender is nobody's mailbox. */
START_TEST(refused_sender_says_nothing_of_recipients)
{
	start("sender = \"refused@x.test\"");
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_UNSURE);
	stop();
}
END_TEST

/* A session that was kept and ends costs no answer. */
START_TEST(session_lost_between_questions)
{
	start("cache = 1000");
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	atomic_store(&hop.closes, true);
	ck_assert_int_eq(ask("paul@ours.test"), RECIPIENT_EXISTS);
	stop();
}
END_TEST

/* Equal questions of several loops are one; those dropped are not answered. */
START_TEST(threads_ask_at_once)
{
	static struct asker askers[THREADS][50];
	struct loop *loops[THREADS];

	start("cache = 1000");
	memset(askers, 0, sizeof(askers));
	for (int t = 0; t < THREADS; t++) {
		ck_assert_int_eq(loop_start(&loops[t], "asker", NULL), 0);
		for (int i = 0; i < 50; i++) {
			askers[t][i] = (struct asker){
			    .address =
			        i % 2 ? "jean@ours.test" : "absent@ours.test",
			    .loop = loops[t],
			    .drops = i % 10 == 9,
			    .answer = -1};
			loop_post(loops[t], ask_here, &askers[t][i]);
		}
	}
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < 50; i++)
			if (!askers[t][i].drops)
				LAB_AWAIT(
				    has_answer(&askers[t][i], (i & 1) != 0));
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < 50; i++)
			LAB_AWAIT(atomic_load(&askers[t][i].asked));
	ck_assert_uint_eq(atomic_load(&hop.asked), 2);
	stop();
	for (int t = 0; t < THREADS; t++)
		loop_stop(loops[t]);
}
END_TEST

/* Many at once share transactions. */
START_TEST(many_recipients)
{
	static struct asker askers[500];
	static char addresses[500][32];

	start("connections = 2");
	for (int i = 0; i < 500; i++) {
		(void)snprintf(addresses[i], sizeof(addresses[i]),
		               "%s%d@ours.test", i % 3 ? "u" : "absent", i);
		askers[i] = (struct asker){
		    .address = addresses[i], .loop = loop, .answer = -1};
		loop_post(loop, ask_here, &askers[i]);
	}
	for (int i = 0; i < 500; i++)
		LAB_AWAIT(has_answer(&askers[i], i > i / 3 * 3));
	stop();
}
END_TEST

/* Who stops answers what is open. */
START_TEST(stop_answers)
{
	struct asker asker = {
	    .address = "jean@ours.test", .loop = loop, .answer = -1};

	start("cache = 1000");
	loop_post(loop, ask_here, &asker);
	LAB_AWAIT(atomic_load(&asker.asked));
	stop();
	LAB_AWAIT(atomic_load(&asker.answer) >= 0);
}
END_TEST

/* Rows: what a reply to RCPT says. */
static const struct {
	enum smtp_outcome outcome;
	int code;
	const char *enhanced;
	enum recipient_answer answer;
} judged[] = {
    {SMTP_ACCEPTED, 250, "2.1.5", RECIPIENT_EXISTS},
    {SMTP_ACCEPTED, 251, "", RECIPIENT_EXISTS},
    {SMTP_REFUSED, 550, "5.1.1", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 550, "5.1.10", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 550, "5.2.1", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 501, "5.1.3", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 550, "", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 553, "", RECIPIENT_ABSENT},
    {SMTP_REFUSED, 552, "5.2.2", RECIPIENT_EXISTS},
    {SMTP_REFUSED, 552, "", RECIPIENT_EXISTS},
    /* They speak of us. */
    {SMTP_REFUSED, 550, "5.7.1", RECIPIENT_UNSURE},
    {SMTP_REFUSED, 550, "5.1.8", RECIPIENT_UNSURE},
    {SMTP_REFUSED, 530, "5.7.0", RECIPIENT_UNSURE},
    {SMTP_REFUSED, 503, "5.5.1", RECIPIENT_UNSURE},
    {SMTP_REFUSED, 554, "", RECIPIENT_UNSURE},
    {SMTP_DEFERRED, 450, "4.1.1", RECIPIENT_UNSURE},
    {SMTP_DEFERRED, 0, "", RECIPIENT_UNSURE},
    /* It cannot be asked about. */
    {SMTP_REFUSED, 0, "", RECIPIENT_EXISTS},
};

START_TEST(replies_are_judged)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, judged[_i].code, judged[_i].enhanced, "x");
	ck_assert_int_eq(call_ahead_judge(judged[_i].outcome, &reply),
	                 judged[_i].answer);
}
END_TEST

/* --- the cache ------------------------------------------------------------ */

START_TEST(cache_is_bounded)
{
	struct recipient_cache *cache = recipient_cache_new(100);
	struct recipient_known *kept, *waiting;
	char address[32];

	kept = recipient_cache_get(cache, "kept@x");
	kept->answer = RECIPIENT_EXISTS;
	waiting = recipient_cache_get(cache, "waiting@x");
	waiting->waiting = cache;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(address, sizeof(address), "a%d@x", i);
		(void)recipient_cache_get(cache, address);
		ck_assert_ptr_eq(recipient_cache_get(cache, "kept@x"), kept);
		ck_assert_uint_le(recipient_cache_count(cache), 100);
	}
	ck_assert_ptr_eq(recipient_cache_find(cache, "waiting@x"), waiting);
	ck_assert_ptr_null(recipient_cache_find(cache, "a0@x"));
	ck_assert_ptr_nonnull(recipient_cache_find(cache, "a999@x"));
	recipient_cache_free(cache);
}
END_TEST

/* --- the list ------------------------------------------------------------- */

static char list_path[64];

static void write_list(const char *text)
{
	char other[80];
	FILE *file;

	(void)snprintf(other, sizeof(other), "%s.new", list_path);
	file = fopen(other, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs(text, file);
	(void)fclose(file);
	ck_assert_int_eq(rename(other, list_path), 0);
}

START_TEST(list_is_read_again_when_it_changes)
{
	char more[128];
	int fd;

	(void)snprintf(list_path, sizeof(list_path), "/tmp/turing-list-XXXXXX");
	fd = mkstemp(list_path);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	write_list("jean@ours.test x\n");
	(void)snprintf(more, sizeof(more), "check = list; list = \"%s\"",
	               list_path);
	start(more);
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	ck_assert_int_eq(ask("paul@ours.test"), RECIPIENT_ABSENT);
	write_list("jean@ours.test x\npaul@ours.test x\n");
	LAB_AWAIT(ask("paul@ours.test") == RECIPIENT_EXISTS);
	/* A bad file leaves what was read before. */
	write_list("paul@ours.test x\nnobody\n");
	(void)poll(NULL, 0, 1500);
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	(void)unlink(list_path);
	(void)poll(NULL, 0, 1500);
	ck_assert_int_eq(ask("jean@ours.test"), RECIPIENT_EXISTS);
	ck_assert_uint_eq(atomic_load(&hop.asked), 0);
	stop();
}
END_TEST

START_TEST(list_that_cannot_be_read)
{
	struct error err = {.text = ""};

	lab_config(&config, 1,
	           LAB_POLICY "recipients { check = list;"
	                      " list = \"/nonexistent/list\"; }");
	ck_assert_int_lt(recipient_check_start(&check, &config, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/list"));
	agent_config_release(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipient check");
	TCase *tests = tcase_create("all");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, asks_once_and_believes_for_a_while);
	tcase_add_test(tests, what_is_old_is_asked_anew);
	tcase_add_test(tests, next_hop_away);
	tcase_add_test(tests, stale_answers_end);
	tcase_add_test(tests, refused_sender_says_nothing_of_recipients);
	tcase_add_test(tests, session_lost_between_questions);
	tcase_add_test(tests, threads_ask_at_once);
	tcase_add_test(tests, many_recipients);
	tcase_add_test(tests, stop_answers);
	tcase_add_loop_test(tests, replies_are_judged, 0, LAB_COUNT(judged));
	tcase_add_test(tests, cache_is_bounded);
	tcase_add_test(tests, list_is_read_again_when_it_changes);
	tcase_add_test(tests, list_that_cannot_be_read);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/* Conformance of the registry: registered mail, decisions, events. */
#include "tests/conformance/registry/fixture.h"

START_TEST(message_reads_back)
{
	struct registry_recipient recipients[] = {
	    {.address = (char *)"z@a.example"},
	    {.address = (char *)"b@a.example"},
	    {.address = (char *)"z@a.example"},
	};
	struct registry_message found,
	    message = {
	        .id = id_of(1),
	        .tenant = tenant_a,
	        .challenge = id_of(5),
	        .received_ms = 1,
	        .registered_ms = 2,
	        .expires_ms = 3,
	        .size = INT64_C(5000000000),
	        .sender = (char *)"prvs=x=S@example.org",
	        .sender_normal = (char *)"s@example.org",
	        .header_from = (char *)"Caf\xc3\xa9 <s@example.org>",
	        .subject = (char *)"It's \"quoted\"; DROP TABLE message; --",
	        .message_id = (char *)"<1@x>",
	        .client_address = (char *)"2001:db8::1",
	        .helo = (char *)"h",
	        .challenge_reason = (char *)"list",
	        .auth = {.stated = true,
	                 .spf = AUTH_PASS,
	                 .dkim = AUTH_SOFTFAIL,
	                 .dmarc = AUTH_POLICY,
	                 .spf_domain = "example.org",
	                 .dkim_domain = "d.example.org",
	                 .dmarc_domain = "f.example.org",
	                 .aligned = true},
	        .recipients = recipients,
	        .recipient_count = 3,
	    };
	int result = 1;

	ok(registry_message_add(registry, &message, 1, &result, E));
	ck_assert_int_eq(result, 0);
	ok(registry_message_read(registry, &tenant_a, &message.id, &found, E));
	ck_assert(id_equal(&found.id, &message.id));
	ck_assert(id_equal(&found.tenant, &tenant_a));
	ck_assert(id_equal(&found.challenge, &message.challenge));
	ck_assert_int_eq(found.received_ms, 1);
	ck_assert_int_eq(found.registered_ms, 2);
	ck_assert_int_eq(found.expires_ms, 3);
	ck_assert_int_eq(found.size, message.size);
	ck_assert_str_eq(found.sender, message.sender);
	ck_assert_str_eq(found.sender_normal, message.sender_normal);
	ck_assert_str_eq(found.header_from, message.header_from);
	ck_assert_str_eq(found.subject, message.subject);
	ck_assert_str_eq(found.message_id, message.message_id);
	ck_assert_str_eq(found.client_address, message.client_address);
	ck_assert_str_eq(found.helo, message.helo);
	ck_assert_str_eq(found.challenge_reason, "list");
	ck_assert(found.auth.stated && found.auth.aligned);
	ck_assert_int_eq(found.auth.spf, AUTH_PASS);
	ck_assert_int_eq(found.auth.dkim, AUTH_SOFTFAIL);
	ck_assert_int_eq(found.auth.dmarc, AUTH_POLICY);
	ck_assert_str_eq(found.auth.spf_domain, "example.org");
	ck_assert_str_eq(found.auth.dkim_domain, "d.example.org");
	ck_assert_str_eq(found.auth.dmarc_domain, "f.example.org");
	ck_assert_uint_eq(found.recipient_count, 2);
	ck_assert_str_eq(found.recipients[0].address, "z@a.example");
	ck_assert_str_eq(found.recipients[1].address, "b@a.example");
	ck_assert_int_eq(found.recipients[0].state, REGISTRY_HELD);
	ck_assert_int_eq(found.recipients[0].changed_ms, 2);
	ck_assert_str_eq(found.recipients[0].by, "");
	registry_message_release(&found);
}
END_TEST

/* Texts that are not given come back as "". */
START_TEST(missing_texts_are_empty)
{
	struct registry_recipient recipient = {.address = (char *)"r@a"};
	struct registry_message found, message = {.id = id_of(1),
	                                          .tenant = tenant_a,
	                                          .recipients = &recipient,
	                                          .recipient_count = 1};
	int result = 1;

	ok(registry_message_add(registry, &message, 1, &result, E));
	ok(registry_message_read(registry, &tenant_a, &message.id, &found, E));
	ck_assert_str_eq(found.sender, "");
	ck_assert_str_eq(found.subject, "");
	ck_assert_str_eq(found.challenge_reason, "");
	ck_assert(id_is_none(&found.challenge));
	registry_message_release(&found);
}
END_TEST

START_TEST(message_is_added_once)
{
	struct registry_message found;
	struct id id = id_of(1), other = id_of(2);

	ck_assert_int_eq(put_message(&tenant_a, 1, "s", "r@a", NULL), 0);
	ck_assert_int_eq(put_message(&tenant_a, 1, "t", "x@a", NULL),
	                 ERR_EXISTS);
	ck_assert_int_eq(put_message(&tenant_b, 1, "t", "x@b", NULL),
	                 ERR_DENIED);
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert_str_eq(found.sender, "s");
	ck_assert_uint_eq(found.recipient_count, 1);
	registry_message_release(&found);
	fails(ERR_NOT_FOUND,
	      registry_message_read(registry, &tenant_b, &id, &found, NULL));
	fails(ERR_NOT_FOUND,
	      registry_message_read(registry, &tenant_a, &other, &found, NULL));
	other = id_of(99);
	ck_assert_int_eq(put_message(&other, 3, "s", "r@a", NULL),
	                 ERR_NOT_FOUND);
}
END_TEST

/* One batch with a result of each kind; the good ones are in. */
START_TEST(batch_gives_a_result_each)
{
	enum { COUNT = 100 };
	static struct registry_message messages[COUNT];
	static int results[COUNT];
	struct registry_recipient recipient = {.address = (char *)"r@a"},
	                          done = {.address = (char *)"r@a",
	                                  .state = REGISTRY_RELEASED};
	struct registry_totals totals;

	for (unsigned i = 0; i < COUNT; i++)
		messages[i] = (struct registry_message){
		    .id = id_of(i + 1),
		    .tenant = tenant_a,
		    .recipients = &recipient,
		    .recipient_count = 1,
		};
	messages[10].id = no_id;
	messages[11].recipient_count = 0;
	messages[12].recipients = &done;
	messages[13].id = id_of(1);
	messages[14].id = id_of(1);
	messages[14].tenant = tenant_b;
	messages[15].tenant = id_of(99);
	messages[16].size = -1;
	ok(registry_message_add(registry, messages, COUNT, results, E));
	for (int i = 0; i < COUNT; i++) {
		int wanted = i == 13                           ? ERR_EXISTS
		             : i == 14                         ? ERR_DENIED
		             : i == 15                         ? ERR_NOT_FOUND
		             : i == 16 || (i >= 10 && i <= 12) ? ERR_INVALID
		                                               : 0;

		ck_assert_msg(results[i] == wanted, "%d: %d", i, results[i]);
	}
	ok(registry_count(registry, &totals, E));
	ck_assert_int_eq(totals.messages, COUNT - 7);
	ck_assert_int_eq(totals.recipients_held, COUNT - 7);
	ok(registry_message_add(registry, messages, 0, NULL, E));
	ok(registry_check(registry, E));
}
END_TEST

/* What was decided for all its recipients does not count any more. */
START_TEST(what_is_held_counts)
{
	struct registry_recipient recipients[] = {{.address = (char *)"r@a"},
	                                          {.address = (char *)"s@a"}};
	struct registry_message messages[3];
	struct registry_decision decision = {.message = id_of(1),
	                                     .recipient = (char *)"r@a",
	                                     .verdict = REGISTRY_RELEASE};
	struct registry_usage usage = {.messages = 9};
	int results[3];

	ok(registry_tenant_usage(registry, &tenant_a, &usage, E));
	ck_assert_int_eq(usage.messages, 0);
	ck_assert_int_eq(usage.bytes, 0);
	for (unsigned i = 0; i < 3; i++)
		messages[i] = (struct registry_message){
		    .id = id_of(i + 1),
		    .tenant = i == 2 ? tenant_b : tenant_a,
		    .size = INT64_C(5000000000) << i,
		    .recipients = recipients,
		    .recipient_count = 2,
		};
	ok(registry_message_add(registry, messages, 3, results, E));
	ok(registry_tenant_usage(registry, &tenant_a, &usage, E));
	ck_assert_int_eq(usage.messages, 2);
	ck_assert_int_eq(usage.bytes, INT64_C(15000000000));
	ok(registry_decide(registry, &tenant_a, &decision, E));
	ok(registry_tenant_usage(registry, &tenant_a, &usage, E));
	ck_assert_int_eq(usage.messages, 2);
	decision.recipient = (char *)"s@a";
	ok(registry_decide(registry, &tenant_a, &decision, E));
	ok(registry_tenant_usage(registry, &tenant_a, &usage, E));
	ck_assert_int_eq(usage.messages, 1);
	ck_assert_int_eq(usage.bytes, INT64_C(10000000000));
	ok(registry_tenant_usage(registry, &no_id, &usage, E));
	ck_assert_int_eq(usage.messages, 0);
}
END_TEST

START_TEST(text_without_end_is_refused)
{
	char *huge = malloc(1 << 20);
	struct registry_recipient recipient = {.address = (char *)"r@a"};
	struct registry_message message = {.id = id_of(1),
	                                   .tenant = tenant_a,
	                                   .subject = huge,
	                                   .recipients = &recipient,
	                                   .recipient_count = 1};
	int result = 0;

	ck_assert_ptr_nonnull(huge);
	memset(huge, 'x', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	ok(registry_message_add(registry, &message, 1, &result, E));
	ck_assert_int_eq(result, ERR_INVALID);
	free(huge);
}
END_TEST

/* One that is not there does not keep the others from it. */
START_TEST(several_are_attached)
{
	struct registry_attachment attachments[] = {{id_of(1), id_of(9), "x"},
	                                            {id_of(8), id_of(9), "x"},
	                                            {id_of(2), no_id, "y"},
	                                            {id_of(3), id_of(9), NULL}};
	static const char *const reasons[] = {"x", "y", ""};
	struct registry_message found;

	for (unsigned i = 1; i <= 3; i++)
		put_message(&tenant_a, i, "s", "r@a", NULL);
	fails(ERR_NOT_FOUND, registry_message_attach(registry, &tenant_a,
	                                             attachments, 4, NULL));
	for (unsigned i = 1; i <= 3; i++) {
		struct id id = id_of(i);

		ok(registry_message_read(registry, &tenant_a, &id, &found, E));
		ck_assert(id_is_none(&found.challenge) == (i == 2));
		ck_assert_str_eq(found.challenge_reason, reasons[i - 1]);
		registry_message_release(&found);
	}
}
END_TEST

START_TEST(message_is_attached)
{
	struct registry_message found;
	struct id id = id_of(1), challenge = id_of(9);

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	fails(ERR_NOT_FOUND,
	      attach_one(registry, &tenant_b, &id, &challenge, "x", NULL));
	fails(ERR_NOT_FOUND, attach_one(registry, &tenant_a, &challenge,
	                                &challenge, "x", NULL));
	ok(attach_one(registry, &tenant_a, &id, &challenge, "open-challenge",
	              E));
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert(id_equal(&found.challenge, &challenge));
	ck_assert_str_eq(found.challenge_reason, "open-challenge");
	registry_message_release(&found);
	ok(attach_one(registry, &tenant_a, &id, NULL, NULL, E));
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert(id_is_none(&found.challenge));
	ck_assert_str_eq(found.challenge_reason, "");
	registry_message_release(&found);
}
END_TEST

static const struct {
	enum registry_verdict verdict;
	enum registry_state state;
	const char *word;
} verdicts[] = {
    {REGISTRY_RELEASE, REGISTRY_RELEASED, "release"},
    {REGISTRY_DISCARD, REGISTRY_DISCARDED, "discard"},
    {REGISTRY_EXPIRE, REGISTRY_EXPIRED, "expire"},
};

START_TEST(decision_is_logged)
{
	struct registry_decisions page = {0};
	struct id id = id_of(1);
	int64_t last = -1;

	ck_assert_str_eq(registry_verdict_name(verdicts[_i].verdict),
	                 verdicts[_i].word);
	put_message(&tenant_a, 1, "s", "r@a", "q@a");
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ck_assert_int_eq(last, 0);
	ok(decide(&tenant_a, 1, "r@a", verdicts[_i].verdict));
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"), verdicts[_i].state);
	ck_assert_int_eq(state_of(&tenant_a, 1, "q@a"), REGISTRY_HELD);
	ok(registry_decision_list(registry, &tenant_a, 0, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	ck_assert(!page.more);
	ck_assert_int_eq(page.decisions[0].sequence, 1);
	ck_assert(id_equal(&page.decisions[0].message, &id));
	ck_assert_str_eq(page.decisions[0].recipient, "r@a");
	ck_assert_int_eq(page.decisions[0].verdict, verdicts[_i].verdict);
	ck_assert_str_eq(page.decisions[0].by, "list");
	ck_assert_str_eq(page.decisions[0].why, "white entry");
	ck_assert_int_eq(page.decisions[0].decided_ms, NOW + 5);
	registry_decisions_release(&page);
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ck_assert_int_eq(last, 1);
}
END_TEST

START_TEST(decision_is_final)
{
	struct registry_message found;
	struct id id = id_of(1);
	int64_t last = -1;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	fails(ERR_NOT_FOUND, decide(&tenant_a, 1, "x@a", REGISTRY_RELEASE));
	fails(ERR_NOT_FOUND, decide(&tenant_a, 2, "r@a", REGISTRY_RELEASE));
	fails(ERR_NOT_FOUND, decide(&tenant_b, 1, "r@a", REGISTRY_RELEASE));
	fails(ERR_INVALID, decide(&tenant_a, 1, "", REGISTRY_RELEASE));
	fails(ERR_INVALID,
	      decide(&tenant_a, 1, "r@a", (enum registry_verdict)3));
	ok(decide(&tenant_a, 1, "r@a", REGISTRY_DISCARD));
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
		fails(ERR_CONFLICT,
		      decide(&tenant_a, 1, "r@a", verdicts[i].verdict));
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert_int_eq(found.recipients[0].changed_ms, NOW + 5);
	ck_assert_str_eq(found.recipients[0].by, "list");
	ck_assert_str_eq(found.recipients[0].why, "white entry");
	registry_message_release(&found);
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ck_assert_int_eq(last, 1);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(sequences_are_the_tenants)
{
	struct registry_decisions page = {0};
	int64_t last = -1;

	for (unsigned i = 1; i <= 5; i++) {
		put_message(&tenant_a, i, "s", "r@a", NULL);
		ok(decide(&tenant_a, i, "r@a", REGISTRY_RELEASE));
	}
	put_message(&tenant_b, 9, "s", "r@b", NULL);
	ok(decide(&tenant_b, 9, "r@b", REGISTRY_RELEASE));
	ok(registry_decision_last(registry, &tenant_b, &last, E));
	ck_assert_int_eq(last, 1);
	ok(registry_decision_list(registry, &tenant_a, 1, 2, &page, E));
	ck_assert_uint_eq(page.count, 2);
	ck_assert(page.more);
	ck_assert_int_eq(page.decisions[0].sequence, 2);
	ck_assert_int_eq(page.decisions[1].sequence, 3);
	registry_decisions_release(&page);
	ok(registry_decision_list(registry, &tenant_a, 3, 2, &page, E));
	ck_assert_uint_eq(page.count, 2);
	ck_assert(!page.more);
	registry_decisions_release(&page);
	ok(registry_decision_list(registry, &tenant_a, 5, 2, &page, E));
	ck_assert_uint_eq(page.count, 0);
	registry_decisions_release(&page);
	fails(ERR_INVALID,
	      registry_decision_list(registry, &tenant_a, 0, 0, &page, NULL));
}
END_TEST

#define NO ERR_CONFLICT

/* Rows: the state before; columns: the event. */
static const int events[REGISTRY_STATE_COUNT][REGISTRY_STATE_COUNT] = {
    /* held, released, discarded, expired, delivered, failed */
    {ERR_INVALID, 0, 0, 0, 0, 0},     /* held */
    {ERR_INVALID, 0, 0, 0, 0, 0},     /* released */
    {ERR_INVALID, NO, 0, NO, NO, NO}, /* discarded */
    {ERR_INVALID, NO, NO, 0, NO, NO}, /* expired */
    {ERR_INVALID, NO, NO, NO, 0, NO}, /* delivered */
    {ERR_INVALID, NO, 0, 0, 0, 0},    /* failed */
};

static int tell(const struct id *tenant, unsigned number,
                enum registry_state state)
{
	struct id id = id_of(number);

	return registry_message_event(registry, tenant, &id, "r@a", state,
	                              NOW + 7, "250 ok", NULL);
}

START_TEST(event_moves_where_allowed)
{
	enum registry_state from =
	    (enum registry_state)(_i / REGISTRY_STATE_COUNT);
	enum registry_state to =
	    (enum registry_state)(_i % REGISTRY_STATE_COUNT);
	struct registry_message found;
	struct id id = id_of(1);
	int64_t last = -1;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	if (from != REGISTRY_HELD)
		ok(tell(&tenant_a, 1, from));
	fails(events[from][to], tell(&tenant_a, 1, to));
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"),
	                 events[from][to] ? from : to);
	/* It can be told again. */
	fails(events[from][to], tell(&tenant_a, 1, to));
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ck_assert_int_eq(last, 0);
	ok(registry_check(registry, E));
	if (from != REGISTRY_HELD || events[from][to])
		return;
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert_int_eq(found.recipients[0].changed_ms, NOW + 7);
	ck_assert_str_eq(found.recipients[0].by, "agent");
	ck_assert_str_eq(found.recipients[0].why, "250 ok");
	registry_message_release(&found);
}
END_TEST

/* Every (state, verdict): a recipient leaves held once, to the verdict's state,
 * and what is refused is not in the log. */
START_TEST(decision_moves_where_allowed)
{
	enum registry_state from =
	    (enum registry_state)(_i / (REGISTRY_EXPIRE + 1));
	enum registry_verdict verdict =
	    (enum registry_verdict)(_i % (REGISTRY_EXPIRE + 1));
	bool may = from == REGISTRY_HELD;
	int64_t last = -1;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	if (!may)
		ok(tell(&tenant_a, 1, from));
	fails(may ? 0 : ERR_CONFLICT, decide(&tenant_a, 1, "r@a", verdict));
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"),
	                 may ? verdicts[verdict].state : from);
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ck_assert_int_eq(last, may);
	ok(registry_check(registry, E));
}
END_TEST

/* The release, the event, and what is on record then. */
static const struct {
	const char *released_why;
	enum registry_state event;
	const char *event_why, *by, *why;
} ends[] = {
    {"solved", REGISTRY_DELIVERED, "", "captcha", "solved"},
    {"solved", REGISTRY_DELIVERED, NULL, "captcha", "solved"},
    {"solved", REGISTRY_DELIVERED, "250 ok", "captcha", "solved; 250 ok"},
    {"solved", REGISTRY_DELIVERED, "solved", "captcha", "solved"},
    {"solved", REGISTRY_FAILED, "550 no", "captcha", "solved; 550 no"},
    {"", REGISTRY_FAILED, "550 no", "captcha", "550 no"},
    /* Who released it no longer says what became of it. */
    {"solved", REGISTRY_DISCARDED, "root", "agent", "root"},
    {"solved", REGISTRY_EXPIRED, "", "agent", ""},
};

/* It failed, and was delivered when it was tried again. */
START_TEST(what_failed_is_delivered)
{
	struct id id = id_of(1);
	struct registry_decision release = {.message = id,
	                                    .recipient = (char *)"r@a",
	                                    .verdict = REGISTRY_RELEASE,
	                                    .by = (char *)"captcha",
	                                    .why = (char *)"solved",
	                                    .decided_ms = NOW + 3};
	struct registry_message found;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	ok(registry_decide(registry, &tenant_a, &release, E));
	ok(registry_message_event(registry, &tenant_a, &id, "r@a",
	                          REGISTRY_FAILED, NOW + 7, "550 no", E));
	for (int i = 0; i < 2; i++)
		ok(registry_message_event(registry, &tenant_a, &id, "r@a",
		                          REGISTRY_DELIVERED, NOW + 9, "250 ok",
		                          E));
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert_int_eq(found.recipients[0].state, REGISTRY_DELIVERED);
	ck_assert_int_eq(found.recipients[0].changed_ms, NOW + 9);
	ck_assert_str_eq(found.recipients[0].by, "captcha");
	ck_assert_str_eq(found.recipients[0].why, "solved; 550 no; 250 ok");
	registry_message_release(&found);
}
END_TEST

START_TEST(event_keeps_who_released)
{
	struct id id = id_of(1);
	struct registry_decision release = {
	    .message = id,
	    .recipient = (char *)"r@a",
	    .verdict = REGISTRY_RELEASE,
	    .by = (char *)"captcha",
	    .why = (char *)(uintptr_t)ends[_i].released_why,
	    .decided_ms = NOW + 3};
	struct registry_message found;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	ok(registry_decide(registry, &tenant_a, &release, E));
	/* Told twice: added once. */
	for (int i = 0; i < 2; i++)
		ok(registry_message_event(registry, &tenant_a, &id, "r@a",
		                          ends[_i].event, NOW + 7,
		                          ends[_i].event_why, E));
	ok(registry_message_read(registry, &tenant_a, &id, &found, E));
	ck_assert_int_eq(found.recipients[0].state, ends[_i].event);
	ck_assert_int_eq(found.recipients[0].changed_ms, NOW + 7);
	ck_assert_str_eq(found.recipients[0].by, ends[_i].by);
	ck_assert_str_eq(found.recipients[0].why, ends[_i].why);
	registry_message_release(&found);
}
END_TEST

START_TEST(event_finds_its_own)
{
	struct id id = id_of(1);

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	fails(ERR_NOT_FOUND, tell(&tenant_b, 1, REGISTRY_DELIVERED));
	fails(ERR_NOT_FOUND, tell(&tenant_a, 2, REGISTRY_DELIVERED));
	fails(ERR_NOT_FOUND,
	      registry_message_event(registry, &tenant_a, &id, "x@a",
	                             REGISTRY_DELIVERED, NOW, NULL, NULL));
	fails(ERR_INVALID, tell(&tenant_a, 1, REGISTRY_STATE_COUNT));
	/* What the agent delivered can be decided no more. */
	ok(tell(&tenant_a, 1, REGISTRY_DELIVERED));
	fails(ERR_CONFLICT, decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
}
END_TEST

START_TEST(states_have_words)
{
	static const char *const words[] = {"held",    "released",  "discarded",
	                                    "expired", "delivered", "failed"};

	for (int i = 0; i < REGISTRY_STATE_COUNT; i++) {
		ck_assert_str_eq(registry_state_name((enum registry_state)i),
		                 words[i]);
		ck_assert_int_eq(registry_state_parse(words[i]), i);
	}
	ck_assert_int_eq(registry_state_parse(""), -1);
	ck_assert_int_eq(registry_state_parse("Held"), -1);
	ck_assert_str_ne(registry_state_name(REGISTRY_STATE_COUNT), "");
}
END_TEST

START_TEST(totals_follow)
{
	struct registry_challenge challenge = challenge_of(7, 7);
	struct registry_totals totals;

	put_message(&tenant_a, 1, "s", "r@a", "q@a");
	put_message(&tenant_b, 2, "s", "r@a", NULL);
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_count(registry, &totals, E));
	ck_assert_int_eq(totals.tenants, 2);
	ck_assert_int_eq(totals.messages, 2);
	ck_assert_int_eq(totals.recipients_held, 3);
	ck_assert_int_eq(totals.challenges_open, 1);
	ck_assert_int_eq(totals.mails_pending, 1);
	ok(decide(&tenant_a, 1, "q@a", REGISTRY_RELEASE));
	ok(tell(&tenant_b, 2, REGISTRY_FAILED));
	ok(registry_challenge_move(registry, &challenge.id,
	                           CHALLENGE_STATE_OPEN, CHALLENGE_STATE_SOLVED,
	                           NOW, E));
	ok(registry_count(registry, &totals, E));
	ck_assert_int_eq(totals.messages, 2);
	ck_assert_int_eq(totals.recipients_held, 1);
	ck_assert_int_eq(totals.challenges_open, 0);
	ck_assert_int_eq(totals.mails_pending, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-messages");
	TCase *tcase = case_in(suite, "messages");

	tcase_add_test(tcase, message_reads_back);
	tcase_add_test(tcase, missing_texts_are_empty);
	tcase_add_test(tcase, message_is_added_once);
	tcase_add_test(tcase, batch_gives_a_result_each);
	tcase_add_test(tcase, text_without_end_is_refused);
	tcase_add_test(tcase, what_is_held_counts);
	tcase_add_test(tcase, several_are_attached);
	tcase_add_test(tcase, message_is_attached);
	tcase = case_in(suite, "decisions");
	tcase_add_loop_test(tcase, decision_is_logged, 0,
	                    sizeof(verdicts) / sizeof(*verdicts));
	tcase_add_test(tcase, decision_is_final);
	tcase_add_loop_test(tcase, decision_moves_where_allowed, 0,
	                    REGISTRY_STATE_COUNT * (REGISTRY_EXPIRE + 1));
	tcase_add_test(tcase, sequences_are_the_tenants);
	tcase = case_in(suite, "events");
	tcase_add_loop_test(tcase, event_moves_where_allowed, 0,
	                    REGISTRY_STATE_COUNT * REGISTRY_STATE_COUNT);
	tcase_add_test(tcase, event_finds_its_own);
	tcase_add_test(tcase, what_failed_is_delivered);
	tcase_add_loop_test(tcase, event_keeps_who_released, 0,
	                    (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(tcase, states_have_words);
	tcase_add_test(tcase, totals_follow);
	return suite_main(suite, NULL);
}

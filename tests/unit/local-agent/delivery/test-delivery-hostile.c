/* Tests of delivery against next hops that lie, drop or stall. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/smtp-script.h"
#include "tests/unit/local-agent/delivery/delivery-lab.h"

#define GREETING                                                               \
	{SCRIPT_SAY, "220 hop\r\n"},                                           \
	{                                                                      \
		SCRIPT_HEAR, "EHLO"                                            \
	}
#define PLAIN                                                                  \
	GREETING,                                                              \
	{                                                                      \
		SCRIPT_SAY, "250 hop\r\n"                                      \
	}
#define MAIL                                                                   \
	PLAIN, {SCRIPT_HEAR, "MAIL"},                                          \
	{                                                                      \
		SCRIPT_SAY, "250 ok\r\n"                                       \
	}
#define RCPT                                                                   \
	{SCRIPT_HEAR, "RCPT"},                                                 \
	{                                                                      \
		SCRIPT_SAY, "250 ok\r\n"                                       \
	}
#define RCPTS MAIL, RCPT, RCPT
#define DATA                                                                   \
	RCPTS,                                                                 \
	{                                                                      \
		SCRIPT_HEAR, "DATA"                                            \
	}
#define BODY                                                                   \
	DATA, {SCRIPT_SAY, "354 go\r\n"},                                      \
	{                                                                      \
		SCRIPT_BODY, NULL                                              \
	}
#define END                                                                    \
	{                                                                      \
		SCRIPT_END, NULL                                               \
	}
#define STEPS 20

struct row {
	const char *name;
	struct script_step steps[STEPS];
	enum spool_state states[2];
	enum { NO, YES, MAYBE } uncertain; /* counted as such */
};

static const struct row rows[] = {
    {"honest",
     {BODY, {SCRIPT_SAY, "250 taken\r\n"}, {SCRIPT_HEAR, "QUIT"}, END},
     {SPOOL_DELIVERED, SPOOL_DELIVERED},
     NO},
    /* drops */
    {"drops after EHLO",
     {PLAIN, {SCRIPT_HEAR, "MAIL"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"drops after MAIL",
     {MAIL, {SCRIPT_HEAR, "RCPT"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"drops after one RCPT",
     {MAIL, RCPT, {SCRIPT_HEAR, "RCPT"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"drops after DATA", {DATA, END}, {SPOOL_DEFERRED, SPOOL_DEFERRED}, NO},
    {"drops after 354",
     {DATA, {SCRIPT_SAY, "354 go\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     MAYBE},
    {"drops after the dot", {BODY, END}, {SPOOL_DEFERRED, SPOOL_DEFERRED}, YES},
    {"resets after the dot",
     {BODY, {SCRIPT_RESET, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
    {"half an answer",
     {BODY, {SCRIPT_SAY, "250 tak"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
    {"half a long answer",
     {BODY, {SCRIPT_SAY, "250-taken\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
    /* 4xx and 5xx */
    {"4xx to MAIL",
     {PLAIN, {SCRIPT_HEAR, "MAIL"}, {SCRIPT_SAY, "451 no\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"5xx to MAIL",
     {PLAIN, {SCRIPT_HEAR, "MAIL"}, {SCRIPT_SAY, "550 no\r\n"}, END},
     {SPOOL_FAILED, SPOOL_FAILED},
     NO},
    {"4xx to the first RCPT",
     {MAIL,
      {SCRIPT_HEAR, "RCPT"},
      {SCRIPT_SAY, "450 no\r\n"},
      RCPT,
      {SCRIPT_HEAR, "DATA"},
      {SCRIPT_SAY, "354 go\r\n"},
      {SCRIPT_BODY, NULL},
      {SCRIPT_SAY, "250 taken\r\n"},
      END},
     {SPOOL_DEFERRED, SPOOL_DELIVERED},
     NO},
    {"5xx to the second RCPT",
     {MAIL,
      RCPT,
      {SCRIPT_HEAR, "RCPT"},
      {SCRIPT_SAY, "550 5.1.1 who\r\n"},
      {SCRIPT_HEAR, "DATA"},
      {SCRIPT_SAY, "354 go\r\n"},
      {SCRIPT_BODY, NULL},
      {SCRIPT_SAY, "250 taken\r\n"},
      END},
     {SPOOL_DELIVERED, SPOOL_FAILED},
     NO},
    {"5xx to one, then drops after the dot",
     {MAIL,
      RCPT,
      {SCRIPT_HEAR, "RCPT"},
      {SCRIPT_SAY, "550 5.1.1 who\r\n"},
      {SCRIPT_HEAR, "DATA"},
      {SCRIPT_SAY, "354 go\r\n"},
      {SCRIPT_BODY, NULL},
      END},
     {SPOOL_DEFERRED, SPOOL_FAILED},
     YES},
    {"4xx to DATA",
     {DATA, {SCRIPT_SAY, "451 no\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"5xx to DATA",
     {DATA, {SCRIPT_SAY, "554 no\r\n"}, END},
     {SPOOL_FAILED, SPOOL_FAILED},
     NO},
    {"4xx to the dot",
     {BODY, {SCRIPT_SAY, "451 no\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"5xx to the dot",
     {BODY, {SCRIPT_SAY, "554 spam\r\n"}, END},
     {SPOOL_FAILED, SPOOL_FAILED},
     NO},
    {"421 to the dot",
     {BODY, {SCRIPT_SAY, "421 bye\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    /* lies */
    {"250 to DATA",
     {DATA, {SCRIPT_SAY, "250 taken\r\n"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"answers ahead of MAIL",
     {GREETING,
      {SCRIPT_SAY, "250 hop\r\n250 ok\r\n250 ok\r\n250 ok\r\n"
                   "354 go\r\n250 taken\r\n"},
      {SCRIPT_STALL, NULL},
      END},
     {SPOOL_QUEUED, SPOOL_QUEUED},
     NO},
    {"takes the message before it came",
     {DATA, {SCRIPT_SAY, "354 go\r\n250 taken\r\n"}, {SCRIPT_STALL, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"one answer too many after RCPT",
     {MAIL,
      RCPT,
      {SCRIPT_HEAR, "RCPT"},
      {SCRIPT_SAY, "250 ok\r\n354 go\r\n250 taken\r\n"},
      {SCRIPT_STALL, NULL},
      END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"no SMTP after the dot",
     {BODY, {SCRIPT_SAY, "HTTP/1.1 200 OK\r\n"}, {SCRIPT_STALL, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
    {"3xx to the dot",
     {BODY, {SCRIPT_SAY, "354 more\r\n"}, {SCRIPT_STALL, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
    {"floods after the dot",
     {BODY, {SCRIPT_FLOOD, "250-"}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     YES},
};

static int64_t uncertain_count(void)
{
	return metric_value(
	    metric_counter("turing_agent_delivery_uncertain_total", "", ""));
}

static void check_row(const struct row *row, const struct id *id)
{
	struct spool_message message;
	bool delivered = true;
	size_t i;

	ck_assert_int_eq(spool_read(store.spool, id, &message, NULL), 0);
	for (i = 0; i < 2; i++) {
		struct spool_recipient *recipient = &message.recipients[i];

		ck_assert_msg(recipient->state == row->states[i], "%s: %s (%s)",
		              row->name, spool_state_name(recipient->state),
		              recipient->reply);
		delivered = delivered && spool_recipient_is_over(recipient);
		ck_assert_int_eq(recipient->keep_until_ms > clock_wall_ms(),
		                 recipient->state == SPOOL_FAILED);
		ck_assert(recipient->event_pending ==
		          spool_state_is_final(recipient->state));
		if (recipient->state == SPOOL_DEFERRED)
			ck_assert_int_ge(recipient->next_attempt_ms,
			                 clock_wall_ms() + 290 * 1000);
	}
	/* The bytes are kept for as long as anybody may still need them. */
	ck_assert_msg(message.body_present == !delivered, "%s", row->name);
	spool_message_release(&message);
}

START_TEST(hostile_next_hop)
{
	const struct row *row = &rows[_i];
	struct smtp_script *script = smtp_script_start(row->steps);
	struct smtp_script_report report;
	struct id id = fixture_add(&store, 2, SPOOL_QUEUED);
	int64_t uncertain = uncertain_count();

	start(smtp_script_port(script), "");
	if (row->states[0] == SPOOL_QUEUED)
		(void)poll(NULL, 0, 300);
	else
		LAB_AWAIT(is_over(&id, 0) && is_over(&id, 1));
	if (row->states[0] == SPOOL_QUEUED) {
		/* Never ready, so never tried: it waits, whole. */
		stop();
		ck_assert(!is_over(&id, 0));
	} else {
		check_row(row, &id);
		stop();
	}
	if (row->uncertain != MAYBE)
		ck_assert_msg((uncertain_count() > uncertain) ==
		                  (row->uncertain == YES),
		              "%s", row->name);
	smtp_script_stop(script, &report);
}
END_TEST

static const struct row stalls[] = {
    {"stalls after MAIL",
     {PLAIN, {SCRIPT_HEAR, "MAIL"}, {SCRIPT_STALL, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
    {"stalls after DATA",
     {DATA, {SCRIPT_STALL, NULL}, END},
     {SPOOL_DEFERRED, SPOOL_DEFERRED},
     NO},
};

START_TEST(stalling_next_hop)
{
	struct smtp_script *script = smtp_script_start(stalls[_i].steps);
	struct smtp_script_report report;
	struct id id = fixture_add(&store, 2, SPOOL_QUEUED);

	start(smtp_script_port(script), "");
	LAB_AWAIT(is_over(&id, 0) && is_over(&id, 1));
	check_row(&stalls[_i], &id);
	stop();
	smtp_script_stop(script, &report);
	ck_assert(!report.message_whole);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent delivery, hostile");
	TCase *tests = tcase_create("hostile next hop");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, hostile_next_hop, 0, LAB_COUNT(rows));
	tcase_add_loop_test(tests, stalling_next_hop, 0, LAB_COUNT(stalls));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/* Bounces: return paths, reports, and the listener. */
#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloud-service/mail/bounce.h"
#include "cloud-service/challenge/end.h"
#include "common/mem.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;

static void set_up(void)
{
	char *more = mem_format("challenge { return_path = verp; "
	                        "bounce_domain = \"bounce.test\" }\n"
	                        "bounce { listen = \"127.0.0.1:%u\" }\n",
	                        (unsigned)cloud_fixture_free_port());

	cloud_fixture_open(&fixture, more);
	free(more);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

START_TEST(address_comes_back)
{
	const uint8_t key[32] = {1}, other[32] = {2};
	char address[MAIL_ADDRESS_SIZE], *at;
	struct id id = id_new(), read = {{0}};

	ck_assert_int_eq(bounce_address_make(key, &id, "bounce.test", address),
	                 0);
	ck_assert(mail_address_valid(address, false));
	ck_assert_int_eq(
	    bounce_address_read(key, address, "bounce.test", &read), 0);
	ck_assert(id_equal(&id, &read));
	for (at = address; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	ck_assert_int_eq(
	    bounce_address_read(key, address, "bounce.test", &read), 0);
	ck_assert_int_ne(
	    bounce_address_read(other, address, "bounce.test", &read), 0);
	ck_assert_int_ne(bounce_address_read(key, address, "other.test", &read),
	                 0);
}
END_TEST

START_TEST(every_changed_letter_is_refused)
{
	const uint8_t key[32] = {1};
	char address[MAIL_ADDRESS_SIZE];
	struct id id = id_new(), read;
	size_t i, length;

	bounce_address_make(key, &id, "bounce.test", address);
	length = strlen(address);
	for (i = 0; i < length; i++) {
		char kept = address[i];

		address[i] = kept == '0' ? '1' : '0';
		ck_assert_int_ne(
		    bounce_address_read(key, address, "bounce.test", &read), 0);
		address[i] = '\0';
		ck_assert_int_ne(
		    bounce_address_read(key, address, "bounce.test", &read), 0);
		address[i] = kept;
	}
}
END_TEST

#define REPORT(status)                                                         \
	"From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered\r\n"       \
	"Content-Type: multipart/report; report-type=delivery-status;\r\n"     \
	" boundary=\"q\"\r\n\r\n--q\r\n\r\nSorry.\r\n--q\r\n"                  \
	"Content-Type: message/delivery-status\r\n\r\n"                        \
	"Reporting-MTA: dns; mx.example.org\r\n\r\n"                           \
	"Final-Recipient: rfc822; person@example.org\r\n"                      \
	"Action: failed\r\nStatus: " status "\r\n"                             \
	"Diagnostic-Code: smtp; 550 no\r\n\r\n--q--\r\n"

static const struct report_row {
	const char *text;
	bool bounced, dead;
	const char *reason;
} report_rows[] = {
    {REPORT("5.1.1"), true, true, "report: 5.1.1 smtp; 550 no"},
    {REPORT("5.1.8"), true, false, "report: 5.1.8 smtp; 550 no"},
    {REPORT("5.7.1"), true, false, "report: 5.7.1 smtp; 550 no"},
    {REPORT("4.4.1"), false, false, ""},
    {"Subject: away\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n", false, false,
     ""},
    {"", false, false, ""},
};

static struct registry_challenge open_challenge(void)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");

	(void)cloud_fixture_register(&fixture, &message);
	registry_message_release(&message);
	return cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
}

static void check_outcome(const struct registry_challenge *challenge,
                          const struct report_row *row)
{
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_BOUNCED),
	    row->bounced ? 1 : 0);
	ck_assert_int_eq(
	    cloud_fixture_is_dead(&fixture, challenge->sender_hash), row->dead);
}

static void apply(const struct registry_challenge *challenge, const char *text)
{
	struct error err = {0};

	ck_assert_msg(!bounce_apply(fixture.cloud.registry, &challenge->id,
	                            text, strlen(text), &err),
	              "%s", err.text);
}

START_TEST(reports)
{
	const struct report_row *row = &report_rows[_i];
	struct registry_challenge challenge = open_challenge(), found;
	struct error err = {0};

	for (int i = 0; i < 2; i++) {
		apply(&challenge, row->text);
		check_outcome(&challenge, row);
	}
	ck_assert_int_eq(registry_challenge_read(fixture.cloud.registry,
	                                         &challenge.id, &found, &err),
	                 0);
	ck_assert_str_eq(found.end_reason, row->reason);
	registry_challenge_release(&found);
	registry_challenge_release(&challenge);
}
END_TEST

/* Somebody is there: what comes later marks nobody. */
START_TEST(a_solved_challenge_stays_solved)
{
	static const struct report_row nothing = {.bounced = false};
	struct registry_challenge challenge = open_challenge();
	struct error err = {0};

	ck_assert_int_eq(
	    registry_challenge_move(fixture.cloud.registry, &challenge.id,
	                            CHALLENGE_STATE_OPEN,
	                            CHALLENGE_STATE_SOLVED, 1, &err),
	    0);
	apply(&challenge, report_rows[0].text);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_SOLVED), 1);
	check_outcome(&challenge, &nothing);
	registry_challenge_release(&challenge);
}
END_TEST

/* Solved between the reading and the marking: the mark is taken back. */
START_TEST(a_late_solution_takes_the_mark_back)
{
	static const struct report_row nothing = {.bounced = false};
	struct registry_challenge challenge = open_challenge();
	struct error err = {0};
	bool ended = true;

	ck_assert_int_eq(
	    registry_challenge_move(fixture.cloud.registry, &challenge.id,
	                            CHALLENGE_STATE_OPEN,
	                            CHALLENGE_STATE_SOLVED, 1, &err),
	    0);
	ck_assert_int_eq(challenge_bounced(fixture.cloud.registry, &challenge,
	                                   "5.1.1", true, &ended, &err),
	                 0);
	ck_assert(!ended);
	check_outcome(&challenge, &nothing);
	registry_challenge_release(&challenge);
}
END_TEST

/* Sends text and returns the code of the last reply that came. */
static int talk(int fd, const char *text)
{
	char buffer[2048];
	size_t length = 0;
	const char *last;

	if (*text)
		ck_assert_int_eq(send(fd, text, strlen(text), 0),
		                 (long)strlen(text));
	for (;;) {
		ssize_t got =
		    recv(fd, buffer + length, sizeof(buffer) - 1 - length, 0);

		ck_assert_int_gt(got, 0);
		length += (size_t)got;
		buffer[length] = '\0';
		if (length < 6 || strcmp(buffer + length - 2, "\r\n"))
			continue;
		buffer[length - 2] = '\0';
		last = strrchr(buffer, '\n');
		last = last ? last + 1 : buffer;
		if (last[3] == ' ')
			return atoi(last);
		buffer[length - 2] = '\r';
	}
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

START_TEST(listener_session)
{
	struct registry_challenge challenge = open_challenge();
	struct bounce_listener *listener = NULL;
	char address[MAIL_ADDRESS_SIZE], *command;
	struct error err = {0};
	int fd;

	ck_assert_msg(
	    !bounce_start(&listener, fixture.cloud.bounce_options, &err), "%s",
	    err.text);
	fd = connect_to(bounce_port(listener));
	ck_assert_int_eq(talk(fd, ""), 220);
	ck_assert_int_eq(talk(fd, "EHLO mx.example.org\r\n"), 250);
	ck_assert_int_eq(talk(fd, "MAIL FROM:<x@example.org>\r\n"), 550);
	ck_assert_int_eq(talk(fd, "MAIL FROM:<>\r\n"), 250);
	ck_assert_int_eq(talk(fd, "RCPT TO:<bounce@bounce.test>\r\n"), 550);
	ck_assert_int_eq(talk(fd, "RCPT TO:<x@example.org>\r\n"), 550);
	bounce_address_make(fixture.cloud.bounce_key, &challenge.id,
	                    "bounce.test", address);
	command = mem_format("RCPT TO:<%s>\r\n", address);
	ck_assert_int_eq(talk(fd, command), 250);
	ck_assert_int_eq(talk(fd, "DATA\r\n"), 354);
	ck_assert_int_eq(talk(fd, REPORT("5.1.1") ".\r\n"), 250);
	ck_assert_int_eq(talk(fd, "QUIT\r\n"), 221);
	close(fd);
	bounce_stop(listener);
	check_outcome(&challenge, &report_rows[0]);
	registry_challenge_release(&challenge);
	free(command);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-bounce");
	TCase *pure = tcase_create("address");
	TCase *stored = tcase_create("report");

	tcase_add_checked_fixture(stored, set_up, tear_down);
	tcase_add_test(pure, address_comes_back);
	tcase_add_test(pure, every_changed_letter_is_refused);
	tcase_add_loop_test(
	    stored, reports, 0,
	    (int)(sizeof(report_rows) / sizeof(report_rows[0])));
	tcase_add_test(stored, a_solved_challenge_stays_solved);
	tcase_add_test(stored, a_late_solution_takes_the_mark_back);
	tcase_add_test(stored, listener_session);
	suite_add_tcase(suite, pure);
	suite_add_tcase(suite, stored);
	return suite_main(suite, NULL);
}

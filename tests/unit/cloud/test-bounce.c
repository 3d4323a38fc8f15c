/* Bounces: return paths, reports, and the listener. */
#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloud-service/bounce.h"
#include "cloud-service/register.h"
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

static const struct report_row {
	const char *text;
	const char *action, *status;
	bool bounced, dead;
} report_rows[] = {
    {"Action: failed\r\nStatus: 5.1.1\r\n", "failed", "5.1.1", true, true},
    {"action: FAILED\r\nstatus:5.1.10 (unknown)\r\n", "FAILED", "5.1.10", true,
     true},
    {"Subject: x\r\n\r\nStatus: 5.2.2\r\nAction: failed\r\n", "failed", "5.2.2",
     true, false},
    {"Action: failed\r\nStatus: 5.7.1\r\nStatus: 5.1.1\r\n", "failed", "5.7.1",
     true, false},
    {"Action: delayed\r\nStatus: 4.4.1\r\n", "delayed", "4.4.1", false, false},
    {"Action: delayed\r\nStatus: 5.1.1\r\n", "delayed", "5.1.1", false, false},
    {"Action: delivered\r\nStatus: 2.0.0\r\n", "delivered", "2.0.0", false,
     false},
    {"I am on holiday\r\n", "", "", false, false},
    {"Status: five\r\n", "", "", false, false},
    {"Status: 5.1.1.1.1.1.1.1.1\r\n", "", "", false, false},
    {"Status: 5.1.1", "", "", false, false}, /* no end of line */
    {"X-Status: 5.1.1\r\n", "", "", false, false},
    {"\r\n\r\n\r\n:\r\nStatus:\r\nAction:\r\n", "", "", false, false},
};

static struct registry_challenge open_challenge(void)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	enum register_status status;
	struct error err = {0};

	ck_assert_int_eq(register_messages(&fixture.cloud, &fixture.domains,
	                                   &message, 1, &status, &err),
	                 0);
	registry_message_release(&message);
	return cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
}

static void check_outcome(const struct registry_challenge *challenge,
                          const struct report_row *row)
{
	struct error err = {0};
	bool dead;

	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_BOUNCED),
	    row->bounced ? 1 : 0);
	ck_assert_int_eq(registry_sender_is_dead(fixture.cloud.registry,
	                                         challenge->sender_hash, &dead,
	                                         &err),
	                 0);
	ck_assert_int_eq(dead, row->dead);
}

START_TEST(reports)
{
	const struct report_row *row = &report_rows[_i];
	struct registry_challenge challenge = open_challenge();
	struct bounce_report whole = {0}, split = {0};
	struct error err = {0};
	const char *at;

	bounce_feed(&whole, row->text, strlen(row->text));
	for (at = row->text; *at; at++)
		bounce_feed(&split, at, 1);
	ck_assert_str_eq(whole.action, row->action);
	ck_assert_str_eq(whole.status, row->status);
	ck_assert_str_eq(split.action, row->action);
	ck_assert_str_eq(split.status, row->status);
	ck_assert_int_eq(
	    bounce_apply(&fixture.cloud, &challenge.id, &whole, &err), 0);
	ck_assert_int_eq(
	    bounce_apply(&fixture.cloud, &challenge.id, &whole, &err), 0);
	check_outcome(&challenge, row);
	registry_challenge_release(&challenge);
}
END_TEST

START_TEST(a_solved_challenge_stays_solved)
{
	struct registry_challenge challenge = open_challenge();
	struct bounce_report report = {.status = "5.1.1"};
	struct error err = {0};

	ck_assert_int_eq(
	    registry_challenge_move(fixture.cloud.registry, &challenge.id,
	                            CHALLENGE_STATE_OPEN,
	                            CHALLENGE_STATE_SOLVED, 1, &err),
	    0);
	ck_assert_int_eq(
	    bounce_apply(&fixture.cloud, &challenge.id, &report, &err), 0);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_SOLVED), 1);
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

	ck_assert_msg(!bounce_start(&listener, &fixture.cloud, &err), "%s",
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
	ck_assert_int_eq(talk(fd, "Subject: failed\r\n\r\nAction: failed\r\n"
	                          "Status: 5.1.1\r\n.\r\n"),
	                 250);
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
	tcase_add_test(stored, listener_session);
	suite_add_tcase(suite, pure);
	suite_add_tcase(suite, stored);
	return suite_main(suite, NULL);
}

/* The types of a message's parts, whole and byte by byte. */
#include <string.h>

#include "common/mail/automatic.h"
#include "common/mail/parts.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define HEAD                                                                   \
	"Subject: x\r\nContent-Type: multipart/mixed; boundary=\"q\"\r\n\r\n"
#define TEXT  "--q\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
#define ASKS  "Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n"
#define EVENT "\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"

static const struct {
	const char *message;
	unsigned classes;
} rows[] = {
    {"", 0},
    {"Subject: x\r\n\r\n", 0},
    {HEAD TEXT "--q--\r\n", 0},
    {HEAD TEXT "--q\r\n" ASKS EVENT "--q--\r\n", 1U << AUTOMATIC_CALENDAR},
    /* without CR, and folded */
    {"Content-Type: multipart/alternative;\n boundary=q\n\n--q\n"
     "content-type:\n\ttext/calendar;\n method=\"REPLY\"\n\nx\n",
     1U << AUTOMATIC_CALENDAR},
    /* a person attaches a calendar */
    {HEAD TEXT "--q\r\nContent-Type: text/calendar; name=a.ics\r\n" EVENT, 0},
    {HEAD "--q\r\nContent-Type: message/delivery-status\r\n\r\nAction: x\r\n",
     1U << AUTOMATIC_BOUNCE},
    {HEAD "--q\r\nContent-Type: message/disposition-notification\r\n\r\n",
     1U << AUTOMATIC_REPORT},
    /* within an alternative of the mixed */
    {HEAD "--q\r\nContent-Type: multipart/alternative; boundary=r\r\n\r\n"
          "--r\r\n" ASKS EVENT "--r--\r\n--q--\r\n",
     1U << AUTOMATIC_CALENDAR},
    /* a person forwards a report of delivery, or writes of one */
    {HEAD TEXT "--q\r\nContent-Type: message/rfc822\r\n\r\n"
               "Content-Type: multipart/report; boundary=r\r\n\r\n"
               "--r\r\nContent-Type: message/delivery-status\r\n\r\n",
     0},
    {HEAD TEXT "--r\r\nContent-Type: message/delivery-status\r\n\r\n", 0},
    {HEAD TEXT "Content-Type: message/delivery-status\r\n\r\n", 0},
    {"Content-Type: text/plain\r\n\r\n"
     "--q\r\nContent-Type: message/delivery-status\r\n\r\n",
     0},
    /* no boundary, or none that ends */
    {"Content-Type: multipart/mixed\r\n\r\n--\r\n" ASKS EVENT, 0},
    {"Content-Type: multipart/mixed; boundary=\"q\r\n\r\n--q\r\n" ASKS EVENT,
     1U << AUTOMATIC_CALENDAR},
};

START_TEST(types)
{
	const char *message = rows[_i].message;
	struct mail_parts whole, cut;

	mail_parts_init(&whole);
	mail_parts_feed(&whole, message, strlen(message));
	ck_assert_msg(whole.classes == rows[_i].classes, "%s", message);
	mail_parts_init(&cut);
	for (; *message; message++)
		mail_parts_feed(&cut, message, 1);
	ck_assert_uint_eq(cut.classes, rows[_i].classes);
}
END_TEST

/* Lines and boundaries without end stay within their buffers. */
START_TEST(bounds)
{
	static const char *const floods[] = {
	    "x", "Content-Type: multipart/mixed; boundary=q\r\n--q\r\n",
	    "Content-Type: multipart/mixed; boundary=\"q\r\n ", " "};
	struct mail_parts parts;

	mail_parts_init(&parts);
	for (int i = 0; i < 100000; i++)
		mail_parts_feed(&parts, floods[_i], strlen(floods[_i]));
	ck_assert_uint_le(parts.boundary_count, MAIL_PARTS_BOUNDARIES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parts");
	TCase *tests = tcase_create("parts");

	tcase_add_loop_test(tests, types, 0, COUNT(rows));
	tcase_add_loop_test(tests, bounds, 0, 4);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

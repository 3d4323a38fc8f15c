/*
 * Tests of the message after DATA: every mix of CR, LF, dot and NUL, split at
 * every byte, against a slow and obvious reading of the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/smtp/data.h"
#include "tests/support/suite.h"

#ifdef __SANITIZE_ADDRESS__
#define MIX_LENGTH 5
#else
#define MIX_LENGTH 7
#endif

static const char alphabet[] = {'\r', '\n', '.', 'a', '\0'};

/* What a reading of the bytes found. */
struct reading {
	size_t taken;
	bool ended, fine;
	struct buffer body;
};

static void collect(void *context, const char *bytes, size_t size)
{
	ck_assert_int_eq(buffer_append(context, bytes, size), 0);
}

/* The obvious reading: looks for CRLF.CRLF, then at what stands before. */
static void read_obviously(const char *bytes, size_t size, struct reading *out)
{
	char text[64] = "\r\n";
	const char *end;
	size_t length;

	memcpy(text + 2, bytes, size);
	end = memmem(text, size + 2, "\r\n.\r\n", 5);
	out->ended = end != NULL;
	out->taken = end ? (size_t)(end - text) + 3 : size;
	length = end ? (size_t)(end - text) + 2 : size + 2;
	out->fine = true;
	buffer_reset(&out->body);
	for (size_t i = 2; i < length; i++) {
		bool line_start = text[i - 1] == '\n' && text[i - 2] == '\r';

		if ((text[i] == '\n' && text[i - 1] != '\r') ||
		    (text[i] == '\r' && text[i + 1] != '\n'))
			out->fine = false;
		if (text[i] != '.' || !line_start)
			collect(&out->body, text + i, 1);
	}
}

/* Our reading, in two pieces. */
static void read_ours(const char *bytes, size_t size, size_t split,
                      struct reading *out)
{
	struct smtp_data data;

	buffer_reset(&out->body);
	smtp_data_init(&data, 0, collect, &out->body);
	out->taken = smtp_data_feed(&data, bytes, split);
	if (data.place != SMTP_DATA_ENDED)
		out->taken +=
		    smtp_data_feed(&data, bytes + split, size - split);
	out->ended = data.place == SMTP_DATA_ENDED;
	out->fine = data.fault == SMTP_DATA_FINE;
}

static void compare(const char *bytes, size_t size, size_t split,
                    const struct reading *obvious, struct reading *ours)
{
	read_ours(bytes, size, split, ours);
	if (ours->taken == obvious->taken && ours->ended == obvious->ended &&
	    ours->fine == obvious->fine &&
	    (!obvious->fine ||
	     (ours->body.length == obvious->body.length &&
	      !memcmp(buffer_text(&ours->body), buffer_text(&obvious->body),
	              ours->body.length))))
		return;
	for (size_t i = 0; i < size; i++)
		(void)fprintf(stderr, "%02x ", (unsigned char)bytes[i]);
	ck_abort_msg("split %zu: taken %zu/%zu ended %d/%d fine %d/%d", split,
	             ours->taken, obvious->taken, ours->ended, obvious->ended,
	             ours->fine, obvious->fine);
}

/* Whole, and split at every byte. */
static void compare_all(const char *bytes, size_t size)
{
	static struct reading obvious, ours;

	if (!obvious.body.maximum) {
		buffer_init(&obvious.body, 1000);
		buffer_init(&ours.body, 1000);
	}
	read_obviously(bytes, size, &obvious);
	for (size_t split = 0; split <= size; split++)
		compare(bytes, size, split, &obvious, &ours);
}

/* After text, and at the very start; then the true end. */
START_TEST(reads_every_mix)
{
	const size_t kinds = sizeof(alphabet);
	size_t count = 1;

	for (int i = 0; i < MIX_LENGTH; i++)
		count *= kinds;
	for (size_t number = 0; number < count; number++) {
		char bytes[32] = "a";
		size_t rest = number, length = (size_t)_i;

		for (int i = 0; i < MIX_LENGTH; i++, rest /= kinds)
			bytes[length++] = alphabet[rest % kinds];
		memcpy(bytes + length, "\r\n.\r\n", 5);
		compare_all(bytes, length + 5);
	}
}
END_TEST

struct fault_row {
	const char *name;
	const char *bytes;
	size_t size;
	enum smtp_data_fault fault;
	bool ended, ambiguous;
};

#define BYTES(text) text, sizeof(text) - 1

static const struct fault_row fault_rows[] = {
    {"empty", BYTES(".\r\n"), SMTP_DATA_FINE, true, false},
    {"plain", BYTES("a\r\n.\r\n"), SMTP_DATA_FINE, true, false},
    {"eight bit", BYTES("\xff\xfe\x80\r\n.\r\n"), SMTP_DATA_FINE, true, false},
    {"LF.LF", BYTES("a\n.\nb"), SMTP_DATA_BARE_LF, false, false},
    {"LF.CRLF", BYTES("a\n.\r\nb"), SMTP_DATA_BARE_LF, false, false},
    {"CRLF.LF", BYTES("a\r\n.\nb"), SMTP_DATA_BARE_LF, false, false},
    {"CR.CR", BYTES("a\r.\rb"), SMTP_DATA_BARE_CR, false, false},
    {"CR.CRLF", BYTES("a\r.\r\nb"), SMTP_DATA_BARE_CR, false, false},
    {"CRLF.CR", BYTES("a\r\n.\rb"), SMTP_DATA_BARE_CR, false, false},
    {"CRLF.CRCRLF", BYTES("a\r\n.\r\r\nb"), SMTP_DATA_BARE_CR, false, false},
    {"CRLF.NUL.CRLF", BYTES("a\r\n.\0\r\nb"), SMTP_DATA_FINE, false, false},
    {"CRNULLF.CRLF", BYTES("a\r\0\n.\r\n"), SMTP_DATA_BARE_CR, false, false},
    {"CRLF NUL .CRLF", BYTES("a\r\n\0.\r\n"), SMTP_DATA_FINE, false, false},
    {"CRCRLF.CRLF", BYTES("a\r\r\n.\r\n"), SMTP_DATA_BARE_CR, true, true},
    {"CRCRLF.CRCRLF", BYTES("a\r\r\n.\r\r\n.\r\n"), SMTP_DATA_BARE_CR, true,
     true},
    {"CRCRLF later", BYTES("a\r\r\nb\r\n.\r\n"), SMTP_DATA_BARE_CR, true,
     false},
};

START_TEST(tells_the_fault)
{
	const struct fault_row *row = &fault_rows[_i];

	for (size_t split = 0; split <= row->size; split++) {
		struct smtp_data data;
		struct buffer body;

		buffer_init(&body, 1000);
		smtp_data_init(&data, 0, collect, &body);
		(void)smtp_data_feed(&data, row->bytes, split);
		(void)smtp_data_feed(&data, row->bytes + split,
		                     row->size - split);
		ck_assert_msg(data.fault == row->fault, "%s: %d", row->name,
		              (int)data.fault);
		ck_assert((data.place == SMTP_DATA_ENDED) == row->ended);
		ck_assert_msg(data.ambiguous_end == row->ambiguous, "%s",
		              row->name);
		buffer_release(&body);
	}
}
END_TEST

START_TEST(keeps_the_limits)
{
	static char line[SMTP_DATA_LINE_MAXIMUM + 1];
	struct smtp_data data;
	struct buffer body;

	memset(line, 'x', sizeof(line));
	buffer_init(&body, sizeof(line));
	smtp_data_init(&data, 0, collect, &body);
	(void)smtp_data_feed(&data, line, sizeof(line) - 1);
	ck_assert_int_eq((int)data.fault, SMTP_DATA_FINE);
	(void)smtp_data_feed(&data, line, 1);
	ck_assert_int_eq((int)data.fault, SMTP_DATA_LINE_TOO_LONG);
	(void)smtp_data_feed(&data, "\r\n.\r\n", 5);
	ck_assert_int_eq((int)data.place, SMTP_DATA_ENDED);

	buffer_reset(&body);
	smtp_data_init(&data, 5, collect, &body);
	(void)smtp_data_feed(&data, "..bc\r\n.\r\n", 9);
	ck_assert_int_eq((int)data.fault, SMTP_DATA_FINE);
	ck_assert_int_eq((int)data.size, 5);
	smtp_data_init(&data, 4, collect, &body);
	(void)smtp_data_feed(&data, "..bc\r\n.\r\n", 9);
	ck_assert_int_eq((int)data.fault, SMTP_DATA_TOO_LARGE);
	buffer_release(&body);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-data");
	TCase *tests = tcase_create("all");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, reads_every_mix, 0, 2);
	tcase_add_loop_test(tests, tells_the_fault, 0,
	                    (int)(sizeof(fault_rows) / sizeof(fault_rows[0])));
	tcase_add_test(tests, keeps_the_limits);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

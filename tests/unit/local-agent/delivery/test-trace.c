/* Tests of the headers that are put in front of a message. */
#include "local-agent/delivery/trace.h"

#include <string.h>

#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

struct row {
	const char *helo, *name, *address, *protocol;
	const char *recipients[3];
	const char *by[3];
	const char *has;    /* text, unfolded, that must be there */
	const char *absent; /* and text that must not; NULL: any */
};

static const struct row rows[] = {
    {"mx.example.org",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a@b"},
     {"captcha"},
     "Received: from mx.example.org ([192.0.2.1]) by agent.test "
     "(turing-agent) with ESMTP id 01020304-0506-0708-090a-0b0c0d0e0f10 for "
     "<a@b>; Sat, 21 Nov 2026 08:00:00 +0000",
     NULL},
    {"mx",
     "mx.example.org",
     "192.0.2.1",
     "SMTP",
     {"a@b"},
     {"captcha"},
     "from mx (mx.example.org [192.0.2.1]) by",
     "ESMTP"},
    {"mx",
     "",
     "2001:db8::1",
     "ESMTP",
     {"a@b"},
     {"list"},
     "([IPv6:2001:db8::1])",
     NULL},
    {"", "", "", "ESMTP", {"a@b"}, {"list"}, "from unknown ([])", NULL},
    /* Several recipients are not named: one must not learn of the other. */
    {"mx",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a@b", "c@d"},
     {"list", "list"},
     "X-Turing-Verdict: deliver; by=list",
     "a@b"},
    {"mx",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a@b", "c@d"},
     {"list", "captcha"},
     "X-Turing-Verdict: deliver; by=several",
     "c@d"},
    /* What a client says about itself ends no line and opens no comment. */
    {"a\r\nX-Evil: 1",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a@b"},
     {"list"},
     "from a??X-Evil:?1 (",
     "\nX-Evil"},
    {"a) (b; c",
     "d)\r\n\r\nbody",
     "192.0.2.1",
     "ESMTP",
     {"a@b"},
     {"list"},
     "from a???b??c (d?????body [192.0.2.1])",
     "\r\n\r\n"},
    {"mx",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a@b"},
     {"x\r\nX-Evil: 1"},
     "by=x??X-Evil:?1",
     "\nX-Evil"},
    {"mx",
     "",
     "192.0.2.1",
     "ESMTP",
     {"\"a\\\" (b\"@c"},
     {"list"},
     "id 01020304-0506-0708-090a-0b0c0d0e0f10; Sat,",
     " for"},
    {"mx",
     "",
     "192.0.2.1",
     "ESMTP",
     {"a\r\nb@c"},
     {"list"},
     "X-Turing-Id: ",
     "a\r\nb"},
};

static void fill(struct spool_message *message,
                 struct spool_recipient *recipients, const struct row *row)
{
	size_t i;

	*message = (struct spool_message){
	    .received_ms = 1795248000000LL,
	    .helo = (char *)(uintptr_t)row->helo,
	    .client_name = (char *)(uintptr_t)row->name,
	    .client_address = (char *)(uintptr_t)row->address,
	    .protocol = (char *)(uintptr_t)row->protocol,
	    .recipients = recipients,
	};
	for (i = 0; i < sizeof(message->id.bytes); i++)
		message->id.bytes[i] = (uint8_t)(i + 1);
	for (i = 0; i < 3 && row->recipients[i]; i++) {
		recipients[i] = (struct spool_recipient){
		    .address = (char *)(uintptr_t)row->recipients[i],
		    .by = (char *)(uintptr_t)row->by[i],
		};
		message->recipient_count++;
	}
}

/* Every line ends with CRLF and is short; a fold is undone. */
static void unfold(const char *block, char *text, size_t size)
{
	const char *line, *end;
	size_t used = 0;

	for (line = block; *line; line = end + 2) {
		end = strstr(line, "\r\n");
		ck_assert_ptr_nonnull(end);
		ck_assert_ptr_null(memchr(line, '\n', (size_t)(end - line)));
		ck_assert_msg(end - line <= 78 || !strchr(line + 1, ' '),
		              "long line: %s", line);
		ck_assert_ptr_ne(line, end);
		if (used > 0)
			text[used++] = *line == '\t' ? ' ' : '\n';
		if (*line == '\t')
			line++;
		ck_assert(used + (size_t)(end - line) < size);
		memcpy(text + used, line, (size_t)(end - line));
		used += (size_t)(end - line);
	}
	text[used] = '\0';
}

static void print(const struct row *row, struct buffer *out)
{
	static const size_t indices[] = {0, 1, 2};
	struct spool_recipient recipients[3];
	struct spool_message message;

	fill(&message, recipients, row);
	buffer_init(out, TRACE_MAXIMUM);
	trace_print(&message, indices, message.recipient_count, "agent.test",
	            out);
}

START_TEST(prints)
{
	const struct row *row = &rows[_i];
	char text[TRACE_MAXIMUM];
	struct buffer out;

	print(row, &out);
	unfold(buffer_text(&out), text, sizeof(text));
	ck_assert_msg(strstr(text, row->has), "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "\nX-Turing-Id: 01020304-"));
	*strchr(text, '\n') = '\0';
	ck_assert(trace_is_own(text + strlen("Received:"), "agent.test"));
	ck_assert(!trace_is_own(text + strlen("Received:"), "agent.tes"));
	if (row->absent)
		ck_assert_msg(!strstr(buffer_text(&out), row->absent), "%s",
		              buffer_text(&out));
	buffer_release(&out);
}
END_TEST

START_TEST(longest_names_fit)
{
	char name[256], local[321];
	struct row row = {.helo = name,
	                  .name = name,
	                  .address = "2001:db8:1111:2222:3333:4444:5555:6666",
	                  .protocol = "ESMTP",
	                  .recipients = {local},
	                  .by = {name}};
	struct buffer out;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(local, 'l', sizeof(local) - 1);
	local[sizeof(local) - 1] = '\0';
	print(&row, &out);
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "X-Turing-Verdict:"));
	ck_assert_ptr_null(strstr(buffer_text(&out), "\r\n\r\n"));
	ck_assert_str_eq(buffer_text(&out) + out.length - 2, "\r\n");
	buffer_release(&out);
}
END_TEST

static const struct {
	const char *received;
	bool own;
} traces[] = {
    {"from a by AGENT.test\t(turing-agent) with SMTP", true},
    {"by agent.test (turing-agent)", true},
    {"from by by agent.test (turing-agent) id 1", true},
    {"from agent.test (turing-agent) by mx.test", false},
    {"from a by agent.test.example (turing-agent)", false},
    {"from a by agent.test with SMTP (turing-agent)", false},
    {"from a by agent.test", false},
    {"by", false},
    {"", false},
};

START_TEST(own_traces)
{
	ck_assert_int_eq(trace_is_own(traces[_i].received, "agent.test"),
	                 traces[_i].own);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent trace");
	TCase *tests = tcase_create("headers");

	tcase_add_loop_test(tests, prints, 0, COUNT(rows));
	tcase_add_test(tests, longest_names_fit);
	tcase_add_loop_test(tests, own_traces, 0, COUNT(traces));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/*
 * Tests of the SMTP server's dialogue: rows of input with the codes and the
 * events that must follow, each row whole and split at every byte.
 */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/smtp/server.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define EHLO        "EHLO client.example\r\n"
#define ENVELOPE    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define L100                                                                   \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                   \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define L1000 L100 L100 L100 L100 L100 L100 L100 L100 L100 L100

/* What the policy was told, and what it plans. */
struct record {
	struct buffer events;
	struct buffer body;
	bool later;                  /* answers after end has returned */
	bool rcpt_later;             /* and after rcpt has */
	struct smtp_reply recipient; /* what is owed for one, where its code
	                                is set */
};

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	struct record *record = context;

	(void)server;
	if (!strcmp(mail->sender, "refuse@x"))
		smtp_reply_set(reply, 550, "5.7.1", "not from you");
	if (!strcmp(mail->sender, "close@x"))
		smtp_reply_set(reply, 421, "4.3.0", "not now");
	(void)buffer_append_format(&record->events, "mail(%s,%lld,%d%s) ",
	                           mail->sender, (long long)mail->size,
	                           mail->eight_bit, mail->utf8 ? ",utf8" : "");
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	struct record *record = context;

	(void)server;
	if (!strcmp(recipient, "refuse@x"))
		smtp_reply_set(reply, 550, "5.1.1", "not here");
	(void)buffer_append_format(&record->events, "rcpt(%s) ", recipient);
	if (!record->rcpt_later)
		return;
	record->recipient = *reply;
	reply->code = 0;
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	struct record *record = context;
	const struct smtp_client_info *client = smtp_server_client(server);

	if (strstr(buffer_text(&record->events), "nodata@x"))
		smtp_reply_set(reply, 451, "4.3.0", "no room");
	(void)buffer_append_format(&record->events, "data[%s|%s|%s|%s|%u] ",
	                           client->address, client->name, client->helo,
	                           client->protocol, client->port);
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	struct record *record = context;

	(void)server;
	ck_assert_uint_gt(size, 0);
	ck_assert_int_eq(buffer_append(&record->body, bytes, size), 0);
}

static void answer(struct smtp_server *server)
{
	struct record *record = smtp_server_context(server);
	struct smtp_reply reply = record->recipient;

	if (reply.code) {
		record->recipient.code = 0;
		smtp_server_answer_rcpt(server, &reply);
		return;
	}
	smtp_reply_set(&reply, 250, "2.0.0", "stored");
	smtp_server_finish(server, &reply);
}

static void on_end(struct smtp_server *server, void *context)
{
	struct record *record = context;
	const char *fault = smtp_server_fault(server);

	(void)buffer_append_text(&record->events, "end(");
	(void)buffer_append(&record->events, record->body.data,
	                    record->body.length);
	(void)buffer_append_format(&record->events, ")%s%s ", fault ? ":" : "",
	                           fault ? fault : "");
	if (!record->later)
		answer(server);
}

static void on_reset(struct smtp_server *server, void *context)
{
	struct record *record = context;

	(void)server;
	(void)buffer_append_text(&record->events, "reset ");
	buffer_reset(&record->body);
}

static bool is_listed(const char *address, void *context)
{
	return !strcmp(address, context);
}

static const struct smtp_server_policy policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};

static char listed[] = "192.0.2.1";
static const struct smtp_server_options options = {
    .hostname = "mx.example",
    .maximum_message = 100,
    .maximum_recipients = 3,
    .maximum_errors = 3,
    .maximum_commands = 10,
    .is_listed = is_listed,
    .is_listed_context = listed,
    .policy = &policy,
};

struct row {
	const char *name;
	const char *input;
	const char *codes;  /* of the replies behind the greeting */
	const char *events; /* as the policy was told */
	size_t size;        /* of an input that holds a NUL */
	bool unlisted;
};

#define SESSION  "192.0.2.1||client.example|ESMTP|99"
#define UNLISTED "192.0.2.2||client.example|ESMTP|99"

static const struct row rows[] = {
    {.name = "a message",
     .input = EHLO ENVELOPE "DATA\r\nhi\r\n.\r\nQUIT\r\n",
     .codes = "250 250 250 354 250 221 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end(hi\r\n) reset "},
    {.name = "two messages, the second after a late end",
     .input = EHLO ENVELOPE "DATA\r\n1\r\n.\r\n" ENVELOPE
                            "DATA\r\n2\r\n.\r\nQUIT\r\n",
     .codes = "250 250 250 354 250 250 250 354 250 221 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end(1\r\n) reset "
               "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end(2\r\n) reset "},
    {.name = "lower case and HELO",
     .input = "helo x\r\nmail from:<a@b>\r\nrcpt to:<c@d>\r\ndata\r\n"
              ".\r\nquit\r\n",
     .codes = "250 250 250 354 250 221 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[192.0.2.1||x|SMTP|99] end() "
               "reset "},
    {.name = "dots are taken away",
     .input = EHLO ENVELOPE "DATA\r\n..\r\n.a\r\n...b\r\n.\r\n",
     .codes = "250 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] "
               "end(.\r\na\r\n..b\r\n) reset "},
    {.name = "SIZE and BODY",
     .input = EHLO "MAIL FROM:<a@b> SIZE=100 BODY=8bitmime\r\n",
     .codes = "250 250 ",
     .events = "mail(a@b,100,1) reset "},
    {.name = "spaces behind FROM: and at the end",
     .input = EHLO "MAIL FROM: <a@b>  \r\nRCPT TO: <c@d> \r\n",
     .codes = "250 250 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) reset "},
    {.name = "SIZE too large",
     .input = EHLO "MAIL FROM:<a@b> SIZE=101\r\nMAIL FROM:<a@b> "
                   "SIZE=99999999999999999999\r\n",
     .codes = "250 552 552 ",
     .events = ""},
    {.name = "bad parameters",
     .input = EHLO "MAIL FROM:<a@b> SIZE=1 SIZE=2\r\nMAIL FROM:<a@b> "
                   "BODY=x\r\nMAIL FROM:<a@b> AUTH=<>\r\n",
     .codes = "250 501 501 555 ",
     .events = ""},
    {.name = "bad SIZE",
     .input = EHLO "MAIL FROM:<a@b> SIZE\r\nMAIL FROM:<a@b> SIZE=-1\r\nMAIL "
                   "FROM:<a@b> SIZE=999999999999999999999\r\n",
     .codes = "250 501 501 501 ",
     .events = ""},
    {.name = "too large while it is read",
     .input =
         EHLO ENVELOPE "DATA\r\n" L100 "\r\n.\r\n" ENVELOPE "DATA\r\n.\r\n",
     .codes = "250 250 250 354 552 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] reset "
               "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] end() reset ",
     .unlisted = true},
    {.name = "bare LF in the message",
     .input = EHLO ENVELOPE "DATA\r\na\n.\nMAIL FROM:<evil@x>\r\n.\r\n"
                            "NOOP\r\n",
     .codes = "250 250 250 354 554 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] reset ",
     .unlisted = true},
    {.name = "CRLF.LF is no end",
     .input = EHLO ENVELOPE "DATA\r\na\r\n.\nNOOP\r\n\r\n.\r\n",
     .codes = "250 250 250 354 554 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] reset ",
     .unlisted = true},
    {.name = "CRLF.CR is no end",
     .input = EHLO ENVELOPE "DATA\r\na\r\n.\rNOOP\r\n\r\n.\r\n",
     .codes = "250 250 250 354 554 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] reset ",
     .unlisted = true},
    {.name = "an end behind CRCRLF closes",
     .input = EHLO ENVELOPE "DATA\r\na\r\r\n.\r\nMAIL FROM:<evil@x>\r\n",
     .codes = "250 250 250 354 554 421 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" UNLISTED "] reset ",
     .unlisted = true},
    {.name = "NUL in the message",
     .input = EHLO ENVELOPE "DATA\r\na\0b\r\n.\r\nNOOP\r\n",
     .codes = "250 250 250 354 250 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end(a",
     .size = sizeof(EHLO ENVELOPE "DATA\r\na\0b\r\n.\r\nNOOP\r\n") - 1},
    {.name = "bare LF, bare CR in a command",
     .input = EHLO "NOOP\nNO\rOP\r\nNOOP\r\n",
     .codes = "250 500 500 250 ",
     .events = ""},
    {.name = "LF cannot hide a command",
     .input = EHLO "MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\n",
     .codes = "250 500 503 ",
     .events = ""},
    {.name = "NUL in a command",
     .input = "NOOP\0\r\nNOOP\r\n",
     .codes = "500 250 ",
     .events = "",
     .size = sizeof("NOOP\0\r\nNOOP\r\n") - 1},
    {.name = "a line too long",
     .input = EHLO "NOOP " L1000 L1000 L1000 L1000 L1000 "\r\nNOOP\r\n",
     .codes = "250 500 250 ",
     .events = ""},
    {.name = "empty line and junk",
     .input = "\r\n \r\nFOO\r\n",
     .codes = "500 500 500 ",
     .events = ""},
    {.name = "too many errors",
     .input = "A\r\nB\r\nC\r\nD\r\nNOOP\r\n",
     .codes = "500 500 500 421 ",
     .events = ""},
    {.name = "too many commands",
     .input = "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n"
              "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n",
     .codes = "250 250 250 250 250 250 250 250 250 250 421 ",
     .events = ""},
    {.name = "HTTP is cut",
     .input = "POST / HTTP/1.1\r\nEHLO x\r\n",
     .codes = "421 ",
     .events = ""},
    {.name = "a header is cut",
     .input = "Host: x\r\nEHLO x\r\n",
     .codes = "421 ",
     .events = ""},
    {.name = "out of order",
     .input = "MAIL FROM:<a@b>\r\n" EHLO "RCPT TO:<c@d>\r\nDATA\r\n",
     .codes = "503 250 503 503 ",
     .events = ""},
    {.name = "MAIL twice, DATA without RCPT",
     .input = EHLO "MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nDATA\r\n",
     .codes = "250 250 503 503 ",
     .events = "mail(a@b,0,0) reset "},
    {.name = "all recipients refused, pipelined",
     .input = EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<refuse@x>\r\nDATA\r\n",
     .codes = "250 250 550 554 ",
     .events = "mail(a@b,0,0) rcpt(refuse@x) reset "},
    {.name = "some refused",
     .input = EHLO "MAIL FROM:<>\r\nRCPT TO:<refuse@x>\r\nRCPT "
                   "TO:<postmaster>\r\nDATA\r\n.\r\n",
     .codes = "250 250 550 250 354 250 ",
     .events = "mail(,0,0) rcpt(refuse@x) rcpt(postmaster) data[" SESSION
               "] end() reset "},
    {.name = "too many recipients",
     .input = EHLO ENVELOPE "RCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\nRCPT "
                            "TO:<i@j>\r\n",
     .codes = "250 250 250 250 250 452 ",
     .events = "mail(a@b,0,0) rcpt(c@d) rcpt(e@f) rcpt(g@h) reset "},
    {.name = "bad addresses",
     .input = EHLO "MAIL FROM:a@b\r\nMAIL FROM:<a@b\r\nMAIL <a@b>\r\n",
     .codes = "250 501 501 501 ",
     .events = "",
     .unlisted = true},
    {.name = "bad recipients",
     .input = EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<c>\r\nRCPT "
                   "TO:<c@d> NOTIFY=NEVER\r\n",
     .codes = "250 250 501 501 555 ",
     .events = "mail(a@b,0,0) reset ",
     .unlisted = true},
    {.name = "no SMTPUTF8",
     .input = EHLO "MAIL FROM:<\xc3\xa9@b>\r\n",
     .codes = "250 553 ",
     .events = "",
     .unlisted = true},
    {.name = "SMTPUTF8",
     .input = EHLO "MAIL FROM:<\xc3\xa9@b> BODY=8BITMIME SMTPUTF8\r\n"
                   "RCPT TO:<\xc3\xa9@\xc3\xa9.d>\r\nRSET\r\n"
                   "MAIL FROM:<a@b>\r\nRCPT TO:<\xc3\xa9@d>\r\n",
     .codes = "250 250 250 250 250 553 ",
     .events = "mail(\xc3\xa9@b,0,1,utf8) rcpt(\xc3\xa9@\xc3\xa9.d) reset "
               "mail(a@b,0,0) reset ",
     .unlisted = true},
    {.name = "bad SMTPUTF8",
     .input = EHLO "MAIL FROM:<a@b> SMTPUTF8=x\r\nMAIL FROM:<a@b> SMTPUTF8 "
                   "SMTPUTF8\r\n",
     .codes = "250 501 501 ",
     .events = ""},
    {.name = "odd addresses of a stranger",
     .input = EHLO "MAIL FROM:<\"a\x01\"@b>\r\nMAIL FROM:<\xe9@b> SMTPUTF8\r\n"
                   "MAIL FROM:<a@b>\r\nRCPT TO:<\"\x7f\"@d>\r\n",
     .codes = "250 501 501 250 501 ",
     .events = "mail(a@b,0,0) reset ",
     .unlisted = true},
    /* A listed peer would bounce them. */
    {.name = "odd addresses of a listed peer",
     .input = EHLO "MAIL FROM:<\"a\x01\"@b>\r\nRCPT TO:<\xc3\xa9@d>\r\n"
                   "RCPT TO:<\"\x7f\"@d>\r\nRCPT TO:<\xe9@d>\r\n",
     .codes = "250 250 250 250 250 ",
     .events = "mail(\"a\x01\"@b,0,0) rcpt(\xc3\xa9@d) rcpt(\"\x7f\"@d) "
               "rcpt(\xe9@d) reset "},
    {.name = "a long recipient of a listed peer",
     .input = EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<" L1000 L100 "@d>\r\n",
     .codes = "250 250 250 ",
     .events = "mail(a@b,0,0) rcpt(" L1000 L100 "@d) reset "},
    {.name = "bare LF and CR of a listed peer",
     .input = EHLO ENVELOPE "DATA\r\na\n.\nMAIL\r\n.\r\n" ENVELOPE
                            "DATA\r\nb\rc\r\n.\r\n",
     .codes = "250 250 250 354 250 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] "
               "end(a\n.\nMAIL\r\n):The message holds an LF without CR reset "
               "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] "
               "end(b\rc\r\n):The message holds a CR without LF reset "},
    {.name = "an end behind CRCRLF closes a listed peer too",
     .input = EHLO ENVELOPE "DATA\r\na\r\r\n.\r\nMAIL FROM:<evil@x>\r\n",
     .codes = "250 250 250 354 250 421 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] "
               "end(a\r\r\n):The message holds a CR without LF reset "},
    {.name = "a listed peer counts a line end once",
     .input = EHLO ENVELOPE "DATA\r\n" L100 "\r\n.\r\n" ENVELOPE
                            "DATA\r\n" L100 L100 "\r\n.\r\n",
     .codes = "250 250 250 354 250 250 250 354 552 ",
     .events =
         "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end(" L100 "\r\n) reset "
         "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] reset "},
    {.name = "source route",
     .input = EHLO "MAIL FROM:<@x,@y:a@b>\r\n",
     .codes = "250 250 ",
     .events = "mail(a@b,0,0) reset "},
    {.name = "RSET and a new EHLO end the transaction",
     .input = EHLO ENVELOPE "RSET\r\nRCPT TO:<c@d>\r\n" ENVELOPE EHLO,
     .codes = "250 250 250 250 503 250 250 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) reset mail(a@b,0,0) rcpt(c@d) "
               "reset "},
    {.name = "RSET does not stand for EHLO",
     .input = "RSET\r\nMAIL FROM:<a@b>\r\n",
     .codes = "250 503 ",
     .events = ""},
    {.name = "the policy refuses the sender",
     .input = EHLO "MAIL FROM:<refuse@x>\r\nRCPT TO:<c@d>\r\n",
     .codes = "250 550 503 ",
     .events = "mail(refuse@x,0,0) "},
    {.name = "the policy closes",
     .input = EHLO "MAIL FROM:<close@x>\r\nNOOP\r\n",
     .codes = "250 421 ",
     .events = "mail(close@x,0,0) "},
    {.name = "the policy refuses the data",
     .input = EHLO "MAIL FROM:<nodata@x>\r\nRCPT TO:<c@d>\r\nDATA\r\nNOOP\r\n",
     .codes = "250 250 250 451 250 ",
     .events = "mail(nodata@x,0,0) rcpt(c@d) data[" SESSION "] reset "},
    {.name = "the connection is lost in the message",
     .input = EHLO ENVELOPE "DATA\r\nhi\r\n.\r",
     .codes = "250 250 250 354 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] reset "},
    {.name = "the small commands",
     .input = "NOOP x\r\nVRFY a\r\nHELP\r\nHELP MAIL\r\nRSET\r\n",
     .codes = "250 252 214 214 250 ",
     .events = ""},
    {.name = "arguments where none may be",
     .input = "QUIT x\r\nRSET x\r\nVRFY\r\n",
     .codes = "501 501 501 ",
     .events = ""},
    {.name = "not implemented",
     .input = "STARTTLS\r\nAUTH PLAIN\r\nEXPN x\r\n",
     .codes = "502 502 502 ",
     .events = ""},
    {.name = "bad names",
     .input = "EHLO\r\nHELO a b\r\nEHLO <x>\r\n",
     .codes = "501 501 501 ",
     .events = ""},
    {.name = "XFORWARD",
     .input = EHLO "XFORWARD NAME=mail.example ADDR=198.51.100.7 PORT=1234\r\n"
                   "XFORWARD PROTO=SMTP HELO=h+2Bi IDENT=X1 "
                   "SOURCE=REMOTE\r\n" ENVELOPE "DATA\r\n.\r\n" ENVELOPE
                   "DATA\r\n.\r\n",
     .codes = "250 250 250 250 250 354 250 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) "
               "data[198.51.100.7|mail.example|h+i|SMTP|1234] end() reset "
               "mail(a@b,0,0) rcpt(c@d) data[" SESSION "] end() reset "},
    {.name = "XFORWARD with nothing known",
     .input = EHLO "XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]\r\n"
                   "XFORWARD PORT=[UNAVAILABLE] NAME=[TEMPUNAVAIL]\r\n" ENVELOPE
                   "DATA\r\n.\r\n",
     .codes = "250 250 250 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[|||ESMTP|0] end() reset "},
    {.name = "XFORWARD of IPv6, hostile names",
     .input = EHLO
     "XFORWARD ADDR=IPv6:2001:db8::7 NAME=a+0D+0Ab HELO=<x>\r\n" ENVELOPE
     "DATA\r\n.\r\n",
     .codes = "250 250 250 250 354 250 ",
     .events = "mail(a@b,0,0) rcpt(c@d) data[2001:db8::7|a??b|?x?|ESMTP|0] "
               "end() reset "},
    {.name = "bad XFORWARD",
     .input = EHLO "XFORWARD\r\nXFORWARD ADDR=1.2.3\r\nXFORWARD FOO=x\r\n",
     .codes = "250 501 501 501 ",
     .events = ""},
    {.name = "more bad XFORWARD",
     .input =
         EHLO "XFORWARD PORT=65536\r\nXFORWARD NAME=+zz\r\nXFORWARD NAME\r\n",
     .codes = "250 501 501 501 ",
     .events = ""},
    {.name = "XFORWARD out of order",
     .input = "XFORWARD NAME=x\r\n" EHLO "MAIL FROM:<a@b>\r\nXFORWARD "
              "NAME=x\r\n",
     .codes = "503 250 250 503 ",
     .events = "mail(a@b,0,0) reset "},
    {.name = "XFORWARD from another",
     .input = EHLO "XFORWARD NAME=x\r\n",
     .codes = "250 550 ",
     .events = "",
     .unlisted = true},
};

/* Appends the codes of the replies, without their continuation lines. */
static void list_codes(const char *output, struct buffer *codes)
{
	for (const char *line = output; *line; line = strchr(line, '\n') + 1) {
		ck_assert(strstr(line, "\r\n") == strchr(line, '\n') - 1);
		if (line[3] == ' ')
			(void)buffer_append_format(codes, "%.3s ", line);
	}
}

/* Gives bytes as a listener would: the late answer when one is owed. */
static void feed(struct smtp_server *server, const char *bytes, size_t size)
{
	ck_assert_int_eq(smtp_server_input(server, bytes, size), 0);
	while (!smtp_server_wants_input(server) && !smtp_server_closing(server))
		answer(server);
}

static void run_row(const struct row *row, size_t split, bool later)
{
	struct smtp_client_info client = {.address = "192.0.2.1", .port = 99};
	size_t size = row->size ? row->size : strlen(row->input);
	struct record record = {.later = later, .rcpt_later = later};
	struct smtp_server *server;
	struct buffer codes;

	if (row->unlisted)
		client.address[8] = '2';
	buffer_init(&record.events, 100000);
	buffer_init(&record.body, 100000);
	buffer_init(&codes, 100000);
	server = smtp_server_new(&options, &client, &record);
	feed(server, row->input, split);
	feed(server, row->input + split, size - split);
	list_codes(buffer_text(smtp_server_output(server)), &codes);
	smtp_server_free(server);
	ck_assert_msg(!strncmp(buffer_text(&codes), "220 ", 4), "no greeting");
	ck_assert_msg(!strcmp(buffer_text(&codes) + 4, row->codes),
	              "%s at %zu: %s", row->name, split, buffer_text(&codes));
	/* The text ends with a NUL that the message holds. */
	ck_assert_msg(!strcmp(buffer_text(&record.events), row->events),
	              "%s at %zu: %s", row->name, split,
	              buffer_text(&record.events));
	buffer_release(&record.events);
	buffer_release(&record.body);
	buffer_release(&codes);
}

START_TEST(answers)
{
	const struct row *row = &rows[_i];
	size_t size = row->size ? row->size : strlen(row->input);

	for (size_t split = 0; split <= size; split++) {
		run_row(row, split, false);
		run_row(row, split, true);
	}
}
END_TEST

/* A session with a recording policy. */
struct session {
	struct record record;
	struct smtp_server *server;
};

static void open_session(struct session *session, bool later)
{
	const struct smtp_client_info client = {.address = "192.0.2.1"};

	session->record.later = later;
	buffer_init(&session->record.events, 100000);
	buffer_init(&session->record.body, 100000);
	session->server = smtp_server_new(&options, &client, &session->record);
	buffer_reset(smtp_server_output(session->server));
}

static void close_session(struct session *session)
{
	smtp_server_free(session->server);
	buffer_release(&session->record.events);
	buffer_release(&session->record.body);
}

static void say(struct session *session, const char *text)
{
	ck_assert_int_eq(smtp_server_input(session->server, text, strlen(text)),
	                 0);
}

static void expect(struct session *session, const char *output)
{
	struct buffer *out = smtp_server_output(session->server);

	ck_assert_str_eq(buffer_text(out), output);
	buffer_reset(out);
}

START_TEST(announces_its_extensions)
{
	struct session session = {0};

	open_session(&session, false);
	say(&session, EHLO);
	expect(&session,
	       "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 100\r\n"
	       "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
	       "250-SMTPUTF8\r\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT "
	       "SOURCE\r\n");
	close_session(&session);
}
END_TEST

START_TEST(keeps_input_while_an_answer_is_owed)
{
	struct session session = {0};
	static char much[300 * 1024];

	open_session(&session, true);
	say(&session, EHLO ENVELOPE "DATA\r\n.\r\nNOOP\r\n");
	buffer_reset(smtp_server_output(session.server));
	ck_assert(!smtp_server_wants_input(session.server));
	ck_assert(smtp_server_in_data(session.server));
	say(&session, "QUIT\r\n");
	expect(&session, "");
	answer(session.server);
	expect(&session,
	       "250 2.0.0 stored\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n");
	ck_assert(smtp_server_closing(session.server));
	close_session(&session);

	session = (struct session){0};
	open_session(&session, true);
	say(&session, EHLO ENVELOPE "DATA\r\n.\r\n");
	memset(much, 'x', sizeof(much));
	ck_assert_int_eq(smtp_server_input(session.server, much, sizeof(much)),
	                 ERR_LIMIT);
	close_session(&session);
}
END_TEST

START_TEST(shuts_down_at_once_or_after_the_answer)
{
	struct session session = {0};

	open_session(&session, true);
	say(&session, EHLO);
	buffer_reset(smtp_server_output(session.server));
	smtp_server_shut_down(session.server, "4.3.2", "stopping");
	smtp_server_shut_down(session.server, "4.3.2", "stopping");
	expect(&session, "421 4.3.2 stopping\r\n");
	ck_assert(smtp_server_closing(session.server));
	close_session(&session);

	session = (struct session){0};
	open_session(&session, true);
	say(&session, EHLO ENVELOPE "DATA\r\n.\r\nNOOP\r\n");
	buffer_reset(smtp_server_output(session.server));
	smtp_server_shut_down(session.server, "4.3.2", "stopping");
	expect(&session, "");
	answer(session.server);
	expect(&session, "250 2.0.0 stored\r\n421 4.3.2 stopping\r\n");
	close_session(&session);
}
END_TEST

/* The answers of a pipelined group stay in the order of its commands. */
START_TEST(awaits_the_answer_to_a_recipient)
{
	struct session session = {.record = {.rcpt_later = true}};
	const struct smtp_reply late = {.code = 250, .text = "late"};

	open_session(&session, false);
	say(&session, EHLO ENVELOPE "RCPT TO:<refuse@x>\r\nNOOP\r\n");
	buffer_reset(smtp_server_output(session.server));
	ck_assert(!smtp_server_wants_input(session.server));
	ck_assert(smtp_server_in_data(session.server));
	answer(session.server);
	expect(&session, "250 2.1.5 Recipient OK\r\n");
	answer(session.server);
	expect(&session, "550 5.1.1 not here\r\n250 2.0.0 OK\r\n");
	/* Nobody awaits this one. */
	smtp_server_answer_rcpt(session.server, &late);
	expect(&session, "");
	say(&session, "RCPT TO:<e@f>\r\n");
	smtp_server_shut_down(session.server, "4.3.2", "stopping");
	expect(&session, "");
	answer(session.server);
	expect(&session, "250 2.1.5 Recipient OK\r\n421 4.3.2 stopping\r\n");
	close_session(&session);
}
END_TEST

START_TEST(ignores_an_answer_that_nobody_awaits)
{
	struct session session = {0};

	open_session(&session, true);
	answer(session.server);
	expect(&session, "");
	say(&session, EHLO ENVELOPE "DATA\r\n");
	buffer_reset(smtp_server_output(session.server));
	answer(session.server);
	expect(&session, "");
	close_session(&session);
}
END_TEST

START_TEST(tells_progress_by_commands_and_pieces)
{
	struct session session = {0};
	static char piece[64 * 1024];
	uint64_t before;

	open_session(&session, true);
	before = smtp_server_progress(session.server);
	say(&session, "NOO");
	ck_assert_uint_eq(smtp_server_progress(session.server), before);
	say(&session, "P\r\n");
	ck_assert_uint_ne(smtp_server_progress(session.server), before);
	say(&session, EHLO ENVELOPE "DATA\r\n");
	before = smtp_server_progress(session.server);
	say(&session, "drip");
	ck_assert_uint_eq(smtp_server_progress(session.server), before);
	memset(piece, 'x', sizeof(piece));
	(void)smtp_server_input(session.server, piece, sizeof(piece));
	ck_assert_uint_ne(smtp_server_progress(session.server), before);
	close_session(&session);
}
END_TEST

START_TEST(cuts_a_message_without_end)
{
	struct session session = {0};
	static char piece[64 * 1024];
	int pieces = 0;

	open_session(&session, true);
	say(&session, EHLO ENVELOPE "DATA\r\n");
	memset(piece, 'x', sizeof(piece));
	while (!smtp_server_closing(session.server) && pieces++ < 1000)
		(void)smtp_server_input(session.server, piece, sizeof(piece));
	ck_assert_int_lt(pieces, 100);
	ck_assert_ptr_nonnull(
	    strstr(buffer_text(smtp_server_output(session.server)), "552 "));
	close_session(&session);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-server");
	TCase *tests = tcase_create("all");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, answers, 0, COUNT(rows));
	tcase_add_test(tests, announces_its_extensions);
	tcase_add_test(tests, keeps_input_while_an_answer_is_owed);
	tcase_add_test(tests, shuts_down_at_once_or_after_the_answer);
	tcase_add_test(tests, ignores_an_answer_that_nobody_awaits);
	tcase_add_test(tests, awaits_the_answer_to_a_recipient);
	tcase_add_test(tests, tells_progress_by_commands_and_pieces);
	tcase_add_test(tests, cuts_a_message_without_end);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

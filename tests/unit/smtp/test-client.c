/*
 * Tests of the SMTP client against servers that are honest, clumsy or hostile:
 * each is a row of what it says and when, with the outcome that must follow.
 */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/smtp/client.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define STEPS       12
#define PIPE        "250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
#define ALL         "250 m\r\n250 r1\r\n250 r2\r\n354 go\r\n"

/*
 * A step: once the client has sent all that it can and its output since the
 * last step equals sent, the server says reply. Early steps do not let the
 * client send first.
 */
struct step {
	const char *reply;
	const char *sent; /* NULL: whatever */
	bool early;
};

struct row {
	const char *name;
	struct step steps[STEPS];
	/* D delivered, T try again (deferred), R refused, U uncertain. */
	const char *outcomes;
	int result; /* of the last input: 0 or ERR_PROTOCOL */
	bool ready; /* the session can be used again */
};

#define ENVELOPE                                                               \
	"MAIL FROM:<s@x>\r\nRCPT TO:<one@y>\r\nRCPT TO:<two@y>\r\nDATA\r\n"
#define SIZED                                                                  \
	"MAIL FROM:<s@x> SIZE=10\r\nRCPT TO:<one@y>\r\nRCPT TO:<two@y>"        \
	"\r\nDATA\r\n"
#define BODY "hi\r\n..dot\r\n.\r\n"
#define HELLO                                                                  \
	{"220 mx\r\n", "", false},                                             \
	{                                                                      \
		PIPE, "EHLO me\r\n", false                                     \
	}

static const struct row rows[] = {
    {"an honest server",
     {HELLO, {ALL, SIZED, false}, {"250 2.0.0 queued\r\n", BODY, false}},
     "DD",
     0,
     true},
    {"without PIPELINING",
     {{"220-mx\r\n220 mx\r\n", "", false},
      {"250 mx\r\n", "EHLO me\r\n", false},
      {"250 m\r\n", "MAIL FROM:<s@x>\r\n", false},
      {"250 r1\r\n", "RCPT TO:<one@y>\r\n", false},
      {"251 r2\r\n", "RCPT TO:<two@y>\r\n", false},
      {"354 go\r\n", "DATA\r\n", false},
      {"250 queued\r\n", BODY, false}},
     "DD",
     0,
     true},
    {"without EHLO",
     {{"220 mx\r\n", "", false},
      {"500 what\r\n", "EHLO me\r\n", false},
      {"250 mx\r\n", "HELO me\r\n", false},
      {"250 m\r\n", "MAIL FROM:<s@x>\r\n", false}},
     "TT",
     0,
     false},
    {"one refused for good, one for now",
     {HELLO,
      {"250 m\r\n550 5.1.1 no\r\n451 4.2.0 later\r\n503 none\r\n", SIZED,
       false},
      {"250 reset\r\n", "RSET\r\n", false}},
     "RT",
     0,
     true},
    {"one accepted, one refused",
     {HELLO,
      {"250 m\r\n250 r\r\n550 no\r\n354 go\r\n", SIZED, false},
      {"250 queued\r\n", BODY, false}},
     "DR",
     0,
     true},
    {"all refused, without PIPELINING: no DATA",
     {{"220 mx\r\n", "", false},
      {"250 mx\r\n", "EHLO me\r\n", false},
      {"250 m\r\n", "MAIL FROM:<s@x>\r\n", false},
      {"550 no\r\n", "RCPT TO:<one@y>\r\n", false},
      {"450 no\r\n", "RCPT TO:<two@y>\r\n", false},
      {"250 reset\r\n", "RSET\r\n", false}},
     "RT",
     0,
     true},
    {"354 though all were refused: a lone dot, no success",
     {HELLO,
      {"250 m\r\n550 no\r\n550 no\r\n354 go\r\n", SIZED, false},
      {"250 queued\r\n", ".\r\n", false}},
     "RR",
     0,
     true},
    {"the lone dot is refused",
     {HELLO,
      {"250 m\r\n550 no\r\n450 no\r\n354 go\r\n", SIZED, false},
      {"554 nothing\r\n", ".\r\n", false}},
     "RT",
     0,
     true},
    {"the lone dot is never answered",
     {HELLO, {"250 m\r\n550 no\r\n450 no\r\n354 go\r\n", SIZED, false}},
     "RT",
     0,
     false},
    {"MAIL refused for good",
     {HELLO, {"550 no\r\n503 m\r\n503 m\r\n503 m\r\n", SIZED, false}},
     "RR",
     0,
     true},
    {"MAIL refused for now, without PIPELINING",
     {{"220 mx\r\n", "", false},
      {"250 mx\r\n", "EHLO me\r\n", false},
      {"451 no\r\n", "MAIL FROM:<s@x>\r\n", false}},
     "TT",
     0,
     true},
    {"RCPT accepted without MAIL",
     {HELLO, {"550 no\r\n250 r\r\n250 r\r\n354 go\r\n", SIZED, false}},
     "RR",
     ERR_PROTOCOL,
     false},
    {"DATA refused",
     {HELLO,
      {"250 m\r\n250 r\r\n250 r\r\n451 full\r\n", SIZED, false},
      {"250 reset\r\n", "RSET\r\n", false}},
     "TT",
     0,
     true},
    {"RSET is not answered yet",
     {HELLO, {"250 m\r\n250 r\r\n250 r\r\n451 full\r\n", SIZED, false}},
     "TT",
     0,
     false},
    {"RSET refused",
     {HELLO,
      {"250 m\r\n250 r\r\n250 r\r\n451 full\r\n", SIZED, false},
      {"500 what\r\n", "RSET\r\n", false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"the message refused",
     {HELLO, {ALL, SIZED, false}, {"554 5.6.0 spam\r\n", BODY, false}},
     "RR",
     0,
     true},
    {"the message deferred",
     {HELLO, {ALL, SIZED, false}, {"452 4.3.1 full\r\n", BODY, false}},
     "TT",
     0,
     true},
    {"552 for a recipient may be too many",
     {HELLO,
      {"250 m\r\n250 r\r\n552 too many\r\n354 go\r\n", SIZED, false},
      {"250 queued\r\n", BODY, false}},
     "DT",
     0,
     true},
    {"552 for a full mailbox",
     {HELLO,
      {"250 m\r\n250 r\r\n552 5.2.2 full\r\n354 go\r\n", SIZED, false},
      {"250 queued\r\n", BODY, false}},
     "DR",
     0,
     true},

    /* Out of step. */
    {"the answer to EHLO before EHLO",
     {{"220 mx\r\n" PIPE, "", false}},
     "",
     ERR_PROTOCOL,
     false},
    {"two greetings",
     {{"220 mx\r\n", "", false}, {"220 mx\r\n", "EHLO me\r\n", false}},
     "",
     ERR_PROTOCOL,
     false},
    {"speaks between transactions",
     {HELLO, {"250 why\r\n", NULL, true}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"354 and the final 250 at once",
     {HELLO, {ALL "250 queued\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"250 before the dot",
     {HELLO, {ALL, SIZED, false}, {"250 queued\r\n", NULL, true}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"a part of 250 before the dot",
     {HELLO, {ALL, SIZED, false}, {"250 qu", NULL, true}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"552 before the dot",
     {HELLO, {ALL, SIZED, false}, {"552 too large\r\n", NULL, true}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"one reply too many in the envelope",
     {HELLO,
      {"250 m\r\n250 m\r\n250 r1\r\n250 r2\r\n354 go\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"an extra reply behind the final one",
     {HELLO, {ALL, SIZED, false}, {"250 queued\r\n250 again\r\n", BODY, false}},
     "DD",
     ERR_PROTOCOL,
     false},
    {"250 to DATA",
     {HELLO, {"250 m\r\n250 r\r\n250 r\r\n250 go\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"354 to MAIL",
     {HELLO, {"354 go\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"354 to RCPT",
     {HELLO, {"250 m\r\n354 go\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"221 to RCPT",
     {HELLO, {"250 m\r\n221 bye\r\n", SIZED, false}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"354 to the dot",
     {HELLO, {ALL, SIZED, false}, {"354 go on\r\n", BODY, false}},
     "UU",
     ERR_PROTOCOL,
     false},
    {"221 to the dot",
     {HELLO, {ALL, SIZED, false}, {"221 bye\r\n", BODY, false}},
     "UU",
     ERR_PROTOCOL,
     false},
    {"junk to the dot",
     {HELLO, {ALL, SIZED, false}, {"OK\r\n", BODY, false}},
     "UU",
     ERR_PROTOCOL,
     false},
    {"codes that differ to the dot",
     {HELLO, {ALL, SIZED, false}, {"250-yes\r\n550 no\r\n", BODY, false}},
     "UU",
     ERR_PROTOCOL,
     false},
    {"a success that is not whole",
     {HELLO, {ALL, SIZED, false}, {"250-queued\r\n", BODY, false}},
     "UU",
     0,
     false},
    {"a greeting in HTTP",
     {{"HTTP/1.1 400 Bad Request\r\n", "", false}},
     "",
     ERR_PROTOCOL,
     false},
    {"a greeting of 250", {{"250 mx\r\n", "", false}}, "", ERR_PROTOCOL, false},
    {"a greeting that refuses", {{"554 no\r\n", "", false}}, "", 0, false},
    {"EHLO deferred",
     {{"220 mx\r\n", "", false}, {"421 no\r\n", "EHLO me\r\n", false}},
     "",
     0,
     false},
    {"EHLO and HELO refused",
     {{"220 mx\r\n", "", false},
      {"500 no\r\n", "EHLO me\r\n", false},
      {"500 no\r\n", "HELO me\r\n", false}},
     "",
     0,
     false},

    /* Lost at each step. */
    {"lost after the greeting", {{"220 mx\r\n", "", false}}, "", 0, false},
    {"lost after MAIL", {HELLO, {"250 m\r\n", SIZED, false}}, "TT", 0, false},
    {"lost after a refused RCPT",
     {HELLO, {"250 m\r\n550 no\r\n", SIZED, false}},
     "RT",
     0,
     false},
    {"lost after 421 to RCPT",
     {HELLO, {"250 m\r\n421 closing\r\n", SIZED, false}},
     "TT",
     0,
     false},
    {"all replies before the envelope was sent",
     {HELLO, {ALL, SIZED, true}},
     "TT",
     ERR_PROTOCOL,
     false},
    {"lost after the dot",
     {HELLO, {ALL, SIZED, false}, {"", BODY, false}},
     "UU",
     0,
     false},
};

/* The message that every row sends. */
struct text_source {
	const char *text;
	size_t at;
	size_t fail_at; /* 0: never */
};

static long read_text(void *context, char *bytes, size_t size)
{
	struct text_source *source = context;
	size_t left = strlen(source->text) - source->at;

	if (source->fail_at && source->at >= source->fail_at)
		return -1;
	if (size > left)
		size = left;
	if (size > 3)
		size = 3;
	memcpy(bytes, source->text + source->at, size);
	source->at += size;
	return (long)size;
}

/* What was told. */
struct told {
	char outcomes[16]; /* of the first few */
	size_t count, refused;
	struct smtp_reply last;
	int done;
};

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct told *told = context;

	ck_assert_uint_eq(index, told->count++);
	ck_assert_int_eq(told->done, 0);
	if (index < sizeof(told->outcomes) - 1)
		told->outcomes[index] = "DTRUA"[outcome];
	told->refused += outcome == SMTP_REFUSED;
	told->last = *reply;
	if (outcome == SMTP_DELIVERED)
		ck_assert_int_eq(reply->code / 100, 2);
}

static void on_done(void *context)
{
	struct told *told = context;

	told->done++;
}

static const char *const two[] = {"one@y", "two@y"};

static struct smtp_transaction transaction_of(struct text_source *source,
                                              struct told *told)
{
	return (struct smtp_transaction){
	    .sender = "s@x",
	    .recipients = two,
	    .recipient_count = 2,
	    .source = {.read = read_text, .context = source, .size = 10},
	    .recipient = on_recipient,
	    .done = on_done,
	    .context = told,
	};
}

static struct smtp_client *new_client(void)
{
	const struct smtp_client_options options = {.hostname = "me"};

	return smtp_client_new(&options);
}

/* Lets the client send all that it can, piece bytes at a time. */
static void pump(struct smtp_client *client, size_t piece, struct buffer *sent)
{
	const struct buffer *output;

	while ((output = smtp_client_output(client))->length) {
		size_t size = output->length < piece ? output->length : piece;

		ck_assert_int_eq(buffer_append(sent, output->data, size), 0);
		smtp_client_sent(client, size);
	}
}

static int say(struct smtp_client *client, const char *reply, size_t piece)
{
	size_t size = strlen(reply);
	int result = 0;

	for (size_t at = 0; at < size && !result; at += piece)
		result = smtp_client_input(
		    client, reply + at, size - at < piece ? size - at : piece);
	return result;
}

/* Plays the row; every byte goes alone when piece is 1. */
static int play(const struct row *row, struct smtp_client *client, size_t piece,
                const struct smtp_transaction *transaction)
{
	struct buffer sent;
	bool begun = false;
	int result = 0;

	buffer_init(&sent, 100000);
	for (int i = 0; i < STEPS && row->steps[i].reply && !result; i++) {
		const struct step *step = &row->steps[i];

		if (!step->early)
			pump(client, piece, &sent);
		if (step->sent && !step->early)
			ck_assert_msg(!strcmp(buffer_text(&sent), step->sent),
			              "%s, step %d: %s", row->name, i,
			              buffer_text(&sent));
		buffer_reset(&sent);
		result = say(client, step->reply, piece);
		if (!begun && smtp_client_ready(client)) {
			begun = true;
			ck_assert_int_eq(smtp_client_begin(client, transaction),
			                 0);
		}
	}
	if (!begun)
		ck_assert_str_eq(row->outcomes, "");
	buffer_release(&sent);
	return result;
}

static void play_and_check(const struct row *row, size_t piece)
{
	struct text_source source = {.text = "hi\r\n.dot\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = new_client();
	int result = play(row, client, piece, &transaction);

	ck_assert_msg(result == row->result, "%s: %d", row->name, result);
	ck_assert_msg(smtp_client_ready(client) == row->ready, "%s: ready",
	              row->name);
	smtp_client_lost(client, "the connection is gone");
	ck_assert_msg(!strcmp(told.outcomes, row->outcomes), "%s: %s",
	              row->name, told.outcomes);
	ck_assert_int_eq(told.done, row->outcomes[0] != '\0');
	ck_assert(smtp_client_closed(client));
	ck_assert_str_ne(smtp_client_why(client), "");
	smtp_client_free(client);
	ck_assert_msg(!strcmp(told.outcomes, row->outcomes), "told twice");
}

START_TEST(plays_whole)
{
	play_and_check(&rows[_i], 100000);
}
END_TEST

START_TEST(plays_byte_by_byte)
{
	play_and_check(&rows[_i], 1);
}
END_TEST

/* A client that is ready, with what the server announces. */
static struct smtp_client *ready_client(const char *ehlo)
{
	struct smtp_client *client = new_client();
	struct buffer sent;

	buffer_init(&sent, 1000);
	ck_assert_int_eq(say(client, "220 mx\r\n", 100), 0);
	pump(client, 1000, &sent);
	ck_assert_int_eq(say(client, ehlo, 1000), 0);
	ck_assert(smtp_client_ready(client));
	buffer_release(&sent);
	return client;
}

START_TEST(a_dot_that_was_cut_is_no_uncertainty)
{
	const size_t body = strlen(BODY);

	for (size_t cut = 0; cut <= body; cut++) {
		struct text_source source = {.text = "hi\r\n.dot\r\n"};
		struct told told = {0};
		struct smtp_transaction transaction =
		    transaction_of(&source, &told);
		struct smtp_client *client = ready_client(PIPE);
		struct buffer sent;

		buffer_init(&sent, 1000);
		ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
		pump(client, 1000, &sent);
		ck_assert_int_eq(say(client, ALL, 1000), 0);
		ck_assert_uint_eq(smtp_client_output(client)->length, body);
		smtp_client_sent(client, cut);
		smtp_client_lost(client, "cut");
		ck_assert_str_eq(told.outcomes, cut < body ? "TT" : "UU");
		smtp_client_free(client);
		buffer_release(&sent);
	}
}
END_TEST

struct source_row {
	const char *text;
	size_t fail_at;
	const char *wire; /* NULL: the session is dropped without a dot */
};

static const struct source_row source_rows[] = {
    {"", 0, ".\r\n"},
    {"a\r\n", 0, "a\r\n.\r\n"},
    {"a", 0, "a\r\n.\r\n"},
    {".", 0, "..\r\n.\r\n"},
    {".\r\n", 0, "..\r\n.\r\n"},
    {"a\r\n.\r\nb\r\n", 0, "a\r\n..\r\nb\r\n.\r\n"},
    {"\r\n\r\n..x\r\n", 0, "\r\n\r\n...x\r\n.\r\n"},
    {"a.\r\nb.c\r\n", 0, "a.\r\nb.c\r\n.\r\n"},
    {"a\n.\r\n", 0, NULL},
    {"a\r.\r\n", 0, NULL},
    {"a\r\r\n", 0, NULL},
    {"a\r", 0, NULL},
    {"abcdef\r\n", 3, NULL},
    {"abcdef\r\n", 8, NULL},
};

START_TEST(stuffs_dots_or_gives_up)
{
	const struct source_row *row = &source_rows[_i];
	struct text_source source = {.text = row->text,
	                             .fail_at = row->fail_at};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = ready_client(PIPE);
	struct buffer sent;

	buffer_init(&sent, 1000);
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	pump(client, 1000, &sent);
	ck_assert_int_eq(say(client, ALL, 1000), 0);
	buffer_reset(&sent);
	pump(client, 1000, &sent);
	if (row->wire) {
		ck_assert_str_eq(buffer_text(&sent), row->wire);
		ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
		ck_assert_str_eq(told.outcomes, "DD");
	} else {
		ck_assert(smtp_client_closed(client));
		ck_assert_ptr_null(strstr(buffer_text(&sent), ".\r\n"));
		smtp_client_lost(client, "cut");
		/* Bytes that cannot be read may come the next time. */
		ck_assert_str_eq(told.outcomes, row->fail_at ? "TT" : "RR");
		ck_assert_int_eq(told.last.code, 0);
		ck_assert_ptr_nonnull(strstr(told.last.text, "message"));
	}
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

static const char *const bad_addresses[] = {
    "a@b\r\nDATA", "a b@c", "<a@b>",  "a@b>",
    "a\n@b",       "a\r@b", "@a:b@c", "\"a\r\nDATA\r\n\"@b",
};

/* A bad recipient is refused alone; a bad sender is nobody's. */
START_TEST(sends_no_bad_address)
{
	struct text_source source = {.text = "a\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = ready_client(PIPE);
	const char *const recipients[] = {"a@b", bad_addresses[_i]};
	struct buffer sent;

	buffer_init(&sent, 1000);
	transaction.sender = bad_addresses[_i];
	ck_assert_int_eq(smtp_client_begin(client, &transaction), ERR_INVALID);
	transaction.recipient_count = 0;
	ck_assert_int_eq(smtp_client_begin(client, &transaction), ERR_INVALID);
	ck_assert_uint_eq(smtp_client_output(client)->length, 0);
	ck_assert(smtp_client_ready(client));
	ck_assert_int_eq(told.done, 0);
	transaction = transaction_of(&source, &told);
	transaction.recipients = recipients;
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	pump(client, 1000, &sent);
	ck_assert_str_eq(strstr(buffer_text(&sent), "RCPT"),
	                 "RCPT TO:<a@b>\r\nDATA\r\n");
	ck_assert_int_eq(say(client, "250 ok\r\n250 ok\r\n354 go\r\n", 1000),
	                 0);
	pump(client, 1000, &sent);
	ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
	ck_assert_str_eq(told.outcomes, "DR");
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

/* Rows: what is sent to a server with and without SMTPUTF8, and what became of
 * both recipients. */
static const struct utf8_row {
	const char *sender, *second;
	bool needed;                /* by the header */
	const char *with, *without; /* MAIL, or NULL where nothing is sent */
	const char *told_with, *told_without;
} utf8_rows[] = {
    {"s@x", "b@y", false, "MAIL FROM:<s@x>\r\n", "MAIL FROM:<s@x>\r\n", "DD",
     "DD"},
    {"s@x", "b@y", true, "MAIL FROM:<s@x> SMTPUTF8\r\n", NULL, "DD", "RR"},
    {"\xc3\xa9@x", "b@y", false, "MAIL FROM:<\xc3\xa9@x> SMTPUTF8\r\n", NULL,
     "DD", "RR"},
    /* Only the recipient that needs it. */
    {"s@x", "\xc3\xa9@y", false, "MAIL FROM:<s@x> SMTPUTF8\r\n",
     "MAIL FROM:<s@x>\r\n", "DD", "DR"},
};

static void send_utf8(const struct utf8_row *row, const char *ehlo,
                      const char *mail, const char *outcomes)
{
	struct text_source source = {.text = "a\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = ready_client(ehlo);
	const char *const recipients[] = {"a@y", row->second};
	struct buffer sent;

	buffer_init(&sent, 1000);
	transaction.sender = row->sender;
	transaction.recipients = recipients;
	transaction.source.utf8 = row->needed;
	transaction.source.size = 0;
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	pump(client, 1000, &sent);
	if (mail) {
		ck_assert_msg(!strncmp(buffer_text(&sent), mail, strlen(mail)),
		              "%s", buffer_text(&sent));
		ck_assert_int_eq(say(client, "250 ok\r\n250 ok\r\n", 1000), 0);
		if (strcmp(outcomes, "DR") != 0)
			ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
		ck_assert_int_eq(say(client, "354 go\r\n", 1000), 0);
		pump(client, 1000, &sent);
	} else {
		ck_assert_str_eq(buffer_text(&sent), "RSET\r\n");
	}
	ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
	ck_assert_str_eq(told.outcomes, outcomes);
	ck_assert_int_eq(told.done, 1);
	ck_assert(smtp_client_ready(client));
	smtp_client_free(client);
	buffer_release(&sent);
}

START_TEST(needs_smtputf8_or_goes_without)
{
	const struct utf8_row *row = &utf8_rows[_i];

	send_utf8(row, "250-x\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n", row->with,
	          row->told_with);
	send_utf8(row, "250-x\r\n250 PIPELINING\r\n", row->without,
	          row->told_without);
}
END_TEST

/* A call-ahead: each recipient gets the answer to its RCPT, no DATA is sent,
 * and the session serves the next one. */
START_TEST(probes_recipients)
{
	struct text_source source = {.text = ""};
	struct smtp_client *client = ready_client(PIPE);
	struct buffer sent;

	buffer_init(&sent, 1000);
	for (int i = 0; i < 2; i++) {
		struct told told = {0};
		struct smtp_transaction transaction =
		    transaction_of(&source, &told);

		transaction.probe = true;
		ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
		buffer_reset(&sent);
		pump(client, 1000, &sent);
		ck_assert_ptr_null(strstr(buffer_text(&sent), "DATA"));
		ck_assert_int_eq(say(client,
		                     "250 ok\r\n550 5.1.1 no\r\n"
		                     "250 2.1.5 yes\r\n",
		                     1000),
		                 0);
		ck_assert_str_eq(told.outcomes, "RA");
		ck_assert_int_eq(told.done, 1);
		buffer_reset(&sent);
		pump(client, 1000, &sent);
		ck_assert_str_eq(buffer_text(&sent), "RSET\r\n");
		ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
	}
	ck_assert(smtp_client_ready(client));
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

START_TEST(reuses_a_session)
{
	struct smtp_client *client = ready_client(PIPE);
	struct buffer sent;

	buffer_init(&sent, 10000);
	for (int i = 0; i < 3; i++) {
		struct text_source source = {.text = "x\r\n"};
		struct told told = {0};
		struct smtp_transaction transaction =
		    transaction_of(&source, &told);

		ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
		ck_assert_int_eq(smtp_client_begin(client, &transaction),
		                 ERR_UNAVAILABLE);
		pump(client, 1000, &sent);
		ck_assert_int_eq(say(client, ALL, 1000), 0);
		pump(client, 1000, &sent);
		ck_assert_int_eq(say(client, "250 ok\r\n", 1000), 0);
		ck_assert_str_eq(told.outcomes, "DD");
	}
	buffer_reset(&sent);
	smtp_client_quit(client);
	ck_assert(!smtp_client_ready(client));
	pump(client, 1000, &sent);
	ck_assert_str_eq(buffer_text(&sent), "QUIT\r\n");
	ck_assert_int_eq(say(client, "221 bye\r\n", 1000), 0);
	ck_assert(smtp_client_closed(client));
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

START_TEST(quits_after_the_transaction)
{
	struct text_source source = {.text = "x\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = ready_client("250 mx\r\n");
	struct buffer sent;

	buffer_init(&sent, 1000);
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	smtp_client_quit(client);
	pump(client, 1000, &sent);
	ck_assert_str_eq(buffer_text(&sent), "MAIL FROM:<s@x>\r\n");
	ck_assert_int_eq(say(client, "550 no\r\n", 1000), 0);
	ck_assert_str_eq(told.outcomes, "RR");
	buffer_reset(&sent);
	pump(client, 1000, &sent);
	ck_assert_str_eq(buffer_text(&sent), "QUIT\r\n");
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

START_TEST(knows_its_deadlines)
{
	static const int64_t minute = 60 * 1000;
	struct text_source source = {.text = "x\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct smtp_client *client = new_client();
	struct buffer sent;

	buffer_init(&sent, 1000);
	ck_assert_int_eq(smtp_client_timeout_ms(client), 5 * minute);
	(void)say(client, "220 mx\r\n", 100);
	pump(client, 1000, &sent);
	(void)say(client, PIPE, 1000);
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	pump(client, 1000, &sent);
	ck_assert_int_eq(smtp_client_timeout_ms(client), 5 * minute);
	(void)say(client, "250 m\r\n250 r\r\n250 r\r\n", 100);
	ck_assert_int_eq(smtp_client_timeout_ms(client), 2 * minute);
	(void)say(client, "354 go\r\n", 100);
	ck_assert_int_eq(smtp_client_timeout_ms(client), 3 * minute);
	pump(client, 1000, &sent);
	ck_assert_int_eq(smtp_client_timeout_ms(client), 10 * minute);
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

/* More recipients than fit into one piece of output. */
START_TEST(sends_many_recipients_in_pieces)
{
	enum { MANY = 5000 };
	static const char *many[MANY];
	struct smtp_client *client = ready_client(PIPE);
	struct text_source source = {.text = "x\r\n"};
	struct told told = {0};
	struct smtp_transaction transaction = transaction_of(&source, &told);
	struct buffer sent;

	buffer_init(&sent, 1000000);
	for (int i = 0; i < MANY; i++)
		many[i] = "someone@example.org";
	transaction.recipients = many;
	transaction.recipient_count = MANY;
	ck_assert_int_eq(smtp_client_begin(client, &transaction), 0);
	ck_assert_uint_le(smtp_client_output(client)->length, 80 * 1024);
	pump(client, 1000, &sent);
	ck_assert_uint_gt(sent.length, MANY * 20);
	ck_assert_int_eq(say(client, "550 no\r\n", 100), 0);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(say(client, "503 MAIL\r\n", 100), 0);
	ck_assert_int_eq(told.done, 0);
	ck_assert_int_eq(say(client, "503 RCPT\r\n", 100), 0);
	ck_assert_int_eq(told.done, 1);
	ck_assert_uint_eq(told.refused, MANY);
	ck_assert(smtp_client_ready(client));
	smtp_client_free(client);
	buffer_release(&sent);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-client");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, plays_whole, 0, COUNT(rows));
	tcase_add_loop_test(tests, plays_byte_by_byte, 0, COUNT(rows));
	tcase_add_test(tests, a_dot_that_was_cut_is_no_uncertainty);
	tcase_add_loop_test(tests, stuffs_dots_or_gives_up, 0,
	                    COUNT(source_rows));
	tcase_add_loop_test(tests, sends_no_bad_address, 0,
	                    COUNT(bad_addresses));
	tcase_add_loop_test(tests, needs_smtputf8_or_goes_without, 0,
	                    COUNT(utf8_rows));
	tcase_add_test(tests, probes_recipients);
	tcase_add_test(tests, reuses_a_session);
	tcase_add_test(tests, quits_after_the_transaction);
	tcase_add_test(tests, knows_its_deadlines);
	tcase_add_test(tests, sends_many_recipients_in_pieces);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/* The witness of an SMTP dialogue: what counts as sent, in rows. */
#include <check.h>
#include <string.h>

#include "cloud-service/mail/smtp-dialogue.h"
#include "tests/support/suite.h"

/*
 * Steps of a dialogue: 'w' the library writes, 'r' one read brings, 'b' the
 * body was handed over, 't' the handshake is done.
 */
struct step {
	char kind;
	const char *text;
};

#define OPENING                                                                \
	{'r', "220 hi\r\n"}, {'w', "EHLO me\r\n"},                             \
	{                                                                      \
		'r', "250 peer\r\n"                                            \
	}
#define ENVELOPE                                                               \
	{'w', "MAIL FROM:<>\r\n"}, {'r', "250 ok\r\n"},                        \
	    {'w', "RCPT TO:<a@b>\r\n"},                                        \
	{                                                                      \
		'r', "250 ok\r\n"                                              \
	}

static const struct row {
	const char *what;
	bool tls;
	struct step steps[24];
	bool accepted;
	int refusal;
	bool broken;
} rows[] = {
    {"the good case",
     false,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250 queued\r\n"}},
     true,
     0,
     false},
    {"pipelined",
     false,
     {OPENING,
      {'w', "MAIL FROM:<>\r\n"},
      {'r', "250 ok\r\n"},
      {'w', "RCPT TO:<a@b>\r\nDATA\r\n"},
      {'r', "250 ok\r\n354 go\r\n"},
      {'b', NULL},
      {'r', "250 queued\r\n"},
      {'w', "QUIT\r\n"},
      {'r', "221 bye\r\n"}},
     true,
     0,
     false},
    {"byte by byte",
     false,
     {{'r', "2"},
      {'r', "20 hi\r"},
      {'r', "\n"},
      {'w', "EH"},
      {'w', "LO me\r"},
      {'w', "\n"},
      {'r', "250-a\r\n250"},
      {'r', " b\r\n"},
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250"},
      {'r', " queued\r\n"}},
     true,
     0,
     false},
    {"no final answer",
     false,
     {OPENING, ENVELOPE, {'w', "DATA\r\n"}, {'r', "354 go\r\n"}, {'b', NULL}},
     false,
     0,
     false},
    {"final answer cut",
     false,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250 queu"}},
     false,
     0,
     false},
    {"250 in place of 354",
     false,
     {OPENING, ENVELOPE, {'w', "DATA\r\n"}, {'r', "250 done\r\n"}},
     false,
     0,
     false},
    {"354 and 250 at once",
     false,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n250 done\r\n"},
      {'b', NULL}},
     false,
     0,
     true},
    {"answer before the end of the message",
     false,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'r', "250 done\r\n"},
      {'b', NULL}},
     false,
     0,
     true},
    {"two answers to one command",
     false,
     {OPENING, {'w', "MAIL FROM:<>\r\n"}, {'r', "250 ok\r\n250 ok\r\n"}},
     false,
     0,
     true},
    {"more with the greeting",
     false,
     {{'r', "220 hi\r\n250 peer\r\n"}},
     false,
     0,
     true},
    {"no SMTP", false, {{'r', "SSH-2.0-OpenSSH\r\n"}}, false, 0, true},
    {"a code out of range", false, {{'r', "199 hi\r\n"}}, false, 0, true},
    {"an empty line",
     false,
     {OPENING, {'w', "MAIL FROM:<>\r\n"}, {'r', "\r\n"}},
     false,
     0,
     true},
    {"greeting refused", false, {{'r', "554 no\r\n"}}, false, 554, false},
    {"EHLO not understood, HELO refused",
     false,
     {{'r', "220 hi\r\n"},
      {'w', "EHLO me\r\n"},
      {'r', "502 what\r\n"},
      {'w', "HELO me\r\n"},
      {'r', "550 no\r\n"}},
     false,
     550,
     false},
    {"EHLO not understood, HELO taken",
     false,
     {{'r', "220 hi\r\n"},
      {'w', "EHLO me\r\n"},
      {'r', "502 what\r\n"},
      {'w', "HELO me\r\n"},
      {'r', "250 peer\r\n"}},
     false,
     0,
     false},
    {"sender refused",
     false,
     {OPENING, {'w', "MAIL FROM:<>\r\n"}, {'r', "550 no\r\n"}},
     false,
     550,
     false},
    {"recipient refused, message after all",
     false,
     {OPENING,
      {'w', "MAIL FROM:<>\r\n"},
      {'r', "250 ok\r\n"},
      {'w', "RCPT TO:<a@b>\r\nDATA\r\n"},
      {'r', "550 no\r\n354 go\r\n"},
      {'w', ".\r\n"},
      {'r', "250 ok\r\n"}},
     false,
     550,
     false},
    {"codes that differ",
     false,
     {{'r', "220-hi\r\n"}, {'r', "250 ok\r\n"}},
     false,
     0,
     true},
    {"recipient later",
     false,
     {OPENING,
      {'w', "MAIL FROM:<>\r\n"},
      {'r', "250 ok\r\n"},
      {'w', "RCPT TO:<a@b>\r\n"},
      {'r', "450 later\r\n"}},
     false,
     450,
     false},
    {"message refused",
     false,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "550 spam\r\n"}},
     false,
     550,
     false},
    {"TLS asked for and left out",
     true,
     {OPENING,
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250 queued\r\n"}},
     false,
     0,
     true},
    {"TLS",
     true,
     {OPENING,
      {'w', "STARTTLS\r\n"},
      {'r', "220 go\r\n"},
      {'t', NULL},
      {'w', "EHLO me\r\n"},
      {'r', "250 peer\r\n"},
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250 queued\r\n"}},
     true,
     0,
     false},
    {"text after the answer to STARTTLS",
     true,
     {OPENING,
      {'w', "STARTTLS\r\n"},
      {'r', "220 go\r\n250 injected\r\n"},
      {'t', NULL},
      {'w', "EHLO me\r\n"},
      {'r', "250 peer\r\n"},
      ENVELOPE,
      {'w', "DATA\r\n"},
      {'r', "354 go\r\n"},
      {'b', NULL},
      {'r', "250 queued\r\n"}},
     false,
     0,
     true},
    {"half a line after the answer to STARTTLS",
     true,
     {OPENING,
      {'w', "STARTTLS\r\n"},
      {'r', "220 go\r\n250-inj"},
      {'t', NULL},
      {'w', "EHLO me\r\n"},
      {'r', "250 peer\r\n"},
      ENVELOPE},
     false,
     0,
     true},
};

START_TEST(dialogue_rows)
{
	const struct row *row = &rows[_i];
	const struct step *step;
	struct dialogue dialogue;
	enum dialogue_command verb;
	int refusal;

	dialogue_init(&dialogue, row->tls);
	for (step = row->steps; step->kind; step++) {
		if (step->kind == 'w')
			dialogue_written(&dialogue, step->text,
			                 strlen(step->text));
		else if (step->kind == 'r')
			dialogue_read(&dialogue, step->text,
			              strlen(step->text));
		else if (step->kind == 'b')
			dialogue.body_sent = true;
		else
			dialogue_encrypted(&dialogue);
	}
	ck_assert_msg(dialogue_accepted(&dialogue) == row->accepted, "%s",
	              row->what);
	ck_assert_msg((dialogue.broken != NULL) == row->broken, "%s: %s",
	              row->what, dialogue.broken ? dialogue.broken : "fine");
	refusal = dialogue_refusal(&dialogue, &verb);
	ck_assert_msg(refusal == row->refusal, "%s: %d", row->what, refusal);
}
END_TEST

/* What each answer in its turn refuses is the command that it answers. */
START_TEST(refusal_names_its_command)
{
	static const struct {
		const char *command;
		enum dialogue_command verb;
	} turns[] = {
	    {NULL, DIALOGUE_GREETING},
	    {"EHLO me\r\n", DIALOGUE_HELLO},
	    {"MAIL FROM:<>\r\n", DIALOGUE_MAIL},
	    {"RCPT TO:<a@b>\r\n", DIALOGUE_RCPT},
	    {"DATA\r\n", DIALOGUE_DATA},
	    {NULL, DIALOGUE_DOT},
	};
	const int count = (int)(sizeof(turns) / sizeof(turns[0]));

	for (int refused = 0; refused < count; refused++) {
		enum dialogue_command verb;
		struct dialogue dialogue;

		dialogue_init(&dialogue, false);
		for (int i = 0; i <= refused; i++) {
			const char *answer = i == refused ? "550 no\r\n"
			                     : i == 4     ? "354 go\r\n"
			                                  : "250 ok\r\n";

			if (turns[i].command)
				dialogue_written(&dialogue, turns[i].command,
				                 strlen(turns[i].command));
			dialogue.body_sent = i == 5;
			dialogue_read(&dialogue, answer, strlen(answer));
		}
		ck_assert_int_eq(dialogue_refusal(&dialogue, &verb), 550);
		ck_assert_int_eq(verb, turns[refused].verb);
	}
}
END_TEST

START_TEST(endless_lines_and_commands)
{
	struct dialogue dialogue;
	int i;

	dialogue_init(&dialogue, false);
	for (i = 0; i < 100000; i++)
		dialogue_read(&dialogue, "2", 1);
	ck_assert_ptr_nonnull(dialogue.broken);
	dialogue_init(&dialogue, false);
	for (i = 0; i < 1000; i++)
		dialogue_written(&dialogue, "NOOP\r\n", 6);
	ck_assert_ptr_nonnull(dialogue.broken);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-smtp-dialogue");
	TCase *tcase = tcase_create("rows");

	tcase_add_loop_test(tcase, dialogue_rows, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, refusal_names_its_command);
	tcase_add_test(tcase, endless_lines_and_commands);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}

/* Checks that every answer of an SMTP server belongs to a command. */
#include "cloud-service/mail/smtp-dialogue.h"

#include <string.h>
#include <strings.h>

#define MAXIMUM_LINE 1000 /* of a reply; the library splits longer ones */

void dialogue_init(struct dialogue *dialogue, bool require_tls)
{
	memset(dialogue, 0, sizeof(*dialogue));
	dialogue->require_tls = require_tls;
	dialogue->waiting[0] = DIALOGUE_GREETING;
	dialogue->waiting_count = 1;
}

static void break_off(struct dialogue *dialogue, const char *why)
{
	if (!dialogue->broken)
		dialogue->broken = why;
}

static void await(struct dialogue *dialogue, enum dialogue_command command)
{
	if (dialogue->waiting_count == DIALOGUE_MAXIMUM) {
		break_off(dialogue, "too many commands without an answer");
		return;
	}
	dialogue->waiting[dialogue->waiting_count++] = command;
}

static enum dialogue_command command_of(const char *line)
{
	static const struct {
		const char *word;
		enum dialogue_command command;
	} table[] = {
	    {"EHLO", DIALOGUE_HELLO},        {"HELO", DIALOGUE_HELLO},
	    {"STARTTLS", DIALOGUE_STARTTLS}, {"MAIL", DIALOGUE_MAIL},
	    {"RCPT", DIALOGUE_RCPT},         {"DATA", DIALOGUE_DATA},
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strncasecmp(line, table[i].word, strlen(table[i].word)))
			return table[i].command;
	return DIALOGUE_OTHER;
}

static void command_written(struct dialogue *dialogue)
{
	enum dialogue_command command = command_of(dialogue->command);

	if (command == DIALOGUE_MAIL && dialogue->require_tls && !dialogue->tls)
		break_off(dialogue, "MAIL without encryption");
	await(dialogue, command);
}

void dialogue_written(struct dialogue *dialogue, const char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			dialogue->command[dialogue->command_length] = '\0';
			command_written(dialogue);
			dialogue->command_length = 0;
		} else if (dialogue->command_length + 1 <
		           sizeof(dialogue->command)) {
			dialogue->command[dialogue->command_length++] =
			    bytes[i];
		}
	}
}

static int code_of(const char *line)
{
	int code = 0;
	size_t i;

	for (i = 0; i < 3; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -1;
		code = code * 10 + (line[i] - '0');
	}
	return code;
}

static void keep(struct dialogue *dialogue, int *code, int value)
{
	*code = value;
	memcpy(dialogue->last, dialogue->reply, sizeof(dialogue->last));
}

/* The last line of a reply was read. */
static void reply_complete(struct dialogue *dialogue, int code)
{
	enum dialogue_command command;

	if (dialogue->waiting_count == 0) {
		break_off(dialogue, "an answer came before its command");
		return;
	}
	command = dialogue->waiting[0];
	memmove(dialogue->waiting, dialogue->waiting + 1,
	        --dialogue->waiting_count * sizeof(dialogue->waiting[0]));
	switch (command) {
	case DIALOGUE_GREETING:
		keep(dialogue, &dialogue->greeting_code, code);
		break;
	case DIALOGUE_MAIL:
		keep(dialogue, &dialogue->mail_code, code);
		break;
	case DIALOGUE_RCPT:
		keep(dialogue, &dialogue->rcpt_code, code);
		break;
	case DIALOGUE_DATA:
		/* After a refused RCPT its answer is the one that matters. */
		if (dialogue->rcpt_code / 100 != 2)
			break; /* the library sends a dot alone, as a line */
		keep(dialogue, &dialogue->data_code, code);
		if (code == 354)
			await(dialogue, DIALOGUE_DOT);
		break;
	case DIALOGUE_DOT:
		if (!dialogue->body_sent)
			break_off(dialogue, "an answer to the message came "
			                    "before its end was sent");
		else
			keep(dialogue, &dialogue->final_code, code);
		break;
	case DIALOGUE_HELLO: /* of HELO, where EHLO was not understood */
		keep(dialogue, &dialogue->hello_code, code);
		break;
	case DIALOGUE_STARTTLS:
	case DIALOGUE_OTHER:
		break;
	}
}

static void line_complete(struct dialogue *dialogue, bool last_of_read)
{
	bool starttls = dialogue->waiting_count > 0 &&
	                dialogue->waiting[0] == DIALOGUE_STARTTLS;
	int code;

	dialogue->reply[dialogue->reply_length] = '\0';
	code = dialogue->reply_length < 3 ? -1 : code_of(dialogue->reply);
	if (dialogue->reply_code == 0)
		dialogue->reply_code = code;
	if (code < 200 || code > 599 || code != dialogue->reply_code) {
		break_off(dialogue, "an answer that is no SMTP reply");
	} else if (dialogue->reply[3] != '-') {
		dialogue->reply_code = 0;
		reply_complete(dialogue, code);
		/* What stands here in the clear would be read as if it had
		 * come through TLS. */
		if (starttls && code / 100 == 2 && !last_of_read)
			break_off(dialogue, "text after the answer to "
			                    "STARTTLS");
	}
	dialogue->reply_length = 0;
	dialogue->line_length = 0;
}

void dialogue_read(struct dialogue *dialogue, const char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			line_complete(dialogue, i + 1 == size);
			continue;
		}
		if (++dialogue->line_length > MAXIMUM_LINE)
			break_off(dialogue, "an answer with too long a line");
		if (bytes[i] != '\r' &&
		    dialogue->reply_length + 1 < sizeof(dialogue->reply))
			dialogue->reply[dialogue->reply_length++] = bytes[i];
	}
}

void dialogue_encrypted(struct dialogue *dialogue)
{
	dialogue->tls = true;
	if (dialogue->line_length > 0 || dialogue->waiting_count > 0)
		break_off(dialogue, "out of step at the TLS handshake");
}

bool dialogue_accepted(const struct dialogue *dialogue)
{
	return !dialogue->broken && dialogue->mail_code / 100 == 2 &&
	       dialogue->rcpt_code / 100 == 2 && dialogue->data_code == 354 &&
	       dialogue->body_sent && dialogue->final_code / 100 == 2;
}

int dialogue_refusal(const struct dialogue *dialogue,
                     enum dialogue_command *verb)
{
	const struct {
		int code;
		enum dialogue_command verb;
	} answers[] = {
	    {dialogue->greeting_code, DIALOGUE_GREETING},
	    {dialogue->hello_code, DIALOGUE_HELLO},
	    {dialogue->mail_code, DIALOGUE_MAIL},
	    {dialogue->rcpt_code, DIALOGUE_RCPT},
	    {dialogue->data_code, DIALOGUE_DATA},
	    {dialogue->final_code, DIALOGUE_DOT},
	};
	size_t i;

	if (dialogue->broken)
		return 0;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].code / 100 == 4 || answers[i].code / 100 == 5) {
			*verb = answers[i].verb;
			return answers[i].code;
		}
	return 0;
}

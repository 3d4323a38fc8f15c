/* Whose fault a smarthost's refusal is, as a table. */
#include "cloud-service/mail/smarthost-refusal.h"

#include <ctype.h>
#include <string.h>

#define VERB(command) (1U << (command))
#define GREETINGS     (VERB(DIALOGUE_GREETING) | VERB(DIALOGUE_HELLO))
#define MAIL          VERB(DIALOGUE_MAIL)
#define RCPT          VERB(DIALOGUE_RCPT)
#define BODY          (VERB(DIALOGUE_DATA) | VERB(DIALOGUE_DOT))
#define ANY           (~0U)

/*
 * The first row that fits decides. An enhanced code that ends with a dot stands
 * for all that begin with it; a word is looked for in the text in small letters
 * without its addresses.
 */
static const struct row {
	unsigned verbs;
	int code;             /* 0: any */
	const char *enhanced; /* NULL: any, or none */
	const char *word;     /* NULL: any text */
	enum refusal refusal;
} rows[] = {
    /* RFC 4954 section 6: authentication. */
    {ANY, 530, NULL, NULL, REFUSAL_OF_US},
    {ANY, 534, NULL, NULL, REFUSAL_OF_US},
    {ANY, 535, NULL, NULL, REFUSAL_OF_US},
    {ANY, 538, NULL, NULL, REFUSAL_OF_US},
    {GREETINGS, 0, NULL, NULL, REFUSAL_OF_US},
    /* RFC 1870 section 6.1: SIZE is declared with MAIL. */
    {MAIL, 552, NULL, NULL, REFUSAL_OF_MESSAGE},
    {MAIL, 0, "5.3.4", NULL, REFUSAL_OF_MESSAGE},
    {MAIL, 0, "5.2.3", NULL, REFUSAL_OF_MESSAGE},
    {MAIL, 0, NULL, NULL, REFUSAL_OF_US},
    {RCPT, 0, "5.1.1", NULL, REFUSAL_NOBODY_THERE},
    {RCPT, 0, "5.1.2", NULL, REFUSAL_NOBODY_THERE},
    {RCPT, 0, "5.1.10", NULL, REFUSAL_NOBODY_THERE},
    /* The sender's address, and policy: RFC 3463 sections 3.2 and 3.8. */
    {ANY, 0, "5.1.7", NULL, REFUSAL_OF_US},
    {ANY, 0, "5.1.8", NULL, REFUSAL_OF_US},
    {ANY, 0, "5.7.", NULL, REFUSAL_OF_US},
    {RCPT, 0, "5.1.3", NULL, REFUSAL_OF_RECIPIENT},
    {RCPT, 0, "5.1.6", NULL, REFUSAL_OF_RECIPIENT},
    {RCPT, 0, "5.2.", NULL, REFUSAL_OF_RECIPIENT},
    {BODY, 0, "5.1.", NULL, REFUSAL_OF_RECIPIENT},
    /* The dialogue itself is not to the server's liking. */
    {RCPT, 0, "5.5.", NULL, REFUSAL_OF_US},
    {RCPT, 503, NULL, NULL, REFUSAL_OF_US},
    /* Without a code that says more. */
    {RCPT | BODY, 0, NULL, "relay", REFUSAL_OF_US},
    {RCPT | BODY, 0, NULL, "sender", REFUSAL_OF_US},
    {RCPT | BODY, 0, NULL, "authenticat", REFUSAL_OF_US},
    {RCPT | BODY, 0, NULL, "not authori", REFUSAL_OF_US},
    {RCPT, 0, NULL, "block", REFUSAL_OF_US},
    {RCPT, 0, NULL, "access denied", REFUSAL_OF_US},
    {RCPT, 0, NULL, "client", REFUSAL_OF_US},
    {RCPT, 0, NULL, "helo", REFUSAL_OF_US},
    {RCPT, 0, NULL, NULL, REFUSAL_OF_RECIPIENT},
    {ANY, 0, NULL, NULL, REFUSAL_OF_MESSAGE},
};

/* Copies text in small letters, what stands in <> and words with an @ left
 * out. */
static void plain_words(const char *text, char words[DIALOGUE_REPLY_SIZE])
{
	size_t length = 0;

	while (*text && length + 1 < DIALOGUE_REPLY_SIZE) {
		size_t word = strcspn(text, " <");

		if (*text == '<') {
			text += strcspn(text, ">");
		} else if (*text == ' ' || memchr(text, '@', word)) {
			words[length++] = ' ';
			text += word ? word : 1;
		} else {
			for (; word > 0 && length + 1 < DIALOGUE_REPLY_SIZE;
			     word--)
				words[length++] =
				    (char)tolower((unsigned char)*text++);
		}
		text += *text == '>';
	}
	words[length] = '\0';
}

static bool code_fits(const char *wanted, const char *enhanced)
{
	size_t length = strlen(wanted);

	return wanted[length - 1] == '.' ? !strncmp(wanted, enhanced, length)
	                                 : !strcmp(wanted, enhanced);
}

enum refusal refusal_judge(enum dialogue_command verb, int code,
                           const char *enhanced, const char *text)
{
	char words[DIALOGUE_REPLY_SIZE];
	const struct row *row;

	if (code / 100 != 5)
		return REFUSAL_FOR_NOW;
	plain_words(text, words);
	for (row = rows;; row++) /* the last one fits all */
		if (row->verbs & VERB(verb) &&
		    (!row->code || row->code == code) &&
		    (!row->enhanced || code_fits(row->enhanced, enhanced)) &&
		    (!row->word || strstr(words, row->word)))
			return row->refusal;
}

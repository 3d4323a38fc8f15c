/* Received and X-Turing-* headers. */
#include "local-agent/delivery/trace.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

#define LINE_MAXIMUM 76 /* bytes before a word goes to the next line */
#define WORD_SIZE    300

/* A header that is being written, word by word. */
struct folder {
	struct buffer *out;
	size_t column;
};

static void put(struct folder *folder, const char *text)
{
	(void)buffer_append_text(folder->out, text);
	folder->column += strlen(text);
}

/* Puts a word, on a line of its own where it would not fit on this one. */
static void put_word(struct folder *folder, const char *word)
{
	if (folder->column + 1 + strlen(word) > LINE_MAXIMUM) {
		put(folder, "\r\n\t");
		folder->column = 8;
	} else {
		put(folder, " ");
	}
	put(folder, word);
}

static void put_end(struct folder *folder)
{
	put(folder, "\r\n");
	folder->column = 0;
}

/*
 * Copies what may stand in a Received header: what a client said about
 * itself could otherwise end the line or open a comment.
 */
static const char *harmless(const char *text, char *word, size_t size)
{
	size_t used = 0;

	for (; *text && used + 1 < size; text++) {
		unsigned char byte = (unsigned char)*text;

		word[used++] =
		    isalnum(byte) || strchr("-._:[]@+=/", byte) ? *text : '?';
	}
	word[used] = '\0';
	return word;
}

static void put_client(struct folder *folder,
                       const struct spool_message *message)
{
	char helo[WORD_SIZE], name[WORD_SIZE], address[80], text[WORD_SIZE];
	const char *prefix =
	    strchr(message->client_address, ':') ? "IPv6:" : "";

	(void)harmless(message->helo, helo, sizeof(helo));
	(void)harmless(message->client_name, name, sizeof(name));
	(void)harmless(message->client_address, address, sizeof(address));
	put_word(folder, "from");
	put_word(folder, *helo ? helo : "unknown");
	if (*name) {
		(void)snprintf(text, sizeof(text), "(%.250s", name);
		put_word(folder, text);
		(void)snprintf(text, sizeof(text), "[%s%s])", prefix, address);
	} else {
		(void)snprintf(text, sizeof(text), "([%s%s])", prefix, address);
	}
	put_word(folder, text);
}

static void put_date(struct folder *folder, int64_t received_ms)
{
	char when[CLOCK_TEXT_SIZE], *word, *rest = when;

	(void)clock_format_rfc5322(received_ms, when);
	while ((word = strsep(&rest, " ")))
		put_word(folder, word);
}

/* As RFC 3848 and RFC 6531 section 4.3 register them. */
static const char *protocol_name(const struct spool_message *message)
{
	if (message->smtputf8)
		return "UTF8SMTP";
	return strcmp(message->protocol, "SMTP") == 0 ? "SMTP" : "ESMTP";
}

static void put_received(struct folder *folder,
                         const struct spool_message *message,
                         const char *recipient, const char *hostname)
{
	char id[ID_TEXT_SIZE], text[WORD_SIZE + 48];

	put(folder, "Received:");
	if (id_is_none(&message->dsn_of)) /* else it began here */
		put_client(folder, message);
	put_word(folder, "by");
	put_word(folder, hostname);
	put_word(folder, "(turing-agent)");
	put_word(folder, "with");
	put_word(folder, protocol_name(message));
	put_word(folder, "id");
	(void)snprintf(text, sizeof(text), "%s%s", id_format(&message->id, id),
	               recipient ? "" : ";");
	put_word(folder, text);
	if (recipient) {
		(void)snprintf(text, sizeof(text), "<%s>;", recipient);
		put_word(folder, "for");
		put_word(folder, text);
	}
	put_date(folder, message->received_ms);
	put_end(folder);
}

/* Who let the message through: a word, or "several". */
static const char *decided_by(const struct spool_message *message,
                              const size_t *recipients, size_t count,
                              char *word, size_t size)
{
	const char *first = message->recipients[recipients[0]].by;
	size_t i;

	for (i = 1; i < count; i++)
		if (strcmp(message->recipients[recipients[i]].by, first) != 0)
			return "several";
	return *harmless(first, word, size) ? word : "unknown";
}

/* A recipient that can be named: one alone, without surprises in it. */
static const char *named_recipient(const struct spool_message *message,
                                   const size_t *recipients, size_t count)
{
	const char *address;
	size_t i;

	if (count != 1)
		return NULL;
	address = message->recipients[recipients[0]].address;
	for (i = 0; address[i]; i++)
		if (address[i] <= ' ' || address[i] > '~' ||
		    strchr("<>()\\\"", address[i]))
			return NULL;
	return i > 0 && i < WORD_SIZE ? address : NULL;
}

void trace_print(const struct spool_message *message, const size_t *recipients,
                 size_t count, const char *hostname, struct buffer *out)
{
	struct folder folder = {.out = out};
	char text[ID_TEXT_SIZE], word[64];

	put_received(&folder, message,
	             named_recipient(message, recipients, count), hostname);
	put(&folder, "X-Turing-Id:");
	put_word(&folder, id_format(&message->id, text));
	put_end(&folder);
	put(&folder, "X-Turing-Verdict:");
	put_word(&folder, "deliver;");
	(void)snprintf(
	    text, sizeof(text), "by=%.30s",
	    decided_by(message, recipients, count, word, sizeof(word)));
	put_word(&folder, text);
	put_end(&folder);
}

/* The next word at *text, which then stands behind it; its length, or 0. */
static size_t next_word(const char **text, const char **word)
{
	size_t length;

	*word = *text + strspn(*text, " \t");
	length = strcspn(*word, " \t");
	*text = *word + length;
	return length;
}

static bool is_word(const char *word, size_t length, const char *wanted)
{
	return strlen(wanted) == length &&
	       strncasecmp(word, wanted, length) == 0;
}

bool trace_is_own(const char *received, const char *hostname)
{
	const char *const wanted[] = {"by", hostname, "(turing-agent)"};
	size_t length, matched = 0;
	const char *word;

	while (matched < 3 && (length = next_word(&received, &word)) > 0) {
		if (is_word(word, length, wanted[matched]))
			matched++;
		else
			matched = is_word(word, length, wanted[0]);
	}
	return matched == 3;
}

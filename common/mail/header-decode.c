/* Encoded words (RFC 2047) of a header value into clean UTF-8. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/lexical.h"
#include "common/text.h"

#define CHARSET_SIZE 40
#define WORD_BYTES   4096 /* decoded bytes of adjacent words, at a time */

/* RFC 2047 says 75; what passes this is shown as it stands. */
#define WORD_MAXIMUM 8192

/* The text being written: always NUL-terminated, never cut in a character. */
struct writer {
	char *text;
	size_t size;
	size_t length;
	bool full;
};

static void write_bytes(struct writer *w, const char *bytes, size_t size)
{
	if (w->full || w->length + size >= w->size) {
		w->full = true;
		return;
	}
	memcpy(w->text + w->length, bytes, size);
	w->length += size;
	w->text[w->length] = '\0';
}

/* Controls, and what turns the direction of the text around it. */
static bool is_control(unsigned code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
	       (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0x2028 ||
	       code == 0x2029;
}

static void write_utf8(const char *bytes, size_t size, void *context)
{
	struct writer *w = context;

	while (size > 0 && !w->full) {
		uint32_t code = 0;
		size_t length = text_utf8_read(bytes, size, &code);

		if (length == 0)
			write_bytes(w, "\xef\xbf\xbd", 3);
		else if (is_control(code))
			write_bytes(w, " ", 1);
		else
			write_bytes(w, bytes, length);
		length = length ? length : 1;
		bytes += length;
		size -= length;
	}
}

/* Adjacent words of one charset, whose characters may be cut between them. */
struct pending {
	char charset[CHARSET_SIZE];
	char bytes[WORD_BYTES];
	size_t length;
};

static void flush(struct writer *w, struct pending *p)
{
	mail_charset_convert(p->charset, p->bytes, p->length, write_utf8, w);
	p->length = 0;
}

static void pending_put(struct writer *w, struct pending *p, char c)
{
	if (p->length == sizeof(p->bytes))
		flush(w, p);
	p->bytes[p->length++] = c;
}

static void decode_q(struct writer *w, struct pending *p, const char *text,
                     const char *end)
{
	for (; text < end; text++) {
		int high = -1, low = -1;

		if (*text == '=' && end - text > 2) {
			high = text_hex_value(text[1]);
			low = text_hex_value(text[2]);
		}
		if (high >= 0 && low >= 0) {
			pending_put(w, p, (char)(high << 4 | low));
			text += 2;
		} else {
			pending_put(w, p, *text == '_' ? ' ' : *text);
		}
	}
}

static int base64_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
	                             "pqrstuvwxyz0123456789+/";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

static void decode_b(struct writer *w, struct pending *p, const char *text,
                     const char *end)
{
	unsigned bits = 0, count = 0;

	for (; text < end && *text != '='; text++) {
		int value = base64_value(*text);

		if (value < 0)
			continue;
		bits = (bits << 6 | (unsigned)value) & 0xffffff;
		count += 6;
		if (count >= 8) {
			count -= 8;
			pending_put(w, p, (char)(bits >> count & 0xff));
		}
	}
}

/* An encoded word: "=?charset?B?text?=". */
struct word {
	char charset[CHARSET_SIZE];
	char encoding; /* 'b' or 'q' */
	const char *text;
	const char *text_end;
	const char *next;
};

/* Reads the word at text; spaces inside, which some mailers leave, pass. */
static bool read_word(const char *text, struct word *word)
{
	size_t length = strcspn(text + 2, "?* \t"), whole;
	const char *p;

	if (length == 0 || length >= sizeof(word->charset))
		return false;
	memcpy(word->charset, text + 2, length);
	word->charset[length] = '\0';
	whole = length + strcspn(text + 2 + length, "? \t");
	p = text + 2 + whole;
	if (p[0] != '?' || !p[1] || p[2] != '?')
		return false;
	word->encoding = mail_ascii_lower(p[1]);
	word->text = p + 3;
	word->text_end =
	    memmem(word->text, strnlen(word->text, WORD_MAXIMUM), "?=", 2);
	if (!word->text_end || (word->encoding != 'b' && word->encoding != 'q'))
		return false;
	word->next = word->text_end + 2;
	return mail_charset_known(word->charset);
}

static const char *skip_blank(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

static const char *take_word(struct writer *w, struct pending *p,
                             const struct word *word)
{
	const char *next = skip_blank(word->next);

	if (p->length > 0 && strcasecmp(p->charset, word->charset) != 0)
		flush(w, p);
	memcpy(p->charset, word->charset, sizeof(p->charset));
	if (word->encoding == 'b')
		decode_b(w, p, word->text, word->text_end);
	else
		decode_q(w, p, word->text, word->text_end);
	/* White space between two encoded words is not part of the text. */
	if (next != word->next && next[0] == '=' && next[1] == '?') {
		struct word following;

		if (read_word(next, &following))
			return next;
	}
	return word->next;
}

/* The bytes of ASCII that text begins with. */
static size_t ascii_length(const char *text)
{
	size_t length = 0;

	while (text[length] && (unsigned char)text[length] < 0x80)
		length++;
	return length;
}

/* Of bytes that nobody labelled; UTF-8 may be cut within its last letter. */
static const char *raw_charset(const char *value)
{
	size_t length = strlen(value), cut = 0;

	if (mail_charset_is_utf8(value, length))
		return "utf-8";
	while (cut < 3 && cut < length &&
	       !mail_charset_is_utf8(value, length - cut))
		cut++;
	/* There is other UTF-8 in it. */
	return ascii_length(value) + cut < length &&
	               mail_charset_is_utf8(value, length - cut)
	           ? "utf-8"
	           : "cp1252";
}

char *mail_header_decode(const char *value, char *text, size_t size)
{
	struct writer w = {.text = text, .size = size};
	struct pending p = {.length = 0};
	const char *raw = raw_charset(value);

	if (size == 0)
		return text;
	text[0] = '\0';
	while (*value && !w.full) {
		const char *plain = value;
		struct word word;

		if (value[0] == '=' && value[1] == '?' &&
		    read_word(value, &word)) {
			value = take_word(&w, &p, &word);
			continue;
		}
		flush(&w, &p);
		value += strcspn(value + 1, "=") + 1;
		mail_charset_convert(raw, plain, (size_t)(value - plain),
		                     write_utf8, &w);
	}
	flush(&w, &p);
	return text;
}

/* Addresses, subjects and header fields compared with automatic.tab. */
#include "common/mail/automatic.h"

#include <string.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/automatic-table.h"
#include "common/mail/fold.h"
#include "common/mail/lexical.h"

/* Of a subject and of a field's value, as far as they are compared. */
#define TEXT_SIZE 1024

#define FIELD_NAME_SIZE 80

/* --- addresses ----------------------------------------------------------- */

/* A local part, or a label of a domain, made comparable. */
struct local {
	/* Its words with "-" between them, "#" for a number. */
	char plain[MAIL_ADDRESS_SIZE];
	/* Its letters alone, and where words begin among them. */
	char letters[MAIL_ADDRESS_SIZE];
	bool begins[MAIL_ADDRESS_SIZE];
	size_t count;
	bool composed; /* "+" or "=": a program put it together */
};

static bool is_letter(char c)
{
	return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Whether a word ends at text: at its end, a separator or a number. */
static bool word_ends(const char *text)
{
	return !*text || *text == '-' || *text == '#';
}

static void local_read(struct local *local, const char *bytes, size_t size)
{
	char copy[MAIL_ADDRESS_SIZE], folded[MAIL_ADDRESS_SIZE];
	size_t length = size < sizeof(copy) ? size : sizeof(copy) - 1;
	const char *p;
	char *to;

	memset(local, 0, sizeof(*local));
	to = local->plain;
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	local->composed = strpbrk(copy, "+=") != NULL;
	(void)mail_fold_text(copy, folded, sizeof(folded));
	for (p = folded; *p; p++) {
		char last = to == local->plain ? '-' : to[-1];

		if (is_letter(*p)) {
			local->begins[local->count] = !is_letter(last);
			local->letters[local->count++] = *p;
			*to++ = *p;
		} else if (is_digit(*p)) {
			if (last != '#')
				*to++ = '#';
		} else if (last != '-' && *p != '\'') {
			*to++ = '-';
		}
	}
	if (to > local->plain && to[-1] == '-')
		to--;
	*to = '\0';
	local->begins[local->count] = true;
}

static bool begins_between(const struct local *local, size_t from, size_t to)
{
	for (; from < to; from++)
		if (local->begins[from])
			return true;
	return false;
}

/*
 * Whether a phrase that was found at a place stands for the whole address: it
 * is in the first or the last word, or has a language's code behind it. People
 * may have such a word among their names.
 */
static bool phrase_counts(const struct local *local, size_t at, size_t length)
{
	size_t end = at + length;
	bool whole = local->begins[at] && local->begins[end];

	if (!local->begins[at] && !local->begins[end])
		return false;
	if (length < 7 && !whole)
		return false;
	return local->composed || !begins_between(local, 1, at + 1) ||
	       !begins_between(local, end, local->count) ||
	       local->count - end <= 2;
}

static bool has_phrase(const struct local *local)
{
	const struct automatic_rows *rows =
	    automatic_rows(AUTOMATIC_ROLE_PHRASE);
	size_t i;

	for (i = 0; i < rows->count; i++) {
		const struct automatic_row *row = &rows->rows[i];
		const char *found = local->letters;

		for (; (found = strstr(found, row->text)); found++)
			if (phrase_counts(local,
			                  (size_t)(found - local->letters),
			                  row->length))
				return true;
	}
	return false;
}

/*
 * Numbers, and words of two letters, may stand behind a name. A single letter
 * is the initial of a person ("travis.b").
 */
static bool name_ends(const char *rest)
{
	while (*rest) {
		size_t letters = 0;

		if (*rest == '-' || *rest == '#') {
			rest++;
			continue;
		}
		while (is_letter(rest[letters]))
			letters++;
		if (letters != 2)
			return false;
		rest += letters;
	}
	return true;
}

/* Whether plain is the name, whose words may stand apart or together. */
static bool is_named(const char *plain, const char *name)
{
	for (; *name; name++) {
		if (*name == ' ') {
			plain += *plain == '-';
			continue;
		}
		if (*plain++ != (is_digit(*name) ? '#' : *name))
			return false;
	}
	return word_ends(plain) && name_ends(plain);
}

static bool has_word(const char *plain, const struct automatic_row *row)
{
	const char *found = plain;

	for (; (found = strstr(found, row->text)); found++)
		if ((found == plain || !is_letter(found[-1])) &&
		    word_ends(found + row->length))
			return true;
	return false;
}

static bool row_is_of(enum automatic_place place,
                      const struct automatic_row *row,
                      const struct local *local)
{
	const char *plain = local->plain;
	size_t length = strlen(plain);

	switch (place) {
	case AUTOMATIC_ROLE_NAME:
		return is_named(plain, row->text);
	case AUTOMATIC_ROLE_WORD:
		return has_word(plain, row);
	case AUTOMATIC_ROLE_PREFIX:
		return strncmp(plain, row->text, row->length) == 0;
	case AUTOMATIC_ROLE_SUFFIX:
		return length > row->length &&
		       strcmp(plain + length - row->length, row->text) == 0;
	case AUTOMATIC_ROLE_PART:
		return strstr(plain, row->text) != NULL;
	default: /* a domain's label */
		return strncmp(plain, row->text, row->length) == 0 &&
		       name_ends(plain + row->length) &&
		       word_ends(plain + row->length);
	}
}

static bool any_row(enum automatic_place place, const struct local *local)
{
	struct automatic_rows rows = automatic_rows_for(place, local->plain);
	size_t i;

	for (i = 0; i < rows.count; i++)
		if (row_is_of(place, &rows.rows[i], local))
			return true;
	return false;
}

bool automatic_address(const char *address)
{
	static const enum automatic_place places[] = {
	    AUTOMATIC_ROLE_NAME, AUTOMATIC_ROLE_WORD, AUTOMATIC_ROLE_PREFIX,
	    AUTOMATIC_ROLE_SUFFIX, AUTOMATIC_ROLE_PART};
	const char *at = strrchr(address, '@');
	const char *domain = mail_address_domain(address);
	struct local local;
	size_t i;

	local_read(&local, address,
	           at ? (size_t)(at - address) : strlen(address));
	if (has_phrase(&local))
		return true;
	for (i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (any_row(places[i], &local))
			return true;
	local_read(&local, domain, strcspn(domain, "."));
	return strchr(domain, '.') &&
	       (any_row(AUTOMATIC_ROLE_DOMAIN, &local) || has_phrase(&local));
}

/* --- subjects ---------------------------------------------------------------
 */

/* A letter or digit of a script that puts spaces between words. */
static bool is_word_byte(const char *at)
{
	unsigned char c = (unsigned char)*at;

	/* Latin, Greek, Cyrillic: two bytes of UTF-8, begun by 0xc3 to 0xd3. */
	return is_letter(*at) ? c < 0x80 || (c >= 0xc3 && c <= 0xd3)
	                      : is_digit(*at);
}

/* Whether text ends a word that began before it. */
static bool is_boundary(const char *text)
{
	return !is_word_byte(text);
}

/* Whether a word begins at found, which lies in text. */
static bool begins_word(const char *text, const char *found)
{
	const char *before = found - 1;

	if (found == text || !is_word_byte(found))
		return true;
	while (before > text && ((unsigned char)*before & 0xc0) == 0x80)
		before--;
	return !is_word_byte(before);
}

/*
 * A sign that sets the phrase before it apart from the rest of the subject; the
 * number of an order does too.
 */
static bool is_sign(const char *text, enum automatic_class class)
{
	if (!*text)
		return true;
	if (*text == ' ')
		text++;
	else if (*text == '-')
		return false;
	if (is_digit(*text))
		return class == AUTOMATIC_ORDER;
	return !is_word_byte(text) && !is_letter(*text);
}

static bool starts_with(const char *text, const struct automatic_row *row)
{
	const char *rest = text + row->length;

	if (strncmp(text, row->text, row->length) != 0)
		return false;
	if (*rest == ':')
		return true;
	if (row->mark == ':' || strchr(text, '?'))
		return false;
	return row->mark == '*' ? is_boundary(rest) || !is_word_byte(rest - 1)
	                        : is_sign(rest, row->class);
}

static bool has_words(const char *text, const char *words, size_t length)
{
	const char *found = text;

	for (; (found = strstr(found, words)); found++)
		if (begins_word(text, found) && is_boundary(found + length))
			return true;
	return false;
}

static bool ends_with(const char *text, const struct automatic_row *row)
{
	size_t length = strlen(text);

	while (length > 0 && strchr(".! ", text[length - 1]))
		length--;
	return length > row->length &&
	       strncmp(text + length - row->length, row->text, row->length) ==
	           0 &&
	       text[length - row->length - 1] == ' ';
}

/* Whether a number of six to eight digits stands in text. */
static bool has_code_number(const char *text)
{
	while (*(text += strcspn(text, "0123456789"))) {
		size_t digits = strspn(text, "0123456789");

		if (digits >= 6 && digits <= 8)
			return true;
		text += digits;
	}
	return false;
}

static bool subject_is(enum automatic_place place,
                       const struct automatic_row *row, const char *text)
{
	switch (place) {
	case AUTOMATIC_PART:
		return has_words(text, row->text, row->length) &&
		       (row->mark != ':' ||
		        strstr(text, row->text)[row->length] == ':');
	case AUTOMATIC_END:
		return ends_with(text, row);
	case AUTOMATIC_CODE:
		return has_words(text, row->text, row->length);
	default:
		return starts_with(text, row);
	}
}

static enum automatic_class find_subject(enum automatic_place place,
                                         const char *text)
{
	struct automatic_rows rows = automatic_rows_for(place, text);
	size_t i;

	for (i = 0; i < rows.count; i++)
		if (subject_is(place, &rows.rows[i], text))
			return rows.rows[i].class;
	return AUTOMATIC_NONE;
}

static bool is_persons(const char *text)
{
	struct automatic_rows rows = automatic_rows_for(AUTOMATIC_PERSON, text);
	size_t i;

	for (i = 0; i < rows.count; i++) {
		const struct automatic_row *row = &rows.rows[i];
		const char *rest = text + row->length;

		if (strncmp(text, row->text, row->length) != 0)
			continue;
		if (*rest == ':' || (row->mark == '*' && is_boundary(rest) &&
		                     *rest && *rest != '-'))
			return true;
	}
	return false;
}

/* The class of a tag in brackets, "[" or U+3010 and their likes. */
static enum automatic_class find_tag(const char *tag, size_t length)
{
	struct automatic_rows rows = automatic_rows_for(AUTOMATIC_TAG, tag);
	size_t i;

	for (i = 0; i < rows.count; i++)
		if (rows.rows[i].length == length &&
		    strncmp(rows.rows[i].text, tag, length) == 0)
			return rows.rows[i].class;
	return AUTOMATIC_NONE;
}

/*
 * Takes tags off the front of text: "[queue #4711] ", U+3010 to U+3011, and
 * those of spam filters, "***SPAM*** ".
 */
static const char *take_tags(const char *text, enum automatic_class *class)
{
	static const struct {
		const char *open, *close;
	} brackets[] = {{"[", "]"},
	                {"(", ")"},
	                {"{", "}"},
	                {"***", "***"},
	                {"\xe3\x80\x90", "\xe3\x80\x91"}};
	size_t i;

	for (i = 0; i < sizeof(brackets) / sizeof(*brackets); i++) {
		size_t size = strlen(brackets[i].open);
		const char *end;

		if (strncmp(text, brackets[i].open, size) != 0)
			continue;
		end = strstr(text + size, brackets[i].close);
		if (!end)
			return text;
		if (*class == AUTOMATIC_NONE)
			*class =
			    find_tag(text + size, (size_t)(end - text) - size);
		end += size;
		return take_tags(end + strspn(end, " "), class);
	}
	return text;
}

enum automatic_class automatic_subject(const char *value, bool answers)
{
	char decoded[TEXT_SIZE], folded[TEXT_SIZE];
	enum automatic_class class = AUTOMATIC_NONE;
	const char *text;

	if (!value)
		return AUTOMATIC_NONE;
	(void)mail_fold_text(
	    mail_header_decode(value, decoded, sizeof(decoded)), folded,
	    sizeof(folded));
	text = take_tags(folded, &class);
	if (class != AUTOMATIC_NONE)
		return class;
	if (is_persons(text))
		return AUTOMATIC_HUMAN;
	class = find_subject(AUTOMATIC_START, text);
	if (class == AUTOMATIC_NONE && answers)
		class = find_subject(AUTOMATIC_ANSWERING, text);
	if (class != AUTOMATIC_NONE || strchr(text, '?'))
		return class;
	class = find_subject(AUTOMATIC_PART, text);
	if (class == AUTOMATIC_NONE)
		class = find_subject(AUTOMATIC_END, text);
	if (class == AUTOMATIC_NONE && has_code_number(text))
		class = find_subject(AUTOMATIC_CODE, text);
	return class;
}

/* --- fields -----------------------------------------------------------------
 */

static void lower_name(const char *name, char lower[FIELD_NAME_SIZE])
{
	size_t i;

	for (i = 0; i < FIELD_NAME_SIZE - 1 && name[i]; i++)
		lower[i] = mail_ascii_lower(name[i]);
	lower[i] = '\0';
}

/* The first row, of those without a "*", whose text is not before name. */
static size_t lower_bound(const struct automatic_rows *rows, const char *name)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct automatic_row *row = &rows->rows[middle];

		if (!row->mark && strcmp(row->text, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* "x-name-*" by its begin; "x-*word*" by a word behind its begin too. */
static bool name_matches(const char *name, const struct automatic_row *row)
{
	return name[0] == row->text[0] &&
	       strncmp(name, row->text, row->length) == 0 &&
	       (!row->words || strstr(name + row->length, row->words));
}

static unsigned field_classes(const struct mail_field *field)
{
	const struct automatic_rows *rows = automatic_rows(AUTOMATIC_FIELD);
	char name[FIELD_NAME_SIZE], value[TEXT_SIZE] = "";
	unsigned found = 0;
	size_t i;

	lower_name(field->name, name);
	for (i = lower_bound(rows, name);
	     i < rows->count && !rows->rows[i].mark &&
	     strcmp(rows->rows[i].text, name) == 0;
	     i++) {
		const char *words = rows->rows[i].words;

		if (words && !*value)
			(void)mail_fold_text(field->value, value,
			                     sizeof(value));
		if (!words || has_words(value, words, strlen(words)))
			found |= 1U << rows->rows[i].class;
	}
	for (i = rows->count; i > 0 && rows->rows[i - 1].mark; i--)
		if (name_matches(name, &rows->rows[i - 1]))
			found |= 1U << rows->rows[i - 1].class;
	return found;
}

unsigned automatic_fields(const struct mail_header *header)
{
	unsigned found = 0;
	size_t i;

	for (i = 0; i < header->field_count; i++)
		found |= field_classes(&header->fields[i]);
	return found;
}

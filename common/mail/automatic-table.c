/* Reads automatic.tab, which the assembler takes in, once. */
#include "common/mail/automatic-table.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"
#include "common/mail/fold.h"
#include "common/mem.h"

__asm__(".section .rodata\n"
        ".global automatic_tab\n"
        ".hidden automatic_tab\n"
        "automatic_tab:\n"
        ".incbin \"common/mail/automatic.tab\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char automatic_tab[];

#define LINE_SIZE    256
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct automatic_rows table[AUTOMATIC_PLACE_COUNT];
/* Places whose rows are compared with how a text begins, and where in them the
 * rows with a first byte begin. */
static const bool grouped[AUTOMATIC_PLACE_COUNT] = {
    [AUTOMATIC_ROLE_NAME] = true,   [AUTOMATIC_ROLE_PREFIX] = true,
    [AUTOMATIC_ROLE_DOMAIN] = true, [AUTOMATIC_PERSON] = true,
    [AUTOMATIC_START] = true,       [AUTOMATIC_ANSWERING] = true,
    [AUTOMATIC_TAG] = true};
static size_t begins[AUTOMATIC_PLACE_COUNT][UCHAR_MAX + 2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Kinds that are one word, and the second words of the others. */
static const struct {
	const char *name;
	enum automatic_place place;
} wholes[] = {{"role-phrase", AUTOMATIC_ROLE_PHRASE},
              {"role-name", AUTOMATIC_ROLE_NAME},
              {"role-word", AUTOMATIC_ROLE_WORD},
              {"role-prefix", AUTOMATIC_ROLE_PREFIX},
              {"role-suffix", AUTOMATIC_ROLE_SUFFIX},
              {"role-part", AUTOMATIC_ROLE_PART},
              {"role-domain", AUTOMATIC_ROLE_DOMAIN},
              {"answer", AUTOMATIC_PERSON}},
  seconds[] = {{"-start", AUTOMATIC_START}, {"-answer", AUTOMATIC_ANSWERING},
               {"-part", AUTOMATIC_PART},   {"-end", AUTOMATIC_END},
               {"-tag", AUTOMATIC_TAG},     {"-code", AUTOMATIC_CODE},
               {"-field", AUTOMATIC_FIELD}};

static const struct {
	const char *name;
	enum automatic_class class;
} classes[] = {{"bounce", AUTOMATIC_BOUNCE},     {"auto", AUTOMATIC_ANSWER},
               {"list", AUTOMATIC_LIST},         {"order", AUTOMATIC_ORDER},
               {"calendar", AUTOMATIC_CALENDAR}, {"report", AUTOMATIC_REPORT},
               {"foreign", AUTOMATIC_FOREIGN},   {"agent", AUTOMATIC_AGENT}};

static bool read_kind(const char *kind, enum automatic_place *place,
                      enum automatic_class *class)
{
	size_t i, length;

	for (i = 0; i < COUNT(wholes); i++)
		if (strcmp(kind, wholes[i].name) == 0) {
			*place = wholes[i].place;
			*class = AUTOMATIC_NONE;
			return true;
		}
	for (i = 0; i < COUNT(classes); i++) {
		length = strlen(classes[i].name);
		if (strncmp(kind, classes[i].name, length) == 0)
			break;
	}
	if (i == COUNT(classes))
		return false;
	*class = classes[i].class;
	kind += length;
	for (i = 0; i < COUNT(seconds); i++)
		if (strcmp(kind, seconds[i].name) == 0) {
			*place = seconds[i].place;
			return true;
		}
	return false;
}

static void drop_blanks(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != ' ' && *text != '\'')
			*to++ = *text;
	*to = '\0';
}

/* "name: words"; "name-*"; "name-*words*". */
static void split_field(struct automatic_row *row, char *text)
{
	char *words = strstr(text, ": "), *star = strchr(text, '*'), *end;

	if (words) {
		*words = '\0';
		row->words = mem_copy_string(words + 2);
		return;
	}
	if (!star)
		return;
	row->mark = *star;
	*star = '\0';
	end = strrchr(star + 1, '*');
	if (end)
		row->words = mem_copy_bytes(star + 1, (size_t)(end - star) - 1);
}

static void add_row(enum automatic_place place, enum automatic_class class,
                    const char *text)
{
	struct automatic_rows *rows = &table[place];
	struct automatic_row *row;
	char folded[LINE_SIZE];
	size_t length = mail_fold_text(text, folded, sizeof(folded));

	rows->rows =
	    mem_resize_array(rows->rows, rows->count + 1, sizeof(*rows->rows));
	row = &rows->rows[rows->count++];
	*row = (struct automatic_row){.class = class};
	if (place == AUTOMATIC_ROLE_PHRASE)
		drop_blanks(folded);
	if (place == AUTOMATIC_FIELD) {
		split_field(row, folded);
	} else if (length > 1 &&
	           (folded[length - 1] == ':' || folded[length - 1] == '*')) {
		row->mark = folded[length - 1];
		folded[length - 1] = '\0';
	}
	row->text = mem_copy_string(folded);
	row->length = strlen(folded);
}

/* KIND LANGUAGE SOURCE TEXT ... */
static void read_line(const char *line, size_t length)
{
	char copy[LINE_SIZE], *rest = copy, *kind, *language, *source;
	enum automatic_place place;
	enum automatic_class class;

	if (length == 0 || *line == '#')
		return;
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)length, line);
	kind = strsep(&rest, " ");
	language = strsep(&rest, " ");
	source = strsep(&rest, " ");
	if (!language || !source || !rest || !*rest || length >= LINE_SIZE ||
	    !read_kind(kind, &place, &class)) {
		(void)fprintf(stderr, "automatic.tab: %s\n", copy);
		abort();
	}
	add_row(place, class, rest);
}

static int compare_rows(const void *a, const void *b)
{
	const struct automatic_row *left = a, *right = b;

	if (left->mark != right->mark)
		return left->mark - right->mark;
	return strcmp(left->text, right->text);
}

/* A number is "#" in the address that a name is compared with. */
static unsigned char first_byte(enum automatic_place place,
                                const struct automatic_row *row)
{
	char byte = row->text[0];

	if (place == AUTOMATIC_ROLE_NAME && byte >= '0' && byte <= '9')
		byte = '#';
	return (unsigned char)byte;
}

/* Sorts the rows of a place by their first byte; else their order stays. */
static void group(enum automatic_place place)
{
	struct automatic_rows *rows = &table[place];
	struct automatic_row *sorted =
	    mem_alloc_array(rows->count, sizeof(*sorted));
	size_t next[UCHAR_MAX + 1], *from = begins[place], i;

	for (i = 0; i < rows->count; i++)
		from[first_byte(place, &rows->rows[i]) + 1]++;
	for (i = 0; i <= UCHAR_MAX; i++) {
		from[i + 1] += from[i];
		next[i] = from[i];
	}
	for (i = 0; i < rows->count; i++)
		sorted[next[first_byte(place, &rows->rows[i])]++] =
		    rows->rows[i];
	free(rows->rows);
	rows->rows = sorted;
}

static void read_table(void)
{
	const char *line = automatic_tab;
	struct automatic_rows *fields = &table[AUTOMATIC_FIELD];

	while (*line) {
		size_t length = strcspn(line, "\n");

		read_line(line, length);
		line += length + (line[length] == '\n');
	}
	qsort(fields->rows, fields->count, sizeof(*fields->rows), compare_rows);
	for (int place = 0; place < AUTOMATIC_PLACE_COUNT; place++)
		if (grouped[place])
			group((enum automatic_place)place);
}

const struct automatic_rows *automatic_rows(enum automatic_place place)
{
	(void)pthread_once(&once, read_table);
	return &table[place];
}

struct automatic_rows automatic_rows_for(enum automatic_place place,
                                         const char *text)
{
	const struct automatic_rows *rows = automatic_rows(place);
	const size_t *from = &begins[place][(unsigned char)*text];

	if (!grouped[place])
		return *rows;
	return (struct automatic_rows){.rows = rows->rows + from[0],
	                               .count = from[1] - from[0]};
}

/* The rows of automatic.tab, sorted by what they are compared with. */
#ifndef MAIL_AUTOMATIC_TABLE_H
#define MAIL_AUTOMATIC_TABLE_H

#include <stddef.h>

#include "common/mail/automatic.h"

/* What a row's text is compared with; the file's head describes each. */
enum automatic_place {
	AUTOMATIC_ROLE_PHRASE,
	AUTOMATIC_ROLE_NAME,
	AUTOMATIC_ROLE_WORD,
	AUTOMATIC_ROLE_PREFIX,
	AUTOMATIC_ROLE_SUFFIX,
	AUTOMATIC_ROLE_PART,
	AUTOMATIC_ROLE_DOMAIN,
	AUTOMATIC_PERSON, /* how a person's answer begins */
	AUTOMATIC_START,
	AUTOMATIC_ANSWERING, /* as AUTOMATIC_START, in an answer alone */
	AUTOMATIC_PART,
	AUTOMATIC_END,
	AUTOMATIC_TAG,
	AUTOMATIC_CODE,
	AUTOMATIC_FIELD,
	AUTOMATIC_PLACE_COUNT
};

struct automatic_row {
	const char *text; /* folded by mail_fold_text(); without blanks where
	                     the place is AUTOMATIC_ROLE_PHRASE */
	size_t length;
	char mark;         /* the ":" or "*" that ended it, or 0 */
	const char *words; /* of a field's value, or of its name behind the "*";
	                      NULL: any */
	enum automatic_class class;
};

struct automatic_rows {
	struct automatic_row *rows;
	size_t count;
};

/*
 * The rows of a place, in the order of the file; those of AUTOMATIC_FIELD by
 * name, those with a "*" in it behind the others; where rows are compared with
 * how a text begins (AUTOMATIC_ROLE_NAME, _ROLE_PREFIX, _ROLE_DOMAIN, _PERSON,
 * _START, _ANSWERING, _TAG) by their first byte before that. The table is read
 * at the first call, from any thread; a row that cannot be read ends the
 * process.
 */
const struct automatic_rows *automatic_rows(enum automatic_place place);

/*
 * Those rows of a place that may match text, in the order of the file: where
 * rows are compared with how a text begins, those with its first byte; else
 * all. They are the table's. Threads as automatic_rows().
 */
struct automatic_rows automatic_rows_for(enum automatic_place place,
                                         const char *text);

#endif

/* What is demanded of single fields, for the files of the front. */
#ifndef STORE_RECORD_CHECK_H
#define STORE_RECORD_CHECK_H

#include "store/record/ops.h"

/* Whether a text is UTF-8 throughout (RFC 3629). */
bool record_is_utf8(const char *text);

/* Whether a field has nothing in it: none, "", 0; a word and a truth always
 * have something. */
bool record_is_missing(const void *record, const struct record_field *field);

/* 0, or ERR_INVALID "NAME: missing" when a required field is missing. */
int record_check_required(const void *record, const struct record_field *field,
                          struct error *err);

#endif

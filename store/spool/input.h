/* What every backend of the spool refuses before it touches its store. */
#ifndef STORE_SPOOL_INPUT_H
#define STORE_SPOOL_INPUT_H

#include "store/spool/spool.h"

#define SPOOL_LIMIT_MAXIMUM 1000      /* messages of a page */
#define SPOOL_NAME_MAXIMUM  200       /* bytes of a value's name */
#define SPOOL_VALUE_MAXIMUM (1 << 20) /* bytes of a value */
#define SPOOL_OWNER_MAXIMUM 200       /* bytes of a lease's owner */

/* 0, or ERR_INVALID with the option named. */
int spool_options_check(const struct spool_options *options, struct error *err);

/* 0, or ERR_INVALID: what one change gets as its result. */
int spool_change_check(const struct spool_change *change);

/* 0, or ERR_INVALID: for a number of messages to list, claim or purge. */
int spool_limit_check(size_t limit, struct error *err);

/* 0, or ERR_INVALID with the field named. */
int spool_query_check(const struct spool_query *query, struct error *err);

/* As spool_query_check(), for the arguments of spool_claim(). */
int spool_claim_check(const char *owner, int64_t now_ms, int64_t lease_ms,
                      size_t limit, struct error *err);

#endif

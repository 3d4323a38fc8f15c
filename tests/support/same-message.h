/* Two readings of a message of the spool, compared field by field: what differs
 * ends the test. */
#ifndef TESTS_SUPPORT_SAME_MESSAGE_H
#define TESTS_SUPPORT_SAME_MESSAGE_H

#include "store/spool/spool.h"

/* Everything but the recipients. */
void expect_same_head(const struct spool_message *a,
                      const struct spool_message *b);

/* The recipients too, but for who claimed them. */
void expect_same_message(const struct spool_message *a,
                         const struct spool_message *b);

#endif

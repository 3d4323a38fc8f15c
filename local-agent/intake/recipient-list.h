/*
 * The recipients that exist, as a file lists them: the forms of Postfix's
 * texthash and of a plain list, so that the relay_recipient_maps of the MX can
 * serve the agent as well.
 */
#ifndef LOCAL_AGENT_INTAKE_RECIPIENT_LIST_H
#define LOCAL_AGENT_INTAKE_RECIPIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct recipient_list;

/*
 * Reads the file at path: a "user@domain" or "@domain" (everybody of it) a
 * line, what follows it is ignored; empty lines, comment lines after "#", and
 * lines that begin with a blank and continue the one before (postmap(1)). The
 * caller frees *list. ERR_IO, or ERR_INVALID with "PATH:LINE: what is wrong";
 * ERR_LIMIT above 256 MiB.
 */
int recipient_list_load(struct recipient_list **list, const char *path,
                        struct error *err);

/* Frees; NULL is allowed. */
void recipient_list_free(struct recipient_list *list);

/*
 * Whether the address, in the form of mail_address_fold(), is listed: as it
 * stands, without what follows the first of delimiters in its local part
 * (recipient_delimiter of postconf(5)), or by its domain.
 */
bool recipient_list_has(const struct recipient_list *list, const char *folded,
                        const char *delimiters);

/* How many entries it has. */
size_t recipient_list_count(const struct recipient_list *list);

#endif

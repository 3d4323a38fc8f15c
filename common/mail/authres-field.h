/* One Authentication-Results field, read strictly (RFC 8601 section 2.2). */
#ifndef MAIL_AUTHRES_FIELD_H
#define MAIL_AUTHRES_FIELD_H

#include <stdbool.h>

#include "common/mail/authres.h"

#define AUTHRES_ID_SIZE     256
#define AUTHRES_WORD_SIZE   64
#define AUTHRES_DOMAIN_SIZE 256

/* Who wrote a field. */
struct authres_id {
	bool missing; /* it begins with a result, as Exchange Online's do */
	/* The authserv-id, without quotes and without the "/JOB" that OpenDKIM
	 * and OpenDMARC add with AuthservIDWithJobID; "" when it is missing, or
	 * is none by the grammar. */
	char text[AUTHRES_ID_SIZE];
};

/*
 * One result of a field, with the properties by which spf, dkim and dmarc name
 * whom they speak of. A domain is folded as by mail_domain_fold(), or "" where
 * it was not stated or is none.
 */
struct authres_result {
	char method[AUTHRES_WORD_SIZE]; /* in lower case */
	enum auth_result result;        /* AUTH_NONE for a word unknown */
	bool has_mailfrom, has_helo, has_from;
	char mailfrom[AUTHRES_DOMAIN_SIZE]; /* of smtp.mailfrom */
	char signer[AUTHRES_DOMAIN_SIZE];   /* header.d, or header.i's domain;
	                                       "" where they contradict */
	char from[AUTHRES_DOMAIN_SIZE];     /* of header.from */
};

/*
 * Reads the value of a field. True when all of it is what RFC 8601 section 2.2
 * allows, of version 1: each is then called for every result, in order, those
 * of a method's version other than 1 left out. False otherwise: the field
 * counts for nothing and each was not called. *id is filled in either case.
 *
 * Wider than the RFC: a value of a property may hold "/", "=", ":", "?" and
 * brackets without quotes, as all verifiers write signatures and addresses,
 * and a field without authserv-id may say "action=WORD" of dmarc, as Exchange
 * Online does. Narrower: UTF-8 (RFC 8616) must be valid, comments nest ten
 * deep, a property that names somebody stands once in a result, and a property
 * of the session (smtp.*) stands in no dkim or dmarc result, one of the header
 * in no spf result: those arise where a program echoes what a client wrote.
 */
bool authres_field_read(const char *value, struct authres_id *id,
                        void (*each)(const struct authres_result *result,
                                     void *context),
                        void *context);

#endif

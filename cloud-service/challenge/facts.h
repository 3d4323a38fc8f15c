/* What pages and mails tell of the held message, made fit to be shown. */
#ifndef CLOUD_SERVICE_CHALLENGE_FACTS_H
#define CLOUD_SERVICE_CHALLENGE_FACTS_H

#include "cloud-service/text/text.h"
#include "store/registry/registry.h"

#define FACTS_ADDRESS_CHARACTERS 120
#define FACTS_SUBJECT_CHARACTERS 160

/* UTF-8 without controls; "" for what is not known. Still to be escaped. */
struct challenge_facts {
	char sender[4 * FACTS_ADDRESS_CHARACTERS + 1];
	char recipient[4 * FACTS_ADDRESS_CHARACTERS + 1]; /* the first */
	char domain[4 * FACTS_ADDRESS_CHARACTERS + 1];    /* its domain */
	/* Who asks: the tenant's display name, or the domain, or its name. */
	char name[4 * FACTS_ADDRESS_CHARACTERS + 1];
	char more[24]; /* how many other recipients, or "" */
	char subject[4 * FACTS_SUBJECT_CHARACTERS + 1];
	char sent[TEXT_DATE_SIZE];
	char expires[TEXT_DATE_SIZE];
};

/* Fills *facts; tenant, challenge and message may be NULL. Times are those of
 * the tenant's zone. */
void challenge_facts_fill(struct challenge_facts *facts,
                          enum text_language language,
                          const struct registry_tenant *tenant,
                          const struct registry_challenge *challenge,
                          const struct registry_message *message);

#endif

/* The held message's facts: decoded, cleaned, cut. */
#include "cloud-service/challenge-facts.h"

#include <inttypes.h>

#include "cloud-service/display.h"
#include "common/mail/address.h"
#include "common/mail/header.h"

/* Of a subject, before it is cut to its characters. */
#define SUBJECT_BYTES 2048

static void fill_recipient(struct challenge_facts *facts,
                           const struct registry_message *message)
{
	if (message->recipient_count == 0)
		return;
	const char *address = message->recipients[0].address;
	display_clean(address, FACTS_ADDRESS_CHARACTERS, facts->recipient);
	display_clean(mail_address_domain(address), FACTS_ADDRESS_CHARACTERS,
	              facts->domain);
	if (message->recipient_count > 1)
		snprintf(facts->more, sizeof(facts->more), "%zu",
		         message->recipient_count - 1);
}

void challenge_facts_fill(struct challenge_facts *facts,
                          enum text_language language,
                          const struct registry_challenge *challenge,
                          const struct registry_message *message)
{
	*facts = (struct challenge_facts){0};
	if (challenge) {
		display_clean(challenge->sender, FACTS_ADDRESS_CHARACTERS,
		              facts->sender);
		text_date(language, challenge->expires_ms, facts->expires);
	}
	if (message) {
		char subject[SUBJECT_BYTES];
		mail_header_decode(message->subject, subject, sizeof(subject));
		display_clean(subject, FACTS_SUBJECT_CHARACTERS,
		              facts->subject);
		text_date(language, message->received_ms, facts->sent);
		fill_recipient(facts, message);
	}
}

/* The held message's facts: cleaned, cut. */
#include "cloud-service/challenge/facts.h"

#include <inttypes.h>

#include "cloud-service/text/display.h"
#include "common/mail/address.h"

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

static void fill_name(struct challenge_facts *facts,
                      const struct registry_tenant *tenant)
{
	const char *shown = tenant ? tenant->display_name : NULL;
	if (!shown || !*shown)
		shown =
		    facts->domain[0] || !tenant ? facts->domain : tenant->name;
	display_clean(shown, FACTS_ADDRESS_CHARACTERS, facts->name);
}

void challenge_facts_fill(struct challenge_facts *facts,
                          enum text_language language,
                          const struct registry_tenant *tenant,
                          const struct registry_challenge *challenge,
                          const struct registry_message *message)
{
	const char *zone = tenant ? tenant->time_zone : NULL;
	*facts = (struct challenge_facts){0};
	if (challenge) {
		char sender[MAIL_ADDRESS_SIZE];
		mail_sender_shown(challenge->sender, sender);
		display_clean(sender, FACTS_ADDRESS_CHARACTERS, facts->sender);
		text_date(language, challenge->expires_ms, zone,
		          facts->expires);
	}
	if (message) {
		display_clean(message->subject, FACTS_SUBJECT_CHARACTERS,
		              facts->subject);
		text_date(language, message->received_ms, zone, facts->sent);
		fill_recipient(facts, message);
	}
	fill_name(facts, tenant);
}

/* What the spool keeps of a message that was received, verdicts included. */
#include "local-agent/intake/private.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mail/address.h"
#include "common/mail/challenge-rule.h"
#include "common/mem.h"
#include "local-agent/delivery/delivery.h"
#include "local-agent/delivery/trace.h"
#include "local-agent/intake/verdict.h"

#define SUBJECT_SIZE    1001
#define MESSAGE_ID_SIZE 999

/*
 * How often a message may have passed here before. Those that people forward
 * to each other do; what comes the fourth time has found no end.
 */
#define PASSAGES_MAXIMUM 3

size_t letter_count(const struct letter *letter, enum spool_state state)
{
	size_t i, count = 0;

	for (i = 0; i < letter->message.recipient_count; i++)
		if (letter->message.recipients[i].state == state)
			count++;
	return count;
}

static bool own_domain(const char *domain, void *context)
{
	char folded[256];

	return mail_domain_fold(domain, folded, sizeof(folded)) == 0 &&
	       replica_view_has_domain(context, folded);
}

/* Looking for the From that the mail is known by. */
struct from_search {
	const struct replica_view *view;
	char found[MAIL_ADDRESS_SIZE];
	bool own;
};

static bool look_at_from(const char *address, void *context)
{
	struct from_search *search = context;
	char folded[MAIL_ADDRESS_SIZE];

	if (mail_address_fold(address, folded))
		return true;
	search->own = own_domain(mail_address_domain(folded),
	                         (void *)(uintptr_t)search->view);
	if (!*search->found || search->own)
		memcpy(search->found, folded, sizeof(folded));
	return !search->own;
}

static void look_at_each_from(const struct mail_header *header,
                              void (*walk)(const char *value,
                                           bool (*each)(const char *address,
                                                        void *context),
                                           void *context),
                              struct from_search *search)
{
	long at = -1;

	while (!search->own &&
	       (at = mail_header_find(header, "From", (size_t)(at + 1))) >= 0)
		walk(header->fields[at].value, look_at_from, search);
}

/*
 * The first From; of several, one that claims a domain of the tenant's. Where
 * no mailbox can be read, what a reader takes for one counts as such a claim,
 * and for nothing else.
 */
static char *find_from(const struct mail_header *header,
                       const struct replica_view *view)
{
	struct from_search search = {.view = view};

	look_at_each_from(header, mail_header_each_mailbox, &search);
	if (!*search.found) {
		look_at_each_from(header, mail_header_each_shown, &search);
		if (!search.own)
			search.found[0] = '\0';
	}
	return mem_copy_string(search.found);
}

static void keep_header(struct letter *letter, const struct replica_view *view)
{
	struct spool_message *message = &letter->message;
	char subject[SUBJECT_SIZE];
	const char *value = mail_header_get(&letter->header, "Subject");

	message->header_from = find_from(&letter->header, view);
	message->subject = mem_copy_string(
	    value ? mail_header_decode(value, subject, sizeof(subject)) : "");
	value = mail_header_get(&letter->header, "Message-ID");
	message->message_id =
	    mem_copy_bytes(value ? value : "",
	                   value ? strnlen(value, MESSAGE_ID_SIZE - 1) : 0);
}

static bool has_high_byte(const struct buffer *text)
{
	for (size_t i = 0; i < text->length; i++)
		if ((unsigned char)text->data[i] >= 0x80)
			return true;
	return false;
}

/*
 * SMTPUTF8 is asked for by MTAs that were asked for it, whether the message
 * needs it or not: kept where the header has UTF-8 (or was not read to its
 * end). What an address needs can be seen from it.
 */
static void keep_smtputf8(struct letter *letter)
{
	const struct mail_header *header = &letter->header;

	letter->message.smtputf8 =
	    letter->message.smtputf8 &&
	    (header->truncated || has_high_byte(&header->raw));
}

static void keep_client(struct spool_message *message,
                        const struct smtp_client_info *client)
{
	message->client_address = mem_copy_string(client->address);
	message->client_name = mem_copy_string(client->name);
	message->helo = mem_copy_string(client->helo);
	message->protocol = mem_copy_string(client->protocol);
}

/* What the MX found, and what is odd about how it says so. */
static void keep_auth(struct letter *letter, struct intake *intake)
{
	const struct agent_config *config = intake->options.config;
	struct spool_message *message = &letter->message;
	struct mail_auth_source source = {
	    .authserv_id = config->policy_authserv_id,
	    .accept_missing_id = config->policy_accept_missing_authserv_id,
	    .below = config->policy_authres_position != 0,
	    .trusted_hops = (unsigned)config->policy_trusted_hops};
	struct mail_auth_claims claims = {.reverse_path = message->sender,
	                                  .from = message->header_from,
	                                  .helo = message->helo};
	char text[MAIL_AUTH_NOTICE_SIZE] = "", id[ID_TEXT_SIZE];
	struct mail_auth_notice notice;

	if ((source.authserv_id && *source.authserv_id) ||
	    source.accept_missing_id) {
		mail_auth_read(&letter->header, &source, &claims,
		               &message->auth, &notice);
		stamp_watch_note(&intake->stamps, notice.kind,
		                 mail_auth_notice_text(&notice, &source, text),
		                 id_format(&message->id, id));
	}
	message->auth_notice = mem_copy_string(text);
}

/* Why no challenge may be sent, as the message alone tells. */
static void keep_challenge_reason(struct letter *letter,
                                  const struct mail_identity *identity,
                                  const struct agent_config *config,
                                  const struct replica_view *view)
{
	struct spool_message *message = &letter->message;
	const char **recipients =
	    mem_alloc_array(message->recipient_count, sizeof(*recipients));
	struct challenge_facts facts = {
	    .sender = message->sender,
	    .identity = identity,
	    .header = &letter->header,
	    .parts = letter->parts.classes,
	    .demand_authentication =
	        !config->policy_challenge_unauthenticated_senders,
	    .own_domain = own_domain,
	    .context = (void *)(uintptr_t)view,
	    .recipients = recipients,
	    .recipient_count = message->recipient_count,
	};
	enum challenge_reason reason;
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		recipients[i] = message->recipients[i].address;
	reason = challenge_rule_apply(&facts);
	if (letter->fault && reason == CHALLENGE_ALLOWED)
		reason = CHALLENGE_BAD_CONTENT;
	message->challenge_reason =
	    mem_copy_string(challenge_reason_name(reason));
	free(recipients);
}

/*
 * Writes why the message turns in a loop (RFC 5321 section 6.3), or "": it has
 * passed here too often already, or too many servers in all.
 */
static void find_loop(const struct letter *letter,
                      const struct agent_config *config,
                      char why[VERDICT_WHY_SIZE])
{
	const struct mail_header *header = &letter->header;
	long at = -1;
	int64_t hops = 0, own = 0;

	while ((at = mail_header_find(header, "Received", (size_t)(at + 1))) >=
	       0) {
		hops++;
		own += trace_is_own(header->fields[at].value, config->hostname);
	}
	why[0] = '\0';
	if (own >= PASSAGES_MAXIMUM)
		(void)snprintf(why, VERDICT_WHY_SIZE,
		               "loop: it has passed this agent %lld times",
		               (long long)own);
	else if (hops > config->smtp_max_hops)
		(void)snprintf(why, VERDICT_WHY_SIZE,
		               "loop: it has passed %lld servers",
		               (long long)hops);
}

/*
 * What would go round once more is kept for the admin. A refusal would have
 * the MX bounce it to whoever its sender is said to be.
 */
static void break_loop(struct verdict *verdict, const char *why)
{
	if (!*why || verdict->state != SPOOL_QUEUED)
		return;
	verdict->state = SPOOL_FAILED;
	verdict->by = "policy";
	(void)snprintf(verdict->why, sizeof(verdict->why), "%s", why);
}

/* All but its recipient is set in mail, which is the same for each. */
static void judge_recipient(const struct letter *letter,
                            const struct entry_subject *mail,
                            const struct agent_config *config,
                            const struct replica_view *view,
                            const char *loop_why,
                            struct spool_recipient *recipient)
{
	const struct spool_message *message = &letter->message;
	char folded[MAIL_ADDRESS_SIZE];
	struct entry_subject subject = *mail;
	struct verdict verdict;

	if (mail_address_fold(recipient->address, folded))
		folded[0] = '\0';
	subject.recipient = folded;
	verdict_decide(view, &subject, &verdict);
	/* What cannot be sent as it came waits for somebody to look at it. */
	if (letter->fault && verdict.state != SPOOL_DISCARDED) {
		verdict.state = SPOOL_HELD;
		verdict.by = "policy";
		(void)snprintf(verdict.why, sizeof(verdict.why), "%s",
		               letter->fault);
	}
	break_loop(&verdict, loop_why);
	recipient->state = verdict.state;
	if (verdict.state == SPOOL_FAILED)
		recipient->keep_until_ms =
		    message->received_ms + config->queue_keep_failed_ms;
	recipient->changed_ms = message->received_ms;
	recipient->by = mem_copy_string(verdict.by);
	recipient->why = mem_copy_string(verdict.why);
	recipient->next_attempt_ms = message->received_ms;
	recipient->reply = mem_copy_string("");
}

/*
 * Claims the queued recipients for delivery at once, where its memory has
 * room; otherwise it will find them in the spool.
 */
static void claim_queued(struct letter *letter, struct intake *intake)
{
	struct spool_message *message = &letter->message;
	struct delivery *delivery = intake->options.delivery;
	size_t i, bytes = letter->path ? 0 : letter->body.length;
	bool claimed = false;

	if (delivery && letter_count(letter, SPOOL_QUEUED) > 0 &&
	    delivery_reserve(delivery, bytes + sizeof(*letter))) {
		letter->reserved = bytes + sizeof(*letter);
		claimed = true;
	}
	for (i = 0; i < message->recipient_count; i++) {
		struct spool_recipient *recipient = &message->recipients[i];
		bool mine = claimed && recipient->state == SPOOL_QUEUED;

		recipient->lease_owner = mem_copy_string(
		    mine ? intake->options.config->agent_name : "");
		recipient->lease_until_ms =
		    mine ? message->received_ms +
		               intake->options.config->queue_lease_ms
		         : 0;
	}
}

/* Who is behind the mail, by what the MX found. */
static void keep_identity(struct spool_message *message,
                          struct mail_identity *identity)
{
	mail_identity_find(identity, message->sender, message->header_from,
	                   &message->auth);
	free(message->sender_normal);
	message->sender_normal = mem_copy_string(identity->person);
	message->auth.aligned = identity->person_pass != MAIL_PASS_NONE;
}

void letter_judge(struct letter *letter, struct intake *intake,
                  const struct smtp_client_info *client)
{
	const struct agent_config *config = intake->options.config;
	const struct replica_view *view =
	    replica_acquire(intake->options.replica);
	struct spool_message *message = &letter->message;
	char loop_why[VERDICT_WHY_SIZE];
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity};
	size_t i;

	message->id = id_new();
	message->received_ms = clock_wall_ms();
	message->expires_ms = message->received_ms + config->policy_hold_for_ms;
	keep_client(message, client);
	keep_smtputf8(letter);
	keep_header(letter, view);
	keep_auth(letter, intake);
	keep_identity(message, &identity);
	keep_challenge_reason(letter, &identity, config, view);
	find_loop(letter, config, loop_why);
	subject.client_address = message->client_address;
	subject.claims_own_domain =
	    mail_identity_names(&identity, own_domain, (void *)(uintptr_t)view);
	subject.now_ms = message->received_ms;
	for (i = 0; i < message->recipient_count; i++)
		judge_recipient(letter, &subject, config, view, loop_why,
		                &message->recipients[i]);
	replica_release(intake->options.replica, view);
	message->registered = letter_count(letter, SPOOL_HELD) == 0;
	message->body_present =
	    letter_count(letter, SPOOL_DISCARDED) < message->recipient_count;
	if (!message->body_present)
		letter_drop_file(letter);
	claim_queued(letter, intake);
}

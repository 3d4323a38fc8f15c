/* Commands that show messages, challenges and the audit. */
#include "cloud-service/cli/cli.h"

#include <string.h>

#include "common/clock.h"
#include "common/mail/address.h"

#define PAGE_SIZE 200

static void print_message(FILE *out, const struct registry_message *message)
{
	char id[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];
	size_t i;

	fprintf(out, "%s\t%s\t<%s>", id_format(&message->id, id),
	        clock_format_rfc3339(message->received_ms, time),
	        message->sender);
	for (i = 0; i < message->recipient_count; i++)
		fprintf(out, "\t%s=%s", message->recipients[i].address,
		        registry_state_name(message->recipients[i].state));
	if (*message->challenge_reason)
		fprintf(out, "\t%s", message->challenge_reason);
	fputc('\n', out);
}

static int list_messages(struct cli *cli, const struct registry_query *asked,
                         int64_t limit)
{
	struct registry_query query = *asked;
	struct registry_messages page;
	struct error err = {0};
	bool more = true, cut = false;
	size_t i;

	query.limit = PAGE_SIZE;
	while (more && limit > 0) {
		memset(&page, 0, sizeof(page));
		if (registry_message_list(cli_registry(cli), &query, &page,
		                          &err))
			return cli_fail(cli, &err);
		for (i = 0; i < page.count && limit > 0; i++, limit--)
			print_message(cli->out, &page.messages[i]);
		if (i > 0)
			query.after = page.messages[i - 1].id;
		more = page.more && page.count > 0;
		cut = more || i < page.count;
		registry_messages_release(&page);
	}
	if (cut)
		cli_more(cli, &query.after);
	return CLI_OK;
}

static int message_list(struct cli *cli)
{
	char sender[MAIL_ADDRESS_SIZE], mailbox[MAIL_ADDRESS_SIZE];
	struct registry_query query = {.held = cli_has(cli, "--held")};
	struct registry_tenant tenant;
	const char *from = cli_option(cli, "--sender");
	const char *to = cli_option(cli, "--mailbox");
	int64_t limit = 100;
	int status;

	if (cli_limit(cli, &limit) || cli_read_after(cli, &query.after))
		return CLI_USAGE;
	if (from && mail_sender_normalise(from, sender))
		return cli_usage(cli, "--sender: not a mail address");
	if (to && mail_address_fold(to, mailbox))
		return cli_usage(cli, "--mailbox: not a mail address");
	status = cli_tenant(cli, cli->words[0], &tenant);
	if (status)
		return status;
	query.tenant = &tenant.id;
	query.sender_normal = from ? sender : NULL;
	query.recipient = to ? mailbox : NULL;
	status = list_messages(cli, &query, limit);
	registry_tenant_release(&tenant);
	return status;
}

static void show_text(FILE *out, const char *name, const char *text)
{
	fprintf(out, "%-16s ", name);
	cli_print_text(out, text);
	fputc('\n', out);
}

static void show_time(FILE *out, const char *name, int64_t wall_ms)
{
	char time[CLOCK_TEXT_SIZE];

	show_text(out, name, clock_format_rfc3339(wall_ms, time));
}

static void show_auth(FILE *out, const struct mail_auth *auth)
{
	if (!auth->stated) {
		show_text(out, "authentication", "not stated");
		return;
	}
	fprintf(out, "%-16s spf=%s (%s) dkim=%s (%s) dmarc=%s%s\n",
	        "authentication", auth_result_name(auth->spf), auth->spf_domain,
	        auth_result_name(auth->dkim), auth->dkim_domain,
	        auth_result_name(auth->dmarc), auth->aligned ? " aligned" : "");
}

static void show_recipients(FILE *out, const struct registry_message *message)
{
	char time[CLOCK_TEXT_SIZE];
	size_t i;

	for (i = 0; i < message->recipient_count; i++) {
		const struct registry_recipient *one = &message->recipients[i];

		fprintf(out, "%-16s %s: %s since %s", "recipient", one->address,
		        registry_state_name(one->state),
		        clock_format_rfc3339(one->changed_ms, time));
		if (*one->by)
			fprintf(out, " by %s", one->by);
		if (*one->why) {
			fputs(": ", out);
			cli_print_text(out, one->why);
		}
		fputc('\n', out);
	}
}

static const char *const challenge_states[] = {"open", "solved", "settled",
                                               "expired", "bounced"};
static const char *const mail_states[] = {"pending", "sent", "failed"};

/* What became of the message's challenge, while it is kept. */
static void show_challenge(struct cli *cli,
                           const struct registry_message *message)
{
	struct registry_challenge challenge;
	char text[ID_TEXT_SIZE];

	if (id_is_none(&message->challenge)) {
		show_text(cli->out, "challenge", "none");
		return;
	}
	show_text(cli->out, "challenge", id_format(&message->challenge, text));
	if (registry_challenge_read(cli_registry(cli), &message->challenge,
	                            &challenge, NULL))
		return;
	show_text(cli->out, "its state", challenge_states[challenge.state]);
	show_text(cli->out, "its mail", mail_states[challenge.mail]);
	if (*challenge.mail_reply)
		show_text(cli->out, "smarthost", challenge.mail_reply);
	if (*challenge.end_reason)
		show_text(cli->out, "ended because", challenge.end_reason);
	registry_challenge_release(&challenge);
}

static void show_message(struct cli *cli,
                         const struct registry_message *message)
{
	FILE *out = cli->out;
	char text[ID_TEXT_SIZE];

	show_text(out, "id", id_format(&message->id, text));
	show_text(out, "sender", message->sender);
	show_text(out, "normalised", message->sender_normal);
	show_text(out, "from", message->header_from);
	show_text(out, "subject", message->subject);
	show_text(out, "message-id", message->message_id);
	show_text(out, "client", message->client_address);
	show_text(out, "helo", message->helo);
	fprintf(out, "%-16s %lld bytes\n", "size", (long long)message->size);
	show_time(out, "received", message->received_ms);
	show_time(out, "registered", message->registered_ms);
	show_time(out, "expires", message->expires_ms);
	show_auth(out, &message->auth);
	show_challenge(cli, message);
	show_text(out, "no challenge",
	          *message->challenge_reason ? message->challenge_reason : "-");
	show_recipients(out, message);
}

static int message_show(struct cli *cli)
{
	struct registry_message message;
	struct registry_tenant tenant;
	struct error err = {0};
	struct id id;
	int result, status = cli_tenant_and_id(cli, &tenant, &id);

	if (status)
		return status;
	result = registry_message_read(cli_registry(cli), &tenant.id, &id,
	                               &message, &err);
	registry_tenant_release(&tenant);
	if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "no message %s", cli->words[1]);
	if (result)
		return cli_fail(cli, &err);
	show_message(cli, &message);
	registry_message_release(&message);
	return CLI_OK;
}

static void print_challenge(FILE *out,
                            const struct registry_challenge *challenge)
{
	char id[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];

	fprintf(out, "%s\t%s\t%s\tuntil %s\tmail %s",
	        id_format(&challenge->id, id),
	        challenge_states[challenge->state], challenge->sender,
	        clock_format_rfc3339(challenge->expires_ms, time),
	        mail_states[challenge->mail]);
	if (*challenge->mail_reply) {
		fputc('\t', out);
		cli_print_text(out, challenge->mail_reply);
	}
	if (*challenge->end_reason) {
		fputs("\tended: ", out);
		cli_print_text(out, challenge->end_reason);
	}
	fputc('\n', out);
}

static int challenge_list(struct cli *cli)
{
	const char *asked = cli_option(cli, "--state");
	struct registry_challenges page = {0};
	struct error err = {0};
	int64_t limit = 100;
	size_t i, state;

	if (cli_limit(cli, &limit))
		return CLI_USAGE;
	if (!asked)
		asked = challenge_states[CHALLENGE_STATE_OPEN];
	for (state = 0; state < 5; state++)
		if (!strcmp(asked, challenge_states[state]))
			break;
	if (state == 5)
		return cli_usage(cli, "--state: open, solved, settled, expired "
		                      "or bounced");
	if (registry_challenge_due(cli_registry(cli),
	                           (enum registry_challenge_state)state,
	                           INT64_MAX, (size_t)limit + 1, &page, &err))
		return cli_fail(cli, &err);
	for (i = 0; i < page.count && i < (size_t)limit; i++)
		print_challenge(cli->out, &page.challenges[i]);
	if (i < page.count)
		cli_more(cli, NULL);
	registry_challenges_release(&page);
	return CLI_OK;
}

/* Prints the audit and remembers where it was. */
struct audit_page {
	FILE *out;
	struct id last;
	size_t count;
};

static void print_audit(const struct registry_audit *line, void *context)
{
	struct audit_page *page = context;
	char time[CLOCK_TEXT_SIZE];

	fprintf(page->out, "%s\t", clock_format_rfc3339(line->at_ms, time));
	cli_print_text(page->out, line->actor);
	fputc('\t', page->out);
	cli_print_text(page->out, line->action);
	fputc('\t', page->out);
	cli_print_text(page->out, line->object);
	fputc('\t', page->out);
	cli_print_text(page->out, line->detail);
	fputc('\n', page->out);
	page->last = line->id;
	page->count++;
}

static void count_audit(const struct registry_audit *line, void *context)
{
	struct audit_page *page = context;

	(void)line;
	page->count++;
}

static int print_audits(struct cli *cli, const struct id *tenant, int64_t limit)
{
	struct audit_page page = {.out = cli->out, .count = 1};
	struct audit_page next = {.out = NULL};
	struct error err = {0};

	if (cli_read_after(cli, &page.last))
		return CLI_USAGE;

	while (limit > 0 && page.count > 0) {
		size_t ask = limit < PAGE_SIZE ? (size_t)limit : PAGE_SIZE;

		page.count = 0;
		if (registry_audit_each(cli_registry(cli), tenant, &page.last,
		                        ask, print_audit, &page, &err))
			return cli_fail(cli, &err);
		limit -= (int64_t)page.count;
	}
	if (limit == 0 &&
	    registry_audit_each(cli_registry(cli), tenant, &page.last, 1,
	                        count_audit, &next, &err))
		return cli_fail(cli, &err);
	if (next.count > 0)
		cli_more(cli, &page.last);
	return CLI_OK;
}

static int audit(struct cli *cli)
{
	struct registry_tenant tenant;
	int64_t limit = 1000;
	int status;

	if (cli_limit(cli, &limit))
		return CLI_USAGE;
	status = cli_tenant(cli, cli->words[0], &tenant);
	if (status)
		return status;
	status = print_audits(cli, &tenant.id, limit);
	registry_tenant_release(&tenant);
	return status;
}

const struct cli_command cli_report_commands[] = {
    {"message", "list",
     "TENANT [--held] [--sender A] [--mailbox A] [--limit N] "
     "[--after ID]",
     "lists registered messages, oldest first", CLI_NEEDS_CLOUD, message_list},
    {"message", "show", "TENANT ID",
     "shows a message: why it is held, who released it", CLI_NEEDS_CLOUD,
     message_show},
    {"challenge", "list", "[--state STATE] [--limit N]",
     "lists challenges: open (default), solved, settled, expired, bounced",
     CLI_NEEDS_CLOUD, challenge_list},
    {"audit", NULL, "TENANT [--limit N] [--after ID]", "prints who did what",
     CLI_NEEDS_CLOUD, audit},
    {0},
};

/* Commands about senders that are marked as dead. */
#include "cloud-service/cli/cli.h"

#include <string.h>

#include "cloud-service/challenge/gate.h"
#include "common/clock.h"
#include "common/mail/address.h"

#define PAGE_SIZE 200

/* Marks are kept by a hash: the address is known while the challenge that came
 * back is kept. */
static void print_mark(struct cli *cli, const struct registry_dead_sender *mark)
{
	struct registry_challenge challenge;
	char time[CLOCK_TEXT_SIZE];
	bool known = !registry_challenge_read(
	    cli_registry(cli), &mark->challenge, &challenge, NULL);

	fprintf(cli->out, "%s\t", clock_format_rfc3339(mark->marked_ms, time));
	cli_print_text(cli->out, known ? challenge.sender : "-");
	fputc('\t', cli->out);
	cli_print_text(cli->out, *mark->reason ? mark->reason : "-");
	fputc('\n', cli->out);
	if (known)
		registry_challenge_release(&challenge);
}

static int sender_list(struct cli *cli)
{
	struct registry_records page = {0};
	struct registry_record last = {.kind = REGISTRY_DEAD_SENDERS};
	struct error err = {0};
	int64_t limit = 1000;
	bool more = true, first = true;

	if (cli_limit(cli, &limit))
		return CLI_USAGE;
	while (more && limit > 0) {
		size_t ask = limit < PAGE_SIZE ? (size_t)limit : PAGE_SIZE;

		if (registry_export(cli_registry(cli), REGISTRY_DEAD_SENDERS,
		                    first ? NULL : &last, ask, &page, &err))
			return cli_fail(cli, &err);
		for (size_t i = 0; i < page.count; i++, limit--)
			print_mark(cli, &page.records[i].dead_sender);
		more = page.more && page.count > 0;
		if (page.count > 0)
			memcpy(last.dead_sender.hash,
			       page.records[page.count - 1].dead_sender.hash,
			       sizeof(last.dead_sender.hash));
		first = false;
		registry_records_release(&page);
	}
	if (more)
		cli_more(cli, NULL);
	return CLI_OK;
}

/* The hash of ADDRESS's normalised form: 0 or an exit status. */
static int read_sender(struct cli *cli, char normal[MAIL_ADDRESS_SIZE],
                       uint8_t hash[CRYPTO_HASH_SIZE])
{
	if (mail_sender_normalise(cli->words[0], normal))
		return cli_usage(cli, "ADDRESS: not a mail address");
	challenge_sender_hash(cli_cloud(cli)->sender_key, normal, hash);
	return 0;
}

static int sender_show(struct cli *cli)
{
	struct registry_dead_sender mark;
	char normal[MAIL_ADDRESS_SIZE], time[CLOCK_TEXT_SIZE];
	uint8_t hash[CRYPTO_HASH_SIZE];
	struct error err = {0};
	int result, status = read_sender(cli, normal, hash);

	if (status)
		return status;
	result = registry_sender_read(cli_registry(cli), hash, &mark, &err);
	if (result == ERR_NOT_FOUND) {
		fprintf(cli->out, "%s is not marked\n", normal);
		return CLI_OK;
	}
	if (result)
		return cli_fail(cli, &err);
	fprintf(cli->out, "%s is marked as dead since %s: ", normal,
	        clock_format_rfc3339(mark.marked_ms, time));
	cli_print_text(cli->out, *mark.reason ? mark.reason : "-");
	fputc('\n', cli->out);
	registry_dead_sender_release(&mark);
	return CLI_OK;
}

static int sender_clear(struct cli *cli)
{
	static const struct id none;
	char normal[MAIL_ADDRESS_SIZE];
	uint8_t hash[CRYPTO_HASH_SIZE];
	struct error err = {0};
	bool cleared;
	int status = read_sender(cli, normal, hash);

	if (status)
		return status;
	if (registry_sender_clear(cli_registry(cli), hash, INT64_MAX, &cleared,
	                          &err))
		return cli_fail(cli, &err);
	if (!cleared) {
		error_set(&err, ERR_NOT_FOUND, "%s is not marked", normal);
		return cli_fail(cli, &err);
	}
	cli_audit(cli, &none, "sender-clear", normal, "");
	return CLI_OK;
}

const struct cli_command cli_sender_commands[] = {
    {"sender", "list", "[--limit N]",
     "lists senders marked as dead: since when, address, why", CLI_NEEDS_CLOUD,
     sender_list},
    {"sender", "show", "ADDRESS", "tells whether a sender is marked, and why",
     CLI_NEEDS_CLOUD, sender_show},
    {"sender", "clear", "ADDRESS",
     "takes the mark away: the sender may be challenged again", CLI_NEEDS_CLOUD,
     sender_clear},
    {0},
};

/* "turing-agent queue": looks at the spool and changes it, beside the agent. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "local-agent/cli/cli.h"
#include "local-agent/cli/queue-print.h"
#include "local-agent/delivery/claim.h"
#include "store/spool/spool.h"

#define DEFAULT_LIMIT 50
#define PAGE_LIMIT    1000
#define ACTOR_SIZE    160

/* A change that an admin may ask for. */
struct action {
	const char *name;
	unsigned from;
	enum spool_state to;
	const char *done; /* "released" */
};

static const struct action release_action = {
    "release",
    SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED) | SPOOL_IN(SPOOL_FAILED),
    SPOOL_QUEUED, "released"};
static const struct action discard_action = {
    "discard",
    SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED) |
        SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED) |
        SPOOL_IN(SPOOL_FAILED),
    SPOOL_DISCARDED, "discarded"};
static const struct action retry_action = {
    "retry",
    SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED) | SPOOL_IN(SPOOL_FAILED),
    SPOOL_QUEUED, "due now"};

/* What a change works with. */
struct work {
	struct cli *cli;
	struct spool *spool;
	const struct action *action;
	const char *recipient; /* NULL: all of the message's */
	char *next_hop;        /* "ADDRESS:PORT", or NULL */
};

/* Opens the spool beside the agent: 0, or an exit status, told. */
static int open_spool(struct cli *cli, struct spool **spool)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct spool_options options = {
	    .backend = config->spool_backend,
	    .location = config->spool_location,
	    .owner = config->agent_name,
	    .large_body_bytes = config->spool_large_body,
	    .incoming = config->spool_incoming,
	};
	struct error err = {.text = ""};

	if (spool_open_shared(spool, &options, &err))
		return cli_fail_at(cli, "cannot open the spool", &err);
	return 0;
}

/* --- list and show ------------------------------------------------------ */

/* Reads the states asked for into the query; 0, or CLI_USAGE. */
static int read_states(struct cli *cli, struct spool_query *query)
{
	const char *word;
	int at = 0;

	while ((word = cli_next(cli, "--state", &at))) {
		int state = spool_state_parse(word);

		if (strcmp(word, "all") == 0)
			query->states = SPOOL_IN(SPOOL_STATE_COUNT) - 1;
		else if (state >= 0)
			query->states |= SPOOL_IN((unsigned)state);
		else
			return cli_usage(cli, "unknown state \"%s\"", word);
	}
	return 0;
}

/* What waits for somebody or something. */
static void waiting(struct spool_query *query)
{
	query->states = SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUEUED) |
	                SPOOL_IN(SPOOL_DEFERRED) | SPOOL_IN(SPOOL_QUARANTINED) |
	                SPOOL_IN(SPOOL_FAILED);
	query->kept = true;
}

static bool has_kept(const struct spool_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		for (size_t j = 0; j < page->messages[i].recipient_count; j++)
			if (page->messages[i].recipients[j].keep_until_ms)
				return true;
	return false;
}

static void print_page(const struct spool_page *page, bool json)
{
	for (size_t i = 0; i < page->count; i++)
		if (json)
			cli_print_json(&page->messages[i]);
		else
			cli_print_line(&page->messages[i]);
}

/* Prints what the query finds; whole: all pages of it. */
static int list_pages(struct cli *cli, struct spool *spool,
                      struct spool_query *query, bool whole)
{
	bool json = cli_has(cli, "--json"), more, kept = false;
	struct spool_page page = {0};
	struct error err = {.text = ""};

	do {
		if (spool_list(spool, query, &page, &err))
			return cli_fail_at(cli, "cannot list", &err);
		print_page(&page, json);
		more = page.more && page.count > 0;
		if (page.count > 0)
			query->after = page.messages[page.count - 1].id;
		kept = kept || has_kept(&page);
		spool_page_release(&page);
	} while (whole && more);
	if (more)
		cli_more(cli, &query->after);
	if (kept && !json)
		(void)fputs("failed: the next hop refused it and nobody was "
		            "told; \"queue show ID\" says why; then "
		            "\"queue retry ID\" or \"queue discard ID\"\n",
		            cli->error);
	return CLI_OK;
}

static int list(struct cli *cli)
{
	bool whole = cli_has(cli, "--json") && !cli_has(cli, "--limit");
	struct spool_query query = {.sender = cli_option(cli, "--sender"),
	                            .recipient =
	                                cli_option(cli, "--recipient")};
	struct spool *spool;
	int64_t limit = whole ? PAGE_LIMIT : DEFAULT_LIMIT;
	int status;

	if (read_states(cli, &query) ||
	    cli_read_number(cli, "--limit", 1, PAGE_LIMIT, &limit) ||
	    cli_read_after(cli, &query.after))
		return CLI_USAGE;
	if (query.states == 0)
		waiting(&query);
	query.limit = (size_t)limit;
	status = open_spool(cli, &spool);
	if (status)
		return status;
	status = list_pages(cli, spool, &query, whole);
	spool_close(spool);
	return status;
}

static int show_message(struct cli *cli, struct spool *spool, const char *text)
{
	struct spool_message message;
	struct error err = {.text = ""};
	struct id id;

	if (cli_read_id(cli, "ID", text, &id))
		return CLI_USAGE;
	if (spool_read(spool, &id, &message, &err))
		return cli_fail_at(cli, text, &err);
	cli_print_message(&message);
	spool_message_release(&message);
	return CLI_OK;
}

static int show(struct cli *cli)
{
	struct spool *spool;
	int status = open_spool(cli, &spool);

	if (status)
		return status;
	for (int i = 0; i < cli->word_count && !status; i++) {
		if (i > 0)
			(void)fputc('\n', cli->out);
		status = show_message(cli, spool, cli->words[i]);
	}
	spool_close(spool);
	return status;
}

/* --- changes ------------------------------------------------------------ */

/* "released at the command line by root (uid 0)". */
static void describe_actor(const struct action *action, char text[ACTOR_SIZE])
{
	struct passwd entry, *found = NULL;
	char names[4096];

	if (getpwuid_r(getuid(), &entry, names, sizeof(names), &found) != 0)
		found = NULL;
	(void)snprintf(text, ACTOR_SIZE,
	               "%s at the command line by %.60s "
	               "(uid %u)",
	               action->done, found ? found->pw_name : "unknown",
	               (unsigned)getuid());
}

/* Whether the agent is delivering to it right now. */
static bool is_claimed(const struct spool_recipient *recipient)
{
	return *recipient->lease_owner &&
	       recipient->lease_until_ms > clock_wall_ms();
}

/* The change of one recipient, as work says; actor stands for who asks. */
static struct spool_change change_of(const struct work *work,
                                     const struct spool_message *message,
                                     size_t recipient, const char *actor)
{
	const struct spool_recipient *current = &message->recipients[recipient];
	const struct action *action = work->action;
	struct spool_change change = {.kind = SPOOL_MOVE};
	int64_t now_ms = clock_wall_ms();

	change.move.id = message->id;
	change.move.recipient = recipient;
	change.move.from = action->from;
	/* As it was read: a claim made since then wins. */
	change.move.lease_owner = current->lease_owner;
	change.move.to = action->to;
	change.move.now_ms = now_ms;
	change.move.next_attempt_ms =
	    work->next_hop ? CLAIM_ELSEWHERE_MS : now_ms;
	change.move.by = "admin";
	change.move.why = actor;
	change.move.event = true;
	if (action->to == SPOOL_QUEUED)
		change.move.next_hop = work->next_hop ? work->next_hop : "";
	/* Who let it through stays on record while it goes the same way. */
	if (action == &retry_action && !work->next_hop &&
	    current->state != SPOOL_FAILED) {
		change.move.by = current->by;
		change.move.why = current->why;
	}
	return change;
}

static int commit_move(const struct work *work,
                       const struct spool_message *message, size_t recipient)
{
	const char *address = message->recipients[recipient].address;
	struct spool_change change;
	struct error err = {.text = ""};
	char actor[ACTOR_SIZE];
	int result;

	describe_actor(work->action, actor);
	change = change_of(work, message, recipient, actor);
	result = spool_commit(work->spool, &change, 1, &err);
	if (result == 0)
		result = change.result;
	if (result)
		return cli_refuse(work->cli, result, "<%s>: %s %s", address,
		                  error_name(result), err.text);
	(void)fputs("<", work->cli->out);
	cli_print_text(work->cli->out, address);
	(void)fprintf(work->cli->out, "> %s\n", work->action->done);
	return CLI_OK;
}

/* Discards the DSN, unless it has gone or is just being delivered. */
static bool discard_dsn(struct spool *spool, const struct id *dsn_id)
{
	struct spool_change change = {.kind = SPOOL_MOVE};

	change.move.id = *dsn_id;
	change.move.from = SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED);
	change.move.lease_owner = "";
	change.move.to = SPOOL_DISCARDED;
	change.move.now_ms = clock_wall_ms();
	change.move.by = "admin";
	change.move.why = "what it tells of is tried again";
	return spool_commit(spool, &change, 1, NULL) == 0 && change.result == 0;
}

/*
 * What is tried again may be delivered after all: its sender is not told
 * meanwhile that it failed. Where the DSN is out already, he was.
 */
static void withdraw_dsn(struct spool *spool, const struct id *id, size_t index,
                         const struct spool_recipient *recipient)
{
	struct spool_change change = {.kind = SPOOL_DSN};

	if (recipient->dsn != SPOOL_DSN_DUE &&
	    (recipient->dsn != SPOOL_DSN_QUEUED ||
	     !discard_dsn(spool, &recipient->dsn_id)))
		return;
	change.dsn.id = *id;
	change.dsn.recipient = index;
	change.dsn.from = recipient->dsn;
	change.dsn.to = SPOOL_DSN_NONE;
	change.dsn.dsn_id = recipient->dsn_id;
	(void)spool_commit(spool, &change, 1, NULL);
}

static int change_recipient(const struct work *work,
                            const struct spool_message *message,
                            size_t recipient, int *changed)
{
	const struct spool_recipient *current = &message->recipients[recipient];

	if (!(SPOOL_IN(current->state) & work->action->from) ||
	    spool_recipient_is_over(current))
		return CLI_OK;
	if (is_claimed(current))
		return cli_refuse(work->cli, ERR_CONFLICT,
		                  "<%s>: is being delivered now",
		                  current->address);
	*changed += 1;
	if (current->state == SPOOL_FAILED && work->action->to == SPOOL_QUEUED)
		withdraw_dsn(work->spool, &message->id, recipient, current);
	return commit_move(work, message, recipient);
}

/* Says that no recipient is in a state that the action is for. */
static int refuse_states(const struct work *work, const char *text,
                         const struct spool_message *message)
{
	FILE *error = work->cli->error;

	(void)fprintf(error, "turing-agent: %s: nothing to %s:", text,
	              work->action->name);
	for (size_t i = 0; i < message->recipient_count; i++)
		(void)fprintf(error, " %s",
		              spool_state_name(message->recipients[i].state));
	(void)fputs(message->body_present ? "\n"
	                                  : "; its body is no longer kept\n",
	            error);
	return CLI_FAILURE;
}

static int change_recipients(const struct work *work, const char *text,
                             const struct spool_message *message)
{
	int status = CLI_OK, changed = 0;
	size_t i, named = 0;

	for (i = 0; i < message->recipient_count; i++)
		if (!work->recipient ||
		    strcasecmp(work->recipient,
		               message->recipients[i].address) == 0) {
			named++;
			status |= change_recipient(work, message, i, &changed);
		}
	if (named == 0)
		return cli_refuse(work->cli, ERR_NOT_FOUND,
		                  "%s: has no recipient <%s>", text,
		                  work->recipient);
	if (status == CLI_OK && changed == 0)
		return refuse_states(work, text, message);
	return status;
}

static int change_message(const struct work *work, const char *text)
{
	struct spool_message message;
	struct error err = {.text = ""};
	struct id id;
	int status;

	if (cli_read_id(work->cli, "ID", text, &id))
		return CLI_USAGE;
	if (spool_read(work->spool, &id, &message, &err))
		return cli_fail_at(work->cli, text, &err);
	status = change_recipients(work, text, &message);
	spool_message_release(&message);
	return status;
}

/* Reads --next-hop; 0, or CLI_USAGE. */
static int read_next_hop(struct work *work)
{
	const char *text = cli_option(work->cli, "--next-hop");
	struct agent_endpoint endpoint = {.address = NULL};
	struct error err = {.text = ""};

	if (!text)
		return 0;
	if (agent_endpoint_resolve(text, &endpoint, &err))
		return cli_usage(work->cli, "--next-hop: %s", err.text);
	work->next_hop = agent_endpoint_text(&endpoint);
	free(endpoint.address);
	return 0;
}

static int change(struct cli *cli, const struct action *action)
{
	struct work work = {.cli = cli,
	                    .action = action,
	                    .recipient = cli_option(cli, "--recipient")};
	int status = read_next_hop(&work);

	if (!status)
		status = open_spool(cli, &work.spool);
	if (status)
		goto out;
	for (int i = 0; i < cli->word_count; i++) {
		int one = change_message(&work, cli->words[i]);

		if (one != CLI_OK)
			status = one;
	}
	spool_close(work.spool);
out:
	free(work.next_hop);
	return status;
}

static int release(struct cli *cli)
{
	return change(cli, &release_action);
}

static int discard(struct cli *cli)
{
	return change(cli, &discard_action);
}

static int retry(struct cli *cli)
{
	return change(cli, &retry_action);
}

const struct cli_command agent_queue_commands[] = {
    {"queue", "list",
     "[--state STATE]... [--sender TEXT] [--recipient TEXT] [--limit N] "
     "[--after ID] [--json]",
     "lists what waits", 0, list},
    {"queue", "show", "ID...",
     "shows messages whole, the history of each recipient included", 0, show},
    {"queue", "release", "[--recipient ADDRESS] [--next-hop HOST:PORT] ID...",
     "lets held, quarantined or failed mail go out", 0, release},
    {"queue", "retry", "[--recipient ADDRESS] [--next-hop HOST:PORT] ID...",
     "tries mail again now that is to go out", 0, retry},
    {"queue", "discard", "[--recipient ADDRESS] ID...",
     "throws mail away, and tells nobody", 0, discard},
    {0},
};

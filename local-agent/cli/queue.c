/* "turing-agent queue": looks at the spool and changes it, beside the agent. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"
#include "local-agent/cli/queue-print.h"
#include "local-agent/cli/cli.h"
#include "local-agent/delivery/delivery.h"
#include "store/spool/spool.h"

#define DEFAULT_LIMIT 50
#define PAGE_LIMIT    1000
#define ACTOR_SIZE    160

/* What the options say. */
struct arguments {
	struct spool_query query;
	const char *recipient; /* of show and the changes */
	char *next_hop; /* "ADDRESS:PORT" of release and retry, or NULL */
	bool json;      /* of list */
	bool limited;   /* --limit was given */
	char **ids;
	int id_count;
};

/* A change that an admin may ask for. */
struct action {
	const char *name;
	unsigned from;
	enum spool_state to;
	const char *done; /* "released" */
};

static const struct action release = {
    "release",
    SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED) | SPOOL_IN(SPOOL_FAILED),
    SPOOL_QUEUED, "released"};
static const struct action discard = {
    "discard",
    SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED) |
        SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED) |
        SPOOL_IN(SPOOL_FAILED),
    SPOOL_DISCARDED, "discarded"};
static const struct action retry = {
    "retry",
    SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED) | SPOOL_IN(SPOOL_FAILED),
    SPOOL_QUEUED, "due now"};

void cli_queue_usage(void)
{
	(void)fputs(
	    "usage: turing-agent queue list [-c FILE] [--state STATE]...\n"
	    "         [--sender TEXT] [--recipient TEXT] [--limit N] "
	    "[--after ID]\n"
	    "         [--json]\n"
	    "       turing-agent queue show [-c FILE] ID...\n"
	    "       turing-agent queue release|retry [-c FILE]\n"
	    "         [--recipient ADDRESS] [--next-hop HOST:PORT] ID...\n"
	    "       turing-agent queue discard [-c FILE]\n"
	    "         [--recipient ADDRESS] ID...\n\n"
	    "States: held, queued, deferred, delivered, failed, discarded,\n"
	    "expired, quarantined. list shows what waits, also failed mail\n"
	    "that is kept, unless a state is given, or \"--state all\".\n"
	    "A list that is cut says on the error output how to go on.\n"
	    "--json: a line of JSON a message, of all where no limit is\n"
	    "given. --next-hop: this once to another server than the\n"
	    "configured next hop.\n",
	    stdout);
}

/* --- options ------------------------------------------------------------ */

static int add_state(struct arguments *arguments, const char *word)
{
	int state = spool_state_parse(word);

	if (strcmp(word, "all") == 0) {
		arguments->query.states = SPOOL_IN(SPOOL_STATE_COUNT) - 1;
		return 0;
	}
	if (state < 0) {
		(void)fprintf(stderr, "turing-agent: unknown state \"%s\"\n",
		              word);
		return -1;
	}
	arguments->query.states |= SPOOL_IN((unsigned)state);
	return 0;
}

static int set_limit(struct arguments *arguments, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 1 || value > PAGE_LIMIT) {
		(void)fprintf(stderr, "turing-agent: --limit: 1 to %d\n",
		              PAGE_LIMIT);
		return -1;
	}
	arguments->query.limit = (size_t)value;
	arguments->limited = true;
	return 0;
}

static int parse_id(const char *text, struct id *id)
{
	if (id_parse(text, id) == 0)
		return 0;
	(void)fprintf(stderr, "turing-agent: \"%.*s\" is no message id\n",
	              text_shown_length(text), text);
	return -1;
}

static int set_next_hop(struct arguments *arguments, const char *text)
{
	struct agent_endpoint endpoint = {.address = NULL};
	struct error err = {.text = ""};

	if (agent_endpoint_resolve(text, &endpoint, &err)) {
		(void)fprintf(stderr, "turing-agent: --next-hop: %s\n",
		              err.text);
		return -1;
	}
	free(arguments->next_hop);
	arguments->next_hop = agent_endpoint_text(&endpoint);
	free(endpoint.address);
	return 0;
}

static int take_option(struct arguments *arguments, int option)
{
	switch (option) {
	case 's':
		return add_state(arguments, optarg);
	case 'f':
		arguments->query.sender = optarg;
		return 0;
	case 'r':
		arguments->recipient = optarg;
		arguments->query.recipient = optarg;
		return 0;
	case 'n':
		return set_limit(arguments, optarg);
	case 'j':
		arguments->json = true;
		return 0;
	case 'h':
		return set_next_hop(arguments, optarg);
	case 'a':
		return parse_id(optarg, &arguments->query.after);
	default:
		return -1;
	}
}

/* allowed: the short names of the options that the command argv[0] takes. */
static int parse_arguments(int argc, char **argv, const char *allowed,
                           struct arguments *arguments)
{
	static const struct option options[] = {
	    {"state", required_argument, NULL, 's'},
	    {"sender", required_argument, NULL, 'f'},
	    {"recipient", required_argument, NULL, 'r'},
	    {"limit", required_argument, NULL, 'n'},
	    {"after", required_argument, NULL, 'a'},
	    {"json", no_argument, NULL, 'j'},
	    {"next-hop", required_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	opterr = 0;
	arguments->query.limit = DEFAULT_LIMIT;
	while ((option = cli_next_option(argc, argv, ":s:f:r:n:a:", options,
	                                 allowed)) != -1)
		if (take_option(arguments, option))
			return -1;
	arguments->ids = argv + optind;
	arguments->id_count = argc - optind;
	return 0;
}

/* --- list and show ------------------------------------------------------ */

static int fail(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "turing-agent: %s: %s\n", what, err->text);
	return CLI_FAILURE;
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

/* Prints a page; the query goes on behind it. */
static void print_page(const struct spool_page *page,
                       struct arguments *arguments)
{
	size_t i;

	for (i = 0; i < page->count; i++) {
		if (arguments->json)
			cli_print_json(&page->messages[i]);
		else
			cli_print_line(&page->messages[i]);
		arguments->query.after = page->messages[i].id;
	}
}

static int list(struct spool *spool, struct arguments *arguments)
{
	bool whole = arguments->json && !arguments->limited, more, kept = false;
	struct spool_page page = {0};
	struct error err = {.text = ""};
	char id[ID_TEXT_SIZE];

	if (arguments->query.states == 0)
		waiting(&arguments->query);
	if (whole)
		arguments->query.limit = PAGE_LIMIT;
	do {
		if (spool_list(spool, &arguments->query, &page, &err))
			return fail("cannot list", &err);
		print_page(&page, arguments);
		more = page.more && page.count > 0;
		kept = kept || has_kept(&page);
		spool_page_release(&page);
	} while (whole && more);
	/* Not among the lines that a script reads. */
	if (more)
		(void)fprintf(stderr, "more: --after %s\n",
		              id_format(&arguments->query.after, id));
	if (kept && !arguments->json)
		(void)fputs("failed: the next hop refused it and nobody was "
		            "told; \"queue show ID\" says why; then "
		            "\"queue retry ID\" or \"queue discard ID\"\n",
		            stderr);
	return CLI_OK;
}

static int show(struct spool *spool, struct arguments *arguments)
{
	int i;

	for (i = 0; i < arguments->id_count; i++) {
		struct spool_message message;
		struct error err = {.text = ""};
		struct id id;

		if (parse_id(arguments->ids[i], &id))
			return CLI_USAGE;
		if (spool_read(spool, &id, &message, &err))
			return fail(arguments->ids[i], &err);
		if (i > 0)
			(void)putchar('\n');
		cli_print_message(&message);
		spool_message_release(&message);
	}
	return CLI_OK;
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

static int commit_move(struct spool *spool, const struct action *action,
                       const struct arguments *arguments,
                       const struct spool_message *message, size_t recipient)
{
	const struct spool_recipient *current = &message->recipients[recipient];
	struct spool_change change = {.kind = SPOOL_MOVE};
	struct error err = {.text = ""};
	char actor[ACTOR_SIZE];
	int64_t now_ms = clock_wall_ms();
	int result;

	describe_actor(action, actor);
	change.move.id = message->id;
	change.move.recipient = recipient;
	change.move.from = action->from;
	/* As it was read: a claim made since then wins. */
	change.move.lease_owner = current->lease_owner;
	change.move.to = action->to;
	change.move.now_ms = now_ms;
	change.move.next_attempt_ms =
	    arguments->next_hop ? DELIVERY_ELSEWHERE_MS : now_ms;
	change.move.by = "admin";
	change.move.why = actor;
	change.move.event = true;
	if (action->to == SPOOL_QUEUED)
		change.move.next_hop =
		    arguments->next_hop ? arguments->next_hop : "";
	/* Who let it through stays on record while it goes the same way. */
	if (action == &retry && !arguments->next_hop &&
	    current->state != SPOOL_FAILED) {
		change.move.by = current->by;
		change.move.why = current->why;
	}
	result = spool_commit(spool, &change, 1, &err);
	if (result == 0)
		result = change.result;
	if (result) {
		(void)fprintf(stderr, "turing-agent: <%s>: %s %s\n",
		              current->address, error_name(result), err.text);
		return result == ERR_FULL || result == ERR_UNAVAILABLE
		           ? CLI_TEMPORARY
		           : CLI_FAILURE;
	}
	(void)fputs("<", stdout);
	cli_print_safely(current->address);
	(void)printf("> %s\n", action->done);
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

static int change_recipient(struct spool *spool, const struct action *action,
                            const struct arguments *arguments,
                            const struct spool_message *message,
                            size_t recipient, int *changed)
{
	const struct spool_recipient *current = &message->recipients[recipient];

	if (!(SPOOL_IN(current->state) & action->from) ||
	    spool_recipient_is_over(current))
		return CLI_OK;
	if (is_claimed(current)) {
		(void)fprintf(stderr,
		              "turing-agent: <%s>: is being delivered now\n",
		              current->address);
		return CLI_FAILURE;
	}
	*changed += 1;
	if (current->state == SPOOL_FAILED && action->to == SPOOL_QUEUED)
		withdraw_dsn(spool, &message->id, recipient, current);
	return commit_move(spool, action, arguments, message, recipient);
}

static int change_message(struct spool *spool, const struct action *action,
                          const struct arguments *arguments, const char *text)
{
	struct spool_message message;
	struct error err = {.text = ""};
	int status = CLI_OK, changed = 0;
	struct id id;
	size_t i, named = 0;

	if (parse_id(text, &id))
		return CLI_USAGE;
	if (spool_read(spool, &id, &message, &err))
		return fail(text, &err);
	for (i = 0; i < message.recipient_count; i++)
		if (!arguments->recipient ||
		    strcasecmp(arguments->recipient,
		               message.recipients[i].address) == 0) {
			named++;
			status |= change_recipient(spool, action, arguments,
			                           &message, i, &changed);
		}
	if (named == 0) {
		(void)fprintf(stderr,
		              "turing-agent: %s: has no recipient <%s>\n", text,
		              arguments->recipient);
		status = CLI_FAILURE;
	} else if (status == CLI_OK && changed == 0) {
		(void)fprintf(stderr, "turing-agent: %s: nothing to %s:", text,
		              action->name);
		for (i = 0; i < message.recipient_count; i++)
			(void)fprintf(
			    stderr, " %s",
			    spool_state_name(message.recipients[i].state));
		(void)fputs(message.body_present ? "\n"
		                                 : "; its body is no longer "
		                                   "kept\n",
		            stderr);
		status = CLI_FAILURE;
	}
	spool_message_release(&message);
	return status;
}

static int change(struct spool *spool, const struct action *action,
                  const struct arguments *arguments)
{
	int i, status = CLI_OK;

	for (i = 0; i < arguments->id_count; i++) {
		int one =
		    change_message(spool, action, arguments, arguments->ids[i]);

		if (one != CLI_OK)
			status = one;
	}
	return status;
}

/* The commands, and what each takes. */
static const struct queue_command {
	const char *name;
	const char *options; /* short names, see parse_arguments() */
	bool ids;            /* it needs some */
	int (*run)(struct spool *spool, struct arguments *arguments);
	const struct action *action; /* where it is a change */
} commands[] = {
    {"list", "sfrnaj", false, list, NULL},
    {"show", "", true, show, NULL},
    {"release", "rh", true, NULL, &release},
    {"discard", "r", true, NULL, &discard},
    {"retry", "rh", true, NULL, &retry},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int run(struct spool *spool, const struct queue_command *command,
               struct arguments *arguments)
{
	return command->action ? change(spool, command->action, arguments)
	                       : command->run(spool, arguments);
}

/* Reads the words behind "queue"; NULL after it was said what is wrong. */
static const struct queue_command *read_command(int argc, char **argv,
                                                struct arguments *arguments)
{
	const char *name = argc >= 2 ? argv[1] : NULL;
	const struct queue_command *command = commands;

	if (!name) {
		(void)fputs("turing-agent: queue: missing command\n", stderr);
		return NULL;
	}
	while (command < commands + COMMANDS &&
	       strcmp(name, command->name) != 0)
		command++;
	if (command == commands + COMMANDS) {
		(void)fprintf(stderr,
		              "turing-agent: unknown queue command \"%.*s\"\n",
		              text_shown_length(name), name);
		return NULL;
	}
	if (parse_arguments(argc - 1, argv + 1, command->options, arguments))
		return NULL;
	if (command->ids == (arguments->id_count > 0))
		return command;
	if (command->ids)
		(void)fprintf(stderr, "turing-agent: queue %s: missing ID\n",
		              name);
	else
		(void)fprintf(
		    stderr, "turing-agent: queue %s takes no \"%.*s\"\n", name,
		    text_shown_length(arguments->ids[0]), arguments->ids[0]);
	return NULL;
}

int cli_queue(const struct agent_config *config, int argc, char **argv)
{
	struct spool_options options = {
	    .backend = config->spool_backend,
	    .location = config->spool_location,
	    .owner = config->agent_name,
	    .large_body_bytes = config->spool_large_body,
	    .incoming = config->spool_incoming,
	};
	struct arguments arguments = {0};
	const struct queue_command *command =
	    read_command(argc, argv, &arguments);
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int status = CLI_USAGE;

	if (command) {
		status = spool_open_shared(&spool, &options, &err)
		             ? fail("cannot open the spool", &err)
		             : run(spool, command, &arguments);
		spool_close(spool);
	}
	free(arguments.next_hop);
	if (status == CLI_USAGE)
		(void)fputs("try \"turing-agent queue --help\"\n", stderr);
	return status;
}

/* Takes the command line apart and finds the command. */
#include "cloud-service/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/text.h"

#define STANDARD_CONFIG "/etc/turing/turing-cloud.conf"
#define MAXIMUM_LIMIT   99999 /* one less than the registry gives at a time */

static const struct cli_command *const tables[] = {
    cli_daemon_commands, cli_account_commands, cli_entry_commands,
    cli_report_commands, cli_sender_commands,  cli_store_commands};
#define TABLE_COUNT (sizeof(tables) / sizeof(tables[0]))

static const struct {
	const char *name;
	size_t offset;
	bool flag;
} options[] = {
    {"--language", offsetof(struct cli, language), false},
    {"--display-name", offsetof(struct cli, display_name), false},
    {"--time-zone", offsetof(struct cli, time_zone), false},
    {"--from-name", offsetof(struct cli, from_name), false},
    {"--role", offsetof(struct cli, role), false},
    {"--domain", offsetof(struct cli, domain), false},
    {"--mailbox", offsetof(struct cli, mailbox), false},
    {"--note", offsetof(struct cli, note), false},
    {"--expires", offsetof(struct cli, expires), false},
    {"--sender", offsetof(struct cli, sender), false},
    {"--limit", offsetof(struct cli, limit), false},
    {"--quota-messages", offsetof(struct cli, quota_messages), false},
    {"--quota-bytes", offsetof(struct cli, quota_bytes), false},
    {"--after", offsetof(struct cli, after), false},
    {"--state", offsetof(struct cli, state), false},
    {"--demand", offsetof(struct cli, demand), false},
    {"--demand-pass", offsetof(struct cli, demand_pass), true},
    {"--to-backend", offsetof(struct cli, to_backend), false},
    {"--to-location", offsetof(struct cli, to_location), false},
    {"--held", offsetof(struct cli, held), true},
    {"--check", offsetof(struct cli, check), true},
    {"-c", offsetof(struct cli, config_path), false},
    {"--config", offsetof(struct cli, config_path), false},
};

int cli_fail(struct cli *cli, const struct error *err)
{
	fprintf(cli->error, "turing-cloud: %s\n", err->text);
	switch (err->code) {
	case ERR_UNAVAILABLE:
	case ERR_UNCERTAIN:
	case ERR_TIMEOUT:
	case ERR_FULL:
		return CLI_TEMPORARY;
	default:
		return CLI_FAILURE;
	}
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	va_list list;

	fputs("turing-cloud: ", cli->error);
	va_start(list, format);
	vfprintf(cli->error, format, list);
	va_end(list);
	fputs("\nTry 'turing-cloud --help'.\n", cli->error);
	return CLI_USAGE;
}

int cli_tenant(struct cli *cli, const char *name,
               struct registry_tenant *tenant)
{
	struct error err = {0};
	int result =
	    registry_tenant_find(cli->cloud->registry, name, tenant, &err);

	if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "no tenant \"%.100s\"", name);
	return result ? cli_fail(cli, &err) : 0;
}

int cli_tenant_and_id(struct cli *cli, struct registry_tenant *tenant,
                      struct id *id)
{
	if (id_parse(cli->words[1], id))
		return cli_usage(cli, "\"%.*s\" is no id",
		                 text_shown_length(cli->words[1]),
		                 cli->words[1]);
	return cli_tenant(cli, cli->words[0], tenant);
}

void cli_audit(struct cli *cli, const struct id *tenant, const char *action,
               const char *object, const char *detail)
{
	char actor[] = "cli";
	char action_text[64], object_text[400], detail_text[400];
	struct registry_audit line = {.id = id_new(),
	                              .at_ms = clock_wall_ms(),
	                              .actor = actor,
	                              .action = action_text,
	                              .object = object_text,
	                              .detail = detail_text};
	struct error err = {0};

	if (tenant)
		line.tenant = *tenant;
	snprintf(action_text, sizeof(action_text), "%s", action);
	snprintf(object_text, sizeof(object_text), "%s", object);
	snprintf(detail_text, sizeof(detail_text), "%s", detail);
	if (registry_audit_add(cli->cloud->registry, &line, &err))
		fprintf(cli->error, "turing-cloud: audit: %s\n", err.text);
}

void cli_print_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text,
		      out);
}

void cli_more(struct cli *cli, const struct id *last)
{
	char text[ID_TEXT_SIZE];

	fprintf(cli->error, "more: --%s %s\n", last ? "after" : "limit",
	        last ? id_format(last, text) : "N");
}

int cli_after(struct cli *cli, struct id *after)
{
	if (cli->after && id_parse(cli->after, after))
		return cli_usage(cli, "--after: \"%s\" is no id", cli->after);
	return 0;
}

long cli_limit(struct cli *cli, long standard)
{
	char *end;
	long limit;

	if (!cli->limit)
		return standard;
	errno = 0;
	limit = strtol(cli->limit, &end, 10);
	if (errno || *end || limit < 1 || limit > MAXIMUM_LIMIT) {
		cli_usage(cli, "--limit: a number from 1 to %d", MAXIMUM_LIMIT);
		return -1;
	}
	return limit;
}

static void print_command(FILE *out, const struct cli_command *command)
{
	fprintf(out, "  %s%s%s %s\n      %s\n", command->first,
	        command->second ? " " : "",
	        command->second ? command->second : "", command->arguments,
	        command->help);
}

static void print_help(FILE *out, const char *first)
{
	const struct cli_command *command;
	size_t i;

	fputs("Usage: turing-cloud [-c FILE] COMMAND ...\n\n", out);
	for (i = 0; i < TABLE_COUNT; i++)
		for (command = tables[i]; command->first; command++)
			if (!first || !strcmp(first, command->first))
				print_command(out, command);
	fputs("\n-c FILE  the configuration (" STANDARD_CONFIG ")\n"
	      "--help   this text; after a command, that command's\n--version  "
	      "the version\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage, "
	      "75 try again later.\n",
	      out);
}

static const struct cli_command *find(const char *first, const char *second)
{
	const struct cli_command *command;
	size_t i;

	for (i = 0; i < TABLE_COUNT; i++)
		for (command = tables[i]; command->first; command++) {
			if (strcmp(command->first, first))
				continue;
			if (!command->second ||
			    (second && !strcmp(command->second, second)))
				return command;
		}
	return NULL;
}

static bool is_group(const char *first)
{
	const struct cli_command *command;
	size_t i;

	for (i = 0; i < TABLE_COUNT; i++)
		for (command = tables[i]; command->first; command++)
			if (!strcmp(command->first, first))
				return true;
	return false;
}

/* Takes one option at argv[*at]; an exit status for a wrong one. */
static int take_option(struct cli *cli, int argc, char **argv, int *at)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char *field = (char *)cli + options[i].offset;
		const char *value;

		if (strcmp(argv[*at], options[i].name))
			continue;
		if (cli->given_count == CLI_MAXIMUM_OPTIONS)
			return cli_usage(cli, "too many options");
		cli->given[cli->given_count++] = options[i].name;
		if (options[i].flag) {
			*(bool *)(void *)field = true;
			return 0;
		}
		if (*at + 1 >= argc)
			return cli_usage(cli, "%s needs a value", argv[*at]);
		value = argv[++*at];
		memcpy(field, &value, sizeof(value));
		return 0;
	}
	/* Not what stands behind "=": it may be a secret. */
	return cli_usage(cli, "unknown option %.*s",
	                 text_shown_length(argv[*at]), argv[*at]);
}

/* Splits argv into words and options; *help tells whether --help was there. */
static int take_apart(struct cli *cli, int argc, char **argv, bool *help)
{
	bool only_words = false;
	int at, status;

	*help = false;
	for (at = 1; at < argc; at++) {
		if (!only_words && !strcmp(argv[at], "--")) {
			only_words = true;
		} else if (!only_words && (!strcmp(argv[at], "--help") ||
		                           !strcmp(argv[at], "-h"))) {
			*help = true;
		} else if (!only_words && !strcmp(argv[at], "--version")) {
			cli->word_count = 0;
			cli->words[cli->word_count++] = "version";
			return 0;
		} else if (!only_words && argv[at][0] == '-' && argv[at][1]) {
			status = take_option(cli, argc, argv, &at);
			if (status)
				return status;
		} else if (cli->word_count == CLI_MAXIMUM_WORDS) {
			return cli_usage(cli, "too many words");
		} else {
			cli->words[cli->word_count++] = argv[at];
		}
	}
	return 0;
}

static int run_with_registry(struct cli *cli, const struct cli_command *command)
{
	struct cloud cloud;
	struct error err = {0};
	int status;

	if (!command->registry)
		return command->run(cli);
	if (cloud_open(&cloud, cli->config, &err))
		return cli_fail(cli, &err);
	cli->cloud = &cloud;
	status = command->run(cli);
	cli->cloud = NULL;
	cloud_stop(&cloud);
	return status;
}

static int run_with_config(struct cli *cli, const struct cli_command *command)
{
	struct cloud_config config;
	struct error err = {0};
	int status;

	if (crypto_init()) {
		error_set(&err, ERR_UNAVAILABLE, "no randomness");
		return cli_fail(cli, &err);
	}
	if (cloud_config_load(cli->config_path, &config, &err))
		return cli_fail(cli, &err);
	cli->config = &config;
	status = run_with_registry(cli, command);
	cli->config = NULL;
	cloud_config_release(&config);
	return status;
}

/* Whether the command's usage has the option; all take -c. */
static bool takes_option(const struct cli_command *command, const char *option)
{
	const char *at = command->arguments;
	size_t size = strlen(option);

	if (!strcmp(option, "-c") || !strcmp(option, "--config"))
		return true;
	for (; (at = strstr(at, option)); at += size)
		if ((at == command->arguments || strchr(" [", at[-1])) &&
		    (!at[size] || strchr(" ]", at[size])))
			return true;
	return false;
}

/* The name of the argument at index in the command's usage: what is neither in
 * brackets nor an option or its value. Puts it into name. */
static void name_argument(const struct cli_command *command, int index,
                          char name[32])
{
	const char *at = command->arguments;
	bool value = false; /* of the option before */
	int depth = 0;

	name[0] = '\0';
	while (*at) {
		size_t size = strcspn(at, " ");

		depth += *at == '[';
		if (!depth && !value && *at != '-' && index-- == 0)
			(void)snprintf(name, 32, "%.*s", (int)size, at);
		value = !depth && *at == '-';
		depth -= size && at[size - 1] == ']';
		at += size;
		at += strspn(at, " ");
	}
}

/* Whether options and words are the command's: 0 or an exit status. */
static int check_usage(struct cli *cli, const struct cli_command *command)
{
	const char *second = command->second ? command->second : "";
	const char *space = command->second ? " " : "";
	char name[32];
	const char *surplus;
	int i;

	for (i = 0; i < cli->given_count; i++)
		if (!takes_option(command, cli->given[i]))
			return cli_usage(cli, "%s%s%s takes no %s",
			                 command->first, space, second,
			                 cli->given[i]);
	if (cli->word_count > command->maximum) {
		surplus = cli->words[command->maximum];
		return cli_usage(cli, "%s%s%s takes no \"%.*s\"",
		                 command->first, space, second,
		                 text_shown_length(surplus), surplus);
	}
	if (cli->word_count >= command->minimum)
		return 0;
	name_argument(command, cli->word_count, name);
	return cli_usage(cli, "missing %s\nusage: %s%s%s %s", name,
	                 command->first, space, second, command->arguments);
}

static int run_words(struct cli *cli)
{
	const struct cli_command *command;
	const char *second = cli->word_count > 1 ? cli->words[1] : NULL;
	int own, status;

	command = find(cli->words[0], second);
	if (!command && is_group(cli->words[0]))
		return cli_usage(cli, "\"%s\" needs one of its commands",
		                 cli->words[0]);
	if (!command)
		return cli_usage(cli, "unknown command \"%.*s\"",
		                 text_shown_length(cli->words[0]),
		                 cli->words[0]);
	own = command->second ? 2 : 1;
	cli->word_count -= own;
	memmove(cli->words, cli->words + own,
	        (size_t)cli->word_count * sizeof(cli->words[0]));
	status = check_usage(cli, command);
	return status ? status : run_with_config(cli, command);
}

int cloud_cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *error)
{
	struct cli cli = {.in = in,
	                  .out = out,
	                  .error = error,
	                  .config_path = STANDARD_CONFIG};
	bool help;
	int status = take_apart(&cli, argc, argv, &help);

	if (status)
		return status;
	if (cli.word_count > 0 && !strcmp(cli.words[0], "help")) {
		cli.words[0] = cli.words[1];
		cli.word_count--;
		help = true;
	}
	if (help) {
		const char *first = cli.word_count ? cli.words[0] : NULL;

		if (first && !strcmp(first, "version"))
			first = NULL;
		if (first && !is_group(first))
			return cli_usage(&cli, "unknown command \"%s\"", first);
		print_help(out, first);
		return CLI_OK;
	}
	if (cli.word_count == 1 && !strcmp(cli.words[0], "version")) {
		fputs("turing-cloud " TURING_VERSION "\n", out);
		return CLI_OK;
	}
	if (cli.word_count == 0) {
		print_help(error, NULL);
		return CLI_USAGE;
	}
	status = run_words(&cli);
	if (fflush(out) && status == CLI_OK)
		status = CLI_FAILURE;
	return status;
}

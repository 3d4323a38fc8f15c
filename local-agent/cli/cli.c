/* The commands of turing-agent: run, check-config, queue, store. */
#include "local-agent/cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/port-check.h"
#include "common/text.h"
#include "local-agent/agent.h"
#include "local-agent/cli/store.h"
#include "local-agent/intake/recipient-list.h"

/* One command of the program. */
struct command {
	const char *name;
	int (*run)(const struct agent_config *config, int argc, char **argv);
	bool takes_arguments;
	const char *help;
	void (*usage)(void); /* NULL: that of the program */
};

static int run_agent(const struct agent_config *config, int argc, char **argv)
{
	struct agent *agent = NULL;
	struct error err = {.text = ""};
	int result;

	(void)argc;
	(void)argv;
	log_set_level((enum log_level)config->log_level);
	if (!agent_config_key_is_formed(config))
		log_warning("agent", "cloud.key is not a key as \"turing-cloud "
		                     "agent add\" prints it");
	result = agent_start(&agent, config, &err);
	if (result) {
		log_error("agent", "cannot start: %s: %s", error_name(result),
		          err.text);
		return result == ERR_INVALID || result == ERR_VERSION
		           ? CLI_FAILURE
		           : CLI_TEMPORARY;
	}
	log_info("agent",
	         "turing-agent " TURING_VERSION " takes mail on [%s]:%u",
	         config->smtp.address, agent_smtp_port(agent));
	result = agent_wait(agent);
	agent_stop(agent);
	log_info("agent", "stopped");
	return result ? CLI_TEMPORARY : CLI_OK;
}

/*
 * Whether the endpoint can be listened on; one that the agent has already,
 * which answers at metrics.listen, is its own. 0, or 1: a fault, told.
 */
static int check_listen(const char *key, const struct agent_endpoint *endpoint,
                        bool running)
{
	struct error err = {.text = ""};
	int result;

	if (!endpoint->address)
		return 0;
	result = port_check(endpoint->address, endpoint->port, &err);
	if (result == 0)
		return 0;
	if (result == ERR_EXISTS && running) {
		(void)fprintf(stderr,
		              "turing-agent: note: %s: %s by the agent that "
		              "runs\n",
		              key, err.text);
		return 0;
	}
	(void)fprintf(stderr, "turing-agent: %s: %s\n", key, err.text);
	return 1;
}

/* Whether the list of recipients can be read: 0, or 1: a fault, told. */
static int check_list(const struct agent_config *config)
{
	struct recipient_list *list = NULL;
	struct error err = {.text = ""};
	int result;

	if (config->recipients_check != RECIPIENTS_LIST)
		return 0;
	result = recipient_list_load(&list, config->recipients_list, &err);
	recipient_list_free(list);
	if (result)
		(void)fprintf(stderr, "turing-agent: recipients.list: %s\n",
		              err.text);
	return result ? 1 : 0;
}

/* What loading the file could not tell. */
static int check_config(const struct agent_config *config, int argc,
                        char **argv)
{
	bool running =
	    config->metrics.address &&
	    port_has_daemon(config->metrics.address, config->metrics.port);
	int faults;

	(void)argc;
	(void)argv;
	config_print(agent_config_fields, config, config->path, stdout);
	faults = check_listen("smtp.listen", &config->smtp, running) +
	         check_listen("metrics.listen", &config->metrics, running) +
	         check_list(config);
	if (!agent_config_key_is_formed(config)) {
		(void)fputs("turing-agent: cloud.key: not a key as "
		            "\"turing-cloud agent add\" prints it\n",
		            stderr);
		faults++;
	}
	return faults ? CLI_FAILURE : CLI_OK;
}

static const struct command commands[] = {
    {"run", run_agent, false, "run the agent in the foreground", NULL},
    {"check-config", check_config, false,
     "check the configuration and print what is in force", NULL},
    {"queue", cli_queue, true, "list, show, release, discard or retry mail",
     cli_queue_usage},
    {"store", cli_store, true, "copy the spool to another backend, check it",
     cli_store_usage},
    {"backup", cli_backup, true, "save the spool beside a running agent",
     cli_backup_usage},
    {"restore", cli_restore, true, "put back what a backup has",
     cli_restore_usage},
    {NULL, NULL, false, NULL, NULL},
};

static void print_usage(FILE *out)
{
	const struct command *command;

	(void)fputs("usage: turing-agent COMMAND [-c FILE] [options]\n\n", out);
	for (command = commands; command->name; command++)
		(void)fprintf(out, "  %-13s %s\n", command->name,
		              command->help);
	(void)fputs("\n  -c FILE       configuration (" CLI_CONFIG_PATH ")\n"
	            "  --keys        with check-config: all keys, explained\n"
	            "  --version     print the version\n"
	            "  --help        this text; also after a command\n",
	            out);
}

static const struct command *find_command(const char *name)
{
	const struct command *command;

	for (command = commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

/*
 * Says what getopt_long() stumbled over: an option that the command does not
 * take ('?', or a known one whose long name, or NULL, is given) or one without
 * its value (':').
 */
static void refuse_option(const char *command, int option, const char *name,
                          const char *given)
{
	/* Not what stands behind "=": it may be a password. */
	if (option == ':')
		(void)fprintf(stderr, "turing-agent: %s needs a value\n",
		              given);
	else if (name)
		(void)fprintf(stderr, "turing-agent: %s takes no --%s\n",
		              command, name);
	else
		(void)fprintf(stderr, "turing-agent: %s takes no %.*s\n",
		              command, text_shown_length(given), given);
}

int cli_next_option(int argc, char **argv, const char *letters,
                    const struct option *options, const char *allowed)
{
	int index = -1;
	int option = getopt_long(argc, argv, letters, options, &index);

	if (option == -1 || strchr(allowed, option))
		return option;
	refuse_option(argv[0], option, index < 0 ? NULL : options[index].name,
	              argv[optind - 1]);
	return '?';
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool has_word(int argc, char **argv, const char *word)
{
	int i;

	for (i = 0; i < argc; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

/*
 * Takes "-c FILE" or "--config FILE" out of the arguments, wherever it
 * stands; -1 when the file is missing.
 */
static int take_config_path(int *argc, char **argv, const char **path)
{
	int i, kept = 0;

	for (i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "-c") != 0 &&
		    strcmp(argv[i], "--config") != 0) {
			argv[kept++] = argv[i];
			continue;
		}
		if (++i == *argc)
			return -1;
		*path = argv[i];
	}
	*argc = kept;
	return 0;
}

static int run_command(const struct command *command, const char *path,
                       int argc, char **argv)
{
	struct agent_config config;
	struct error err = {.text = ""};
	int status;

	if (agent_config_load(path, &config, &err)) {
		(void)fprintf(stderr, "turing-agent: %s\n", err.text);
		return CLI_FAILURE;
	}
	status = command->run(&config, argc, argv);
	agent_config_release(&config);
	return status;
}

static int print_help(const struct command *command, int argc, char **argv)
{
	if (command->usage) {
		command->usage();
		return CLI_OK;
	}
	if (has_word(argc, argv, "--keys"))
		config_print_reference(agent_config_fields, stdout);
	else
		print_usage(stdout);
	return CLI_OK;
}

int cli_main(int argc, char **argv)
{
	const char *path = CLI_CONFIG_PATH;
	const struct command *command;

	if (take_config_path(&argc, argv, &path)) {
		(void)fputs("turing-agent: -c: missing FILE\n", stderr);
		return CLI_USAGE;
	}
	if (argc < 2) {
		(void)fputs("turing-agent: missing COMMAND\n", stderr);
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0 ||
	    strcmp(argv[1], "version") == 0) {
		if (argc > 2 && is_help(argv[2])) {
			print_usage(stdout);
			return CLI_OK;
		}
		(void)puts("turing-agent " TURING_VERSION);
		return CLI_OK;
	}
	command = find_command(argv[1]);
	if (!command) {
		(void)fprintf(stderr,
		              "turing-agent: unknown command \"%.*s\"\n",
		              text_shown_length(argv[1]), argv[1]);
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (has_word(argc - 2, argv + 2, "--help") ||
	    has_word(argc - 2, argv + 2, "-h") ||
	    has_word(argc - 2, argv + 2, "--keys"))
		return print_help(command, argc - 2, argv + 2);
	if (argc > 2 && !command->takes_arguments) {
		(void)fprintf(stderr, "turing-agent: %s takes no \"%.*s\"\n",
		              command->name, text_shown_length(argv[2]),
		              argv[2]);
		return CLI_USAGE;
	}
	return run_command(command, path, argc - 1, argv + 1);
}

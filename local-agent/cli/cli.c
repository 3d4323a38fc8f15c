/* The commands of turing-agent about the daemon itself. */
#include "local-agent/cli/cli.h"

#include <string.h>

#include "common/crypto.h"
#include "common/log.h"
#include "common/port-check.h"
#include "local-agent/agent.h"
#include "local-agent/intake/recipient-list.h"

const struct agent_config *agent_cli_config(const struct cli *cli)
{
	return cli->context;
}

static int run_agent(struct cli *cli)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct agent *agent = NULL;
	struct error err = {.text = ""};
	int result;

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

/* Whether the list of recipients can be read: 0, or 1: a fault, told. */
static int check_list(struct cli *cli)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct recipient_list *list = NULL;
	struct error err = {.text = ""};
	int result;

	if (config->recipients_check != RECIPIENTS_LIST)
		return 0;
	result = recipient_list_load(&list, config->recipients_list, &err);
	recipient_list_free(list);
	if (result)
		cli_warn(cli, "recipients.list: %s", err.text);
	return result ? 1 : 0;
}

/* 0, or 1: a fault, told. */
static int check_listen(struct cli *cli, const char *key,
                        const struct agent_endpoint *endpoint, bool running)
{
	if (!endpoint->address)
		return 0;
	return cli_check_listen(cli, key, endpoint->address, endpoint->port,
	                        running);
}

/* What loading the file could not tell. */
static int check_config(struct cli *cli)
{
	const struct agent_config *config = agent_cli_config(cli);
	bool running =
	    config->metrics.address &&
	    port_has_daemon(config->metrics.address, config->metrics.port);
	int faults;

	config_print(agent_config_fields, config, config->path, cli->out);
	faults =
	    check_listen(cli, "smtp.listen", &config->smtp, running) +
	    check_listen(cli, "metrics.listen", &config->metrics, running) +
	    check_list(cli);
	if (!agent_config_key_is_formed(config)) {
		cli_warn(cli, "cloud.key: not a key as \"turing-cloud agent "
		              "add\" prints it");
		faults++;
	}
	return faults ? CLI_FAILURE : CLI_OK;
}

static const struct cli_command daemon_commands[] = {
    {"run", NULL, "", "runs the agent in the foreground", 0, run_agent},
    {"check-config", NULL, "[--keys]",
     "checks the configuration and prints what is in force; --keys: prints "
     "all keys, explained",
     0, check_config},
    {0},
};
static const struct cli_command *const tables[] = {
    daemon_commands, agent_queue_commands, agent_store_commands};

static const struct cli_notes notes[] = {
    {"queue",
     "States: held, queued, deferred, delivered, failed, discarded, expired,\n"
     "quarantined. list shows what waits, also failed mail that is kept,\n"
     "unless a state is given, or \"--state all\". A list that is cut says on\n"
     "the error output how to go on. --json: a line of JSON a message, of all\n"
     "where no limit is given. --next-hop: this once to another server than\n"
     "the configured next hop.\n"},
    {"store",
     "copy: stop every agent of both spools before. An interrupted copy is\n"
     "simply run again. LOCATION may be \"-\" (read from standard input) or\n"
     "@FILE, to keep a password secret.\n"},
    {0},
};

static int run(struct cli *cli)
{
	struct agent_config config;
	struct error err = {.text = ""};
	int status;

	if (strcmp(cli->command->first, "check-config") == 0 &&
	    cli_has(cli, "--keys")) {
		config_print_reference(agent_config_fields, cli->out);
		return CLI_OK;
	}
	if (crypto_init())
		return cli_refuse(cli, ERR_UNAVAILABLE, "no randomness");
	if (agent_config_load(cli->config_path, &config, &err))
		return cli_fail(cli, &err);
	cli->context = &config;
	status = cli->command->run(cli);
	cli->context = NULL;
	agent_config_release(&config);
	return status;
}

int agent_cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *error)
{
	static const struct cli_program program = {
	    .name = "turing-agent",
	    .daemon = "agent",
	    .config_path = "/etc/turing/turing-agent.conf",
	    .tables = tables,
	    .table_count = sizeof(tables) / sizeof(tables[0]),
	    .notes = notes,
	    .run = run};

	return cli_run(&program, argc, argv, in, out, error);
}

/* Runs the commands of turing-cloud on a configuration and a registry. */
#include "cloud-service/cli/cli.h"

#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"

#define MAXIMUM_LIMIT 99999 /* one less than the registry gives at a time */

static const struct cli_command *const tables[] = {
    cli_daemon_commands, cli_account_commands, cli_entry_commands,
    cli_report_commands, cli_sender_commands,  cli_store_commands};

const struct cloud_config *cli_config(const struct cli *cli)
{
	return ((const struct cloud_cli *)cli->context)->config;
}

struct cloud *cli_cloud(const struct cli *cli)
{
	return ((const struct cloud_cli *)cli->context)->cloud;
}

struct registry *cli_registry(const struct cli *cli)
{
	return cli_cloud(cli)->registry;
}

int cli_tenant(struct cli *cli, const char *name,
               struct registry_tenant *tenant)
{
	struct error err = {0};
	int result =
	    registry_tenant_find(cli_registry(cli), name, tenant, &err);

	if (result == ERR_NOT_FOUND)
		return cli_refuse(cli, result, "no tenant \"%.100s\"", name);
	return result ? cli_fail(cli, &err) : 0;
}

int cli_tenant_and_id(struct cli *cli, struct registry_tenant *tenant,
                      struct id *id)
{
	int status = cli_read_id(cli, "ID", cli->words[1], id);

	return status ? status : cli_tenant(cli, cli->words[0], tenant);
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
	(void)snprintf(action_text, sizeof(action_text), "%s", action);
	(void)snprintf(object_text, sizeof(object_text), "%s", object);
	(void)snprintf(detail_text, sizeof(detail_text), "%s", detail);
	if (registry_audit_add(cli_registry(cli), &line, &err))
		cli_warn(cli, "audit: %s", err.text);
}

int cli_limit(struct cli *cli, int64_t *limit)
{
	return cli_read_number(cli, "--limit", 1, MAXIMUM_LIMIT, limit);
}

static int run_with_config(struct cli *cli, struct cloud_cli *context)
{
	struct cloud cloud;
	struct error err = {0};
	int status;

	if (cli->command->needs == CLI_NEEDS_CONFIG)
		return cli->command->run(cli);
	if (cloud_open(&cloud, context->config, &err))
		return cli_fail(cli, &err);
	context->cloud = &cloud;
	status = cli->command->run(cli);
	context->cloud = NULL;
	cloud_stop(&cloud);
	return status;
}

static int run(struct cli *cli)
{
	struct cloud_config config;
	struct cloud_cli context = {.config = &config};
	struct error err = {0};
	int status;

	if (crypto_init())
		return cli_refuse(cli, ERR_UNAVAILABLE, "no randomness");
	if (cloud_config_load(cli->config_path, &config, &err))
		return cli_fail(cli, &err);
	cli->context = &context;
	status = run_with_config(cli, &context);
	cli->context = NULL;
	cloud_config_release(&config);
	return status;
}

int cloud_cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *error)
{
	static const struct cli_program program = {
	    .name = "turing-cloud",
	    .daemon = "cloud",
	    .config_path = "/etc/turing/turing-cloud.conf",
	    .tables = tables,
	    .table_count = sizeof(tables) / sizeof(tables[0]),
	    .run = run};

	return cli_run(&program, argc, argv, in, out, error);
}

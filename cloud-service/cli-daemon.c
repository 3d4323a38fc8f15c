/* Commands about the daemon itself: run, check-config, check-registry. */
#include "cloud-service/cli.h"

static int run(struct cli *cli)
{
	struct error err = {0};

	if (cloud_run(cli->config, &err))
		return cli_fail(cli, &err);
	return CLI_OK;
}

static int check_config(struct cli *cli)
{
	cloud_config_print(cli->config, cli->out);
	return CLI_OK;
}

static int check_registry(struct cli *cli)
{
	struct error err = {0};

	if (registry_check(cli->cloud->registry, &err))
		return cli_fail(cli, &err);
	fputs("the registry is sound\n", cli->out);
	return CLI_OK;
}

const struct cli_command cli_daemon_commands[] = {
    {"run", NULL, "", "runs the daemon in the foreground", 0, 0, false, run},
    {"check-config", NULL, "", "checks the configuration and prints it", 0, 0,
     false, check_config},
    {"check-registry", NULL, "", "reads the whole registry and checks it", 0, 0,
     true, check_registry},
    {0},
};

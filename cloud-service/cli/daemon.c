/* Commands about the daemon itself: run, check-config, check-registry. */
#include "cloud-service/cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "common/port-check.h"

static int run(struct cli *cli)
{
	struct error err = {0};

	if (cloud_run(cli_config(cli), &err))
		return cli_fail(cli, &err);
	return CLI_OK;
}

static int check_listen(struct cli *cli, const char *key, const char *text,
                        bool running)
{
	struct error err = {0};
	char *host = NULL;
	uint16_t port;
	int faults = 1;

	if (config_parse_endpoint(text, &host, &port, &err))
		cli_warn(cli, "%s: %s", key, err.text);
	else
		faults = cli_check_listen(cli, key, host, port, running);
	free(host);
	return faults;
}

static bool is_running(const struct cloud_config *config)
{
	char *host = NULL;
	uint16_t port;
	bool running =
	    !config_parse_endpoint(config->http_listen, &host, &port, NULL) &&
	    port_has_daemon(host, port);

	free(host);
	return running;
}

/* What loading the file could not tell. */
static int check_config(struct cli *cli)
{
	const struct cloud_config *config = cli_config(cli);
	bool running = is_running(config);
	int faults;

	cloud_config_print(config, cli->config_path, cli->out);
	faults = check_listen(cli, "http.listen", config->http_listen, running);
	if (*config->bounce_listen && config->return_path == RETURN_PATH_VERP)
		faults += check_listen(cli, "bounce.listen",
		                       config->bounce_listen, running);
	if (!strncmp(config->public_url, "http://", 7))
		cli_warn(cli,
		         "warning: http.public_url: senders open %s without "
		         "TLS",
		         config->public_url);
	return faults ? CLI_FAILURE : CLI_OK;
}

static int check_registry(struct cli *cli)
{
	struct error err = {0};

	if (registry_check(cli_registry(cli), &err))
		return cli_fail(cli, &err);
	fputs("the registry is sound\n", cli->out);
	return CLI_OK;
}

const struct cli_command cli_daemon_commands[] = {
    {"run", NULL, "", "runs the daemon in the foreground", CLI_NEEDS_CONFIG,
     run},
    {"check-config", NULL, "", "checks the configuration and prints it",
     CLI_NEEDS_CONFIG, check_config},
    {"check-registry", NULL, "", "reads the whole registry and checks it",
     CLI_NEEDS_CLOUD, check_registry},
    {0},
};

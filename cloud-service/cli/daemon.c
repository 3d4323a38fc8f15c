/* Commands about the daemon itself: run, check-config, check-registry. */
#include "cloud-service/cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "common/port-check.h"

static int run(struct cli *cli)
{
	struct error err = {0};

	if (cloud_run(cli->config, &err))
		return cli_fail(cli, &err);
	return CLI_OK;
}

/*
 * Whether the address can be listened on; one that a cloud has already, which
 * answers at http.listen, is its own. 0 or 1: a fault, which was told.
 */
static int check_listen(struct cli *cli, const char *key, const char *text,
                        bool running)
{
	struct error err = {0};
	char *host = NULL;
	uint16_t port;
	int result = config_parse_endpoint(text, &host, &port, &err);

	if (!result)
		result = port_check(host, port, &err);
	free(host);
	if (!result)
		return 0;
	fprintf(cli->error, "turing-cloud: %s%s: %s%s\n",
	        result == ERR_EXISTS && running ? "note: " : "", key, err.text,
	        result == ERR_EXISTS && running ? " by the cloud that runs"
	                                        : "");
	return result == ERR_EXISTS && running ? 0 : 1;
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
	const struct cloud_config *config = cli->config;
	bool running = is_running(config);
	int faults;

	cloud_config_print(config, cli->config_path, cli->out);
	faults = check_listen(cli, "http.listen", config->http_listen, running);
	if (*config->bounce_listen && config->return_path == RETURN_PATH_VERP)
		faults += check_listen(cli, "bounce.listen",
		                       config->bounce_listen, running);
	if (!strncmp(config->public_url, "http://", 7))
		fprintf(cli->error,
		        "turing-cloud: warning: http.public_url: senders open "
		        "%s without TLS\n",
		        config->public_url);
	return faults ? CLI_FAILURE : CLI_OK;
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

/* The main function of turing-agent. */
#include "local-agent/cli/cli.h"

int main(int argc, char **argv)
{
	return agent_cli_main(argc, argv, stdin, stdout, stderr);
}

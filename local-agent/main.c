/* The main function of turing-agent. */
#include "local-agent/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}

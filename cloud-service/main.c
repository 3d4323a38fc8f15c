/* The main of turing-cloud. */
#include "cloud-service/cli/cli.h"

int main(int argc, char **argv)
{
	return cloud_cli_main(argc, argv, stdin, stdout, stderr);
}

/* The command line of turing-sandbox. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "sandbox/sandbox.h"

#define STATUS_USAGE 2

static const char usage[] =
    "usage: turing-sandbox --listen ADDRESS:PORT --maildir FOLDER [--quiet]\n"
    "\n"
    "A mail server for demonstrations and tests: accepts every message for\n"
    "every domain and stores it in FOLDER/RECIPIENT/new. Port 0 takes any\n"
    "free port. SIGTERM and SIGINT stop it.\n";

/* Splits "ADDRESS:PORT" in place, brackets removed; port 0 is allowed. */
static int split_endpoint(char *text, const char **address, uint16_t *port)
{
	char *colon = strrchr(text, ':'), *end;
	unsigned long number;

	if (!colon || colon == text || !colon[1])
		return ERR_INVALID;
	number = strtoul(colon + 1, &end, 10);
	if (*end || number > UINT16_MAX)
		return ERR_INVALID;
	*colon = '\0';
	if (*text == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		text++;
	}
	*address = text;
	*port = (uint16_t)number;
	return 0;
}

/* Takes the options. 0, or the exit status plus one. */
static int take_options(int argc, char **argv, struct sandbox_options *options)
{
	static const struct option names[] = {
	    {"listen", required_argument, NULL, 'l'},
	    {"maildir", required_argument, NULL, 'm'},
	    {"quiet", no_argument, NULL, 'q'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'l':
			if (split_endpoint(optarg, &options->address,
			                   &options->port))
				return STATUS_USAGE + 1;
			break;
		case 'm':
			options->maildir = optarg;
			break;
		case 'q':
			options->quiet = true;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_SUCCESS + 1;
		default:
			return STATUS_USAGE + 1;
		}
	}
	if (optind < argc || !options->address || !options->maildir)
		return STATUS_USAGE + 1;
	return 0;
}

/* Blocks the signals that end the program, in every thread to come. */
static void block_signals(sigset_t *ending)
{
	(void)sigemptyset(ending);
	(void)sigaddset(ending, SIGTERM);
	(void)sigaddset(ending, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, ending, NULL);
}

int sandbox_main(int argc, char **argv)
{
	struct sandbox_options options = {0};
	struct sandbox *sandbox;
	struct error err;
	sigset_t ending;
	int result = take_options(argc, argv, &options), number;

	if (result) {
		if (result == STATUS_USAGE + 1)
			(void)fputs(usage, stderr);
		return result - 1;
	}
	block_signals(&ending);
	if (sandbox_start(&sandbox, &options, &err)) {
		(void)fprintf(stderr, "turing-sandbox: %s\n", err.text);
		return EXIT_FAILURE;
	}
	(void)printf("sandbox: listening on %s port %u\n", options.address,
	             sandbox_port(sandbox));
	(void)fflush(stdout);
	(void)sigwait(&ending, &number);
	sandbox_stop(sandbox);
	return EXIT_SUCCESS;
}

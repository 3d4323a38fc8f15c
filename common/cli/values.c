/* What commands read from their options, and how they print. */
#include <errno.h>
#include <stdlib.h>

#include "common/cli/cli.h"
#include "common/port-check.h"
#include "common/text.h"

int cli_read_id(struct cli *cli, const char *name, const char *text,
                struct id *id)
{
	if (id_parse(text, id) == 0)
		return 0;
	return cli_usage(cli, "%s: \"%.*s\" is no id", name,
	                 text_shown_length(text), text);
}

int cli_read_number(struct cli *cli, const char *name, int64_t minimum,
                    int64_t maximum, int64_t *number)
{
	const char *text = cli_option(cli, name);
	char *end;
	long long value;

	if (!text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (!errno && !*end && end != text && value >= minimum &&
	    value <= maximum) {
		*number = value;
		return 0;
	}
	if (maximum == INT64_MAX)
		return cli_usage(cli, "%s: a whole number, %lld or more", name,
		                 (long long)minimum);
	return cli_usage(cli, "%s: a number from %lld to %lld", name,
	                 (long long)minimum, (long long)maximum);
}

int cli_read_after(struct cli *cli, struct id *after)
{
	const char *text = cli_option(cli, "--after");

	return text ? cli_read_id(cli, "--after", text, after) : 0;
}

void cli_more(struct cli *cli, const struct id *last)
{
	char text[ID_TEXT_SIZE];

	(void)fprintf(cli->error, "more: --%s %s\n", last ? "after" : "limit",
	              last ? id_format(last, text) : "N");
}

void cli_print_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= ' ' && byte != 0x7f)
			(void)fputc(byte, out);
		else
			(void)fprintf(out, "\\x%02x", byte);
	}
}

int cli_check_listen(struct cli *cli, const char *key, const char *address,
                     uint16_t port, bool running)
{
	struct error err = {.text = ""};
	int result = port_check(address, port, &err);

	if (!result)
		return 0;
	if (result == ERR_EXISTS && running) {
		cli_warn(cli, "note: %s: %s by the %s that runs", key, err.text,
		         cli->program->daemon);
		return 0;
	}
	cli_warn(cli, "%s: %s", key, err.text);
	return 1;
}

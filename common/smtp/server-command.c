/* The SMTP server's command table and what runs a line by it. */
#include <string.h>
#include <strings.h>

#include "common/smtp/server-private.h"

#define ANY                                                                    \
	(SMTP_STATE_GREETED | SMTP_STATE_READY | SMTP_STATE_MAIL |             \
	 SMTP_STATE_RCPT)
#define TRANSACTION (SMTP_STATE_MAIL | SMTP_STATE_RCPT)

/* A command: where it is allowed, and what is said where it is not. */
struct command {
	const char *name;
	unsigned states;
	smtp_server_command run;
	const char *out_of_order;
};

static const struct command commands[] = {
    {"MAIL", SMTP_STATE_READY, smtp_server_mail,
     "MAIL needs EHLO before it and no other MAIL"},
    {"RCPT", TRANSACTION, smtp_server_rcpt, "RCPT needs MAIL before it"},
    {"DATA", TRANSACTION, smtp_server_data, "DATA needs MAIL and RCPT"},
    {"EHLO", ANY, smtp_server_ehlo, ""},
    {"HELO", ANY, smtp_server_helo, ""},
    {"RSET", ANY, smtp_server_rset, ""},
    {"NOOP", ANY, smtp_server_noop, ""},
    {"QUIT", ANY, smtp_server_quit, ""},
    {"VRFY", ANY, smtp_server_vrfy, ""},
    {"HELP", ANY, smtp_server_help, ""},
    {"XFORWARD", SMTP_STATE_READY, smtp_server_xforward,
     "XFORWARD needs EHLO and stands before MAIL"},
    {"EXPN", ANY, smtp_server_unsupported, ""},
    {"TURN", ANY, smtp_server_unsupported, ""},
    {"ETRN", ANY, smtp_server_unsupported, ""},
    {"AUTH", ANY, smtp_server_unsupported, ""},
    {"BDAT", ANY, smtp_server_unsupported, ""},
    {"STARTTLS", ANY, smtp_server_unsupported, ""},
    {"XCLIENT", ANY, smtp_server_unsupported, ""},
};

/* What speaks HTTP or sends mail headers as commands was led here by another
 * and is cut at once. */
static const char *const foreign[] = {"GET",  "POST",    "PUT",
                                      "HEAD", "CONNECT", "OPTIONS"};

static const struct command *find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strlen(commands[i].name) == length &&
		    !strncasecmp(commands[i].name, name, length))
			return &commands[i];
	return NULL;
}

static bool is_foreign(const char *name, size_t length)
{
	if (length && name[length - 1] == ':')
		return true;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strlen(foreign[i]) == length &&
		    !strncasecmp(foreign[i], name, length))
			return true;
	return false;
}

/* Whether one more command may be run. */
static bool may_go_on(struct smtp_server *server)
{
	unsigned maximum = server->options->maximum_commands;

	server->commands++;
	if (!maximum || server->commands <= maximum)
		return true;
	smtp_server_say(server, 421, "4.7.0",
	                "Too many commands without a message");
	return false;
}

static void run_command(struct smtp_server *server, const char *line)
{
	size_t length = strcspn(line, " ");
	const struct command *command = find(line, length);

	if (!may_go_on(server))
		return;
	if (!command && is_foreign(line, length))
		smtp_server_say(server, 421, "4.7.0", "This is an SMTP server");
	else if (!command)
		smtp_server_complain(server, 500, "5.5.1", "Unknown command");
	else if (!(server->state & command->states))
		smtp_server_complain(server, 503, "5.5.1",
		                     command->out_of_order);
	else
		command->run(server,
		             line + length + strspn(line + length, " "));
}

void smtp_server_run_line(struct smtp_server *server, const char *bytes,
                          size_t size)
{
	char line[SMTP_SERVER_COMMAND_MAXIMUM + 1];
	size_t length = size - 1;

	if (!length || bytes[length - 1] != '\r') {
		smtp_server_complain(server, 500, "5.5.2",
		                     "A line must end in CR LF, not in LF");
		return;
	}
	length--;
	if (memchr(bytes, '\r', length) || memchr(bytes, '\0', length)) {
		smtp_server_complain(server, 500, "5.5.2",
		                     "CR or NUL within a line");
		return;
	}
	while (length &&
	       (bytes[length - 1] == ' ' || bytes[length - 1] == '\t'))
		length--;
	memcpy(line, bytes, length);
	line[length] = '\0';
	run_command(server, line);
}

void smtp_server_unsupported(struct smtp_server *server, const char *arguments)
{
	(void)arguments;
	smtp_server_complain(server, 502, "5.5.1", "Not implemented");
}

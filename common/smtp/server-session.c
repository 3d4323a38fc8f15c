/* The SMTP commands outside of a transaction: EHLO, NOOP, QUIT and so on. */
#include <string.h>

#include "common/mail/address.h"
#include "common/smtp/server-private.h"

/*
 * Whether a name may stand in a trace header. Many clients give names that are
 * no domains; only what could break a header or a log is refused.
 */
static bool helo_valid(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > MAIL_DOMAIN_MAXIMUM)
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] <= 0x20 || name[i] >= 0x7f ||
		    strchr("<>()\\\"", name[i]))
			return false;
	return true;
}

/* What EHLO and HELO share. Whether the name was accepted. */
static bool begin_session(struct smtp_server *server, const char *name,
                          const char *protocol)
{
	struct smtp_client_info *peer = &server->peer;

	if (!helo_valid(name)) {
		smtp_server_complain(server, 501, "5.5.4",
		                     "A domain or address literal must follow");
		return false;
	}
	(void)snprintf(peer->helo, sizeof(peer->helo), "%s", name);
	(void)snprintf(peer->protocol, sizeof(peer->protocol), "%s", protocol);
	smtp_server_reset(server);
	server->client = *peer;
	smtp_server_enter(server, SMTP_STATE_READY);
	return true;
}

void smtp_server_ehlo(struct smtp_server *server, const char *arguments)
{
	struct smtp_reply reply;
	struct buffer lines;

	if (!begin_session(server, arguments, "ESMTP"))
		return;
	buffer_init(&lines, SMTP_REPLY_TEXT_SIZE);
	smtp_server_offer(server, &lines);
	smtp_reply_set(&reply, 250, "", "%s%s", server->options->hostname,
	               buffer_text(&lines));
	buffer_release(&lines);
	smtp_server_reply(server, &reply);
}

void smtp_server_helo(struct smtp_server *server, const char *arguments)
{
	if (begin_session(server, arguments, "SMTP"))
		smtp_server_say(server, 250, "", server->options->hostname);
}

/* Refuses what follows a command that takes nothing. */
static bool has_arguments(struct smtp_server *server, const char *arguments)
{
	if (!*arguments)
		return false;
	smtp_server_complain(server, 501, "5.5.4", "No arguments allowed");
	return true;
}

void smtp_server_rset(struct smtp_server *server, const char *arguments)
{
	if (has_arguments(server, arguments))
		return;
	smtp_server_reset(server);
	if (server->state != SMTP_STATE_GREETED)
		smtp_server_enter(server, SMTP_STATE_READY);
	smtp_server_say(server, 250, "2.0.0", "OK");
}

void smtp_server_noop(struct smtp_server *server, const char *arguments)
{
	(void)arguments;
	smtp_server_say(server, 250, "2.0.0", "OK");
}

void smtp_server_quit(struct smtp_server *server, const char *arguments)
{
	if (has_arguments(server, arguments))
		return;
	smtp_server_say(server, 221, "2.0.0", "Bye");
	server->quit = true;
	smtp_server_enter(server, SMTP_STATE_CLOSING);
	smtp_server_reset(server);
}

void smtp_server_vrfy(struct smtp_server *server, const char *arguments)
{
	if (*arguments)
		smtp_server_say(server, 252, "2.5.0",
		                "Send the mail and it will be seen");
	else
		smtp_server_complain(server, 501, "5.5.4",
		                     "An address must follow");
}

void smtp_server_help(struct smtp_server *server, const char *arguments)
{
	(void)arguments;
	smtp_server_say(server, 214, "2.0.0",
	                "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP\n"
	                "RFC 5321 tells the rest");
}

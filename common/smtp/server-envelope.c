/* The SMTP commands of the envelope: MAIL and RCPT. */
#include <string.h>
#include <strings.h>

#include "common/smtp/server-private.h"

/* Skips "FROM:" or "TO:", with spaces behind it. NULL when it is not there. */
static const char *skip_keyword(const char *arguments, const char *keyword)
{
	size_t length = strlen(keyword);

	if (strncasecmp(arguments, keyword, length) != 0)
		return NULL;
	return arguments + length + strspn(arguments + length, " ");
}

/* Whether the address needs the SMTPUTF8 that its MAIL did not ask for; says
 * so. A listed peer may have taken it without. */
static bool lacks_utf8(struct smtp_server *server, const char *path, bool utf8)
{
	if (utf8 || server->listed || !smtp_address_needs_utf8(path))
		return false;
	smtp_server_complain(server, 553, "5.6.7",
	                     "This address needs MAIL with SMTPUTF8");
	return true;
}

/* Reads the path of MAIL or RCPT; says what is wrong and returns false. */
static bool take_path(struct smtp_server *server, enum smtp_path_kind kind,
                      const char **text, char path[SMTP_PATH_SIZE])
{
	enum smtp_path_rule rule =
	    server->listed ? SMTP_PATH_ANY : SMTP_PATH_UTF8;
	bool reverse = kind == SMTP_REVERSE_PATH;
	const char *why = "FROM:<address> must follow";

	*text = skip_keyword(*text, reverse ? "FROM:" : "TO:");
	if (!*text) {
		smtp_server_complain(server, 501, "5.5.4",
		                     reverse ? "FROM:<address> must follow"
		                             : "TO:<address> must follow");
		return false;
	}
	if (smtp_path_parse(kind, rule, text, path, &why) == 0)
		return true;
	smtp_server_complain(server, 501, reverse ? "5.1.7" : "5.1.3", why);
	return false;
}

void smtp_server_mail(struct smtp_server *server, const char *arguments)
{
	size_t maximum = server->options->maximum_message;
	char path[SMTP_PATH_SIZE];
	struct smtp_mail mail = {.sender = path};
	struct smtp_reply reply;

	if (!take_path(server, SMTP_REVERSE_PATH, &arguments, path) ||
	    !smtp_server_take_parameters(server, SMTP_PARAMETERS_MAIL,
	                                 arguments, &mail) ||
	    lacks_utf8(server, path, mail.utf8))
		return;
	if (maximum && mail.size > 0 && (uint64_t)mail.size > maximum) {
		smtp_server_say(server, 552, "5.3.4",
		                "The message is larger than the limit");
		return;
	}
	smtp_reply_set(&reply, 250, "2.1.0", "Sender OK");
	server->options->policy->mail(server, server->context, &mail, &reply);
	if (reply.code / 100 == 2) {
		server->transaction = true;
		server->utf8 = mail.utf8;
		smtp_server_enter(server, SMTP_STATE_MAIL);
	}
	smtp_server_reply(server, &reply);
}

/* Answers the recipient that the policy was asked about. */
static void answer_recipient(struct smtp_server *server,
                             const struct smtp_reply *reply)
{
	bool accepted = reply->code / 100 == 2;

	if (accepted) {
		server->recipients++;
		server->commands--;
	} else {
		server->refused_recipients++;
	}
	smtp_server_enter(server, server->recipients ? SMTP_STATE_RCPT
	                                             : SMTP_STATE_MAIL);
	smtp_server_reply(server, reply);
}

/* Asks the policy about a recipient whose syntax is right. */
static void ask_for_recipient(struct smtp_server *server, const char *path)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, 250, "2.1.5", "Recipient OK");
	server->options->policy->rcpt(server, server->context, path, &reply);
	if (reply.code)
		answer_recipient(server, &reply);
	else
		smtp_server_enter(server, SMTP_STATE_LOOKUP);
}

void smtp_server_answer_rcpt(struct smtp_server *server,
                             const struct smtp_reply *reply)
{
	if (server->state != SMTP_STATE_LOOKUP)
		return;
	answer_recipient(server, reply);
	smtp_server_go_on(server);
}

void smtp_server_rcpt(struct smtp_server *server, const char *arguments)
{
	unsigned maximum = server->options->maximum_recipients;
	char path[SMTP_PATH_SIZE];

	if (!take_path(server, SMTP_FORWARD_PATH, &arguments, path) ||
	    lacks_utf8(server, path, server->utf8) ||
	    !smtp_server_take_parameters(server, SMTP_PARAMETERS_RCPT,
	                                 arguments, NULL)) {
		server->refused_recipients++;
		return;
	}
	if (maximum && server->recipients >= maximum) {
		smtp_server_say(server, 452, "4.5.3", "Too many recipients");
		return;
	}
	ask_for_recipient(server, path);
}

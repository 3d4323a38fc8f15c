/* XFORWARD, by which a listed peer tells of its own client. */
#include <string.h>

#include "common/smtp/server-private.h"

void smtp_server_xforward(struct smtp_server *server, const char *arguments)
{
	struct smtp_client_info client = server->client;

	if (!server->listed) {
		smtp_server_complain(server, 550, "5.7.1", "Not allowed");
		return;
	}
	/* What is not told is not known: it is not the peer's own. */
	if (!server->forwarded) {
		client = (struct smtp_client_info){0};
		memcpy(client.protocol, server->peer.protocol,
		       sizeof(client.protocol));
	}
	if (!*arguments) {
		smtp_server_complain(server, 501, "5.5.4",
		                     "Attributes must follow");
		return;
	}
	if (!smtp_server_take_parameters(server, SMTP_PARAMETERS_XFORWARD,
	                                 arguments, &client))
		return;
	server->client = client;
	server->forwarded = true;
	smtp_server_say(server, 250, "2.0.0", "OK");
}

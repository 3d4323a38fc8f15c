/* XFORWARD, by which a listed peer tells of its own client. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/smtp/server-private.h"

/* An attribute; take gets the decoded value, "" when it is not known. */
struct attribute {
	const char *name;
	bool (*take)(struct smtp_client_info *client, const char *value);
};

/* Copies a name; what could break a header or a log becomes '?'. */
static void copy_name(char *to, size_t size, const char *value)
{
	(void)snprintf(to, size, "%s", value);
	for (; *to; to++)
		if (*to <= 0x20 || *to >= 0x7f || strchr("<>()\\\"", *to))
			*to = '?';
}

static bool take_name(struct smtp_client_info *client, const char *value)
{
	copy_name(client->name, sizeof(client->name), value);
	return true;
}

static bool take_helo(struct smtp_client_info *client, const char *value)
{
	copy_name(client->helo, sizeof(client->helo), value);
	return true;
}

static bool take_address(struct smtp_client_info *client, const char *value)
{
	struct in6_addr parsed;
	bool six = !strncasecmp(value, "IPv6:", 5);

	if (six)
		value += 5;
	if (*value && inet_pton(AF_INET6, value, &parsed) != 1 &&
	    (six || inet_pton(AF_INET, value, &parsed) != 1))
		return false;
	(void)snprintf(client->address, sizeof(client->address), "%s", value);
	return true;
}

static bool take_port(struct smtp_client_info *client, const char *value)
{
	unsigned port = 0;

	for (; isdigit((unsigned char)*value) && port <= UINT16_MAX; value++)
		port = port * 10 + (unsigned)(*value - '0');
	if (*value || port > UINT16_MAX)
		return false;
	client->port = (uint16_t)port;
	return true;
}

static bool take_protocol(struct smtp_client_info *client, const char *value)
{
	size_t length = strlen(value);

	if (length >= sizeof(client->protocol))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)value[i]))
			return false;
	if (length)
		memcpy(client->protocol, value, length + 1);
	return true;
}

/* The peer's queue id, and whether its client was local: of no use here. */
static bool ignore(struct smtp_client_info *client, const char *value)
{
	(void)client;
	(void)value;
	return true;
}

static const struct attribute attributes[] = {
    {"NAME", take_name},      {"ADDR", take_address}, {"PORT", take_port},
    {"PROTO", take_protocol}, {"HELO", take_helo},    {"IDENT", ignore},
    {"SOURCE", ignore},
};

/* Takes one attribute. Returns NULL, or what is wrong with it. */
static const char *take_attribute(const struct smtp_parameter *parameter,
                                  struct smtp_client_info *client)
{
	char value[256];

	if (!parameter->value ||
	    smtp_xtext_decode(parameter->value, parameter->value_length, value,
	                      sizeof(value)) != 0)
		return "Malformed attribute value";
	if (!strcasecmp(value, "[UNAVAILABLE]") ||
	    !strcasecmp(value, "[TEMPUNAVAIL]"))
		value[0] = '\0';
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (smtp_parameter_is(parameter, attributes[i].name))
			return attributes[i].take(client, value)
			           ? NULL
			           : "Bad attribute value";
	return "Unknown attribute";
}

void smtp_server_xforward(struct smtp_server *server, const char *arguments)
{
	struct smtp_client_info client = server->client;
	struct smtp_parameter parameter;
	const char *wrong = *arguments ? NULL : "Attributes must follow";
	int found = 0;

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
	while (!wrong &&
	       (found = smtp_parameter_next(&arguments, &parameter)) > 0)
		wrong = take_attribute(&parameter, &client);
	if (wrong || found < 0) {
		smtp_server_complain(server, 501, "5.5.4",
		                     wrong ? wrong : "Malformed attribute");
		return;
	}
	server->client = client;
	server->forwarded = true;
	smtp_server_say(server, 250, "2.0.0", "OK");
}

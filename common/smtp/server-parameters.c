/*
 * The parameters of the SMTP server's commands and the attributes of XFORWARD,
 * as one table: what EHLO offers, what is taken, and what is refused how.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/smtp/server-private.h"

#define VALUE_SIZE 256

/* --- MAIL ----------------------------------------------------------------- */

/* RFC 1870 section 4: up to 20 digits. */
static bool take_size(void *to, const char *value)
{
	struct smtp_mail *mail = to;
	int64_t size = 0;

	if (!value || !*value || strlen(value) > 20)
		return false;
	for (; *value; value++) {
		if (!isdigit((unsigned char)*value))
			return false;
		if (size > (INT64_MAX - 9) / 10)
			size = INT64_MAX / 10 - 1; /* as large as can be */
		size = size * 10 + (*value - '0');
	}
	mail->size = size;
	return true;
}

/* RFC 6152 section 2. */
static bool take_body(void *to, const char *value)
{
	struct smtp_mail *mail = to;

	mail->eight_bit = value && !strcasecmp(value, "8BITMIME");
	return mail->eight_bit || (value && !strcasecmp(value, "7BIT"));
}

/* RFC 6531 section 3.4. */
static bool take_utf8(void *to, const char *value)
{
	struct smtp_mail *mail = to;

	mail->utf8 = true;
	return !value;
}

/* --- XFORWARD ------------------------------------------------------------- */

/* The value of an attribute, "" when the peer says that it does not know. */
static const char *known(const char *value)
{
	return strcasecmp(value, "[UNAVAILABLE]") != 0 &&
	               strcasecmp(value, "[TEMPUNAVAIL]") != 0
	           ? value
	           : "";
}

/* Copies a name; what could break a header or a log becomes '?'. */
static void copy_name(char *to, size_t size, const char *value)
{
	(void)snprintf(to, size, "%s", known(value));
	for (; *to; to++)
		if (*to <= 0x20 || *to >= 0x7f || strchr("<>()\\\"", *to))
			*to = '?';
}

static bool take_name(void *to, const char *value)
{
	struct smtp_client_info *client = to;

	if (value)
		copy_name(client->name, sizeof(client->name), value);
	return value != NULL;
}

static bool take_helo(void *to, const char *value)
{
	struct smtp_client_info *client = to;

	if (value)
		copy_name(client->helo, sizeof(client->helo), value);
	return value != NULL;
}

static bool take_address(void *to, const char *value)
{
	struct smtp_client_info *client = to;
	struct in6_addr parsed;
	bool six;

	if (!value)
		return false;
	value = known(value);
	six = !strncasecmp(value, "IPv6:", 5);
	if (six)
		value += 5;
	if (*value && inet_pton(AF_INET6, value, &parsed) != 1 &&
	    (six || inet_pton(AF_INET, value, &parsed) != 1))
		return false;
	(void)snprintf(client->address, sizeof(client->address), "%s", value);
	return true;
}

static bool take_port(void *to, const char *value)
{
	struct smtp_client_info *client = to;
	unsigned port = 0;

	if (!value)
		return false;
	for (value = known(value);
	     isdigit((unsigned char)*value) && port <= UINT16_MAX; value++)
		port = port * 10 + (unsigned)(*value - '0');
	if (*value || port > UINT16_MAX)
		return false;
	client->port = (uint16_t)port;
	return true;
}

static bool take_protocol(void *to, const char *value)
{
	struct smtp_client_info *client = to;
	size_t length;

	if (!value)
		return false;
	value = known(value);
	length = strlen(value);
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
static bool take_nothing(void *to, const char *value)
{
	(void)to;
	return value != NULL;
}

/* --- the table ------------------------------------------------------------ */

/*
 * A parameter, and the line of EHLO that offers it. offer is NULL where another
 * row's line does, name is NULL for an extension without parameters.
 */
struct parameter_row {
	const char *offer;
	enum smtp_server_parameters of;
	const char *name;
	unsigned bit; /* given twice it is refused; 0: it may be */
	bool xtext;   /* the value is (RFC 3461 section 4) */
	/* Takes the value, NULL without '='. False: the reply says why. */
	bool (*take)(void *to, const char *value);
	const char *reply; /* 501 */
};

#define BAD_ATTRIBUTE "Bad attribute value"

enum { BIT_SIZE = 1 << 0, BIT_BODY = 1 << 1, BIT_UTF8 = 1 << 2 };

static const struct parameter_row rows[] = {
    {.offer = "PIPELINING"},
    {"SIZE", SMTP_PARAMETERS_MAIL, "SIZE", BIT_SIZE, false, take_size,
     "Malformed SIZE"},
    {"8BITMIME", SMTP_PARAMETERS_MAIL, "BODY", BIT_BODY, false, take_body,
     "BODY must be 7BIT or 8BITMIME"},
    {.offer = "ENHANCEDSTATUSCODES"},
    {"SMTPUTF8", SMTP_PARAMETERS_MAIL, "SMTPUTF8", BIT_UTF8, false, take_utf8,
     "SMTPUTF8 takes no value"},
    {NULL, SMTP_PARAMETERS_XFORWARD, "NAME", 0, true, take_name, BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "ADDR", 0, true, take_address,
     BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "PORT", 0, true, take_port, BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "PROTO", 0, true, take_protocol,
     BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "HELO", 0, true, take_helo, BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "IDENT", 0, true, take_nothing,
     BAD_ATTRIBUTE},
    {NULL, SMTP_PARAMETERS_XFORWARD, "SOURCE", 0, true, take_nothing,
     BAD_ATTRIBUTE},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* What is said of a parameter that no row of the command has. */
static const struct {
	int code;
	const char *unknown, *malformed;
} refusals[] = {
    [SMTP_PARAMETERS_MAIL] = {555, "Unsupported parameter",
                              "Malformed parameter"},
    [SMTP_PARAMETERS_RCPT] = {555, "Unsupported parameter",
                              "Malformed parameter"},
    [SMTP_PARAMETERS_XFORWARD] = {501, "Unknown attribute",
                                  "Malformed attribute"},
};

static const struct parameter_row *find(enum smtp_server_parameters of,
                                        const struct smtp_parameter *parameter)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].name && rows[i].of == of &&
		    smtp_parameter_is(parameter, rows[i].name))
			return &rows[i];
	return NULL;
}

/* Whether the row took the parameter's value. */
static bool take(const struct parameter_row *row,
                 const struct smtp_parameter *parameter, void *to)
{
	char value[VALUE_SIZE];

	if (!parameter->value)
		return row->take(to, NULL);
	if (row->xtext) {
		if (smtp_xtext_decode(parameter->value, parameter->value_length,
		                      value, sizeof(value)) != 0)
			return false;
		return row->take(to, value);
	}
	if (parameter->value_length >= sizeof(value))
		return false;
	memcpy(value, parameter->value, parameter->value_length);
	value[parameter->value_length] = '\0';
	return row->take(to, value);
}

bool smtp_server_take_parameters(struct smtp_server *server,
                                 enum smtp_server_parameters of,
                                 const char *text, void *to)
{
	struct smtp_parameter parameter;
	const char *wrong = NULL;
	unsigned seen = 0;
	int found, code = 501;

	while (!wrong && (found = smtp_parameter_next(&text, &parameter)) > 0) {
		const struct parameter_row *row = find(of, &parameter);

		if (!row) {
			code = refusals[of].code;
			wrong = refusals[of].unknown;
		} else if (seen & row->bit) {
			wrong = "Parameter given twice";
		} else if (!take(row, &parameter, to)) {
			wrong = row->reply;
		} else {
			seen |= row->bit;
		}
	}
	if (!wrong && found < 0)
		wrong = refusals[of].malformed;
	if (wrong)
		smtp_server_complain(server, code, "5.5.4", wrong);
	return !wrong;
}

void smtp_server_offer(const struct smtp_server *server, struct buffer *lines)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (!rows[i].offer)
			continue;
		(void)buffer_append_format(lines, "\n%s", rows[i].offer);
		if (rows[i].bit == BIT_SIZE)
			(void)buffer_append_format(
			    lines, " %zu", server->options->maximum_message);
	}
	if (!server->listed)
		return;
	(void)buffer_append_text(lines, "\nXFORWARD");
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].of == SMTP_PARAMETERS_XFORWARD)
			(void)buffer_append_format(lines, " %s", rows[i].name);
}

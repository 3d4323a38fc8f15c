/* How "turing-agent queue" shows messages: as lines, whole, or as JSON. */
#include "local-agent/cli/queue-print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli/cli.h"
#include "common/clock.h"

/* Why it failed and waits for somebody: the next hop's words, or ours. */
static void print_reason(const struct spool_recipient *recipient)
{
	if (recipient->state != SPOOL_FAILED || !recipient->keep_until_ms)
		return;
	(void)fputs(" [", stdout);
	cli_print_text(stdout,
	               *recipient->reply ? recipient->reply : recipient->why);
	(void)putchar(']');
}

void cli_print_line(const struct spool_message *message)
{
	char id[ID_TEXT_SIZE], when[CLOCK_TEXT_SIZE];
	size_t i;

	for (i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];

		(void)printf("%s %s %-11s %8lld <", id_format(&message->id, id),
		             clock_format_rfc3339(message->received_ms, when),
		             spool_state_name(recipient->state),
		             (long long)message->size);
		cli_print_text(stdout, message->sender);
		(void)fputs("> <", stdout);
		cli_print_text(stdout, recipient->address);
		(void)fputs("> ", stdout);
		cli_print_text(stdout, message->subject);
		print_reason(recipient);
		(void)putchar('\n');
	}
}

static void print_field(const char *name, const char *value)
{
	(void)printf("%-17s ", name);
	cli_print_text(stdout, value);
	(void)putchar('\n');
}

static void print_time(const char *name, int64_t wall_ms)
{
	char when[CLOCK_TEXT_SIZE];

	print_field(name, clock_format_rfc3339(wall_ms, when));
}

static void print_auth(const struct mail_auth *auth)
{
	if (!auth->stated) {
		print_field("authentication:", "not stated by the MX");
		return;
	}
	(void)printf("%-17s spf=%s",
	             "authentication:", auth_result_name(auth->spf));
	(void)printf(" dkim=%s", auth_result_name(auth->dkim));
	(void)printf(" dmarc=%s%s\n", auth_result_name(auth->dmarc),
	             auth->aligned ? ", aligned" : "");
}

/* Calls each with every line of a history, without its end. */
static void each_line(const char *history,
                      void (*each)(const char *line, void *context),
                      void *context)
{
	char line[SPOOL_HISTORY_MAXIMUM + 1];

	while (*history) {
		size_t length = strcspn(history, "\n");

		(void)snprintf(line, sizeof(line), "%.*s", (int)length,
		               history);
		each(line, context);
		history += length + (history[length] != '\0');
	}
}

static void print_step(const char *line, void *context)
{
	const char **name = context;

	print_field(*name, line);
	*name = "";
}

/* Until when failed mail is kept, and whether its sender is told. */
static void print_failure(const struct spool_recipient *recipient)
{
	char id[ID_TEXT_SIZE];

	if (recipient->state == SPOOL_FAILED && recipient->keep_until_ms)
		print_time("  kept until:", recipient->keep_until_ms);
	if (recipient->dsn == SPOOL_DSN_NONE)
		return;
	(void)printf("  %-15s DSN %s",
	             "sender told:", spool_dsn_name(recipient->dsn));
	if (!id_is_none(&recipient->dsn_id))
		(void)printf(", %s", id_format(&recipient->dsn_id, id));
	(void)putchar('\n');
}

static void print_recipient(const struct spool_recipient *recipient)
{
	const char *name = "  before:";
	char when[CLOCK_TEXT_SIZE];

	(void)fputs("\nrecipient:        <", stdout);
	cli_print_text(stdout, recipient->address);
	(void)printf(">\n  state:          %s since %s\n",
	             spool_state_name(recipient->state),
	             clock_format_rfc3339(recipient->changed_ms, when));
	print_field("  by:", recipient->by);
	print_field("  why:", recipient->why);
	each_line(recipient->history, print_step, &name);
	if (recipient->attempts > 0)
		(void)printf("  attempts:       %u\n", recipient->attempts);
	if (*recipient->reply)
		print_field("  next hop:", recipient->reply);
	if (recipient->state == SPOOL_QUEUED ||
	    recipient->state == SPOOL_DEFERRED)
		print_time("  next attempt:", recipient->next_attempt_ms);
	if (*recipient->lease_owner) {
		print_field("  claimed by:", recipient->lease_owner);
		print_time("  claimed until:", recipient->lease_until_ms);
	}
	if (recipient->event_pending)
		print_field("  cloud:", "is still to be told");
	if (*recipient->next_hop)
		print_field("  goes to:", recipient->next_hop);
	print_failure(recipient);
}

/* What the cloud knows of it, and what it did not take. */
static void print_registration(const struct spool_message *message)
{
	print_field("cloud:", message->registered ? "knows it, or need not"
	                                          : "is still to hear of it");
	if (*message->registration_refusal)
		print_field("cloud refused:", message->registration_refusal);
	if (message->registration_attempts > 0) {
		(void)printf("%-17s %u\n", "refused so often:",
		             message->registration_attempts);
		print_time("asked again:", message->registration_retry_ms);
	}
}

void cli_print_message(const struct spool_message *message)
{
	char id[ID_TEXT_SIZE];
	size_t i;

	print_field("message:", id_format(&message->id, id));
	print_time("received:", message->received_ms);
	print_time("expires if held:", message->expires_ms);
	(void)printf("%-17s %lld bytes%s\n", "size:", (long long)message->size,
	             message->body_present ? "" : ", body no longer kept");
	if (!id_is_none(&message->dsn_of))
		print_field("tells of:", id_format(&message->dsn_of, id));
	print_field("sender:", message->sender);
	print_field("looked up as:", message->sender_normal);
	print_field("header From:", message->header_from);
	print_field("subject:", message->subject);
	print_field("Message-ID:", message->message_id);
	print_field("client:", message->client_address);
	print_field("client name:", message->client_name);
	print_field("HELO:", message->helo);
	print_auth(&message->auth);
	if (*message->auth_notice)
		print_field("MX's stamps:", message->auth_notice);
	print_field("challenge:", *message->challenge_reason
	                              ? message->challenge_reason
	                              : "may be sent");
	print_registration(message);
	for (i = 0; i < message->recipient_count; i++)
		print_recipient(&message->recipients[i]);
}

/* Bytes that are not UTF-8 are shown one by one, as Latin-1. */
static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char copy[4096];
	size_t used = 0;

	if (value)
		return value;
	for (; *text && used < sizeof(copy) - 3; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x80) {
			copy[used++] = (char)byte;
			continue;
		}
		copy[used++] = (char)(0xc0 | byte >> 6);
		copy[used++] = (char)(0x80 | (byte & 0x3f));
	}
	return json_stringn(copy, used);
}

static json_t *json_time(int64_t wall_ms)
{
	char when[CLOCK_TEXT_SIZE];

	return json_string(clock_format_rfc3339(wall_ms, when));
}

static void add_step(const char *line, void *context)
{
	(void)json_array_append_new(context, json_text(line));
}

static json_t *json_history(const char *history)
{
	json_t *list = json_array();

	each_line(history, add_step, list);
	return list;
}

static json_t *json_recipient(const struct spool_recipient *recipient)
{
	return json_pack(
	    "{so ss so so so si so so so ss so}", "address",
	    json_text(recipient->address), "state",
	    spool_state_name(recipient->state), "since",
	    json_time(recipient->changed_ms), "by", json_text(recipient->by),
	    "why", json_text(recipient->why), "attempts",
	    (int)recipient->attempts, "reply", json_text(recipient->reply),
	    "history", json_history(recipient->history), "kept_until",
	    recipient->state == SPOOL_FAILED && recipient->keep_until_ms
	        ? json_time(recipient->keep_until_ms)
	        : json_null(),
	    "dsn", spool_dsn_name(recipient->dsn), "next_hop",
	    json_text(recipient->next_hop));
}

void cli_print_json(const struct spool_message *message)
{
	char id[ID_TEXT_SIZE];
	json_t *recipients = json_array();
	json_t *object;
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		(void)json_array_append_new(
		    recipients, json_recipient(&message->recipients[i]));
	object = json_pack(
	    "{ss so so sI sb sb so so so so so sb so si so}", "id",
	    id_format(&message->id, id), "received",
	    json_time(message->received_ms), "expires",
	    json_time(message->expires_ms), "size", (json_int_t)message->size,
	    "body_present", message->body_present, "smtputf8",
	    message->smtputf8, "sender", json_text(message->sender), "subject",
	    json_text(message->subject), "client",
	    json_text(message->client_address), "challenge_reason",
	    json_text(message->challenge_reason), "auth_notice",
	    json_text(message->auth_notice), "registered", message->registered,
	    "registration_refusal", json_text(message->registration_refusal),
	    "registration_attempts", (int)message->registration_attempts,
	    "recipients", recipients);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
}

/* Return paths that tell which challenge came back, and what a bounce means. */
#include "cloud-service/bounce.h"

#include <string.h>
#include <strings.h>

#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"

#define PREFIX   "bounce+"
#define MAC_SIZE 12 /* bytes: the local part then has 63 octets */

static void make_mac(const uint8_t key[32], const struct id *challenge,
                     uint8_t mac[CRYPTO_HASH_SIZE])
{
	uint8_t input[8 + sizeof(challenge->bytes)] = "bounce1";

	memcpy(input + 8, challenge->bytes, sizeof(challenge->bytes));
	crypto_hmac_sha256(key, 32, input, sizeof(input), mac);
}

int bounce_address_make(const uint8_t key[32], const struct id *challenge,
                        const char *domain, char address[MAIL_ADDRESS_SIZE])
{
	uint8_t mac[CRYPTO_HASH_SIZE];
	char id_hex[2 * sizeof(challenge->bytes) + 1];
	char mac_hex[2 * MAC_SIZE + 1];

	if (strlen(domain) > 255)
		return ERR_LIMIT;
	make_mac(key, challenge, mac);
	hex_encode(challenge->bytes, sizeof(challenge->bytes), id_hex);
	hex_encode(mac, MAC_SIZE, mac_hex);
	snprintf(address, MAIL_ADDRESS_SIZE, PREFIX "%s%s@%s", id_hex, mac_hex,
	         domain);
	return 0;
}

int bounce_address_read(const uint8_t key[32], const char *address,
                        const char *domain, struct id *challenge)
{
	const size_t prefix = strlen(PREFIX);
	const size_t size = sizeof(challenge->bytes) + MAC_SIZE;
	uint8_t bytes[sizeof(challenge->bytes) + MAC_SIZE];
	uint8_t mac[CRYPTO_HASH_SIZE];
	char hex[2 * sizeof(bytes) + 1];
	struct id read;

	if (strncasecmp(address, PREFIX, prefix) ||
	    strlen(address) < prefix + 2 * size + 1 ||
	    address[prefix + 2 * size] != '@' ||
	    strcasecmp(address + prefix + 2 * size + 1, domain))
		return ERR_INVALID;
	memcpy(hex, address + prefix, 2 * size);
	hex[2 * size] = '\0';
	if (hex_decode(hex, bytes, size))
		return ERR_INVALID;
	memcpy(read.bytes, bytes, sizeof(read.bytes));
	make_mac(key, &read, mac);
	if (!crypto_equal(mac, bytes + sizeof(read.bytes), MAC_SIZE))
		return ERR_INVALID;
	*challenge = read;
	return 0;
}

/* Copies the word after a field's colon; a second field changes nothing. */
static void take_word(const char *value, char *out, size_t size)
{
	size_t length;

	if (*out)
		return;
	value += strspn(value, " \t");
	length = strcspn(value, " \t;(");
	if (length == 0 || length >= size)
		return;
	memcpy(out, value, length);
	out[length] = '\0';
}

static bool is_status(const char *text)
{
	return strspn(text, "0123456789.") == strlen(text) &&
	       strlen(text) >= 5 && text[1] == '.' && strchr("245", text[0]);
}

static void read_line(struct bounce_report *report)
{
	const char *line = report->line;

	if (!strncasecmp(line, "Action:", 7)) {
		take_word(line + 7, report->action, sizeof(report->action));
	} else if (!strncasecmp(line, "Status:", 7)) {
		take_word(line + 7, report->status, sizeof(report->status));
		if (*report->status && !is_status(report->status))
			report->status[0] = '\0';
	}
}

void bounce_feed(struct bounce_report *report, const char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			report->line[report->length] = '\0';
			read_line(report);
			report->length = 0;
		} else if (bytes[i] != '\r' &&
		           report->length + 1 < sizeof(report->line)) {
			report->line[report->length++] = bytes[i];
		}
	}
}

static bool is_permanent(const struct bounce_report *report)
{
	if (*report->action && strcasecmp(report->action, "failed"))
		return false; /* delayed, relayed, delivered, expanded */
	return report->status[0] == '5';
}

int bounce_apply(struct cloud *cloud, const struct id *challenge,
                 const struct bounce_report *report, struct error *err)
{
	struct registry_challenge stored;
	char text[ID_TEXT_SIZE];
	char reason[sizeof(report->status)];
	int64_t now = clock_wall_ms();
	struct registry_dead_sender dead = {
	    .marked_ms = now, .challenge = *challenge, .reason = reason};
	int result;

	memcpy(reason, report->status, sizeof(reason));
	id_format(challenge, text);
	if (!is_permanent(report)) {
		log_info(text, "bounce without a permanent failure, status %s",
		         *report->status ? report->status : "none");
		return 0;
	}
	result =
	    registry_challenge_read(cloud->registry, challenge, &stored, err);
	if (result == ERR_NOT_FOUND)
		return 0; /* kept no longer */
	if (result)
		return result;
	/* Dead first: whoever finds the challenge over looks there next. */
	if (!strncmp(report->status, "5.1.", 4)) {
		memcpy(dead.hash, stored.sender_hash, sizeof(dead.hash));
		result = registry_sender_mark(cloud->registry, &dead, err);
	}
	if (!result)
		result = registry_challenge_end(cloud->registry, challenge,
		                                CHALLENGE_STATE_BOUNCED,
		                                report->status, now, err);
	registry_challenge_release(&stored);
	if (result == ERR_CONFLICT)
		return 0; /* solved, expired or bounced before */
	if (!result) {
		count_mail("bounced");
		log_info(text, "challenge mail bounced, status %s",
		         report->status);
	}
	return result;
}

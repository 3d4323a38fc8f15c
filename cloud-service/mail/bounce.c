/* Return paths that tell which challenge came back, and what a bounce means. */
#include "cloud-service/mail/bounce.h"

#include <string.h>
#include <strings.h>

#include "cloud-service/challenge/end.h"
#include "cloud-service/cloud-metrics.h"
#include "cloud-service/mail/delivery-report.h"
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

int bounce_apply(struct registry *registry, const struct id *id,
                 const char *mail, size_t size, struct error *err)
{
	struct registry_challenge challenge;
	struct delivery_report report;
	char text[ID_TEXT_SIZE], reason[300];
	bool ended = false;
	int result = registry_challenge_read(registry, id, &challenge, err);

	if (result == ERR_NOT_FOUND)
		return 0; /* kept no longer */
	if (result)
		return result;
	delivery_report_read(mail, size, challenge.sender, &report);
	id_format(id, text);
	if (report.failed) {
		snprintf(reason, sizeof(reason), "report: %s %s", report.status,
		         report.detail);
		result = challenge_bounced(registry, &challenge, reason,
		                           report.nobody_there, &ended, err);
	}
	registry_challenge_release(&challenge);
	if (ended)
		count_mail("bounced");
	else if (!result)
		log_info(text, "a mail to the return path changes nothing: %s",
		         report.failed ? "the challenge is over"
		                       : "no report that the mail failed");
	return result;
}

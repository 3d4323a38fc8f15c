/*
 * Fuzzes the header: the same fields however the bytes are cut, and the rules,
 * mailboxes and decoding over whatever comes out.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/challenge-rule.h"
#include "common/mail/header.h"
#include "common/mail/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ignore(const char *address, void *context)
{
	(void)context;
	return strlen(address) < 321;
}

static void use(const struct mail_header *header)
{
	static const char *const recipients[] = {"bob@own.example"};
	static const struct mail_auth_source source = {.authserv_id =
	                                                   "mx.example"};
	static const struct mail_auth_claims claims = {.reverse_path =
	                                                   "a@b.example",
	                                               .from = "a@b.example",
	                                               .helo = "b.example"};
	struct mail_auth_notice notice;
	struct mail_identity identity;
	struct mail_auth auth;
	struct challenge_facts facts = {.sender = "a@b.example",
	                                .identity = &identity,
	                                .header = header,
	                                .demand_authentication = false,
	                                .recipients = recipients,
	                                .recipient_count = 1};
	size_t i;

	mail_auth_read(header, &source, &claims, &auth, &notice);
	mail_identity_find(&identity, "a@b.example", "a@b.example", &auth);
	(void)challenge_rule_apply(&facts);
	for (i = 0; i < header->field_count; i++) {
		char text[64];

		(void)mail_header_decode(header->fields[i].value, text,
		                         sizeof(text));
		mail_header_each_mailbox(header->fields[i].value, ignore, NULL);
	}
}

/* The bytes fed one by one have to give the fields of the bytes at once. */
static void compare(const struct mail_header *a, const struct mail_header *b)
{
	size_t i;

	if (a->field_count != b->field_count || a->complete != b->complete)
		abort();
	for (i = 0; i < a->field_count; i++)
		if (strcmp(a->fields[i].name, b->fields[i].name) != 0 ||
		    strcmp(a->fields[i].value, b->fields[i].value) != 0)
			abort();
}

/* The same for the types of the parts. */
static void read_parts(const char *bytes, size_t size)
{
	struct mail_parts whole, cut;
	size_t i;

	mail_parts_init(&whole);
	mail_parts_init(&cut);
	mail_parts_feed(&whole, bytes, size);
	for (i = 0; i < size; i++)
		mail_parts_feed(&cut, bytes + i, 1);
	if (whole.classes != cut.classes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_header whole, cut;
	size_t i;

	read_parts((const char *)data, size);
	mail_header_init(&whole);
	mail_header_init(&cut);
	mail_header_feed(&whole, (const char *)data, size);
	for (i = 0; i < size; i++)
		mail_header_feed(&cut, (const char *)data + i, 1);
	mail_header_parse(&whole);
	mail_header_parse(&cut);
	compare(&whole, &cut);
	use(&whole);
	mail_header_release(&whole);
	mail_header_release(&cut);
	return 0;
}

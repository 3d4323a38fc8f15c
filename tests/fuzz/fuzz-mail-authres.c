/*
 * Fuzzes Authentication-Results. Whatever stands at the other place or under
 * another id must change nothing, and a pass names whom it is for.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/identity.h"

#define FIELD "Authentication-Results: "

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(const char *before, const uint8_t *data, size_t size,
                        bool below, struct mail_auth *auth)
{
	const struct mail_auth_source source = {.authserv_id = "mx.example",
	                                        .below = below};
	static const struct mail_auth_claims claims = {
	    .reverse_path = "a@sender.example",
	    .from = "a@from.example",
	    .helo = "out.sender.example"};
	char text[MAIL_AUTH_NOTICE_SIZE];
	struct mail_auth_notice notice;
	struct mail_identity identity;
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, before, strlen(before));
	mail_header_feed(&header, (const char *)data, size);
	mail_header_parse(&header);
	mail_auth_read(&header, &source, &claims, auth, &notice);
	(void)mail_auth_notice_text(&notice, &source, text);
	mail_header_release(&header);
	if (notice.kind == MAIL_AUTH_TRUSTED && !auth->stated)
		abort();
	mail_identity_find(&identity, "a@sender.example", "a@from.example",
	                   auth);
	if (identity.person_pass == MAIL_PASS_SPF &&
	    strcmp(auth->spf_domain, "sender.example") != 0)
		abort();
	if (auth->dkim == AUTH_PASS && !*auth->dkim_domain)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_auth auth;

	read_fields(FIELD, data, size, false, &auth);
	read_fields(FIELD "mx.example; ", data, size, false, &auth);
	read_fields("Received: x\r\n" FIELD "mx.example; ", data, size, true,
	            &auth);
	/* Below the first Received line, and below another's field there. */
	read_fields(FIELD "mx.example; none\r\nReceived: x\r\n" FIELD, data,
	            size, false, &auth);
	if (!auth.stated || auth.spf || auth.dkim || auth.dmarc)
		abort();
	read_fields("Received: x\r\n" FIELD "other.example; none\r\n", data,
	            size, true, &auth);
	if (auth.stated || auth.spf || auth.dkim || auth.dmarc)
		abort();
	return 0;
}

/*
 * Fuzzes Authentication-Results. Whatever the field of another id says, it
 * must change nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/authres.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(const char *before, const uint8_t *data, size_t size,
                        struct mail_auth *auth)
{
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, before, strlen(before));
	mail_header_feed(&header, (const char *)data, size);
	mail_header_parse(&header);
	mail_auth_read(&header, "mx.example", "a@sender.example",
	               "a@from.example", auth);
	mail_header_release(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_auth auth;

	read_fields("Authentication-Results: ", data, size, &auth);
	(void)mail_auth_passes(&auth);
	read_fields("Authentication-Results: mx.example; ", data, size, &auth);
	if (!auth.stated)
		abort();
	if (auth.spf == AUTH_PASS &&
	    strcmp(auth.spf_domain, "sender.example") != 0)
		abort();
	/* Below a foreign field nothing counts. */
	read_fields("Authentication-Results: other.example; none\r\n", data,
	            size, &auth);
	if (auth.stated || mail_auth_passes(&auth) || mail_auth_fails(&auth))
		abort();
	return 0;
}

/* Fuzzes addresses: what is valid folds, and the forms are stable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mail/automatic.h"
#include "common/mail/suffix.h"
#include "common/mem.h"
#include "common/policy/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text)
{
	char folded[MAIL_ADDRESS_SIZE], again[MAIL_ADDRESS_SIZE];
	char inside[MAIL_ADDRESS_SIZE];

	(void)automatic_address(text);
	(void)mail_address_is_null_sender(text);
	(void)mail_domains_align(text, "example.org");
	if (mail_address_fold(text, folded) != 0) {
		/* A valid ASCII address has a form to look it up by. */
		if (mail_address_valid(text, false))
			abort();
		return;
	}
	if (strpbrk(folded, "\r\n<>") && folded[0] != '"')
		abort();
	if (mail_address_fold(folded, again) != 0 || strcmp(folded, again) != 0)
		abort();
	if (mail_sender_unwrap(folded, again) &&
	    mail_address_fold(again, inside) != 0)
		abort();
	if (mail_sender_normalise(text, folded) != 0 ||
	    mail_address_fold(folded, again) != 0 || strcmp(folded, again) != 0)
		abort();
}

static void check_entry(const char *text, unsigned kind)
{
	struct entry entry = {.scope = ENTRY_SCOPE_TENANT,
	                      .kind = (enum entry_kind)(kind % 5),
	                      .value = mem_copy_string(text),
	                      .scope_value = mem_copy_string("")};
	char *first;

	if (entry_canonicalise(&entry, NULL) == 0) {
		first = mem_copy_string(entry.value);
		if (entry_canonicalise(&entry, NULL) != 0 ||
		    strcmp(first, entry.value) != 0)
			abort();
		free(first);
	}
	entry_release(&entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = mem_copy_bytes(data + 1, size - 1);
	check(text);
	check_entry(text, data[0]);
	free(text);
	return 0;
}

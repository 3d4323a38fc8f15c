/*
 * The lists of an agent in memory: bench-entries ENTRIES. Prints the bytes of
 * an entry, the CPU time of a look-up (that finds, that does not), of one
 * changed entry, and the longest of the changes, each in ns.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/crypto.h"
#include "common/policy/entry-set.h"

#define LOOKUPS 200000
#define CHANGES 20000

static int64_t cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void put(struct entry_set *set, uint32_t number, const char *domain)
{
	char value[64];
	struct entry entry = {.scope = ENTRY_SCOPE_TENANT,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .scope_value = (char *)"",
	                      .value = value,
	                      .note = (char *)""};

	for (unsigned i = 0; i < 4; i++)
		entry.id.bytes[i] = (uint8_t)(number >> 8 * i);
	(void)snprintf(value, sizeof(value), "person%" PRIu32 "@%s", number,
	               domain);
	entry_set_put(set, &entry);
}

static int64_t look_up(const struct entry_set *set, uint32_t count,
                       const char *domain, unsigned *found)
{
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "somebody@ours.example",
	                                .client_address = "192.0.2.1"};
	int64_t spent = 0;

	*found = 0;
	for (unsigned i = 0; i < LOOKUPS; i++) {
		char sender[64];
		int64_t start;

		(void)snprintf(sender, sizeof(sender), "person%" PRIu32 "@%s",
		               random_below(count), domain);
		mail_identity_find(&identity, sender, "", NULL);
		start = cpu_ns();
		*found += entry_set_find(set, &subject) != NULL;
		spent += cpu_ns() - start;
	}
	return spent / LOOKUPS;
}

/* Changes that are already in, and as many that grow the set. */
static int64_t change(struct entry_set *set, uint32_t count, int64_t *longest)
{
	int64_t spent = 0;

	*longest = 0;
	for (uint32_t i = 0; i < CHANGES; i++) {
		uint32_t number = i % 2 ? random_below(count) : count + i;
		int64_t start = cpu_ns(), took;

		put(set, number, "changed.example");
		took = cpu_ns() - start;
		spent += took;
		if (took > *longest)
			*longest = took;
	}
	return spent / CHANGES;
}

int main(int argc, char **argv)
{
	uint32_t count = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	struct entry_set *set = entry_set_new();
	int64_t hit, miss, changed, longest;
	unsigned found, none;
	size_t before, after;

	if (count == 0 || crypto_init())
		return 2;
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (uint32_t i = 0; i < count; i++)
		put(set, i, "there.example");
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	hit = look_up(set, count, "there.example", &found);
	miss = look_up(set, count, "elsewhere.example", &none);
	changed = change(set, count, &longest);
	if (found != LOOKUPS || none)
		return 1;
	printf("%zu B, found %" PRId64 ", not found %" PRId64
	       ", changed %" PRId64 ", longest %" PRId64 "\n",
	       (after - before) / count, hit, miss, changed, longest);
	entry_set_free(set);
	return 0;
}

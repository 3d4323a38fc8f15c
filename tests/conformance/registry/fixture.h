/*
 * What the registry's conformance tests share: a registry in a folder or a
 * database of its own for each test, and records with short names. The backend
 * is taken from TURING_TEST_BACKEND ("sqlite" when unset).
 */
#ifndef TESTS_CONFORMANCE_REGISTRY_FIXTURE_H
#define TESTS_CONFORMANCE_REGISTRY_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "store/registry/registry.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/ok.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

#define UNUSED __attribute__((unused))

/* The day of the tests. */
#define NOW INT64_C(1700000000000)

static struct registry *registry;
static char folder[64];
static char location[512];
UNUSED static struct id tenant_a, tenant_b, no_id;

UNUSED static const char *backend(void)
{
	const char *name = getenv("TURING_TEST_BACKEND");

	return name && *name ? name : "sqlite";
}

UNUSED static bool is_sqlite(void)
{
	return !strcmp(backend(), "sqlite");
}

/* Opens the test's registry once more, as another instance would. */
UNUSED static struct registry *open_again(void)
{
	struct registry_options options = {backend(), location};
	struct registry *opened = NULL;

	ok(registry_open(&opened, &options, E));
	return opened;
}

/* An id that ends in number, ordered by it. */
UNUSED static struct id id_of(unsigned number)
{
	struct id id = {{1}};

	for (int i = 15; number; i--, number >>= 8)
		id.bytes[i] = (uint8_t)(number & 0xff);
	return id;
}

UNUSED static void add_tenant(const struct id *id, const char *name)
{
	struct registry_tenant tenant = {
	    .id = *id,
	    .name = (char *)name,
	    .language = (char *)"fr",
	    .created_ms = NOW,
	};

	ok(registry_tenant_add(registry, &tenant, E));
}

/* Where the test's registry is: its folder, or a fresh database. */
UNUSED static void set_location(void)
{
	char *uri;

	if (is_sqlite()) {
		(void)snprintf(location, sizeof(location), "%s/data", folder);
		return;
	}
	uri = mongodb_fixture_uri();
	ck_assert_uint_lt(strlen(uri), sizeof(location));
	(void)snprintf(location, sizeof(location), "%s", uri);
	free(uri);
}

/* A fresh registry with the tenants a and b. */
UNUSED static void set_up(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	(void)snprintf(folder, sizeof(folder), "/tmp/turing-registry-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	set_location();
	registry = open_again();
	tenant_a = id_of(0xa0000000);
	tenant_b = id_of(0xb0000000);
	add_tenant(&tenant_a, "a");
	add_tenant(&tenant_b, "b");
}

UNUSED static void tear_down(void)
{
	static const char *const names[] = {
	    "/data/registry.db", "/data/registry.db-wal",
	    "/data/registry.db-shm", "/data", ""};

	registry_close(registry);
	registry = NULL;
	if (!is_sqlite())
		mongodb_fixture_drop(strdup(location));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s%s", folder, names[i]);
		(void)remove(path);
	}
}

/* A white entry of the address for the tenant. */
UNUSED static struct entry entry_of(unsigned number, const char *value)
{
	struct entry entry = {
	    .id = id_of(number),
	    .scope = ENTRY_SCOPE_TENANT,
	    .colour = ENTRY_WHITE,
	    .kind = ENTRY_ADDRESS,
	    .origin = ENTRY_FROM_ADMIN,
	    .created_ms = NOW,
	    .scope_value = (char *)"",
	    .value = (char *)value,
	    .note = (char *)"",
	};

	return entry;
}

/* Adds a message of sender to one or two (comma) recipients. */
UNUSED static int put_message(const struct id *tenant, unsigned number,
                              const char *sender, const char *first,
                              const char *second)
{
	struct registry_recipient recipients[2] = {{.address = (char *)first},
	                                           {.address = (char *)second}};
	struct registry_message message = {
	    .id = id_of(number),
	    .tenant = *tenant,
	    .received_ms = NOW - 1000,
	    .registered_ms = NOW,
	    .expires_ms = NOW + number,
	    .size = 1234,
	    .sender = (char *)sender,
	    .sender_normal = (char *)sender,
	    .header_from = (char *)"From <from@example.org>",
	    .subject = (char *)"Subject",
	    .message_id = (char *)"<id@example.org>",
	    .client_address = (char *)"192.0.2.1",
	    .helo = (char *)"mail.example.org",
	    .recipients = recipients,
	    .recipient_count = second ? 2 : 1,
	};
	int result = 1;

	ok(registry_message_add(registry, &message, 1, &result, E));
	return result;
}

UNUSED static int decide(const struct id *tenant, unsigned message,
                         const char *recipient, enum registry_verdict verdict)
{
	struct registry_decision decision = {
	    .message = id_of(message),
	    .recipient = (char *)recipient,
	    .verdict = verdict,
	    .by = (char *)"list",
	    .why = (char *)"white entry",
	    .decided_ms = NOW + 5,
	};

	return registry_decide(registry, tenant, &decision, NULL);
}

/* The state of one recipient. */
UNUSED static enum registry_state state_of(const struct id *tenant,
                                           unsigned number,
                                           const char *recipient)
{
	struct registry_message message;
	struct id id = id_of(number);
	int state = -1;

	ok(registry_message_read(registry, tenant, &id, &message, E));
	for (size_t i = 0; i < message.recipient_count; i++)
		if (!strcmp(message.recipients[i].address, recipient))
			state = (int)message.recipients[i].state;
	registry_message_release(&message);
	ck_assert_int_ge(state, 0);
	return (enum registry_state)state;
}

/* An open challenge for the sender whose hash is filled with hash. */
UNUSED static struct registry_challenge challenge_of(unsigned number,
                                                     uint8_t hash)
{
	struct registry_challenge challenge = {
	    .id = id_of(number),
	    .tenant = tenant_a,
	    .message = id_of(1),
	    .created_ms = NOW,
	    .expires_ms = NOW + 1000,
	    .sender = (char *)"stranger@example.org",
	    .code = (char *)"ABCDEF",
	};

	memset(challenge.sender_hash, hash, sizeof(challenge.sender_hash));
	memset(challenge.token_hash, hash + 1, sizeof(challenge.token_hash));
	return challenge;
}

/* A case with set_up() and tear_down() around each of its tests. */
UNUSED static TCase *case_in(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

#endif

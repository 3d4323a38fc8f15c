/* A cloud on an empty registry in a folder of its own, for tests. */
#ifndef TESTS_SUPPORT_CLOUD_FIXTURE_H
#define TESTS_SUPPORT_CLOUD_FIXTURE_H

#include "cloud-service/cloud.h"
#include "cloud-service/decide/register.h"
#include "cloud-service/decide/tenant-domains.h"

/* The tenant "acme" has the domain acme.test. */
struct cloud_fixture {
	char directory[64];
	struct cloud_config config;
	struct cloud cloud;
	struct id tenant;
	struct tenant_domains domains;
};

/* Opens it, no thread started; more is added to the configuration. Fails the
 * test when it cannot. */
void cloud_fixture_open(struct cloud_fixture *fixture, const char *more);

/* As cloud_fixture_open(), with everything started; the HTTP server on a free
 * port. */
void cloud_fixture_start(struct cloud_fixture *fixture, const char *more);

/* A loopback port that was free a moment ago. */
uint16_t cloud_fixture_free_port(void);

/* Stops, closes and deletes the folder. */
void cloud_fixture_close(struct cloud_fixture *fixture);

/* Closes the registry and opens it again, as a new process would. */
void cloud_fixture_reopen(struct cloud_fixture *fixture);

/* Adds another tenant with one domain. */
struct id cloud_fixture_tenant(struct cloud_fixture *fixture, const char *name,
                               const char *domain);

/* Draws a key for an agent of the tenant; text has API_KEY_SIZE bytes. */
void cloud_fixture_key(struct cloud_fixture *fixture, const struct id *tenant,
                       char *text);

/* A held message from an authenticated sender, for one recipient; released by
 * the caller. */
struct registry_message cloud_fixture_message(const struct id *tenant,
                                              const char *sender,
                                              const char *recipient);

/* Registers it for its tenant, and leaves in it what the registry knows then.
 * Fails the test when it cannot. */
enum register_status cloud_fixture_register(struct cloud_fixture *fixture,
                                            struct registry_message *message);

/* Whether the sender with this hash is marked as dead. */
bool cloud_fixture_is_dead(struct cloud_fixture *fixture,
                           const uint8_t hash[CRYPTO_HASH_SIZE]);

/* Puts an entry of the tenant's scope; kind ENTRY_ADDRESS. */
void cloud_fixture_entry(struct cloud_fixture *fixture, const struct id *tenant,
                         enum entry_colour colour, const char *address);

/* The state of the message's first recipient, as stored. */
enum registry_state cloud_fixture_state(struct cloud_fixture *fixture,
                                        const struct id *tenant,
                                        const struct id *message);

/* How many challenges are in the state. */
size_t cloud_fixture_challenges(struct cloud_fixture *fixture,
                                enum registry_challenge_state state);

/* The only open challenge; fails the test when there is not exactly one. The
 * caller releases it. */
struct registry_challenge cloud_fixture_challenge(
    struct cloud_fixture *fixture, enum registry_challenge_state state);

#endif

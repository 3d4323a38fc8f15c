/* Sets up and tears down the cloud of a test. */
#include "tests/support/cloud-fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloud-service/api/auth.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "tests/support/remove-tree.h"

static void load_config(struct cloud_fixture *fixture, const char *more)
{
	struct error err = {0};
	char *text =
	    mem_format("store { location = \"%s/registry\" }\n"
	               "http { listen = \"127.0.0.1:18099\" }\n"
	               "challenge { from = \"challenge@cloud.test\" }\n"
	               "log { level = error }\n%s\n",
	               fixture->directory, more ? more : "");

	ck_assert_msg(
	    !cloud_config_load_text("test", text, &fixture->config, &err), "%s",
	    err.text);
	free(text);
}

static void add_first_tenant(struct cloud_fixture *fixture)
{
	struct error err = {0};

	fixture->tenant = cloud_fixture_tenant(fixture, "acme", "acme.test");
	ck_assert_msg(!tenant_domains_load(&fixture->domains,
	                                   fixture->cloud.registry,
	                                   &fixture->tenant, &err),
	              "%s", err.text);
}

static void prepare(struct cloud_fixture *fixture, const char *more)
{
	memset(fixture, 0, sizeof(*fixture));
	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(fixture->directory, sizeof(fixture->directory),
	         "/tmp/test-cloud-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->directory));
	load_config(fixture, more);
}

void cloud_fixture_open(struct cloud_fixture *fixture, const char *more)
{
	struct error err = {0};

	prepare(fixture, more);
	ck_assert_msg(!cloud_open(&fixture->cloud, &fixture->config, &err),
	              "%s", err.text);
	add_first_tenant(fixture);
}

uint16_t cloud_fixture_free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size),
	                 0);
	close(fd);
	return ntohs(address.sin_port);
}

void cloud_fixture_start(struct cloud_fixture *fixture, const char *more)
{
	struct error err = {0};
	int result = ERR_UNAVAILABLE, tries;

	prepare(fixture, more);
	/* Another process may take the port before the server does. */
	for (tries = 0; result == ERR_UNAVAILABLE && tries < 5; tries++) {
		free(fixture->config.http_listen);
		fixture->config.http_listen = mem_format(
		    "127.0.0.1:%u", (unsigned)cloud_fixture_free_port());
		result = cloud_start(&fixture->cloud, &fixture->config, &err);
	}
	ck_assert_msg(!result, "%s", err.text);
	add_first_tenant(fixture);
}

void cloud_fixture_close(struct cloud_fixture *fixture)
{
	tenant_domains_release(&fixture->domains);
	cloud_stop(&fixture->cloud);
	cloud_config_release(&fixture->config);
	remove_tree(fixture->directory);
}

void cloud_fixture_reopen(struct cloud_fixture *fixture)
{
	struct error err = {0};

	cloud_stop(&fixture->cloud);
	ck_assert_msg(!cloud_open(&fixture->cloud, &fixture->config, &err),
	              "%s", err.text);
}

struct id cloud_fixture_tenant(struct cloud_fixture *fixture, const char *name,
                               const char *domain)
{
	struct registry_tenant tenant = {.id = id_new(),
	                                 .created_ms = clock_wall_ms()};
	struct error err = {0};

	tenant.name = mem_copy_string(name);
	tenant.language = mem_copy_string("en");
	ck_assert_msg(
	    !registry_tenant_add(fixture->cloud.registry, &tenant, &err), "%s",
	    err.text);
	ck_assert_msg(!registry_domain_add(fixture->cloud.registry, &tenant.id,
	                                   domain, &err),
	              "%s", err.text);
	registry_tenant_release(&tenant);
	return tenant.id;
}

void cloud_fixture_key(struct cloud_fixture *fixture, const struct id *tenant,
                       char *text)
{
	char prefix[API_KEY_PREFIX_SIZE];
	struct registry_key key = {
	    .id = id_new(), .tenant = *tenant, .created_ms = clock_wall_ms()};
	struct error err = {0};

	api_key_draw(text, prefix, key.hash);
	key.agent = mem_copy_string("mx1");
	key.prefix = mem_copy_string(prefix);
	ck_assert_msg(!registry_key_add(fixture->cloud.registry, &key, &err),
	              "%s", err.text);
	registry_key_release(&key);
}

struct registry_message cloud_fixture_message(const struct id *tenant,
                                              const char *sender,
                                              const char *recipient)
{
	int64_t now = clock_wall_ms();
	struct registry_message message = {.id = id_new(),
	                                   .tenant = *tenant,
	                                   .received_ms = now,
	                                   .registered_ms = now,
	                                   .expires_ms = now + 1000000,
	                                   .size = 1234,
	                                   .recipient_count = 1};
	char normal[MAIL_ADDRESS_SIZE] = "";

	if (*sender)
		ck_assert_int_eq(mail_sender_normalise(sender, normal), 0);
	message.sender = mem_copy_string(sender);
	message.sender_normal = mem_copy_string(normal);
	message.header_from = mem_copy_string("");
	message.subject = mem_copy_string("Hello");
	message.message_id = mem_copy_string("<1@example.org>");
	message.client_address = mem_copy_string("192.0.2.1");
	message.helo = mem_copy_string("mx.example.org");
	message.challenge_reason = mem_copy_string("");
	message.auth.stated = true;
	message.auth.spf = AUTH_PASS;
	(void)snprintf(message.auth.spf_domain, sizeof(message.auth.spf_domain),
	               "%s", mail_address_domain(normal));
	message.auth.aligned = true;
	message.recipients = mem_alloc_array(1, sizeof(*message.recipients));
	message.recipients[0].address = mem_copy_string(recipient);
	message.recipients[0].by = mem_copy_string("");
	message.recipients[0].why = mem_copy_string("");
	message.recipients[0].changed_ms = now;
	return message;
}

enum register_status cloud_fixture_register(struct cloud_fixture *fixture,
                                            struct registry_message *message)
{
	struct tenant_domains domains = {0};
	enum register_status status;
	struct error err = {0};

	ck_assert_msg(!tenant_domains_load(&domains, fixture->cloud.registry,
	                                   &message->tenant, &err),
	              "%s", err.text);
	ck_assert_msg(!register_messages(&fixture->cloud, &domains, message, 1,
	                                 &status, &err),
	              "%s", err.text);
	tenant_domains_release(&domains);
	return status;
}

bool cloud_fixture_is_dead(struct cloud_fixture *fixture,
                           const uint8_t hash[CRYPTO_HASH_SIZE])
{
	struct error err = {0};
	bool dead;

	ck_assert_msg(!registry_sender_is_dead(fixture->cloud.registry, hash,
	                                       &dead, &err),
	              "%s", err.text);
	return dead;
}

void cloud_fixture_entry(struct cloud_fixture *fixture, const struct id *tenant,
                         enum entry_colour colour, const char *address)
{
	struct entry entry = {.id = id_new(),
	                      .scope = id_is_none(tenant) ? ENTRY_SCOPE_GLOBAL
	                                                  : ENTRY_SCOPE_TENANT,
	                      .colour = colour,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .created_ms = clock_wall_ms()};
	struct error err = {0};

	entry.scope_value = mem_copy_string("");
	entry.value = mem_copy_string(address);
	entry.note = mem_copy_string("");
	ck_assert_int_eq(entry_canonicalise(&entry, &err), 0);
	ck_assert_msg(!registry_entry_put(fixture->cloud.registry, tenant,
	                                  &entry, NULL, &err),
	              "%s", err.text);
	entry_release(&entry);
}

enum registry_state cloud_fixture_state(struct cloud_fixture *fixture,
                                        const struct id *tenant,
                                        const struct id *message)
{
	struct registry_message stored;
	struct error err = {0};
	enum registry_state state;

	ck_assert_msg(!registry_message_read(fixture->cloud.registry, tenant,
	                                     message, &stored, &err),
	              "%s", err.text);
	state = stored.recipients[0].state;
	registry_message_release(&stored);
	return state;
}

static void read_challenges(struct cloud_fixture *fixture,
                            enum registry_challenge_state state,
                            struct registry_challenges *page)
{
	struct error err = {0};

	memset(page, 0, sizeof(*page));
	ck_assert_msg(!registry_challenge_due(fixture->cloud.registry, state,
	                                      INT64_MAX, 100, page, &err),
	              "%s", err.text);
}

size_t cloud_fixture_challenges(struct cloud_fixture *fixture,
                                enum registry_challenge_state state)
{
	struct registry_challenges page;
	size_t count;

	read_challenges(fixture, state, &page);
	count = page.count;
	registry_challenges_release(&page);
	return count;
}

struct registry_challenge cloud_fixture_challenge(
    struct cloud_fixture *fixture, enum registry_challenge_state state)
{
	struct registry_challenge challenge;
	struct registry_challenges page;
	struct error err = {0};

	read_challenges(fixture, state, &page);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(registry_challenge_read(fixture->cloud.registry,
	                                         &page.challenges[0].id,
	                                         &challenge, &err),
	                 0);
	registry_challenges_release(&page);
	return challenge;
}

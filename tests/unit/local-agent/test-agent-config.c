/* Tests of the configuration: what is refused, and what follows from it. */
#include "local-agent/agent-config.h"

#include <string.h>
#include <unistd.h>

#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define SPOOL       "spool { location = \"/s\"; }\n"
#define PASSWORD    "Open-Sesame"
#define URI         "mongodb://agent:" PASSWORD "@db.test/turing?tls=true"
#define CLOUD       "cloud { url = \"https://c.test\"; key = tk_x; }\n"
#define POLICY      "policy { authserv_id = mx.test; }\n"

static const struct {
	const char *text;
	const char *why; /* part of the error; NULL: accepted */
} rows[] = {
    {SPOOL CLOUD POLICY, NULL},
    {SPOOL CLOUD "policy { challenge_unauthenticated_senders = yes; }", NULL},
    {SPOOL CLOUD, "policy.authserv_id"},
    {SPOOL CLOUD "policy { authserv_id = \"\"; }", "policy.authserv_id"},
    {SPOOL CLOUD "policy { challenge_unauthenticated_senders = no; }",
     "policy.authserv_id"},
    {SPOOL CLOUD "policy { accept_missing_authserv_id = yes; }", NULL},
    {SPOOL CLOUD "policy { authserv_id = \"mx.test;\"; }", "is none"},
    {SPOOL CLOUD "policy { authserv_id = \"mx.test/job\"; }", "is none"},
    {SPOOL CLOUD "policy { authserv_id = mx.test; authres_position = below;"
                 " trusted_hops = 3; }",
     NULL},
    {SPOOL CLOUD "policy { authserv_id = mx.test; authres_position = both; }",
     "policy.authres_position"},
    {SPOOL CLOUD "policy { authserv_id = mx.test; trusted_hops = 0; }",
     "policy.trusted_hops"},
    {CLOUD POLICY, "spool.location"},
    {SPOOL POLICY, "cloud.url"},
    {SPOOL POLICY "cloud { url = \"https://c.test\"; }", "cloud.key"},
    {SPOOL POLICY "cloud { url = \"https://c.test\"; key = \"a b\"; }",
     "cloud.key"},
    {SPOOL POLICY "cloud { url = \"https://c.test\"; key = a;"
                  " key_file = \"/k\"; }",
     "not both"},
    {SPOOL POLICY "cloud { url = \"https://c.test\";"
                  " key_file = \"/nonexistent/key\"; }",
     "cloud.key_file"},
    {SPOOL CLOUD POLICY "smtp { listen = \"nonsense\"; }", "smtp.listen"},
    {SPOOL CLOUD POLICY "smtp { listen = \"127.0.0.1:0\"; }", "smtp.listen"},
    {SPOOL CLOUD POLICY "smtp { threads = 0; }", "smtp.threads"},
    {SPOOL CLOUD POLICY "smtp { thread = 2; }", "thread"},
    {SPOOL CLOUD POLICY "smtp { xforward_from = [\"10.0.0.0/8\"]; }",
     "smtp.xforward_from: \"10.0.0.0/8\" is no numeric address"},
    {SPOOL CLOUD POLICY "smtp { xforward_from = [\"::1\", \"mx.test\"]; }",
     "\"mx.test\" is no numeric"},
    {SPOOL CLOUD POLICY "smtp { xforward_from = [\"0:0::1\"]; }",
     "is written ::1"},
    {SPOOL CLOUD POLICY "smtp { xforward_from = [\"192.0.2.1\"]; }", NULL},
    {SPOOL CLOUD POLICY "next_hop { address = \"127.0.0.1:10025\"; }",
     "next_hop.address: that is smtp.listen"},
    {SPOOL CLOUD POLICY "smtp { listen = \"0.0.0.0:26\"; }\n"
                        " next_hop { address = \"127.0.0.1:26\"; }",
     "next_hop.address: that is smtp.listen"},
    {SPOOL CLOUD POLICY "smtp { listen = \"[::]:26\"; }\n"
                        " dsn { relay = \"[::1]:26\"; }",
     "dsn.relay: that is smtp.listen"},
    {SPOOL CLOUD POLICY "smtp { listen = \"0.0.0.0:26\"; }\n"
                        " next_hop { address = \"192.0.2.1:26\"; }",
     NULL},
    {SPOOL CLOUD POLICY "metrics { listen = \"127.0.0.1:10025\"; }",
     "metrics.listen: that is smtp.listen"},
    {SPOOL CLOUD POLICY "next_hop { address = \"127.0.0.1\"; }",
     "next_hop.address"},
    {SPOOL CLOUD POLICY "queue { retry_min = 2h; retry_max = 1h; }",
     "queue.retry_min"},
    {SPOOL POLICY "cloud { url = \"https://c.test\"; key = k;"
                  " retry_min = 2h; }",
     "cloud.retry_min"},
    {SPOOL CLOUD POLICY CLOUD, "t.conf:4"},
    {SPOOL CLOUD POLICY "agent { hostname = \"a b\"; }", "agent.hostname"},
    {SPOOL CLOUD POLICY "agent { name = \"\"; }", "agent.name"},
    {"spool { backend = mongodb; location = \"" URI "\"; }\n" CLOUD POLICY,
     "agent.name"},
    {"spool { backend = mongodb; location = \"" URI "\"; }\n"
     " agent { name = one; }\n" CLOUD POLICY,
     NULL},
    {"spool { backend = mongo; location = \"" URI "\"; }\n"
     " agent { name = one; }\n" CLOUD POLICY,
     "spool.backend"},
    {SPOOL CLOUD POLICY "log { level = loud; }", "log.level"},
    {SPOOL CLOUD POLICY "dsn { from = \"post master\"; }", "dsn.from"},
    {SPOOL CLOUD POLICY "dsn { from = a@b.example; }", NULL},
    {SPOOL CLOUD POLICY "dsn { relay = \"127.0.0.1\"; }", "dsn.relay"},
    {SPOOL CLOUD POLICY "dsn { relay = \"[::1]:26\"; }", NULL},
    {SPOOL CLOUD POLICY "queue { keep_failed = 0s; }", "queue.keep_failed"},
    {SPOOL CLOUD POLICY "smtp { max_hops = 5; }", "smtp.max_hops"},
};

START_TEST(accepts_or_says_why_not)
{
	struct agent_config config;
	struct error err = {.text = ""};
	int result =
	    agent_config_load_text("t.conf", rows[_i].text, &config, &err);

	if (!rows[_i].why) {
		ck_assert_msg(result == 0, "%s", err.text);
		agent_config_release(&config);
		return;
	}
	ck_assert_int_lt(result, 0);
	ck_assert_msg(strstr(err.text, rows[_i].why), "%s", err.text);
	ck_assert_msg(strncmp(err.text, "t.conf:", 7) == 0, "%s", err.text);
}
END_TEST

START_TEST(defaults_are_the_documented_ones)
{
	struct agent_config config;

	ck_assert_int_eq(
	    agent_config_load_text("t.conf", SPOOL CLOUD POLICY, &config, NULL),
	    0);
	ck_assert_str_eq(config.smtp.address, "127.0.0.1");
	ck_assert_uint_eq(config.smtp.port, 10025);
	ck_assert_uint_eq(config.next_hop.port, 10026);
	ck_assert_uint_eq(config.metrics.port, 10027);
	ck_assert_str_eq(config.key, "tk_x");
	ck_assert_str_eq(config.agent_name, "agent");
	ck_assert_ptr_null(config.spool_incoming);
	ck_assert_uint_eq(config.smtp_xforward_from.count, 2);
	ck_assert_int_eq(config.smtp_max_message_size, 50 << 20);
	ck_assert_int_eq(config.policy_hold_for_ms, 14LL * 24 * 3600 * 1000);
	ck_assert_int_eq(config.queue_retry_min_ms, 5 * 60 * 1000);
	ck_assert_int_gt((int)strlen(config.hostname), 0);
	ck_assert(config.dsn_enabled);
	ck_assert_int_eq(strncmp(config.dsn_from, "postmaster@", 11), 0);
	ck_assert_str_eq(config.dsn_from + 11, config.hostname);
	ck_assert_ptr_null(config.dsn_relay.address);
	agent_config_release(&config);
}
END_TEST

/* The URI of a store holds a password. */
START_TEST(secrets_are_not_printed)
{
	struct agent_config config;
	struct error err = {.text = ""};
	char *printed = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&printed, &size);

	ck_assert_msg(
	    agent_config_load_text("t.conf",
	                           "spool { backend = mongodb; incoming = "
	                           "\"/var/in\"; location = \"" URI "\"; }\n"
	                           " agent { name = one; }\n" CLOUD POLICY,
	                           &config, &err) == 0,
	    "%s", err.text);
	ck_assert_str_eq(config.spool_location, URI);
	ck_assert_str_eq(config.spool_incoming, "/var/in");
	config_print(agent_config_fields, &config, NULL, out);
	(void)fclose(out);
	ck_assert_ptr_nonnull(strstr(printed, "spool.location = \"***\""));
	ck_assert_ptr_nonnull(strstr(printed, "agent.name = \"one\""));
	ck_assert_ptr_null(strstr(printed, PASSWORD));
	ck_assert_ptr_null(strstr(printed, "tk_x"));
	free(printed);
	agent_config_release(&config);
}
END_TEST

START_TEST(key_is_read_from_its_file)
{
	char path[] = "/tmp/turing-key-XXXXXX", text[300];
	int fd = mkstemp(path);
	struct agent_config config;
	struct error err = {.text = ""};

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "tk_secret\n", 10), 10);
	(void)close(fd);
	(void)snprintf(text, sizeof(text),
	               SPOOL POLICY "cloud { url = \"https://c.test\";"
	                            " key_file = \"%s\"; }\n"
	                            "metrics { listen = \"\"; }",
	               path);
	ck_assert_msg(agent_config_load_text("t.conf", text, &config, &err) ==
	                  0,
	              "%s", err.text);
	ck_assert_str_eq(config.key, "tk_secret");
	ck_assert_ptr_null(config.metrics.address);
	agent_config_release(&config);
	(void)unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent configuration");
	TCase *tests = tcase_create("keys");

	tcase_add_loop_test(tests, accepts_or_says_why_not, 0, COUNT(rows));
	tcase_add_test(tests, defaults_are_the_documented_ones);
	tcase_add_test(tests, secrets_are_not_printed);
	tcase_add_test(tests, key_is_read_from_its_file);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

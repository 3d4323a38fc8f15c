/* The configuration of turing-cloud: defaults and what is refused. */
#include <check.h>
#include <string.h>

#include "cloud-service/cloud-config.h"
#include "tests/support/suite.h"

#define NEEDED                                                                 \
	"store { location = \"/tmp/x\" }\n"                                    \
	"challenge { from = \"c@cloud.test\" }\n"

START_TEST(defaults)
{
	struct cloud_config config;
	struct error err = {0};

	ck_assert_msg(!cloud_config_load_text("t", NEEDED, &config, &err), "%s",
	              err.text);
	ck_assert_str_eq(config.http_listen, "127.0.0.1:8080");
	ck_assert_str_eq(config.public_url, "http://127.0.0.1:8080");
	ck_assert_str_eq(config.smarthost_address, "127.0.0.1:25");
	ck_assert_str_eq(config.bounce_listen, "127.0.0.1:8025");
	ck_assert_int_eq(config.challenge_expires_ms, INT64_C(604800000));
	ck_assert_int_eq(config.challenge_max_attempts, 10);
	ck_assert(config.challenge_enabled);
	ck_assert_int_eq(config.return_path, RETURN_PATH_NULL);
	ck_assert_ptr_nonnull(config.instance_name);
	ck_assert(*config.instance_name);
	cloud_config_release(&config);
}
END_TEST

/* NULL: accepted; else the error holds this. */
static const struct {
	const char *text, *error;
} rows[] = {
    {"", "store.location"},
    {"store { location = \"/x\" }", "challenge.from"},
    {NEEDED, NULL},
    {NEEDED "nonsense = 1", "nonsense"},
    {"store { location = \"/x\" }\nchallenge { from = \"nobody\" }",
     "challenge.from"},
    {"store { location = \"/x\" }\nchallenge { from = \"a@b>\\r\\nX\" }",
     "challenge.from"},
    {NEEDED "http { listen = \"localhost:80\" }", "http.listen"},
    {NEEDED "http { trusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\","
            " \"::1\"] }",
     NULL},
    {NEEDED "\nhttp {\n trusted_proxies = [\"::1\", \"haproxy.local\"]\n}",
     "5: http.trusted_proxies: \"haproxy.local\""},
    {NEEDED "http { trusted_proxies = [\"[::1]\"] }", "\"[::1]\""},
    {NEEDED "http { trusted_proxies = [\"10.0.0.0/33\"] }", "10.0.0.0/33"},
    {NEEDED "http { trusted_proxies = [\"\"] }", "http.trusted_proxies"},
    {NEEDED "http { listen = \"127.0.0.1\" }", "http.listen"},
    {NEEDED "http { listen = \"127.0.0.1:70000\" }", "http.listen"},
    {NEEDED "http { listen = \"[::1]:8080\" }", NULL},
    {NEEDED "http { public_url = \"example.org\" }", "http.public_url"},
    {NEEDED "http { public_url = \"https://a b\" }", "http.public_url"},
    {NEEDED "http { public_url = \"https://a/?x=\" }", "http.public_url"},
    {NEEDED "http { public_url = \"javascript:x\" }", "http.public_url"},
    {NEEDED "challenge { return_path = verp }", "bounce_domain"},
    {NEEDED "challenge { return_path = verp; bounce_domain = \"b b\" }",
     "bounce_domain"},
    {NEEDED "challenge { return_path = verp; bounce_domain = \"b.test\" }\n"
            "bounce { listen = \"\" }",
     "bounce.listen"},
    {NEEDED "challenge { return_path = verp; bounce_domain = \"B.test\" }",
     NULL},
    {NEEDED "challenge { return_path = always }", "challenge.return_path"},
    {NEEDED "challenge { mail_retry_min = 5h }", "mail_retry_max"},
    {NEEDED "challenge { expires = 10ms }", "challenge.expires"},
    {NEEDED "challenge { max_attempts = 0 }", "challenge.max_attempts"},
    {NEEDED "smarthost { address = \"mail.example.org\" }",
     "smarthost.address"},
    {NEEDED "smarthost { address = \"mail.example.org:587\" }", NULL},
    {NEEDED "smarthost { address = \"[::1]:25\" }", "smarthost.address"},
    {NEEDED "smarthost { user = \"u\" }", "smarthost.user"},
    {NEEDED "smarthost { user = \"u\"; password = \"p\" }", "starttls"},
    {NEEDED "smarthost { user = u; password = p; starttls = required }", NULL},
    {NEEDED "bounce { listen = \"nowhere\" }", "bounce.listen"},
    {NEEDED "bounce { listen = \"\" }", NULL},
    {NEEDED "log { level = loud }", "log.level"},
};

START_TEST(what_is_refused)
{
	struct cloud_config config;
	struct error err = {0};
	int result = cloud_config_load_text("t", rows[_i].text, &config, &err);

	if (rows[_i].error) {
		ck_assert_msg(result == ERR_INVALID, "accepted: %s",
		              rows[_i].text);
		ck_assert_msg(strstr(err.text, rows[_i].error) != NULL,
		              "%s: %s", rows[_i].text, err.text);
	} else {
		ck_assert_msg(!result, "%s: %s", rows[_i].text, err.text);
		cloud_config_release(&config);
	}
}
END_TEST

START_TEST(slashes_and_secrets)
{
	struct cloud_config config;
	struct error err = {0};
	char text[8192] = "";
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");

	ck_assert_int_eq(cloud_config_load_text(
	                     "t",
	                     "challenge { from = \"a@x.test\" }\n"
	                     "http { public_url = \"https://x.test/a//\" }\n"
	                     "store { backend = mongodb; location = "
	                     "\"mongodb://u:streng@h.test/d\" }\n"
	                     "smarthost { user = me; password = \"geheim\"; "
	                     "starttls = required }",
	                     &config, &err),
	                 0);
	ck_assert_str_eq(config.public_url, "https://x.test/a");
	cloud_config_print(&config, NULL, out);
	fclose(out);
	ck_assert_ptr_null(strstr(text, "geheim"));
	ck_assert_ptr_null(strstr(text, "streng"));
	ck_assert_ptr_nonnull(strstr(text, "store.location = \"***\""));
	ck_assert_ptr_nonnull(strstr(text, "password = \"***\""));
	cloud_config_release(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-config");
	TCase *tcase = tcase_create("config");

	tcase_add_test(tcase, defaults);
	tcase_add_loop_test(tcase, what_is_refused, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, slashes_and_secrets);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}

/* Conformance of the registry: tenants, domains, API keys, users, audit. */
#include "tests/conformance/registry/fixture.h"

START_TEST(tenant_reads_back)
{
	struct registry_tenant tenant;

	ok(registry_tenant_find(registry, "a", &tenant, E));
	ck_assert(id_equal(&tenant.id, &tenant_a));
	ck_assert_str_eq(tenant.name, "a");
	ck_assert_str_eq(tenant.language, "fr");
	ck_assert_int_eq(tenant.created_ms, NOW);
	registry_tenant_release(&tenant);
	ok(registry_tenant_read(registry, &tenant_b, &tenant, E));
	ck_assert_str_eq(tenant.name, "b");
	registry_tenant_release(&tenant);
	fails(ERR_NOT_FOUND,
	      registry_tenant_find(registry, "c", &tenant, NULL));
	fails(ERR_NOT_FOUND,
	      registry_tenant_read(registry, &no_id, &tenant, NULL));
}
END_TEST

START_TEST(tenant_is_unique)
{
	struct registry_tenant tenant = {
	    .id = id_of(7), .name = (char *)"a", .language = (char *)"en"};

	fails(ERR_EXISTS, registry_tenant_add(registry, &tenant, NULL));
	tenant.id = tenant_a;
	tenant.name = (char *)"other";
	fails(ERR_EXISTS, registry_tenant_add(registry, &tenant, NULL));
}
END_TEST

/* What strangers are shown: kept as given, "" where there is none, and
 * changed at once, all but the name. */
START_TEST(tenant_is_shown)
{
	struct registry_tenant found,
	    tenant = {.id = id_of(7),
	              .name = (char *)"shown",
	              .language = (char *)"fr",
	              .display_name = (char *)"Soci\u00e9t\u00e9 d\u2019Acme",
	              .time_zone = (char *)"America/Argentina/Buenos_Aires",
	              .created_ms = NOW,
	              .quota_messages = 7};

	ok(registry_tenant_add(registry, &tenant, E));
	ok(registry_tenant_read(registry, &tenant.id, &found, E));
	ck_assert_str_eq(found.display_name, tenant.display_name);
	ck_assert_str_eq(found.time_zone, tenant.time_zone);
	ck_assert_str_eq(found.from_name, "");
	ck_assert_int_eq(found.quota_messages, 7);
	ck_assert_int_eq(found.quota_bytes, 0);
	registry_tenant_release(&found);
	tenant.name = (char *)"other";
	tenant.language = (char *)"en";
	tenant.display_name = NULL;
	tenant.time_zone = (char *)"Etc/GMT+5";
	tenant.from_name = (char *)"The desk";
	tenant.created_ms = NOW + 1;
	tenant.quota_messages = 0;
	tenant.quota_bytes = INT64_MAX;
	ok(registry_tenant_change(registry, &tenant, E));
	ok(registry_tenant_find(registry, "shown", &found, E));
	ck_assert_str_eq(found.language, "en");
	ck_assert_str_eq(found.display_name, "");
	ck_assert_str_eq(found.time_zone, "Etc/GMT+5");
	ck_assert_str_eq(found.from_name, "The desk");
	ck_assert_int_eq(found.created_ms, NOW);
	ck_assert_int_eq(found.quota_messages, 0);
	ck_assert_int_eq(found.quota_bytes, INT64_MAX);
	registry_tenant_release(&found);
	tenant.quota_bytes = -1;
	fails(ERR_INVALID, registry_tenant_change(registry, &tenant, NULL));
	tenant.quota_bytes = 0;
	tenant.quota_messages = -1;
	fails(ERR_INVALID, registry_tenant_change(registry, &tenant, NULL));
	tenant.quota_messages = 1;
	tenant.id = id_of(8);
	fails(ERR_NOT_FOUND, registry_tenant_change(registry, &tenant, NULL));
}
END_TEST

static const struct {
	const char *field, *text;
} bad_shown[] = {
    {"display_name", "a\r\nBcc: x"},
    {"display_name", "caf\xe9"},
    {"display_name", "a\xc2\x85z"},
    {"from_name", "a\tb"},
    {"time_zone", "../../etc/passwd"},
    {"time_zone", "/etc/localtime"},
    {"time_zone", "Europe/Paris "},
    {"time_zone", "CET-1CEST,M3.5.0,M10.5.0"},
};

START_TEST(shown_texts_are_checked)
{
	char *text = (char *)bad_shown[_i].text;
	const char *field = bad_shown[_i].field;
	struct registry_tenant tenant = {
	    .id = tenant_a, .name = (char *)"a", .language = (char *)"fr"};
	struct error err = {0};

	if (!strcmp(field, "display_name"))
		tenant.display_name = text;
	else if (!strcmp(field, "from_name"))
		tenant.from_name = text;
	else
		tenant.time_zone = text;
	fails(ERR_INVALID, registry_tenant_change(registry, &tenant, &err));
	ck_assert_ptr_nonnull(strstr(err.text, field));
}
END_TEST

static const struct {
	const char *name, *language;
	bool without_id;
} bad_tenants[] = {
    {NULL, "fr", false},
    {"", "fr", false},
    {"Upper", "fr", false},
    {"a b", "fr", false},
    {"caf\xc3\xa9", "fr", false},
    {"../x", "fr", false},
    {"0123456789012345678901234567890123456789012345678901234567890123", "fr",
     false},
    {"good", NULL, false},
    {"good", "de", false},
    {"good", "fr", true},
};

START_TEST(tenant_is_checked)
{
	struct registry_tenant tenant = {
	    .id = bad_tenants[_i].without_id ? no_id : id_of(7),
	    .name = (char *)bad_tenants[_i].name,
	    .language = (char *)bad_tenants[_i].language,
	};
	struct error err = {0};

	fails(ERR_INVALID, registry_tenant_add(registry, &tenant, &err));
	ck_assert_str_ne(err.text, "");
}
END_TEST

/* Collects names with a comma behind each. */
static void append(char *text, const char *name)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, 256 - used, "%s,", name);
}

static void append_tenant(const struct registry_tenant *tenant, void *context)
{
	struct registry_tenant again;

	/* The registry may be used meanwhile. */
	ok(registry_tenant_read(registry, &tenant->id, &again, E));
	append(context, again.name);
	registry_tenant_release(&again);
}

START_TEST(tenants_come_by_name)
{
	struct id id = id_of(1);
	char names[256] = "";

	add_tenant(&id, "aa");
	ok(registry_tenant_each(registry, append_tenant, names, E));
	ck_assert_str_eq(names, "a,aa,b,");
}
END_TEST

static void append_domain(const char *domain, void *context)
{
	append(context, domain);
}

START_TEST(domain_has_one_tenant)
{
	char names[256] = "";
	struct registry_policy_cursor before, after;

	ok(registry_policy_revision(registry, &tenant_a, &before, E));
	ok(registry_domain_add(registry, &tenant_a, "z.example", E));
	ok(registry_domain_add(registry, &tenant_a, "b.example", E));
	ok(registry_policy_revision(registry, &tenant_a, &after, E));
	ck_assert_int_gt(after.own, before.own);
	fails(ERR_EXISTS,
	      registry_domain_add(registry, &tenant_a, "b.example", NULL));
	fails(ERR_EXISTS,
	      registry_domain_add(registry, &tenant_b, "b.example", NULL));
	fails(ERR_NOT_FOUND,
	      registry_domain_remove(registry, &tenant_b, "b.example", NULL));
	ok(registry_domain_each(registry, &tenant_b, append_domain, names, E));
	ck_assert_str_eq(names, "");
	ok(registry_domain_each(registry, &tenant_a, append_domain, names, E));
	ck_assert_str_eq(names, "b.example,z.example,");
}
END_TEST

/* Whether the domain is free or taken. */
START_TEST(domain_needs_its_tenant)
{
	struct id unknown = id_of(99);
	struct registry_policy_cursor before, after;

	ok(registry_domain_add(registry, &tenant_a, "taken.example", E));
	ok(registry_policy_revision(registry, &tenant_a, &before, E));
	fails(ERR_NOT_FOUND,
	      registry_domain_add(registry, &unknown, "free.example", NULL));
	fails(ERR_NOT_FOUND,
	      registry_domain_add(registry, &unknown, "taken.example", NULL));
	fails(ERR_NOT_FOUND, registry_domain_remove(registry, &unknown,
	                                            "taken.example", NULL));
	fails(ERR_NOT_FOUND, registry_domain_remove(registry, &tenant_b,
	                                            "taken.example", NULL));
	fails(ERR_EXISTS,
	      registry_domain_add(registry, &tenant_b, "taken.example", NULL));
	ok(registry_policy_revision(registry, &tenant_a, &after, E));
	ck_assert_int_eq(before.own, after.own);
}
END_TEST

START_TEST(domain_moves_after_removal)
{
	struct registry_policy_cursor before, after;
	struct id nobody = id_of(99);

	ok(registry_domain_add(registry, &tenant_a, "b.example", E));
	ok(registry_policy_revision(registry, &tenant_a, &before, E));
	ok(registry_domain_remove(registry, &tenant_a, "b.example", E));
	ok(registry_policy_revision(registry, &tenant_a, &after, E));
	ck_assert_int_gt(after.own, before.own);
	fails(ERR_NOT_FOUND,
	      registry_domain_remove(registry, &tenant_a, "b.example", NULL));
	ok(registry_domain_add(registry, &tenant_b, "b.example", E));
	fails(ERR_NOT_FOUND,
	      registry_domain_add(registry, &nobody, "c.example", NULL));
	fails(ERR_INVALID, registry_domain_add(registry, &tenant_a, "", NULL));
	fails(ERR_INVALID,
	      registry_domain_add(registry, &no_id, "c.example", NULL));
}
END_TEST

static struct registry_key key_of(unsigned number, const char *agent,
                                  const char *prefix)
{
	struct registry_key key = {
	    .id = id_of(number),
	    .tenant = tenant_a,
	    .agent = (char *)agent,
	    .prefix = (char *)prefix,
	    .created_ms = NOW,
	};

	memset(key.hash, (int)number, sizeof(key.hash));
	return key;
}

START_TEST(key_reads_back)
{
	struct registry_key key = key_of(3, "mx1", "tk_aaaaaaaa"), found;

	ok(registry_key_add(registry, &key, E));
	ok(registry_key_find(registry, "tk_aaaaaaaa", &found, E));
	ck_assert(id_equal(&found.id, &key.id));
	ck_assert(id_equal(&found.tenant, &tenant_a));
	ck_assert_str_eq(found.agent, "mx1");
	ck_assert_str_eq(found.prefix, "tk_aaaaaaaa");
	ck_assert_mem_eq(found.hash, key.hash, sizeof(key.hash));
	ck_assert_int_eq(found.created_ms, NOW);
	ck_assert_int_eq(found.revoked_ms, 0);
	registry_key_release(&found);
	fails(ERR_NOT_FOUND,
	      registry_key_find(registry, "tk_aaaaaaab", &found, NULL));
	key.tenant = tenant_b;
	key.id = id_of(4);
	fails(ERR_EXISTS, registry_key_add(registry, &key, NULL));
}
END_TEST

START_TEST(key_is_revoked_once)
{
	struct registry_key key = key_of(3, "mx1", "p"), found;

	ok(registry_key_add(registry, &key, E));
	fails(ERR_NOT_FOUND,
	      registry_key_revoke(registry, &tenant_b, "p", NOW + 1, NULL));
	fails(ERR_NOT_FOUND,
	      registry_key_revoke(registry, &tenant_a, "q", NOW + 1, NULL));
	ok(registry_key_revoke(registry, &tenant_a, "p", NOW + 1, E));
	fails(ERR_CONFLICT,
	      registry_key_revoke(registry, &tenant_a, "p", NOW + 2, NULL));
	ok(registry_key_find(registry, "p", &found, E));
	ck_assert_int_eq(found.revoked_ms, NOW + 1);
	registry_key_release(&found);
}
END_TEST

START_TEST(two_keys_are_valid_at_once)
{
	struct registry_key keys[] = {
	    key_of(1, "mx1", "p1"), key_of(2, "mx1", "p2"),
	    key_of(3, "mx1", "p3"), key_of(4, "mx2", "p4")};

	ok(registry_key_add(registry, &keys[0], E));
	ok(registry_key_add(registry, &keys[1], E));
	fails(ERR_LIMIT, registry_key_add(registry, &keys[2], NULL));
	ok(registry_key_add(registry, &keys[3], E));
	ok(registry_key_revoke(registry, &tenant_a, "p1", NOW, E));
	ok(registry_key_add(registry, &keys[2], E));
}
END_TEST

static void append_key(const struct registry_key *key, void *context)
{
	append(context, key->prefix);
}

START_TEST(keys_are_the_tenants)
{
	struct registry_key key = key_of(1, "mx1", "p1");
	char names[256] = "";

	ok(registry_key_add(registry, &key, E));
	ok(registry_key_each(registry, &tenant_b, append_key, names, E));
	ck_assert_str_eq(names, "");
	ok(registry_key_each(registry, &tenant_a, append_key, names, E));
	ck_assert_str_eq(names, "p1,");
	key.tenant = id_of(99);
	key.prefix = (char *)"p2";
	fails(ERR_NOT_FOUND, registry_key_add(registry, &key, NULL));
	key.prefix = NULL;
	fails(ERR_INVALID, registry_key_add(registry, &key, NULL));
}
END_TEST

static const struct {
	const char *login, *role;
	char tenant; /* 'a', or '-' for none, or '?' for an unknown one */
	int code;
} users[] = {
    {"x@a.example", "admin", 'a', 0},
    {"x@a.example", "recipient", 'a', 0},
    {"x@a.example", "operator", '-', 0},
    {"x@a.example", "operator", 'a', ERR_INVALID},
    {"x@a.example", "admin", '-', ERR_INVALID},
    {"x@a.example", "god", 'a', ERR_INVALID},
    {"", "admin", 'a', ERR_INVALID},
    {"x@a.example", "admin", '?', ERR_NOT_FOUND},
    {"taken@a.example", "admin", 'a', ERR_EXISTS},
};

START_TEST(user_reads_back)
{
	struct registry_user found, user = {.id = id_of(1),
	                                    .tenant = tenant_b,
	                                    .login = (char *)"taken@a.example",
	                                    .role = (char *)"admin",
	                                    .password = (char *)"$argon2id$...",
	                                    .created_ms = NOW};

	ok(registry_user_add(registry, &user, E));
	user.id = id_of(2);
	user.login = (char *)users[_i].login;
	user.role = (char *)users[_i].role;
	user.tenant = users[_i].tenant == 'a'   ? tenant_a
	              : users[_i].tenant == '-' ? no_id
	                                        : id_of(99);
	fails(users[_i].code, registry_user_add(registry, &user, NULL));
	if (users[_i].code)
		return;
	ok(registry_user_find(registry, user.login, &found, E));
	ck_assert(id_equal(&found.id, &user.id));
	ck_assert(id_equal(&found.tenant, &user.tenant));
	ck_assert_str_eq(found.login, user.login);
	ck_assert_str_eq(found.role, user.role);
	ck_assert_str_eq(found.password, user.password);
	ck_assert_int_eq(found.created_ms, NOW);
	registry_user_release(&found);
	fails(ERR_NOT_FOUND,
	      registry_user_find(registry, "y@a.example", &found, NULL));
}
END_TEST

static void append_user(const struct registry_user *user, void *context)
{
	ck_assert_int_eq(user->created_ms, NOW);
	append(context, user->login);
	append(context, user->role);
}

static void add_user(unsigned number, const struct id *tenant,
                     const char *login, const char *role)
{
	struct registry_user user = {.id = id_of(number),
	                             .tenant = *tenant,
	                             .login = (char *)login,
	                             .role = (char *)role,
	                             .password = (char *)"x",
	                             .created_ms = NOW};

	ok(registry_user_add(registry, &user, E));
}

/* By login, whatever the order of ids; each tenant's alone. */
START_TEST(users_come_by_login)
{
	struct id unknown = id_of(99);
	char text[256] = "";

	add_user(1, &tenant_a, "z@a.example", "admin");
	add_user(3, &tenant_a, "a@a.example", "recipient");
	add_user(2, &tenant_a, "m@a.example", "recipient");
	add_user(4, &tenant_b, "b@b.example", "admin");
	add_user(5, &no_id, "o@cloud.example", "operator");
	ok(registry_user_each(registry, &tenant_a, append_user, text, E));
	ck_assert_str_eq(text, "a@a.example,recipient,m@a.example,recipient,"
	                       "z@a.example,admin,");
	text[0] = '\0';
	ok(registry_user_each(registry, &tenant_b, append_user, text, E));
	ck_assert_str_eq(text, "b@b.example,admin,");
	text[0] = '\0';
	ok(registry_user_each(registry, &no_id, append_user, text, E));
	ck_assert_str_eq(text, "o@cloud.example,operator,");
	text[0] = '\0';
	ok(registry_user_each(registry, &unknown, append_user, text, E));
	ck_assert_str_eq(text, "");
}
END_TEST

static void append_line(const struct registry_audit *line, void *context)
{
	append(context, line->object);
}

START_TEST(audit_pages_by_tenant)
{
	static const char *const objects[] = {"one", "two", "three"};
	struct registry_audit line = {.tenant = tenant_a,
	                              .at_ms = NOW,
	                              .actor = (char *)"cli",
	                              .action = (char *)"tenant-add"};
	struct id after = id_of(2);
	char text[256] = "";

	for (unsigned i = 0; i < 3; i++) {
		line.id = id_of(i + 1);
		line.object = (char *)objects[i];
		ok(registry_audit_add(registry, &line, E));
	}
	fails(ERR_EXISTS, registry_audit_add(registry, &line, NULL));
	line.tenant = no_id;
	line.object = (char *)"cloud";
	ok(registry_audit_add(registry, &line, E));
	ok(registry_audit_each(registry, &tenant_a, &no_id, 2, append_line,
	                       text, E));
	ok(registry_audit_each(registry, &tenant_a, &after, 2, append_line,
	                       text, E));
	ok(registry_audit_each(registry, &tenant_b, &no_id, 9, append_line,
	                       text, E));
	ck_assert_str_eq(text, "one,two,three,");
	ok(registry_audit_each(registry, &no_id, NULL, 9, append_line, text,
	                       E));
	ck_assert_str_eq(text, "one,two,three,cloud,");
	fails(ERR_INVALID, registry_audit_each(registry, &tenant_a, &no_id, 0,
	                                       append_line, text, NULL));
	line.actor = NULL;
	fails(ERR_INVALID, registry_audit_add(registry, &line, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-accounts");
	TCase *tcase = case_in(suite, "tenants");

	tcase_add_test(tcase, tenant_reads_back);
	tcase_add_test(tcase, tenant_is_unique);
	tcase_add_test(tcase, tenant_is_shown);
	tcase_add_loop_test(tcase, shown_texts_are_checked, 0,
	                    sizeof(bad_shown) / sizeof(*bad_shown));
	tcase_add_loop_test(tcase, tenant_is_checked, 0,
	                    sizeof(bad_tenants) / sizeof(*bad_tenants));
	tcase_add_test(tcase, tenants_come_by_name);
	tcase_add_test(tcase, domain_has_one_tenant);
	tcase_add_test(tcase, domain_needs_its_tenant);
	tcase_add_test(tcase, domain_moves_after_removal);
	tcase = case_in(suite, "keys");
	tcase_add_test(tcase, key_reads_back);
	tcase_add_test(tcase, key_is_revoked_once);
	tcase_add_test(tcase, two_keys_are_valid_at_once);
	tcase_add_test(tcase, keys_are_the_tenants);
	tcase = case_in(suite, "users");
	tcase_add_loop_test(tcase, user_reads_back, 0,
	                    sizeof(users) / sizeof(*users));
	tcase_add_test(tcase, users_come_by_login);
	tcase = case_in(suite, "audit");
	tcase_add_test(tcase, audit_pages_by_tenant);
	return suite_main(suite, NULL);
}

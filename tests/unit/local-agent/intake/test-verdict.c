/* Tests of the verdict per recipient, and of the replica behind it. */
#include "local-agent/intake/verdict.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define NOW_MS      1795248000000LL

/* The lists that all rows are judged by. */
static const struct {
	enum entry_scope scope;
	const char *scope_value;
	enum entry_colour colour;
	enum entry_kind kind;
	const char *value;
	bool demands_pass;
	int64_t expires_ms;
	enum entry_origin origin;
} entries[] = {
    {ENTRY_SCOPE_TENANT, "", ENTRY_WHITE, ENTRY_ADDRESS, "friend@good.test",
     false, 0, ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_TENANT, "", ENTRY_WHITE, ENTRY_DOMAIN, "strict.test", true, 0,
     ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_TENANT, "", ENTRY_BLACK, ENTRY_DOMAIN, "bad.test", false, 0,
     ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_MAILBOX, "boss@ours.test", ENTRY_WHITE, ENTRY_ADDRESS,
     "nice@bad.test", false, 0, ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_MAILBOX, "boss@ours.test", ENTRY_BLACK, ENTRY_ADDRESS,
     "friend@good.test", false, 0, ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_TENANT, "", ENTRY_WHITE, ENTRY_ADDRESS, "late@good.test",
     false, NOW_MS - 1, ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_TENANT, "", ENTRY_BLACK, ENTRY_NETWORK, "203.0.113.0/24",
     false, 0, ENTRY_FROM_ADMIN},
    {ENTRY_SCOPE_TENANT, "", ENTRY_WHITE, ENTRY_ADDRESS, "solver@good.test",
     false, 0, ENTRY_FROM_CAPTCHA},
    {ENTRY_SCOPE_MAILBOX, "a@ours.test", ENTRY_WHITE, ENTRY_ADDRESS,
     "solver@bad.test", false, 0, ENTRY_FROM_CAPTCHA},
};

static const struct mail_auth fail = {
    .stated = true, .spf = AUTH_FAIL, .dmarc = AUTH_FAIL};
/* Filled in with the sender's domain. */
static struct mail_auth pass = {.stated = true, .spf = AUTH_PASS};
static const struct mail_auth foreign = {
    .stated = true, .spf = AUTH_PASS, .spf_domain = "evil.test"};
static const struct mail_auth softfail = {.stated = true, .spf = AUTH_SOFTFAIL};
static const struct mail_auth spf_fail = {
    .stated = true, .spf = AUTH_FAIL, .dkim = AUTH_PASS};
static const struct mail_auth neither = {.stated = true};
static const struct mail_auth unknown = {.stated = false};

static const struct {
	const char *sender, *recipient, *client;
	const struct mail_auth *auth;
	enum spool_state state;
	const char *why;  /* part of it; NULL: no entry is ignored */
	const char *from; /* NULL: the sender */
} rows[] = {
    {"stranger@x.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_HELD,
     "no entry for this sender", NULL},
    {"stranger@x.test", "a@ours.test", "192.0.2.1", &fail, SPOOL_HELD,
     "no entry for this sender", NULL},
    {"", "a@ours.test", "192.0.2.1", &pass, SPOOL_HELD,
     "no entry for this sender", NULL},
    {"friend@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     NULL},
    {"friend@good.test", "a@ours.test", "192.0.2.1", &unknown, SPOOL_QUEUED,
     NULL, NULL},
    /* A white entry does not open the door to a forger. */
    {"friend@good.test", "a@ours.test", "192.0.2.1", &fail, SPOOL_HELD,
     " ignored: DMARC fails", NULL},
    {"friend@good.test", "a@ours.test", "192.0.2.1", &spf_fail, SPOOL_HELD,
     " ignored: SPF fails", NULL},
    {"any@strict.test", "a@ours.test", "192.0.2.1", &neither, SPOOL_HELD,
     " ignored: no authentication passes for it", NULL},
    {"any@strict.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     NULL},
    {"any@strict.test", "a@ours.test", "192.0.2.1", &unknown, SPOOL_HELD,
     " ignored: no authentication stated by the MX", NULL},
    {"any@sub.strict.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_HELD,
     "no entry", NULL},
    {"nice@bad.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_DISCARDED, NULL,
     NULL},
    /* Black needs no authentication, and forging it helps nobody. */
    {"nice@bad.test", "a@ours.test", "192.0.2.1", &fail, SPOOL_DISCARDED, NULL,
     NULL},
    /* The narrow scope beats the wide one, both ways. */
    {"nice@bad.test", "boss@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     NULL},
    {"friend@good.test", "boss@ours.test", "192.0.2.1", &pass, SPOOL_DISCARDED,
     NULL, NULL},
    {"late@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_HELD,
     "white address entry of the tenant, ", NULL},
    {"late@good.test", "a@ours.test", "192.0.2.1", &fail, SPOOL_HELD,
     " ignored: expired", NULL},
    {"stranger@x.test", "a@ours.test", "203.0.113.9", &pass, SPOOL_DISCARDED,
     NULL, NULL},
    /* What a captcha gave demands a pass, whatever is stored. */
    {"solver@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     NULL},
    {"solver@good.test", "a@ours.test", "192.0.2.1", &neither, SPOOL_HELD,
     " ignored: no authentication passes for it", NULL},
    {"solver@good.test", "a@ours.test", "192.0.2.1", &unknown, SPOOL_HELD,
     " ignored: no authentication stated by the MX", NULL},
    {"solver@good.test", "a@ours.test", "192.0.2.1", &softfail, SPOOL_HELD,
     " ignored: no authentication passes for it", NULL},
    /* It never lets in what claims a domain of the tenant's. */
    {"solver@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_HELD,
     " ignored: the mail claims a domain of your own", "boss@ours.test"},
    {"solver@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     "boss@sub.ours.test"},
    {"friend@good.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_QUEUED, NULL,
     "boss@ours.test"},
    /* Narrower or not, it never beats what the admin wrote. */
    {"solver@bad.test", "a@ours.test", "192.0.2.1", &pass, SPOOL_DISCARDED,
     NULL, NULL},
    {"solver@good.test", "a@ours.test", "203.0.113.9", &pass, SPOOL_DISCARDED,
     NULL, NULL},
    /* What is inside of a wrapping opens nothing, and hides nothing. */
    {"x+friend=good.test@evil.test", "a@ours.test", "192.0.2.1", &foreign,
     SPOOL_HELD, " ignored: no authentication passes for it", NULL},
    {"SRS0=h=t=good.test=friend@evil.test", "a@ours.test", "192.0.2.1",
     &unknown, SPOOL_HELD, " ignored: no authentication stated by the MX",
     NULL},
    {"x+any=evil.test@bad.test", "a@ours.test", "192.0.2.1", &pass,
     SPOOL_DISCARDED, NULL, NULL},
    {"SRS0=h=t=bad.test=any@evil.test", "a@ours.test", "192.0.2.1", &foreign,
     SPOOL_DISCARDED, NULL, NULL},
};

static void put(struct entry_set *set, int index)
{
	struct entry entry = {
	    .scope = entries[index].scope,
	    .scope_value = mem_copy_string(entries[index].scope_value),
	    .colour = entries[index].colour,
	    .origin = entries[index].origin,
	    .kind = entries[index].kind,
	    .value = mem_copy_string(entries[index].value),
	    .note = mem_copy_string(""),
	    .demand =
	        entries[index].demands_pass ? MAIL_PASS_SPF : MAIL_PASS_NONE,
	    .expires_ms = entries[index].expires_ms,
	    .id = id_new(),
	};

	entry_set_put(set, &entry);
	entry_release(&entry);
}

static struct replica *make_replica(void)
{
	static const char *const domains[] = {"ours.test", "Other.TEST"};
	struct entry_set *set = entry_set_new();
	struct replica *replica = replica_new();
	int i;

	for (i = 0; i < COUNT(entries); i++)
		put(set, i);
	replica_replace(replica, set, domains, 2);
	return replica;
}

static bool is_own(const char *domain, void *context)
{
	return replica_view_has_domain(context, domain);
}

START_TEST(decides)
{
	struct replica *replica = make_replica();
	const struct replica_view *view = replica_acquire(replica);
	const char *sender = rows[_i].sender;
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = rows[_i].recipient,
	                                .client_address = rows[_i].client,
	                                .now_ms = NOW_MS};
	struct verdict verdict;

	(void)snprintf(pass.spf_domain, sizeof(pass.spf_domain), "%s",
	               mail_address_domain(sender));
	mail_identity_find(&identity, sender,
	                   rows[_i].from ? rows[_i].from : sender,
	                   rows[_i].auth);
	subject.claims_own_domain =
	    mail_identity_names(&identity, is_own, (void *)(uintptr_t)view);
	verdict_decide(view, &subject, &verdict);
	ck_assert_str_eq(spool_state_name(verdict.state),
	                 spool_state_name(rows[_i].state));
	ck_assert_str_eq(verdict.by,
	                 rows[_i].state == SPOOL_HELD ? "policy" : "list");
	if (rows[_i].why)
		ck_assert_msg(strstr(verdict.why, rows[_i].why) != NULL, "%s",
		              verdict.why);
	else
		ck_assert_ptr_null(strstr(verdict.why, "ignored"));
	replica_release(replica, view);
	replica_free(replica);
}
END_TEST

START_TEST(why_names_the_entry)
{
	struct replica *replica = make_replica();
	const struct replica_view *view = replica_acquire(replica);
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "a@ours.test",
	                                .client_address = "",
	                                .now_ms = NOW_MS};
	struct verdict verdict;

	mail_identity_find(&identity, "friend@good.test", "", &neither);
	verdict_decide(view, &subject, &verdict);
	ck_assert_ptr_nonnull(
	    strstr(verdict.why, "white address entry of the tenant"));
	replica_release(replica, view);
	replica_free(replica);
}
END_TEST

START_TEST(knows_domains_only_once_received)
{
	struct replica *empty = replica_new(), *full = make_replica();
	const struct replica_view *none = replica_acquire(empty);
	const struct replica_view *view = replica_acquire(full);

	ck_assert(!none->received);
	ck_assert(!replica_view_has_domain(none, "ours.test"));
	ck_assert(view->received);
	ck_assert(replica_view_has_domain(view, "ours.test"));
	ck_assert(replica_view_has_domain(view, "other.test"));
	ck_assert(!replica_view_has_domain(view, "sub.ours.test"));
	ck_assert(!replica_view_has_domain(view, "urs.test"));
	ck_assert(!replica_view_has_domain(view, ""));
	replica_release(empty, none);
	replica_release(full, view);
	replica_free(empty);
	replica_free(full);
}
END_TEST

static atomic_bool over;

/* Looks twice at each view: what it saw first is still there. */
static void *look_up(void *argument)
{
	struct replica *replica = argument;

	while (!atomic_load(&over)) {
		const struct replica_view *view = replica_acquire(replica);
		size_t count = entry_set_count(view->entries);
		bool whole = count == view->domain_count &&
		             count == entry_set_count(view->entries);

		replica_release(replica, view);
		if (!whole)
			return argument;
	}
	return NULL;
}

START_TEST(views_are_whole_while_they_are_replaced)
{
	static const char *const domains[] = {"a.test", "b.test", "c.test"};
	struct replica *replica = replica_new();
	pthread_t threads[3];
	void *failed;
	int i, j;

	atomic_store(&over, false);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, look_up, replica), 0);
	for (i = 0; i < 500; i++) {
		struct entry_set *set = entry_set_new();

		for (j = 0; j < i % 4; j++)
			put(set, j);
		replica_replace(replica, set, domains, (size_t)(i % 4));
	}
	atomic_store(&over, true);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	replica_free(replica);
}
END_TEST

/* A thousand entries that come and go while all of them are looked up. */
static void *look_for_one(void *argument)
{
	struct replica *replica = argument;
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "a@ours.test",
	                                .client_address = ""};

	mail_identity_find(&identity, "stays@x.test", "", NULL);
	while (!atomic_load(&over)) {
		const struct replica_view *view = replica_acquire(replica);
		const struct entry *found =
		    entry_set_find(view->entries, &subject);
		bool right = found && !strcmp(found->value, "stays@x.test");

		replica_release(replica, view);
		if (!right)
			return argument;
	}
	return NULL;
}

START_TEST(changes_hide_nothing)
{
	struct replica *replica = replica_new();
	struct entry entry = {.scope = ENTRY_SCOPE_TENANT,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .scope_value = (char *)"",
	                      .value = (char *)"stays@x.test",
	                      .note = (char *)""};
	pthread_t threads[3];
	char value[32];
	void *failed;
	int i;

	entry.id.bytes[0] = 1;
	replica_change(replica, &entry, 1);
	atomic_store(&over, false);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, look_for_one, replica),
		    0);
	entry.value = value;
	for (i = 0; i < 4000; i++) {
		(void)snprintf(value, sizeof(value), "n%d@x.test", i % 1000);
		entry.id = (struct id){
		    {2, (uint8_t)(i % 1000 >> 8), (uint8_t)(i % 1000)}};
		entry.deleted = i / 1000 % 2;
		replica_change(replica, &entry, 1);
	}
	atomic_store(&over, true);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	replica_free(replica);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent verdict");
	TCase *tests = tcase_create("lists");

	tcase_add_loop_test(tests, decides, 0, COUNT(rows));
	tcase_add_test(tests, why_names_the_entry);
	tcase_add_test(tests, knows_domains_only_once_received);
	tcase_add_test(tests, views_are_whole_while_they_are_replaced);
	tcase_add_test(tests, changes_hide_nothing);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}

/*
 * Conformance of the registry: claims of challenges' mails that are prolonged,
 * lost or taken over, and the order of those that are due at once.
 */
#include "tests/conformance/registry/fixture.h"

/* The mail of number is due at NOW + due. */
static void open_due(unsigned number, int64_t due)
{
	struct registry_challenge challenge =
	    challenge_of(number, (uint8_t)number);

	challenge.mail_next_ms = NOW + due;
	ok(open_one(registry, &challenge, NULL, E));
}

/* Claims at NOW + after for 100 ms; the ids' last digits. */
static const char *claim(const char *owner, int64_t after, size_t limit)
{
	static char numbers[32];
	struct registry_challenges page = {0};

	ok(registry_challenge_claim_mail(registry, owner, NOW + after, 100,
	                                 limit, &page, E));
	ck_assert_uint_le(page.count, limit);
	for (size_t i = 0; i < page.count; i++)
		numbers[i] = (char)('0' + page.challenges[i].id.bytes[15]);
	numbers[page.count] = '\0';
	registry_challenges_release(&page);
	return numbers;
}

static int renew(unsigned number, const char *owner, int64_t until)
{
	struct id id = id_of(number);

	return registry_challenge_mail_renew(registry, &id, owner, NOW + until,
	                                     NULL);
}

static int done(unsigned number, const char *owner)
{
	struct id id = id_of(number);

	return registry_challenge_mail_done(
	    registry, &id, owner, MAIL_STATE_SENT, 0, true, "250", NULL);
}

/* Who has the claim, and until when after NOW. */
static void expect_claim(unsigned number, const char *owner, int64_t until)
{
	struct registry_challenge found;
	struct id id = id_of(number);

	ok(registry_challenge_read(registry, &id, &found, E));
	ck_assert_str_eq(found.mail_owner, owner);
	ck_assert_int_eq(found.mail_lease_ms, until < 0 ? 0 : NOW + until);
	registry_challenge_release(&found);
}

/* --- prolonging ---------------------------------------------------------- */

static void claimed(void)
{
	ck_assert_str_eq(claim("w", 0, 9), "1");
}

/* The lease of w ended at 100; it is another's since 200. */
static void taken_over(void)
{
	claimed();
	ck_assert_str_eq(claim("v", 200, 9), "1");
}

static void sent(void)
{
	claimed();
	ck_assert_int_eq(done(1, "w"), 0);
}

static void put_back(void)
{
	struct id id = id_of(1);

	claimed();
	ok(registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_PENDING,
	                                NOW, true, "451", E));
}

static void solved(void)
{
	struct id id = id_of(1);

	claimed();
	ok(registry_challenge_move(registry, &id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_SOLVED, NOW, E));
}

static void unclaimed(void)
{
}

/* What w gets who prolongs its claim of mail 1 to NOW + until. */
static const struct {
	const char *what;
	void (*make)(void);
	int64_t until;
	int code;
	const char *owner; /* then */
	int64_t lease;     /* then; -1: none */
} renewals[] = {
    {"own", claimed, 150, 0, "w", 150},
    {"own, twice the same", claimed, 100, 0, "w", 100},
    {"own, shorter", claimed, 50, 0, "w", 50},
    {"own, though solved meanwhile", solved, 150, 0, "w", 150},
    {"own, lapsed, of which nobody took advantage", claimed, 900, 0, "w", 900},
    {"lost to another", taken_over, 500, ERR_CONFLICT, "v", 300},
    {"never claimed", unclaimed, 150, ERR_CONFLICT, "", -1},
    {"ended", sent, 150, ERR_CONFLICT, "", -1},
    {"put back", put_back, 150, ERR_CONFLICT, "", -1},
};

START_TEST(claim_is_prolonged_by_its_owner)
{
	open_due(1, 0);
	renewals[_i].make();
	ck_assert_msg(renew(1, "w", renewals[_i].until) == renewals[_i].code,
	              "%s", renewals[_i].what);
	expect_claim(1, renewals[_i].owner, renewals[_i].lease);
	/* Another's try changes nothing. */
	ck_assert_int_eq(renew(1, "x", 999), ERR_CONFLICT);
	expect_claim(1, renewals[_i].owner, renewals[_i].lease);
}
END_TEST

START_TEST(prolonging_is_checked)
{
	struct id id = id_of(1);

	open_due(1, 0);
	claimed();
	fails(ERR_NOT_FOUND, renew(2, "w", 150));
	fails(ERR_NOT_FOUND, done(2, "w"));
	fails(ERR_INVALID, renew(1, "", 150));
	fails(ERR_INVALID, renew(1, NULL, 150));
	fails(ERR_INVALID, renew(1, "w", -NOW));
	fails(ERR_INVALID, registry_challenge_mail_renew(registry, &no_id, "w",
	                                                 NOW + 150, NULL));
	fails(ERR_INVALID,
	      registry_challenge_mail_done(
	          registry, &id, "w",
	          (enum registry_mail_state)(MAIL_STATE_FAILED + 1), NOW, true,
	          "", NULL));
	expect_claim(1, "w", 100);
}
END_TEST

/* Nobody else gets it before the new end, to the millisecond. */
START_TEST(prolonged_claim_is_nobody_elses)
{
	struct registry_challenge found;
	struct id id = id_of(1);

	open_due(1, 0);
	claimed();
	ck_assert_int_eq(renew(1, "w", 150), 0);
	ck_assert_str_eq(claim("v", 149, 9), "");
	ck_assert_str_eq(claim("v", 150, 9), "1");
	ck_assert_int_eq(renew(1, "w", 500), ERR_CONFLICT);
	ck_assert_int_eq(done(1, "w"), ERR_CONFLICT);
	ck_assert_int_eq(renew(1, "v", 500), 0);
	ck_assert_int_eq(done(1, "v"), 0);
	ck_assert_int_eq(done(1, "v"), ERR_CONFLICT);
	ok(registry_challenge_read(registry, &id, &found, E));
	ck_assert_int_eq(found.mail_attempts, 2);
	ck_assert_int_eq(found.mail, MAIL_STATE_SENT);
	registry_challenge_release(&found);
}
END_TEST

/* An owner that claims again what it lost claims it as anybody does. */
START_TEST(lapsed_claim_is_claimed_again)
{
	open_due(1, 0);
	claimed();
	ck_assert_str_eq(claim("w", 99, 9), "");
	ck_assert_str_eq(claim("w", 100, 9), "1");
	expect_claim(1, "w", 200);
}
END_TEST

/* --- order --------------------------------------------------------------- */

/* Of those due at once the first ids come first, whenever they were added. */
START_TEST(claims_of_one_moment_go_by_id)
{
	static const unsigned added[] = {6, 2, 9, 4, 1, 8, 3, 5, 7};

	for (size_t i = 0; i < 9; i++)
		open_due(added[i], added[i] == 9 ? -1 : 0);
	ck_assert_str_eq(claim("w", 0, 2), "91");
	ck_assert_str_eq(claim("v", 0, 3), "234");
	ck_assert_str_eq(claim("w", 0, 1), "5");
	ck_assert_str_eq(claim("w", 0, 9), "678");
}
END_TEST

static const char *due(enum registry_challenge_state state, int64_t before,
                       size_t limit)
{
	static char numbers[32];
	struct registry_challenges page = {0};

	ok(registry_challenge_due(registry, state, NOW + before, limit, &page,
	                          E));
	for (size_t i = 0; i < page.count; i++)
		numbers[i] = (char)('0' + page.challenges[i].id.bytes[15]);
	numbers[page.count] = '\0';
	registry_challenges_release(&page);
	return numbers;
}

START_TEST(what_ends_at_one_moment_goes_by_id)
{
	static const unsigned added[] = {6, 2, 4, 1, 3, 5};

	for (size_t i = 0; i < 6; i++)
		open_due(added[i], 0);
	ck_assert_str_eq(due(CHALLENGE_STATE_OPEN, 1000, 9), "");
	ck_assert_str_eq(due(CHALLENGE_STATE_OPEN, 1001, 2), "12");
	ck_assert_str_eq(due(CHALLENGE_STATE_OPEN, 1001, 9), "123456");
	for (size_t i = 0; i < 6; i++) {
		struct id id = id_of(added[i]);

		ok(registry_challenge_solve(registry, &id, 0, NOW + 9, E));
	}
	ck_assert_str_eq(due(CHALLENGE_STATE_OPEN, 1001, 9), "");
	ck_assert_str_eq(due(CHALLENGE_STATE_SOLVED, 9, 9), "");
	ck_assert_str_eq(due(CHALLENGE_STATE_SOLVED, 10, 4), "1234");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-mails");
	TCase *tcase = case_in(suite, "claims");

	tcase_add_loop_test(tcase, claim_is_prolonged_by_its_owner, 0,
	                    sizeof(renewals) / sizeof(*renewals));
	tcase_add_test(tcase, prolonging_is_checked);
	tcase_add_test(tcase, prolonged_claim_is_nobody_elses);
	tcase_add_test(tcase, lapsed_claim_is_claimed_again);
	tcase = case_in(suite, "order");
	tcase_add_test(tcase, claims_of_one_moment_go_by_id);
	tcase_add_test(tcase, what_ends_at_one_moment_goes_by_id);
	return suite_main(suite, NULL);
}

/* Link tokens: made again alike, read back, and nothing else is taken. */
#include "cloud-service/challenge/token.h"

#include "tests/support/suite.h"

static const uint8_t key[TOKEN_KEY_SIZE] = {1, 2, 3};
static const uint8_t other_key[TOKEN_KEY_SIZE] = {1, 2, 4};
static const struct id subject = {{0x01, 0x90, 0xa1, 7, 7, 7}};

#define EXPIRES 1795248000001LL

static char made[TOKEN_TEXT_SIZE];
static uint8_t made_hash[CRYPTO_HASH_SIZE];

static void setup(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	token_make(key, TOKEN_CHALLENGE, &subject, EXPIRES, made, made_hash);
}

START_TEST(a_token_says_what_was_put_in)
{
	struct token token;
	ck_assert_uint_eq(strlen(made), TOKEN_TEXT_SIZE - 1);
	ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, made, &token), 0);
	ck_assert(id_equal(&token.subject, &subject));
	/* Rounded up to a second. */
	ck_assert_int_eq(token.expires_ms, 1795248001000LL);
	ck_assert_mem_eq(token.hash, made_hash, CRYPTO_HASH_SIZE);
}
END_TEST

START_TEST(every_instance_writes_the_same_link)
{
	char again[TOKEN_TEXT_SIZE];
	uint8_t hash[CRYPTO_HASH_SIZE];
	token_make(key, TOKEN_CHALLENGE, &subject, EXPIRES, again, hash);
	ck_assert_str_eq(again, made);
	ck_assert_mem_eq(hash, made_hash, CRYPTO_HASH_SIZE);
	token_make(other_key, TOKEN_CHALLENGE, &subject, EXPIRES, again, hash);
	ck_assert_str_ne(again, made);
	ck_assert_mem_ne(hash, made_hash, CRYPTO_HASH_SIZE);
	token_make(key, TOKEN_CHALLENGE, &subject, EXPIRES + 5000, again, hash);
	ck_assert_mem_ne(hash, made_hash, CRYPTO_HASH_SIZE);
}
END_TEST

/* Whatever single bit of the bytes is turned, the token is refused. */
START_TEST(no_bit_may_change)
{
	uint8_t bytes[TOKEN_SIZE];
	char text[TOKEN_TEXT_SIZE];
	struct token token;
	ck_assert_int_eq(base64url_decode(made, bytes, sizeof(bytes)),
	                 TOKEN_SIZE);
	for (size_t bit = 0; bit < TOKEN_SIZE * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		base64url_encode(bytes, sizeof(bytes), text, sizeof(text));
		ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, text, &token),
		                 ERR_INVALID);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

/* Any character in place of any other: one text is one token. */
START_TEST(no_character_may_change)
{
	struct token token;
	for (size_t at = 0; at < TOKEN_TEXT_SIZE - 1; at++)
		for (int c = 1; c < 256; c++) {
			char text[TOKEN_TEXT_SIZE];
			memcpy(text, made, sizeof(text));
			text[at] = (char)c;
			if (made[at] != (char)c)
				ck_assert_int_eq(token_read(key,
				                            TOKEN_CHALLENGE,
				                            text, &token),
				                 ERR_INVALID);
		}
}
END_TEST

START_TEST(hostile_texts_are_refused)
{
	static const char *const texts[] = {
	    "",
	    "A",
	    "../../etc/passwd",
	    "AQEBkKEHBwcAAAAAAAAAAAAA",
	    "%00%00%00",
	    "\xff\xfe",
	    "' OR 1=1 --",
	    "<script>alert(1)</script>",
	};
	struct token token = {.expires_ms = 42};
	char longer[4096];
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_int_eq(
		    token_read(key, TOKEN_CHALLENGE, texts[i], &token),
		    ERR_INVALID);
	for (size_t cut = 0; cut < TOKEN_TEXT_SIZE - 1; cut++) {
		snprintf(longer, sizeof(longer), "%.*s", (int)cut, made);
		ck_assert_int_eq(
		    token_read(key, TOKEN_CHALLENGE, longer, &token),
		    ERR_INVALID);
	}
	snprintf(longer, sizeof(longer), "%s%s%s", made, made, made);
	ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, longer, &token),
	                 ERR_INVALID);
	snprintf(longer, sizeof(longer), "%s=", made);
	ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, longer, &token),
	                 ERR_INVALID);
	ck_assert_int_eq(token.expires_ms, 42);
}
END_TEST

START_TEST(key_and_purpose_must_fit)
{
	struct token token;
	char text[TOKEN_TEXT_SIZE];
	ck_assert_int_eq(token_read(other_key, TOKEN_CHALLENGE, made, &token),
	                 ERR_INVALID);
	token_make(key, (enum token_purpose)2, &subject, EXPIRES, text, NULL);
	ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, text, &token),
	                 ERR_INVALID);
	ck_assert_int_eq(token_read(key, (enum token_purpose)2, text, &token),
	                 0);
}
END_TEST

START_TEST(odd_times_come_back_bounded)
{
	static const int64_t times[] = {INT64_MIN, -1,   0,    1,
	                                999,       1000, 1001, INT64_MAX};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct token token;
		char text[TOKEN_TEXT_SIZE];
		token_make(key, TOKEN_CHALLENGE, &subject, times[i], text,
		           NULL);
		ck_assert_int_eq(token_read(key, TOKEN_CHALLENGE, text, &token),
		                 0);
		ck_assert_int_ge(token.expires_ms, 0);
		if (times[i] >= 0 && times[i] < INT64_MAX)
			ck_assert_int_lt(token.expires_ms - times[i], 1000);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("token");
	TCase *tokens = tcase_create("token");
	tcase_add_checked_fixture(tokens, setup, NULL);
	tcase_add_test(tokens, a_token_says_what_was_put_in);
	tcase_add_test(tokens, every_instance_writes_the_same_link);
	tcase_add_test(tokens, no_bit_may_change);
	tcase_add_test(tokens, no_character_may_change);
	tcase_add_test(tokens, hostile_texts_are_refused);
	tcase_add_test(tokens, key_and_purpose_must_fit);
	tcase_add_test(tokens, odd_times_come_back_bounded);
	suite_add_tcase(suite, tokens);
	return suite_main(suite, NULL);
}

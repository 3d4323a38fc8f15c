/* Two readings of a message of the spool, compared field by field. */
#include "tests/support/same-message.h"

#include <check.h>

static void expect_same_texts(const struct spool_message *a,
                              const struct spool_message *b)
{
	ck_assert_str_eq(a->sender, b->sender);
	ck_assert_str_eq(a->sender_normal, b->sender_normal);
	ck_assert_str_eq(a->header_from, b->header_from);
	ck_assert_str_eq(a->subject, b->subject);
	ck_assert_str_eq(a->message_id, b->message_id);
	ck_assert_str_eq(a->client_address, b->client_address);
	ck_assert_str_eq(a->client_name, b->client_name);
	ck_assert_str_eq(a->helo, b->helo);
	ck_assert_str_eq(a->protocol, b->protocol);
	ck_assert_str_eq(a->challenge_reason, b->challenge_reason);
	ck_assert_str_eq(a->auth_notice, b->auth_notice);
}

static void expect_same_auth(const struct mail_auth *a,
                             const struct mail_auth *b)
{
	ck_assert_int_eq(a->stated, b->stated);
	ck_assert_int_eq(a->spf, b->spf);
	ck_assert_int_eq(a->dkim, b->dkim);
	ck_assert_int_eq(a->dmarc, b->dmarc);
	ck_assert_int_eq(a->aligned, b->aligned);
	ck_assert_str_eq(a->spf_domain, b->spf_domain);
	ck_assert_str_eq(a->dkim_domain, b->dkim_domain);
	ck_assert_str_eq(a->dmarc_domain, b->dmarc_domain);
}

void expect_same_head(const struct spool_message *a,
                      const struct spool_message *b)
{
	ck_assert(id_equal(&a->id, &b->id));
	ck_assert_int_eq(a->received_ms, b->received_ms);
	ck_assert_int_eq(a->expires_ms, b->expires_ms);
	ck_assert_int_eq(a->size, b->size);
	ck_assert_int_eq(a->eight_bit, b->eight_bit);
	ck_assert_int_eq(a->smtputf8, b->smtputf8);
	ck_assert_int_eq(a->registered, b->registered);
	ck_assert_uint_eq(a->registration_attempts, b->registration_attempts);
	ck_assert_int_eq(a->registration_retry_ms, b->registration_retry_ms);
	ck_assert_str_eq(a->registration_refusal, b->registration_refusal);
	ck_assert_int_eq(a->body_present, b->body_present);
	ck_assert(id_equal(&a->dsn_of, &b->dsn_of));
	expect_same_texts(a, b);
	expect_same_auth(&a->auth, &b->auth);
}

static void expect_same_recipient(const struct spool_recipient *a,
                                  const struct spool_recipient *b)
{
	ck_assert_str_eq(a->address, b->address);
	ck_assert_int_eq(a->state, b->state);
	ck_assert_int_eq(a->changed_ms, b->changed_ms);
	ck_assert_str_eq(a->by, b->by);
	ck_assert_str_eq(a->why, b->why);
	ck_assert_str_eq(a->history, b->history);
	ck_assert_uint_eq(a->attempts, b->attempts);
	ck_assert_int_eq(a->next_attempt_ms, b->next_attempt_ms);
	ck_assert_str_eq(a->reply, b->reply);
	ck_assert_int_eq(a->event_pending, b->event_pending);
	ck_assert_str_eq(a->next_hop, b->next_hop);
	ck_assert_int_eq(a->keep_until_ms, b->keep_until_ms);
	ck_assert_int_eq(a->dsn, b->dsn);
	ck_assert(id_equal(&a->dsn_id, &b->dsn_id));
}

void expect_same_message(const struct spool_message *a,
                         const struct spool_message *b)
{
	expect_same_head(a, b);
	ck_assert_uint_eq(a->recipient_count, b->recipient_count);
	for (size_t i = 0; i < a->recipient_count; i++)
		expect_same_recipient(&a->recipients[i], &b->recipients[i]);
}

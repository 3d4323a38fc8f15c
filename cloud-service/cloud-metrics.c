/* The cloud's counters by name; the look-up's lock is cheap beside a write. */
#include "cloud-service/cloud-metrics.h"

#include <stdio.h>

#include "common/mail/challenge-rule.h"
#include "common/metrics.h"

static void count(const char *name, const char *labels, const char *help)
{
	metric_add(metric_counter(name, labels, help), 1);
}

void count_message(const char *status)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "status=\"%s\"", status);
	count("turing_cloud_messages_total", labels,
	      "Messages that agents sent for registration.");
}

void count_event(const char *status)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "status=\"%s\"", status);
	count("turing_cloud_events_total", labels,
	      "Events that agents told of registered mail.");
}

void count_decision(enum registry_verdict verdict, const char *by)
{
	char labels[128];

	snprintf(labels, sizeof(labels), "verdict=\"%s\",by=\"%s\"",
	         registry_verdict_name(verdict), by);
	count("turing_cloud_decisions_total", labels,
	      "Recipients of held messages that were decided.");
}

void count_challenge_opened(void)
{
	count("turing_cloud_challenges_opened_total", "",
	      "Challenges that were opened.");
}

void count_challenge_not_sent(const char *reason)
{
	char labels[96];

	snprintf(labels, sizeof(labels), "reason=\"%s\"",
	         challenge_reason_parse(reason) < 0 ? "other" : reason);
	count("turing_cloud_challenges_not_sent_total", labels,
	      "Held messages without a challenge of their own.");
}

void count_challenge_solved(void)
{
	count("turing_cloud_challenges_solved_total", "",
	      "Challenges that were solved.");
}

void count_mail(const char *result)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "result=\"%s\"", result);
	count("turing_cloud_challenge_mails_total", labels,
	      "Attempts to send a challenge mail.");
}

void set_smarthost_refuses(bool refuses)
{
	metric_set(metric_gauge("turing_cloud_smarthost_refuses_us", "",
	                        "1 while the smarthost refuses us and all "
	                        "challenge mails wait."),
	           refuses);
}

void count_purged(enum registry_kind kind, size_t records)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "kind=\"%s\"",
	         registry_kind_name(kind));
	metric_add(metric_counter("turing_cloud_purged_total", labels,
	                          "Records deleted as no longer needed."),
	           (int64_t)records);
}

void set_totals(const struct registry_totals *totals)
{
	metric_set(metric_gauge("turing_cloud_tenants", "", "Tenants."),
	           totals->tenants);
	metric_set(
	    metric_gauge("turing_cloud_messages", "", "Registered messages."),
	    totals->messages);
	metric_set(metric_gauge("turing_cloud_recipients_held", "",
	                        "Recipients of held messages."),
	           totals->recipients_held);
	metric_set(metric_gauge("turing_cloud_challenges_open", "",
	                        "Open challenges."),
	           totals->challenges_open);
	metric_set(metric_gauge("turing_cloud_mails_pending", "",
	                        "Challenge mails that wait to be sent."),
	           totals->mails_pending);
}

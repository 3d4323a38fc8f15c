/* A delivery on a spool of its own, for the tests of it. */
#ifndef TESTS_UNIT_LOCAL_AGENT_DELIVERY_DELIVERY_LAB_H
#define TESTS_UNIT_LOCAL_AGENT_DELIVERY_DELIVERY_LAB_H

#include "common/metrics.h"
#include "local-agent/delivery/delivery.h"
#include "tests/support/failing-spool.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/lab.h"

static struct spool_fixture store;
static struct agent_config config;
static struct writer *writer;
static struct loop *loop;
static struct delivery *delivery;
static struct failing_spool failing; /* between delivery and the store */
static struct disowned *disowned;
static _Atomic unsigned ends;
static int64_t lease_of_test_ms; /* 0: that of the configuration */

static inline void on_ended(void *context)
{
	(void)context;
	atomic_fetch_add(&ends, 1);
}

static inline void setup(void)
{
	lab_init();
	fixture_open(&store);
	failing_spool_init(&failing, store.spool);
	disowned = disowned_new();
	atomic_store(&ends, 0);
	lease_of_test_ms = 0;
}

static inline void start(uint16_t port, const char *more)
{
	struct delivery_options options = {.config = &config,
	                                   .spool = &failing.spool,
	                                   .disowned = disowned,
	                                   .memory_bytes = 1 << 20,
	                                   .ended = on_ended};
	char text[600];

	(void)snprintf(text, sizeof(text),
	               LAB_POLICY "next_hop { address = \"127.0.0.1:%u\";"
	                          " timeout_percent = 1;"
	                          " connect_timeout = 2s; %s }",
	               port, more);
	lab_config(&config, 1, text);
	if (lease_of_test_ms)
		config.queue_lease_ms = lease_of_test_ms;
	writer = lab_writer(&failing.spool);
	ck_assert_int_eq(loop_start(&loop, "delivery", NULL), 0);
	options.writer = writer;
	options.loop = loop;
	ck_assert_int_eq(delivery_start(&delivery, &options, NULL), 0);
}

static inline void stop(void)
{
	delivery_stop(delivery, 500);
	writer_stop(writer);
	loop_stop(loop);
	delivery_free(delivery);
	agent_config_release(&config);
	delivery = NULL;
}

static inline void teardown(void)
{
	disowned_free(disowned);
	failing_spool_release(&failing);
	fixture_close(&store);
}

/* Whether the recipient has been tried or is at its end. */
static inline bool is_over(const struct id *id, size_t recipient)
{
	struct spool_message message;
	bool over;

	ck_assert_int_eq(spool_read(store.spool, id, &message, NULL), 0);
	over = message.recipients[recipient].attempts > 0 &&
	       !*message.recipients[recipient].lease_owner;
	spool_message_release(&message);
	return over;
}

#endif

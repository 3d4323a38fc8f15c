/* The JSON of GET /v1/agent/policy. */
#ifndef LOCAL_AGENT_CLOUD_POLICY_WIRE_H
#define LOCAL_AGENT_CLOUD_POLICY_WIRE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/policy/entry.h"

/* One answer. */
struct policy_page {
	int64_t revision;
	bool reset, more;
	struct entry *entries;
	size_t count;
	char *domains; /* a JSON array of strings, as text */
};

/*
 * Reads an answer; an entry that makes no sense makes the whole answer
 * ERR_PROTOCOL, with the field named: half a policy is no policy. The page is
 * released by policy_page_release().
 */
int policy_page_read(const json_t *answer, struct policy_page *page,
                     struct error *err);

/* Frees what the page holds; a zeroed one is allowed. */
void policy_page_release(struct policy_page *page);

#endif

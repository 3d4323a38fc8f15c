/* GET /v1/agent/policy: lists and domains for an agent's replica. */
#include "cloud-service/api/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/call.h"
#include "cloud-service/decide/tenant-domains.h"
#include "common/clock.h"

/*
 * A cursor is "OWN.GLOBAL" on the wire, and for agents that know single numbers
 * alone the number of these bits, which no revision has ever reached. A number
 * without the highest of them is a revision of an order that is no more.
 */
#define NUMBER_BITS 31
#define NUMBER_MASK (((int64_t)1 << NUMBER_BITS) - 1)
#define NUMBER_MARK ((int64_t)1 << 2 * NUMBER_BITS)

/* What an agent has already. */
struct known {
	struct registry_policy_cursor cursor;
	bool reset; /* nothing that can be built upon */
};

/* What is read for a request. */
struct answer {
	struct registry_policy_cursor cursor;
	bool reset;
	struct registry_entries page;
	struct tenant_domains domains;
};

static bool read_revision(const char **text, char end, int64_t *revision)
{
	char *rest;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*revision = strtoll(*text, &rest, 10);
	*text = rest + 1;
	return !errno && *rest == end;
}

static int read_after(const struct http_request *request, struct known *known,
                      struct error *err)
{
	struct registry_policy_cursor *cursor = &known->cursor;
	const char *text = http_query(request, "after");
	int64_t number;
	int result;

	if (text && strchr(text, '.')) {
		known->reset = false;
		return read_revision(&text, '.', &cursor->own) &&
		               read_revision(&text, '\0', &cursor->global)
		           ? 0
		           : error_set(err, ERR_INVALID,
		                       "after must be a cursor of an earlier "
		                       "answer");
	}
	result =
	    http_query_integer(request, "after", 0, 0, INT64_MAX, &number, err);
	known->reset = number < NUMBER_MARK;
	if (!known->reset) {
		cursor->own = number >> NUMBER_BITS & NUMBER_MASK;
		cursor->global = number & NUMBER_MASK;
	}
	return result;
}

/* What an agent asks for at its very first, where there is no policy yet, it
 * waits for. */
static bool is_nothing_new(const struct known *known, const char *after,
                           const struct registry_policy_cursor *now)
{
	return (!known->reset || !after || strcmp(after, "0") == 0) &&
	       known->cursor.own == now->own &&
	       known->cursor.global == now->global;
}

/*
 * The revisions are read first: whatever is added while the rest is read is
 * then told again at the next time, never left out.
 */
static int read_answer(struct cloud *cloud, const struct api_poll *poll,
                       const struct known *known, struct answer *answer,
                       bool *nothing, struct error *err)
{
	const struct id *tenant = &poll->caller.tenant;
	struct registry_policy_cursor now;
	int result;

	result = registry_policy_revision(cloud->registry, tenant, &now, err);
	if (result)
		return result;
	*nothing =
	    is_nothing_new(known, http_query(poll->request, "after"), &now);
	if (*nothing)
		return 0;
	answer->reset = known->reset || known->cursor.own > now.own ||
	                known->cursor.global > now.global;
	if (!answer->reset)
		answer->cursor = known->cursor;
	result =
	    registry_entry_changes(cloud->registry, tenant, &answer->cursor,
	                           (size_t)poll->limit, &answer->page, err);
	if (!result)
		result = tenant_domains_load(&answer->domains, cloud->registry,
		                             tenant, err);
	/* Domains have revisions, too. */
	if (!result && !answer->page.more && now.own > answer->cursor.own)
		answer->cursor.own = now.own;
	if (!result && !answer->page.more && now.global > answer->cursor.global)
		answer->cursor.global = now.global;
	return result;
}

static json_t *time_json(int64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];

	return wall_ms ? json_string(clock_format_rfc3339(wall_ms, text))
	               : json_null();
}

static json_t *entry_json(const struct entry *entry)
{
	char id[ID_TEXT_SIZE], created[CLOCK_TEXT_SIZE];
	enum mail_pass demand = entry_demand(entry);

	return json_pack(
	    "{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:s,s:b,s:o,s:s,s:I,s:s,s:s}", "id",
	    id_format(&entry->id, id), "scope", entry_scope_name(entry->scope),
	    "scope_value", entry->scope_value, "colour",
	    entry_colour_name(entry->colour), "kind",
	    entry_kind_name(entry->kind), "value", entry->value, "demands_pass",
	    (int)(demand != MAIL_PASS_NONE), "demand", mail_pass_name(demand),
	    "deleted", (int)entry->deleted, "expires_at",
	    time_json(entry->expires_ms), "created_at",
	    clock_format_rfc3339(entry->created_ms, created), "revision",
	    (json_int_t)entry->revision, "origin",
	    entry_origin_name(entry->origin), "note", entry->note);
}

static json_t *answer_json(const struct answer *answer)
{
	const struct registry_policy_cursor *cursor = &answer->cursor;
	json_t *entries = json_array(), *domains = json_array();
	char text[48];
	size_t i;

	(void)snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64, cursor->own,
	               cursor->global);

	for (i = 0; i < answer->page.count; i++)
		json_array_append_new(entries,
		                      entry_json(&answer->page.entries[i]));
	for (i = 0; i < answer->domains.count; i++)
		json_array_append_new(domains,
		                      json_string(answer->domains.names[i]));
	return json_pack(
	    "{s:s,s:I,s:b,s:b,s:o,s:o}", "cursor", text, "revision",
	    (json_int_t)(NUMBER_MARK | cursor->own << NUMBER_BITS |
	                 cursor->global),
	    "reset", (int)answer->reset, "more", (int)answer->page.more,
	    "domains", domains, "entries", entries);
}

void api_policy_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct answer answer = {0};
	struct known known = {0};
	struct error err = {0};
	struct api_poll poll;
	bool nothing = false;

	if (!api_poll_begin(&poll, request, cloud, API_MAXIMUM_PAGE))
		return;
	if (read_after(request, &known, &err)) {
		api_reply_invalid(request, &err);
		return;
	}
	if (read_answer(cloud, &poll, &known, &answer, &nothing, &err))
		api_reply_unavailable(request, &err);
	else if (nothing)
		api_poll_wait(&poll, cloud);
	else
		http_reply_json(request, 200, answer_json(&answer));
	registry_entries_release(&answer.page);
	tenant_domains_release(&answer.domains);
}

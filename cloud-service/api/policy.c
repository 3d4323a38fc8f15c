/* GET /v1/agent/policy: lists and domains for an agent's replica. */
#include "cloud-service/api/api.h"

#include "cloud-service/api/call.h"
#include "cloud-service/decide/tenant-domains.h"
#include "common/clock.h"

/* What is read for a request. */
struct answer {
	int64_t revision;
	bool reset;
	struct registry_entries page;
	struct tenant_domains domains;
};

/*
 * The revision is read first: whatever is added while the rest is read is then
 * told again at the next time, never left out.
 */
static int read_answer(struct cloud *cloud, const struct api_poll *poll,
                       struct answer *answer, bool *nothing, struct error *err)
{
	const struct registry_entries *page = &answer->page;
	const struct id *tenant = &poll->caller.tenant;
	int result;

	result = registry_policy_revision(cloud->registry, tenant,
	                                  &answer->revision, err);
	if (result)
		return result;
	*nothing = poll->after == answer->revision;
	if (*nothing)
		return 0;
	answer->reset = poll->after == 0 || poll->after > answer->revision;
	result = registry_entry_changes(
	    cloud->registry, tenant, answer->reset ? 0 : poll->after,
	    (size_t)poll->limit, &answer->page, err);
	if (!result)
		result = tenant_domains_load(&answer->domains, cloud->registry,
		                             tenant, err);
	if (!result && page->count > 0 &&
	    (page->more ||
	     page->entries[page->count - 1].revision > answer->revision))
		answer->revision = page->entries[page->count - 1].revision;
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
	json_t *entries = json_array(), *domains = json_array();
	size_t i;

	for (i = 0; i < answer->page.count; i++)
		json_array_append_new(entries,
		                      entry_json(&answer->page.entries[i]));
	for (i = 0; i < answer->domains.count; i++)
		json_array_append_new(domains,
		                      json_string(answer->domains.names[i]));
	return json_pack("{s:I,s:b,s:b,s:o,s:o}", "revision",
	                 (json_int_t)answer->revision, "reset",
	                 (int)answer->reset, "more", (int)answer->page.more,
	                 "domains", domains, "entries", entries);
}

void api_policy_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct answer answer = {0};
	struct error err = {0};
	struct api_poll poll;
	bool nothing = false;

	if (!api_poll_begin(&poll, request, cloud, API_MAXIMUM_PAGE))
		return;
	if (read_answer(cloud, &poll, &answer, &nothing, &err))
		api_reply_unavailable(request, &err);
	else if (nothing)
		api_poll_wait(&poll, cloud);
	else
		http_reply_json(request, 200, answer_json(&answer));
	registry_entries_release(&answer.page);
	tenant_domains_release(&answer.domains);
}

/* Policy answers of the cloud as entries. */
#include "local-agent/cloud/policy-wire.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "local-agent/cloud/worker.h"

static int bad(struct error *err, size_t index, const char *field)
{
	return error_set(err, ERR_PROTOCOL, "entries[%zu].%s", index, field);
}

/* A word of a set, or -1 when absent or unknown. */
static int word(const json_t *object, const char *name,
                int (*parse)(const char *))
{
	const char *text = cloud_text(object, name);

	return text ? parse(text) : -1;
}

static int read_words(const json_t *object, size_t index, struct entry *entry,
                      struct error *err)
{
	int scope = word(object, "scope", entry_scope_parse);
	int colour = word(object, "colour", entry_colour_parse);
	int kind = word(object, "kind", entry_kind_parse);
	int origin = word(object, "origin", entry_origin_parse);

	if (scope < 0)
		return bad(err, index, "scope");
	if (colour < 0)
		return bad(err, index, "colour");
	if (kind < 0)
		return bad(err, index, "kind");
	if (origin < 0)
		return bad(err, index, "origin");
	entry->scope = (enum entry_scope)scope;
	entry->colour = (enum entry_colour)colour;
	entry->kind = (enum entry_kind)kind;
	entry->origin = (enum entry_origin)origin;
	return 0;
}

/* A cloud that does not say of which kind says whether any is demanded. */
static int read_demand(const json_t *object, size_t index, struct entry *entry,
                       struct error *err)
{
	const json_t *demand = json_object_get(object, "demand");
	int parsed = json_is_true(json_object_get(object, "demands_pass"))
	                 ? MAIL_PASS_SPF
	                 : MAIL_PASS_NONE;

	if (demand)
		parsed = json_is_string(demand)
		             ? mail_pass_parse(json_string_value(demand))
		             : -1;
	if (parsed < 0)
		return bad(err, index, "demand");
	entry->demand = (enum mail_pass)parsed;
	return 0;
}

static int read_times(const json_t *object, size_t index, struct entry *entry,
                      struct error *err)
{
	const json_t *expires = json_object_get(object, "expires_at");
	const char *created = cloud_text(object, "created_at");

	if (expires && !json_is_null(expires) &&
	    (!json_is_string(expires) ||
	     clock_parse_rfc3339(json_string_value(expires),
	                         &entry->expires_ms)))
		return bad(err, index, "expires_at");
	if (created && clock_parse_rfc3339(created, &entry->created_ms))
		return bad(err, index, "created_at");
	return 0;
}

static int read_entry(const json_t *object, size_t index, struct entry *entry,
                      struct error *err)
{
	const char *id = cloud_text(object, "id");
	const char *value = cloud_text(object, "value");
	const char *scope_value = cloud_text(object, "scope_value");
	const char *note = cloud_text(object, "note");

	entry->scope_value = mem_copy_string(scope_value ? scope_value : "");
	entry->value = mem_copy_string(value ? value : "");
	entry->note = mem_copy_string(note ? note : "");
	entry->deleted = json_is_true(json_object_get(object, "deleted"));
	entry->revision =
	    json_integer_value(json_object_get(object, "revision"));
	if (!id || id_parse(id, &entry->id))
		return bad(err, index, "id");
	if (!value)
		return bad(err, index, "value");
	if (read_words(object, index, entry, err) ||
	    read_demand(object, index, entry, err) ||
	    read_times(object, index, entry, err))
		return ERR_PROTOCOL;
	if (!entry->deleted && entry_canonicalise(entry, NULL))
		return bad(err, index, "value");
	return 0;
}

static int read_entries(const json_t *list, struct policy_page *page,
                        struct error *err)
{
	size_t i;

	page->entries =
	    mem_alloc_array(json_array_size(list), sizeof(*page->entries));
	for (i = 0; i < json_array_size(list); i++) {
		int result;

		page->count = i + 1;
		result = read_entry(json_array_get(list, i), i,
		                    &page->entries[i], err);
		if (result)
			return result;
	}
	return 0;
}

static int read_domains(const json_t *list, struct policy_page *page,
                        struct error *err)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (!json_is_string(json_array_get(list, i)))
			return error_set(err, ERR_PROTOCOL, "domains[%zu]", i);
	page->domains = json_dumps(list, JSON_COMPACT);
	return page->domains ? 0 : error_set(err, ERR_PROTOCOL, "domains");
}

int policy_page_read(const json_t *answer, struct policy_page *page,
                     struct error *err)
{
	const json_t *revision = json_object_get(answer, "revision");
	const json_t *entries = json_object_get(answer, "entries");
	const json_t *domains = json_object_get(answer, "domains");
	struct policy_page read = {0};
	int result;

	if (!json_is_integer(revision) || json_integer_value(revision) < 0)
		return error_set(err, ERR_PROTOCOL, "revision");
	if (!json_is_array(entries))
		return error_set(err, ERR_PROTOCOL, "entries");
	if (!json_is_array(domains))
		return error_set(err, ERR_PROTOCOL, "domains");
	read.revision = json_integer_value(revision);
	read.reset = json_is_true(json_object_get(answer, "reset"));
	read.more = json_is_true(json_object_get(answer, "more"));
	result = read_entries(entries, &read, err);
	if (result == 0)
		result = read_domains(domains, &read, err);
	if (result)
		policy_page_release(&read);
	else
		*page = read;
	return result;
}

void policy_page_release(struct policy_page *page)
{
	size_t i;

	for (i = 0; i < page->count; i++)
		entry_release(&page->entries[i]);
	free(page->entries);
	free(page->domains);
	*page = (struct policy_page){0};
}

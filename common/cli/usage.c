/* The usage text of a command, read word by word. */
#include "common/cli/usage.h"

#include <string.h>

/* Skips what stands between items. */
static void skip(struct usage_walk *walk)
{
	for (; *walk->at && strchr(" |[].", *walk->at); walk->at++)
		walk->depth +=
		    *walk->at == '[' ? 1 : (*walk->at == ']' ? -1 : 0);
}

/* Whether a value follows the name of an option: a word of its own. */
static bool has_value(const char *behind)
{
	return *behind == ' ' && behind[1] && !strchr("-[]|", behind[1]);
}

bool usage_next(struct usage_walk *walk, struct usage_item *item)
{
	const char *end;

	skip(walk);
	if (!*walk->at)
		return false;
	item->name = walk->at;
	item->length = strcspn(walk->at, " ].");
	item->option = *walk->at == '-';
	item->optional = walk->depth > 0;
	end = walk->at + item->length;
	item->value = item->option && has_value(end);
	if (item->value)
		end += 1 + strcspn(end + 1, " ].");
	item->several = strncmp(end + (*end == ']'), "...", 3) == 0;
	walk->at = end;
	return true;
}

bool usage_find(const char *usage, const char *name, struct usage_item *item)
{
	struct usage_walk walk = {.at = usage};
	size_t length = strcspn(name, "=");

	while (usage_next(&walk, item))
		if (item->option && item->length == length &&
		    strncmp(item->name, name, length) == 0)
			return true;
	return false;
}

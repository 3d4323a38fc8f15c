/* A list of recipients in memory: sorted, looked up by halving. */
#include "local-agent/intake/recipient-list.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "common/text.h"

#define FILE_MAXIMUM ((size_t)256 << 20)

struct recipient_list {
	char **keys; /* folded, sorted */
	size_t count, capacity;
};

void recipient_list_free(struct recipient_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free(list->keys[i]);
	free(list->keys);
	free(list);
}

static void add(struct recipient_list *list, const char *key)
{
	list->keys = mem_grow(list->keys, list->count, &list->capacity,
	                      sizeof(*list->keys));
	list->keys[list->count++] = mem_copy_string(key);
}

/* The length of the key that a line begins with: blanks may stand in quotes. */
static size_t key_length(const char *line)
{
	size_t local = *line == '"' ? mail_local_length(line, true) : 0;

	return local + strcspn(line + local, " \t\r");
}

/* The key in the form that addresses are looked up by. */
static int fold_key(const char *key, char folded[MAIL_ADDRESS_SIZE])
{
	if (*key != '@')
		return mail_address_valid(key, true)
		           ? mail_address_fold(key, folded)
		           : ERR_INVALID;
	folded[0] = '@';
	return mail_domain_fold(key + 1, folded + 1, MAIL_ADDRESS_SIZE - 1);
}

/* Takes one line without its end; it may be cut up. */
static int take_line(struct recipient_list *list, char *line, const char *path,
                     size_t number, struct error *err)
{
	char folded[MAIL_ADDRESS_SIZE];
	size_t length;

	/* A continuation belongs to a value, and values are not looked at. */
	if (!*line || *line == '#' || strchr(" \t\r", *line))
		return 0;
	length = key_length(line);
	line[length] = '\0';
	if (fold_key(line, folded))
		return error_set(err, ERR_INVALID,
		                 "%s:%zu: \"%.200s\" is neither user@domain "
		                 "nor @domain",
		                 path, number, line);
	add(list, folded);
	return 0;
}

static int parse(struct recipient_list *list, struct buffer *file,
                 const char *path, struct error *err)
{
	char *line = file->data, *end = file->data + file->length;
	size_t number = 1;

	for (; line < end; number++) {
		char *lf = memchr(line, '\n', (size_t)(end - line));
		int result;

		/* The buffer ends with a NUL of its own. */
		if (lf)
			*lf = '\0';
		if (memchr(line, '\0', (size_t)((lf ? lf : end) - line)))
			return error_set(err, ERR_INVALID, "%s:%zu: a NUL",
			                 path, number);
		result = take_line(list, line, path, number, err);
		if (result || !lf)
			return result;
		line = lf + 1;
	}
	return 0;
}

int recipient_list_load(struct recipient_list **list, const char *path,
                        struct error *err)
{
	struct recipient_list *made;
	struct buffer file;
	int result;

	buffer_init(&file, FILE_MAXIMUM);
	result = fs_read_file(path, &file, err);
	if (result) {
		buffer_release(&file);
		return result;
	}
	made = mem_alloc(sizeof(*made));
	if (file.length)
		result = parse(made, &file, path, err);
	buffer_release(&file);
	if (result) {
		recipient_list_free(made);
		return result;
	}
	if (made->count)
		qsort(made->keys, made->count, sizeof(*made->keys),
		      text_compare);
	*list = made;
	return 0;
}

static bool has_key(const struct recipient_list *list, const char *key)
{
	return list->count &&
	       bsearch(&key, list->keys, list->count, sizeof(*list->keys),
	               text_compare) != NULL;
}

bool recipient_list_has(const struct recipient_list *list, const char *folded,
                        const char *delimiters)
{
	const char *at = strrchr(folded, '@');
	size_t local = at ? (size_t)(at - folded) : 0;
	size_t base = strcspn(folded, delimiters);
	char key[MAIL_ADDRESS_SIZE];

	if (!at)
		return false;
	if (has_key(list, folded) || has_key(list, at))
		return true;
	if (*folded == '"' || base == 0 || base >= local)
		return false;
	(void)snprintf(key, sizeof(key), "%.*s%s", (int)base, folded, at);
	return has_key(list, key);
}

size_t recipient_list_count(const struct recipient_list *list)
{
	return list->count;
}

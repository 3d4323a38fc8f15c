/* The connection URI: what it must not say, and what it need not say. */
#include "store/mongodb/private.h"

#include <string.h>
#include <unistd.h>

/* The longest database name that every version of the server takes. */
#define NAME_MAXIMUM 63

/* The part of a URI that is said for it. */
static const struct {
	const char *option;
	int32_t value;
} defaults[] = {
    {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 5000},
    {MONGOC_URI_CONNECTTIMEOUTMS, 5000},
    {MONGOC_URI_SOCKETTIMEOUTMS, 20000},
    {MONGOC_URI_WAITQUEUETIMEOUTMS, 10000},
    {MONGOC_URI_MAXPOOLSIZE, 32},
};

static int check_writes(const mongoc_uri_t *uri, struct error *err)
{
	const mongoc_write_concern_t *concern =
	    mongoc_uri_get_write_concern(uri);
	int32_t w = mongoc_write_concern_get_w(concern);

	if (w != MONGOC_WRITE_CONCERN_W_DEFAULT &&
	    w != MONGOC_WRITE_CONCERN_W_MAJORITY)
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI's option w must be "
		                 "\"majority\": anything less can lose mail");
	if (mongoc_write_concern_journal_is_set(concern) &&
	    !mongoc_write_concern_get_journal(concern))
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI's option journal must be "
		                 "true: without it mail can be lost");
	return 0;
}

static int check_reads(const mongoc_uri_t *uri, struct error *err)
{
	const mongoc_read_prefs_t *prefs = mongoc_uri_get_read_prefs_t(uri);
	const char *level =
	    mongoc_read_concern_get_level(mongoc_uri_get_read_concern(uri));

	if (mongoc_read_prefs_get_mode(prefs) != MONGOC_READ_PRIMARY)
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI's option readPreference "
		                 "must be \"primary\": others are behind");
	if (level && strcmp(level, MONGOC_READ_CONCERN_LEVEL_MAJORITY) != 0 &&
	    strcmp(level, MONGOC_READ_CONCERN_LEVEL_LINEARIZABLE) != 0)
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI's option readConcernLevel "
		                 "must be \"majority\"");
	return 0;
}

/* The name as the server's documentation allows it. */
static int check_name(const char *name, struct error *err)
{
	if (!name || !*name)
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI names no database");
	if (strlen(name) > NAME_MAXIMUM || strpbrk(name, "/\\. \"$*<>:|?"))
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI's database has a name that "
		                 "is too long or has a forbidden character");
	return 0;
}

static void set_defaults(mongoc_uri_t *uri)
{
	mongoc_write_concern_t *concern =
	    mongoc_write_concern_copy(mongoc_uri_get_write_concern(uri));

	mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
	mongoc_write_concern_set_journal(concern, true);
	mongoc_uri_set_write_concern(uri, concern);
	mongoc_write_concern_destroy(concern);
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		if (!mongoc_uri_has_option(uri, defaults[i].option))
			mongoc_uri_set_option_as_int32(uri, defaults[i].option,
			                               defaults[i].value);
	}
}

/* libmongoc takes "p@ss@host" for the host "ss@host", and would name it. */
static bool has_odd_host(const mongoc_uri_t *uri)
{
	const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);

	while (host && !strchr(host->host, '@'))
		host = host->next;
	return host != NULL;
}

/* Of a file that cannot be read the library says that no server was found. */
static int check_files(const mongoc_uri_t *uri, struct error *err)
{
	static const char *const options[] = {MONGOC_URI_TLSCAFILE,
	                                      MONGOC_URI_TLSCERTIFICATEKEYFILE};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *path =
		    mongoc_uri_get_option_as_utf8(uri, options[i], NULL);

		if (path && access(path, R_OK))
			return error_set(err, ERR_INVALID,
			                 "MongoDB: the file of the URI's "
			                 "option %s cannot be read",
			                 options[i]);
	}
	return 0;
}

static int check(const mongoc_uri_t *uri, struct error *err)
{
	int error = check_writes(uri, err);

	if (!error)
		error = check_reads(uri, err);
	if (!error)
		error = check_name(mongoc_uri_get_database(uri), err);
	if (!error)
		error = check_files(uri, err);
	return error;
}

/* The library's own text on a URI it cannot read may quote a password. */
int mongodb_uri_read(const struct mongodb_options *options, mongoc_uri_t **uri,
                     struct error *err)
{
	bson_error_t ignored;
	mongoc_uri_t *read;
	const char *name;
	int error;

	mongodb_start_library();
	read = mongoc_uri_new_with_error(options->uri, &ignored);
	if (!read || has_odd_host(read)) {
		mongoc_uri_destroy(read);
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the URI cannot be read; special "
		                 "characters in its user and password must be "
		                 "percent-encoded");
	}
	name = mongoc_uri_get_database(read);
	if ((!name || !*name) && options->database)
		mongoc_uri_set_database(read, options->database);
	if (options->program && !mongoc_uri_get_appname(read))
		mongoc_uri_set_appname(read, options->program);
	if ((error = check(read, err))) {
		mongoc_uri_destroy(read);
		return error;
	}
	set_defaults(read);
	*uri = read;
	return 0;
}

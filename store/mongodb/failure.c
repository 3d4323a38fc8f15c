/* What libmongoc and the server say of a failure, as our error codes. */
#include "store/mongodb/private.h"

#include <string.h>

/* What a server's answer means for a write. */
enum meaning {
	DONE_NOTHING, /* it was refused before anything was done */
	UNKNOWN       /* it was interrupted, or done but not replicated */
};

/*
 * The codes of MongoDB's src/mongo/base/error_codes.yml that matter here, and
 * those of the classes "not primary", "node is recovering" and "network error"
 * of the driver specifications.
 */
static const struct {
	int32_t code;
	enum error_code ours; /* of a read, and of a write that did nothing */
	enum meaning meaning;
} codes[] = {
    {11000, ERR_EXISTS, DONE_NOTHING}, /* DuplicateKey */
    {11001, ERR_EXISTS, DONE_NOTHING},      {12582, ERR_EXISTS, DONE_NOTHING},

    {10107, ERR_UNAVAILABLE, DONE_NOTHING}, /* NotWritablePrimary */
    {10058, ERR_UNAVAILABLE, DONE_NOTHING}, /* LegacyNotPrimary */
    {13435, ERR_UNAVAILABLE, DONE_NOTHING}, /* NotPrimaryNoSecondaryOk */
    {13436, ERR_UNAVAILABLE, DONE_NOTHING}, /* NotPrimaryOrSecondary */
    {189, ERR_UNAVAILABLE, DONE_NOTHING},   /* PrimarySteppedDown */
    {91, ERR_UNAVAILABLE, DONE_NOTHING},    /* ShutdownInProgress */
    {24, ERR_UNAVAILABLE, DONE_NOTHING},    /* LockTimeout */
    {46, ERR_UNAVAILABLE, DONE_NOTHING},    /* LockBusy */
    {112, ERR_UNAVAILABLE, DONE_NOTHING},   /* WriteConflict */
    {133, ERR_UNAVAILABLE, DONE_NOTHING},   /* FailedToSatisfyReadPref. */
    {134, ERR_UNAVAILABLE, DONE_NOTHING},   /* ReadConcernMajorityNotYet */
    {43, ERR_UNAVAILABLE, DONE_NOTHING},    /* CursorNotFound */
    {237, ERR_UNAVAILABLE, DONE_NOTHING},   /* CursorKilled */
    {175, ERR_UNAVAILABLE, DONE_NOTHING},   /* QueryPlanKilled */

    {1, ERR_UNAVAILABLE, UNKNOWN},     /* InternalError */
    {6, ERR_UNAVAILABLE, UNKNOWN},     /* HostUnreachable */
    {7, ERR_UNAVAILABLE, UNKNOWN},     /* HostNotFound */
    {8, ERR_UNAVAILABLE, UNKNOWN},     /* UnknownError */
    {50, ERR_UNAVAILABLE, UNKNOWN},    /* MaxTimeMSExpired */
    {63, ERR_UNAVAILABLE, UNKNOWN},    /* StaleShardVersion */
    {64, ERR_UNAVAILABLE, UNKNOWN},    /* WriteConcernTimeout */
    {89, ERR_UNAVAILABLE, UNKNOWN},    /* NetworkTimeout */
    {100, ERR_UNAVAILABLE, UNKNOWN},   /* UnsatisfiableWriteConcern */
    {150, ERR_UNAVAILABLE, UNKNOWN},   /* StaleEpoch */
    {202, ERR_UNAVAILABLE, UNKNOWN},   /* NetworkInterfaceExceededTime */
    {234, ERR_UNAVAILABLE, UNKNOWN},   /* RetryChangeStream */
    {262, ERR_UNAVAILABLE, UNKNOWN},   /* ExceededTimeLimit */
    {9001, ERR_UNAVAILABLE, UNKNOWN},  /* SocketException */
    {11600, ERR_UNAVAILABLE, UNKNOWN}, /* InterruptedAtShutdown */
    {11601, ERR_UNAVAILABLE, UNKNOWN}, /* Interrupted */
    {11602, ERR_UNAVAILABLE, UNKNOWN}, /* InterruptedDueToReplChange */
    {13388, ERR_UNAVAILABLE, UNKNOWN}, /* StaleConfig */

    {11, ERR_DENIED, DONE_NOTHING},   /* UserNotFound */
    {13, ERR_DENIED, DONE_NOTHING},   /* Unauthorized */
    {18, ERR_DENIED, DONE_NOTHING},   /* AuthenticationFailed */
    {8000, ERR_DENIED, DONE_NOTHING}, /* a hosted service's refusal */

    {14031, ERR_FULL, DONE_NOTHING}, /* OutOfDiskSpace */

    {10334, ERR_LIMIT, DONE_NOTHING}, /* BSONObjectTooLarge */
    {17280, ERR_LIMIT, DONE_NOTHING}, /* KeyTooLong */
    {17419, ERR_LIMIT, DONE_NOTHING}, /* an update makes it too large */
    {17420, ERR_LIMIT, DONE_NOTHING},
};

/* Old servers say some things in words alone. */
static int code_of_words(const char *message)
{
	if (strstr(message, "not master") ||
	    strstr(message, "node is recovering"))
		return ERR_UNAVAILABLE;
	if (strstr(message, "E11000 duplicate key"))
		return ERR_EXISTS;
	if (strstr(message, "No space left on device"))
		return ERR_FULL;
	return ERR_INVALID;
}

int mongodb_server_code(int64_t code, const char *message, bool write)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].code == code)
			return write && codes[i].meaning == UNKNOWN
			           ? ERR_UNCERTAIN
			           : (int)codes[i].ours;
	}
	return code_of_words(message);
}

/* Whether the reply says that the write is done, but not replicated for sure:
 * in the form of commands, or of libmongoc's own. */
static bool has_concern_error(const bson_t *reply)
{
	bson_t view;

	if (!reply)
		return false;
	if (mongodb_get_document(reply, "writeErrors", &view) &&
	    bson_count_keys(&view))
		return false;
	if (mongodb_get_document(reply, "writeConcernError", &view))
		return true;
	return mongodb_get_document(reply, "writeConcernErrors", &view) &&
	       bson_count_keys(&view);
}

/* Of a connection, or of the client's own doing. */
static int client_code(const bson_error_t *error, int lost)
{
	switch (error->code) {
	case MONGOC_ERROR_CLIENT_AUTHENTICATE:
		/* A connection lost meanwhile looks the same but for this. */
		return strstr(error->message, "socket") ? ERR_UNAVAILABLE
		                                        : ERR_DENIED;
	case MONGOC_ERROR_CLIENT_TOO_BIG:
		return ERR_LIMIT;
	case MONGOC_ERROR_CLIENT_NOT_READY:
	case MONGOC_ERROR_CLIENT_NO_ACCEPTABLE_PEER:
	case MONGOC_ERROR_CLIENT_SESSION_FAILURE:
		return ERR_UNAVAILABLE;
	default:
		return lost;
	}
}

static int stream_code(const bson_error_t *error, int lost)
{
	switch (error->code) {
	case MONGOC_ERROR_STREAM_NAME_RESOLUTION:
	case MONGOC_ERROR_STREAM_CONNECT:
	case MONGOC_ERROR_STREAM_NOT_ESTABLISHED:
		return ERR_UNAVAILABLE;
	default:
		return lost;
	}
}

static int code_of(const bson_error_t *error, const bson_t *reply, bool write)
{
	int lost = write ? ERR_UNCERTAIN : ERR_UNAVAILABLE;

	if (write && has_concern_error(reply))
		return ERR_UNCERTAIN;
	if (error->code == MONGOC_ERROR_PROTOCOL_BAD_WIRE_VERSION &&
	    (error->domain == MONGOC_ERROR_PROTOCOL ||
	     error->domain == MONGOC_ERROR_SERVER_SELECTION))
		return ERR_VERSION;
	switch (error->domain) {
	case MONGOC_ERROR_SERVER:
		return mongodb_server_code(error->code, error->message, write);
	case MONGOC_ERROR_WRITE_CONCERN:
	case MONGOC_ERROR_PROTOCOL:
		return lost;
	case MONGOC_ERROR_STREAM:
		return stream_code(error, lost);
	case MONGOC_ERROR_CLIENT:
		return client_code(error, lost);
	case MONGOC_ERROR_SERVER_SELECTION:
	case MONGOC_ERROR_POOL:
		return ERR_UNAVAILABLE;
	case MONGOC_ERROR_SASL:
	case MONGOC_ERROR_SCRAM:
		return ERR_DENIED;
	case MONGOC_ERROR_BSON:
		return strstr(error->message, "too large") ? ERR_LIMIT
		                                           : ERR_INVALID;
	case MONGOC_ERROR_GRIDFS:
		return error->code == MONGOC_ERROR_GRIDFS_BUCKET_FILE_NOT_FOUND
		           ? ERR_NOT_FOUND
		           : ERR_CORRUPT;
	default:
		return ERR_INVALID;
	}
}

int mongodb_failure(const char *what, const bson_error_t *error,
                    const bson_t *reply, bool write, struct error *err)
{
	int code = code_of(error, reply, write);

	/* A duplicate's text quotes the key, which is somebody's address. */
	if (code == ERR_EXISTS)
		return error_set(err, ERR_EXISTS, "%s: it is there already",
		                 what);
	/* A refusal's text may name the user of the URI. */
	if (code == ERR_DENIED)
		return error_set(err, ERR_DENIED,
		                 "%s: the server refuses the user: its "
		                 "password or its rights are wrong",
		                 what);
	return error_set(err, (enum error_code)code, "%s: %s", what,
	                 error->message);
}

int mongodb_write_failure(const struct mongodb_db *db, const char *what,
                          const bson_error_t *error, const bson_t *reply,
                          struct error *err)
{
	int code = mongodb_failure(what, error, reply, true, err);

	if (code != ERR_UNAVAILABLE || !db->retries ||
	    error->domain != MONGOC_ERROR_SERVER)
		return code;
	if (err)
		err->code = ERR_UNCERTAIN;
	return ERR_UNCERTAIN;
}

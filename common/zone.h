/* Local time of a place, by the zone files of the system (RFC 9636). */
#ifndef COMMON_ZONE_H
#define COMMON_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Where the system keeps its zone files. */
#define ZONE_DIRECTORY "/usr/share/zoneinfo"

/* Of a zone's name with its NUL; the longest of the IANA's has 32 bytes. */
#define ZONE_NAME_SIZE 65

/* A zone as its file has it. */
struct zone;

/*
 * Reads the zone of this name ("Europe/Paris") below directory. ERR_INVALID
 * for what is no name or no zone file, ERR_NOT_FOUND, ERR_IO.
 */
int zone_read(struct zone **zone, const char *directory, const char *name,
              struct error *err);

/* NULL is allowed. */
void zone_free(struct zone *zone);

/*
 * Seconds that the zone's clock is ahead of UTC at a time, in seconds since
 * 1970. Behind the last change in the file the rule in its footer holds. Any
 * thread: nothing is changed.
 */
int32_t zone_offset(const struct zone *zone, int64_t seconds);

#endif

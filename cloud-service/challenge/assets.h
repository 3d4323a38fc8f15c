/* The files of pages/, embedded in the program. */
#ifndef CLOUD_SERVICE_CHALLENGE_ASSETS_H
#define CLOUD_SERVICE_CHALLENGE_ASSETS_H

#include <stddef.h>

/* Bytes that live as long as the program. */
struct asset {
	const char *name; /* the file's name in pages/ */
	const char *bytes;
	size_t size;
};

/* Fills *asset with the one of this name; 0, or ERR_NOT_FOUND. */
int asset_find(const char *name, struct asset *asset);

#endif

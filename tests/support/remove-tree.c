/* The end of what a test wrote. */
#include "tests/support/remove-tree.h"

#include <ftw.h>
#include <stdio.h>

#define FOLDERS_OPEN 16

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

int remove_tree(const char *path)
{
	return nftw(path, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
}

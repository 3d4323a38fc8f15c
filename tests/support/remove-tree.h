/* The end of what a test wrote. */
#ifndef TESTS_SUPPORT_REMOVE_TREE_H
#define TESTS_SUPPORT_REMOVE_TREE_H

/* Removes the file or folder at path with all that is in it, without following
 * links. 0, or not 0 where something stays. */
int remove_tree(const char *path);

#endif

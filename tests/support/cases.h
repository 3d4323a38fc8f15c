/* The collections of inputs that failed once, with what is right. */
#ifndef TESTS_SUPPORT_CASES_H
#define TESTS_SUPPORT_CASES_H

#include <jansson.h>
#include <stddef.h>

/*
 * Calls each for every case of KIND.jsonl in the folder that TURING_CASES
 * names (../shared/cases by default). Returns how many there were; where the
 * folder is absent it says so ("cases absent") and returns 0: the project's
 * own fixtures serve then.
 */
size_t cases_each(const char *kind,
                  void (*each)(const json_t *item, void *context),
                  void *context);

/* The folder of the collections, which may be absent. */
const char *cases_folder(void);

/* The string at a path of member names ("in", "mail", NULL); or "". */
const char *case_text(const json_t *item, ...);

#endif

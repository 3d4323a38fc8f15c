/* What every test program's main does. */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>

/*
 * Runs the suites, ended by NULL, and returns main's exit status. CK_FORK and
 * the other variables of check apply. Prints check's closing line. Tests may
 * move the clock by condition_move_clock_ms().
 */
int suite_main(Suite *first, ...);

#endif

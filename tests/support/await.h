/* Waiting for what another thread or process brings about. */
#ifndef TESTS_SUPPORT_AWAIT_H
#define TESTS_SUPPORT_AWAIT_H

#include <check.h>
#include <stdbool.h>

/*
 * Waits until the expression is true; fails the test, with its text, when it
 * is not within half a minute of the system's clock. For what cannot be waited
 * for by a condition or a descriptor: the state of another thread, a file.
 */
#define await(expression)                                                      \
	do {                                                                   \
		int looks_ = 0;                                                \
		while (!(expression))                                          \
			ck_assert_msg(await_again(&looks_), "never came: %s",  \
			              #expression);                            \
	} while (0)

/* A pause between two looks; false when there were enough. For await(). */
bool await_again(int *looks);

#endif

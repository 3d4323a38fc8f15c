/* Calls that must succeed, or fail in one way, else the test fails. */
#ifndef TESTS_SUPPORT_OK_H
#define TESTS_SUPPORT_OK_H

#include <check.h>

#include "common/error.h"

/* 0, or the test fails with the error's text. */
#define ok(call)                                                               \
	do {                                                                   \
		struct error e_ = {0};                                         \
		int code_ = (call);                                            \
		ck_assert_msg(code_ == 0, "%s: %s: %s", #call,                 \
		              error_name(code_), e_.text);                     \
	} while (0)

/* A reference to the error, for calls within ok(). */
#define E (&e_)

/* The call fails with this code. */
#define fails(code, call)                                                      \
	do {                                                                   \
		int code_ = (call);                                            \
		ck_assert_msg(code_ == (code), "%s: %s, wanted %s", #call,     \
		              error_name(code_), error_name(code));            \
	} while (0)

#endif

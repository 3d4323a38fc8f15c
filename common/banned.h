/*
 * Functions that must not be used here, and why. Included by error.h, so
 * every file of the project sees it.
 */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

/* Their own headers first, which must not see the names below. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURING_BANNED(name) name##_is_banned_in_this_project

/* They write without a limit. */
#undef strcpy
#define strcpy(a, b) TURING_BANNED(strcpy)
#undef strcat
#define strcat(a, b) TURING_BANNED(strcat)
#undef sprintf
#define sprintf(...) TURING_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) TURING_BANNED(vsprintf)
/* They keep state that threads share. */
#undef strtok
#define strtok(a, b) TURING_BANNED(strtok)
#undef gmtime
#define gmtime(t) TURING_BANNED(gmtime)
#undef localtime
#define localtime(t) TURING_BANNED(localtime)
/* It can be predicted: use random_bytes() of crypto.h. */
#undef rand
#define rand() TURING_BANNED(rand)
/* No shell is ever run. */
#undef system
#define system(s) TURING_BANNED(system)
#undef popen
#define popen(a, b) TURING_BANNED(popen)

#endif

/* The control port of tests/mongodb/fault_proxy.py. */
#ifndef TESTS_SUPPORT_FAULT_CONTROL_H
#define TESTS_SUPPORT_FAULT_CONTROL_H

#include <stdbool.h>

/* What can be done to an exchange with the server; see fault_proxy.py. */
extern const char *const fault_names[];

/* How many of them there are. */
extern const int fault_count;

/* Whether TURING_TEST_FAULT_PORT names a proxy; tells once when not. */
bool fault_control_present(void);

/* Hurts the at-th exchange from now, 1 is the next one. */
void fault_arm(const char *fault, int at, double seconds);

/* Ends that; whether it had happened. */
bool fault_disarm(void);

/* Cuts all connections and lets none in, or ends that. */
void fault_set_down(bool down);

/* How many exchanges there were since the last fault_reset(). */
int fault_exchanges(void);

/* Counts anew. */
void fault_reset(void);

/* The URI of the proxy's database, past the proxy; heap. */
char *fault_direct_uri(const char *uri);

#endif

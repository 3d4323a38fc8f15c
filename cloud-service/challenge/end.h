/* Ends a challenge whose mail reaches nobody, and marks its sender. */
#ifndef CLOUD_CHALLENGE_END_H
#define CLOUD_CHALLENGE_END_H

#include "store/registry/registry.h"

/*
 * The challenge mail came back or was refused for its recipient's sake: ends
 * the challenge, if it is still open, with that reason; with nobody_there its
 * sender is marked as dead. *ended tells whether it was open; if not, nothing
 * is marked. A later mail of the sender may open another. 0 or an error of the
 * store.
 */
int challenge_bounced(struct registry *registry,
                      const struct registry_challenge *challenge,
                      const char *reason, bool nobody_there, bool *ended,
                      struct error *err);

/* The challenge mail is given up, for no fault of its recipient's: ends the
 * challenge, if it is still open, with that reason. 0 or an error. */
int challenge_given_up(struct registry *registry,
                       const struct registry_challenge *challenge,
                       const char *reason, struct error *err);

#endif

/* Whether a challenge mail that is to be sent is still needed. */
#ifndef CLOUD_SERVICE_MAIL_NEED_H
#define CLOUD_SERVICE_MAIL_NEED_H

#include "store/registry/registry.h"

enum mail_need {
	MAIL_NEED_NOW,
	MAIL_NEED_LATER, /* another challenge of the sender is being settled */
	MAIL_NEED_NONE   /* nothing that waits for it is held any more */
};

/*
 * Looks just before the mail of an open challenge goes out. A registration that
 * looked at the lists before another challenge of its sender was solved, and
 * opened this one behind that, would have the sender written to once more,
 * although what it registered is released: that other one is seen here as
 * solved, or what it released as not held any more.
 */
int mail_need_look(struct registry *registry,
                   const struct registry_challenge *challenge,
                   enum mail_need *need, struct error *err);

#endif

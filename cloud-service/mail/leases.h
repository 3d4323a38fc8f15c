/* The claims of the mails under way, prolonged until each has its outcome. */
#ifndef CLOUD_MAIL_LEASES_H
#define CLOUD_MAIL_LEASES_H

#include <stdbool.h>

#include "store/registry/registry.h"

/* How long the mails of an instance that was killed wait for another. */
#define MAIL_LEASE_MS 30000

struct mail_leases;

/* One claim; of the caller's thread, who keeps it until it is dropped. */
struct mail_lease {
	struct id challenge;
	const char *owner;
	struct mail_lease *next; /* mail-leases.c's own */
};

/*
 * Starts the thread that prolongs every lease that is kept by lease_ms, each
 * third of that time. registry must outlive it.
 */
int mail_leases_start(struct mail_leases **leases, struct registry *registry,
                      int64_t lease_ms, struct error *err);

/* Keeps the lease until mail_leases_drop(). False after mail_leases_close():
 * the mail is not to be begun. Any thread. */
bool mail_leases_keep(struct mail_leases *leases, struct mail_lease *lease);

/* Ends that. Any thread. */
void mail_leases_drop(struct mail_leases *leases, struct mail_lease *lease);

/* Nothing more is begun; what is under way is prolonged as before. */
void mail_leases_close(struct mail_leases *leases);

/* Ends the thread and frees; NULL is allowed. All leases have been dropped. */
void mail_leases_stop(struct mail_leases *leases);

#endif

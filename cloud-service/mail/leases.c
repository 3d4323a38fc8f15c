/* The claims of the mails under way, prolonged until each has its outcome. */
#include "cloud-service/mail/leases.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

struct mail_leases {
	struct registry *registry;
	int64_t lease_ms;
	struct background background;
	pthread_mutex_t lock; /* of what follows */
	struct mail_lease *first;
	size_t count;
	bool closed;
};

/* A lease as it was when the round began; the mail may end meanwhile. */
struct renewal {
	struct id challenge;
	char owner[192];
};

static struct renewal *list(struct mail_leases *leases, size_t *count)
{
	struct renewal *renewals;
	size_t i = 0;

	pthread_mutex_lock(&leases->lock);
	*count = leases->count;
	renewals = mem_alloc_array(*count + 1, sizeof(*renewals));
	for (const struct mail_lease *lease = leases->first; lease;
	     lease = lease->next) {
		renewals[i].challenge = lease->challenge;
		snprintf(renewals[i].owner, sizeof(renewals[i].owner), "%s",
		         lease->owner);
		i++;
	}
	pthread_mutex_unlock(&leases->lock);
	return renewals;
}

/* A claim that was lost is told when its outcome is written. */
static void renew(struct mail_leases *leases, const struct renewal *renewal)
{
	struct error err = {0};
	int result = registry_challenge_mail_renew(
	    leases->registry, &renewal->challenge, renewal->owner,
	    clock_wall_ms() + leases->lease_ms, &err);

	if (result && result != ERR_CONFLICT && result != ERR_NOT_FOUND)
		log_error("mail", "prolonging a claim: %s", err.text);
}

static void *run(void *argument)
{
	struct mail_leases *leases = argument;

	while (background_rest(&leases->background, leases->lease_ms / 3)) {
		size_t count;
		struct renewal *renewals = list(leases, &count);

		for (size_t i = 0; i < count; i++)
			renew(leases, &renewals[i]);
		free(renewals);
	}
	return NULL;
}

int mail_leases_start(struct mail_leases **leases, struct registry *registry,
                      int64_t lease_ms, struct error *err)
{
	struct mail_leases *made = mem_alloc(sizeof(*made));
	int result;

	made->registry = registry;
	made->lease_ms = lease_ms;
	pthread_mutex_init(&made->lock, NULL);
	result =
	    background_start(&made->background, "mail-leases", run, made, err);
	if (result) {
		pthread_mutex_destroy(&made->lock);
		free(made);
		return result;
	}
	*leases = made;
	return 0;
}

bool mail_leases_keep(struct mail_leases *leases, struct mail_lease *lease)
{
	bool keep;

	pthread_mutex_lock(&leases->lock);
	keep = !leases->closed;
	if (keep) {
		lease->next = leases->first;
		leases->first = lease;
		leases->count++;
	}
	pthread_mutex_unlock(&leases->lock);
	return keep;
}

void mail_leases_drop(struct mail_leases *leases, struct mail_lease *lease)
{
	pthread_mutex_lock(&leases->lock);
	for (struct mail_lease **at = &leases->first; *at; at = &(*at)->next) {
		if (*at != lease)
			continue;
		*at = lease->next;
		leases->count--;
		break;
	}
	pthread_mutex_unlock(&leases->lock);
}

void mail_leases_close(struct mail_leases *leases)
{
	pthread_mutex_lock(&leases->lock);
	leases->closed = true;
	pthread_mutex_unlock(&leases->lock);
}

void mail_leases_stop(struct mail_leases *leases)
{
	if (!leases)
		return;
	background_stop(&leases->background);
	pthread_mutex_destroy(&leases->lock);
	free(leases);
}

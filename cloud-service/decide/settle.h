/* What follows when a challenge is solved. */
#ifndef CLOUD_SETTLE_H
#define CLOUD_SETTLE_H

#include "cloud-service/waker.h"
#include "store/registry/registry.h"

/* What settling needs; constant while it is used. */
struct settler {
	struct registry *registry;
	struct waker waker; /* told of each tenant that got decisions */
};

/*
 * Settles a solved challenge: its sender becomes a white entry of every tenant
 * that has mail attached, which demands a pass of the kind that vouched for him
 * when he was challenged, or better; the held mail that has one is released,
 * and the challenge moves to settled. Idempotent: what a crash left is done by
 * calling it again.
 */
int settle_challenge(const struct settler *settler,
                     const struct registry_challenge *challenge,
                     struct error *err);

/*
 * The part of one tenant: for mail that was attached too late to be seen by
 * settle_challenge(). The challenge must be solved or settled.
 */
int settle_tenant(const struct settler *settler,
                  const struct registry_challenge *challenge,
                  const struct id *tenant, struct error *err);

/* The challenge page's callback: context is the struct settler. A failure is
 * logged and left to the job that repairs. */
void settle_solved(void *context, const struct registry_challenge *challenge);

/* Settles what was solved before before_ms and is not settled yet. */
int settle_repair(const struct settler *settler, int64_t before_ms,
                  struct error *err);

#endif

/* What follows when a challenge is solved. */
#ifndef CLOUD_SETTLE_H
#define CLOUD_SETTLE_H

#include "cloud-service/cloud.h"

/*
 * Settles a solved challenge: its sender becomes a white entry of every tenant
 * that has mail attached, which demands a pass of the kind that vouched for him
 * when he was challenged, or better; the held mail that has one is released,
 * and the challenge moves to settled. Idempotent: what a crash left is done by
 * calling it again.
 */
int settle_challenge(struct cloud *cloud,
                     const struct registry_challenge *challenge,
                     struct error *err);

/*
 * The part of one tenant: for mail that was attached too late to be seen by
 * settle_challenge(). The challenge must be solved or settled.
 */
int settle_tenant(struct cloud *cloud,
                  const struct registry_challenge *challenge,
                  const struct id *tenant, struct error *err);

/* The challenge page's callback: context is the struct cloud. A failure is
 * logged and left to the job that repairs. */
void settle_solved(void *context, const struct registry_challenge *challenge);

/* Settles what was solved before before_ms and is not settled yet. */
int settle_repair(struct cloud *cloud, int64_t before_ms, struct error *err);

#endif

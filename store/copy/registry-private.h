/* How the files of the registry's copies work together. */
#ifndef STORE_COPY_REGISTRY_PRIVATE_H
#define STORE_COPY_REGISTRY_PRIVATE_H

#include "store/copy/registry.h"

/* Records of a page, and of an import. */
#define COPY_REGISTRY_PAGE 500

/* A run over two registries. */
struct copy_registry_run {
	bool compares; /* or writes */
	struct registry *source;
	struct registry *destination; /* NULL: the source alone is counted */
	const struct copy_control *control;
	struct copy_report *report;
};

/*
 * ERR_CONFLICT when the destination has a tenant of a source's name that is
 * another one: nothing of his could be put in.
 */
int copy_registry_tenants_agree(struct registry *source,
                                struct registry *destination,
                                struct error *err);

/* ERR_CONFLICT when the destination has given out decisions that the source
 * has not. */
int copy_registry_is_behind(struct registry *source,
                            struct registry *destination, struct error *err);

/* Walks through the records of a kind on both sides. */
int copy_registry_kind(const struct copy_registry_run *run,
                       enum registry_kind kind, struct error *err);

/*
 * Calls each for every record of a kind, from the caller's thread; its failure
 * ends it and is returned.
 */
int copy_registry_each(struct registry *registry, enum registry_kind kind,
                       int (*each)(const struct registry_record *record,
                                   void *context, struct error *err),
                       void *context, struct error *err);

#endif

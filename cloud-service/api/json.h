/* Fields of JSON objects from outside, each with its limit. */
#ifndef CLOUD_API_JSON_H
#define CLOUD_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/id.h"

/*
 * All return 0, or ERR_INVALID with a text that begins with the field's name.
 * An absent field, or null, is as "" , 0 or false unless it is required.
 */

/* A string of at most maximum bytes, borrowed from object. */
int json_field_text(const json_t *object, const char *name, size_t maximum,
                    bool required, const char **value, struct error *err);

/*
 * A text for people: a heap string; what is longer than maximum bytes is cut
 * at a character, controls become spaces.
 */
int json_field_shown(const json_t *object, const char *name, size_t maximum,
                     char **value, struct error *err);

/* A whole number within minimum..maximum. */
int json_field_integer(const json_t *object, const char *name, int64_t minimum,
                       int64_t maximum, int64_t *value, struct error *err);

/* True or false. */
int json_field_boolean(const json_t *object, const char *name, bool *value,
                       struct error *err);

/* A required RFC 3339 time. */
int json_field_time(const json_t *object, const char *name, int64_t *wall_ms,
                    struct error *err);

/* A required UUID. */
int json_field_id(const json_t *object, const char *name, struct id *id,
                  struct error *err);

/* A required array of 0..maximum elements, borrowed from object. */
int json_field_array(const json_t *object, const char *name, size_t maximum,
                     const json_t **array, struct error *err);

#endif

/* Members of JSON objects, for results, records and descriptions. */
#ifndef PV_JSON_H
#define PV_JSON_H

#include <jansson.h>
#include <stdint.h>

/* Adds a number, or null if it is not finite. */
void pv_json_real(json_t *object, const char *key, double value);
void pv_json_int(json_t *object, const char *key, int64_t value);
void pv_json_text(json_t *object, const char *key, const char *value);

#endif

/* Members of JSON objects. */
#include "base/pv_json.h"

#include <math.h>

void pv_json_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void pv_json_int(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

void pv_json_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

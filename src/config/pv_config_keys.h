/* The table of config keys, private to the configuration: what every key is called, where it is stored, what
 * it may hold, what it means. */
#ifndef PV_CONFIG_KEYS_H
#define PV_CONFIG_KEYS_H

#include "run/pv_run_config.h"

#include <cyaml/cyaml.h>
#include <stdbool.h>

enum {
    PV_CONFIG_PLAIN = 91, /* keys that are members of pv_run_config; those of an item of `augment` follow */
    PV_AUGMENT_KEYS = 9,
    PV_CONFIG_KEYS = PV_CONFIG_PLAIN + PV_AUGMENT_KEYS,
    PV_CONFIG_SECTIONS = 7,
    PV_CONFIG_AUGMENT = PV_CONFIG_SECTIONS - 1, /* the section that is a list of mappings */
    PV_AUGMENT_MAX = 16,                        /* items of it */
    PV_CONFIG_ROOT = -1,                        /* the section of a key at the top level */
    PV_CONFIG_TEXT_MAX = 512                    /* bytes that hold any description below */
};

/* What a number, or each entry of a list, may be. */
typedef struct pv_key_range {
    double low, high; /* infinite: unbounded; of integers: exact, below 2^53 */
    bool open_low, open_high;
} pv_key_range;

typedef struct pv_config_key {
    const char *name; /* "fit.views" */
    cyaml_schema_field_t
        field;           /* last part of the name, type, place: offsets are from the start of pv_run_config, or of
                            pv_augment_opts */
    const char *initial; /* the default, as YAML text; "" where one must be given */
    pv_key_range range;
    unsigned scopes; /* PV_KEYS_... */
    const char *meaning;
} pv_config_key;

typedef struct pv_config_section {
    const char *name, *meaning;
} pv_config_section;

/* Keys of the top level first, then section by section. */
extern const pv_config_key pv_config_keys[PV_CONFIG_KEYS];
extern const pv_config_section pv_config_sections[PV_CONFIG_SECTIONS];

/* One value a key, in the order of the table, each NULL or owned (malloc): a scalar's text, or the entries of
 * a list separated by ", ". */
typedef struct pv_config_texts {
    char *of[PV_CONFIG_PLAIN];
    char *augment[PV_AUGMENT_MAX][PV_AUGMENT_KEYS];
    int augment_count;
} pv_config_texts;

void pv_config_texts_free(pv_config_texts *texts);
/* Empties the list. */
void pv_config_texts_clear_augment(pv_config_texts *texts);

/* Index of the section that holds a key, PV_CONFIG_ROOT for none. */
int pv_key_section(const pv_config_key *key);
/* Index by name (`length` bytes, which may hold anything), -1 for none; a key's name is its last part. */
int pv_key_find(int section, const char *name, size_t length);
int pv_section_find(const char *name, size_t length);

/* Advice for an unknown name: "did you mean 'views'?", or the names there are. */
void pv_key_advice(int section, const char *name, char *text, size_t size);

/* "integer", "number", "text", "boolean", "choice", "list of integers"; static storage. */
const char *pv_key_type(const pv_config_key *key);
/* "1..256", "> 0", "sgd, adam, adamw", ... */
void pv_key_limits(const pv_config_key *key, char *text, size_t size);
/* What a value must be, for messages: "an integer (1..256)". */
void pv_key_expected(const pv_config_key *key, char *text, size_t size);

/* Whether a scalar is a valid value of the key (of a list: a valid entry).  `plain`: written without quotes.
 */
bool pv_key_accepts(const pv_config_key *key, const char *value, size_t length, bool plain);

/* A key's value in `config`, or in an item of `augment`, as text; numbers in the shortest form that reads back the
 * same.
 * Owner: the caller frees *text.  Errors: PV_ERR_NOMEM, PV_ERR_INTERNAL (an enum outside its choices). */
pv_status pv_key_text(const pv_config_key *key, const void *config, char **text);

/* Reads YAML into `texts`, replacing what it names.  `file` is the name of the user's file, or NULL when
 * `text` is the "key.path=value" of a --set.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_config_parse(const char *file, const char *text, pv_config_texts *texts);

/* Writes all keys as YAML.  Owner: the caller frees *yaml.  Errors: PV_ERR_CONFIG (not UTF-8), PV_ERR_NOMEM.
 */
pv_status pv_config_write(const pv_config_texts *texts, char **yaml);

#endif

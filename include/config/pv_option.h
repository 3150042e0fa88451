/* A row of options: one key of a config, or one option of a command, written once in the file that reads
 * it.  From the rows come the reading, checking and writing of configs, defaults, comparison on resume,
 * help and docs/config.md. */
#ifndef PV_OPTION_H
#define PV_OPTION_H

#include "base/pv_status.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pv_registry;
struct pv_plugin;

/* What stands in a struct where a row picks a plug-in: the plug-in, and a struct of its own options (NULL:
 * it has none). */
typedef struct pv_pick {
    const struct pv_plugin *plugin;
    void *options;
} pv_pick;

/* A number "3" or a range "0-9" of them, of a command's option. */
typedef struct pv_span {
    int64_t first, count;
} pv_span;

/* The values of an option that may be given several times, in order. */
enum { PV_WORDS_MAX = 64 };
typedef struct pv_words {
    const char *words[PV_WORDS_MAX];
    int count;
} pv_words;

/* A row's type follows from its member's: see PV_MEMBER. */
typedef enum pv_option_type {
    PV_OPTION_NONE,
    PV_OPTION_BOOL,   /* bool; as an option of a command: a flag without a value */
    PV_OPTION_INT,    /* int */
    PV_OPTION_INT64,  /* int64_t */
    PV_OPTION_SEED,   /* uint64_t */
    PV_OPTION_REAL,   /* double */
    PV_OPTION_TEXT,   /* char *, owned by the struct (malloc) */
    PV_OPTION_CHOICE, /* an enum, the index of a name in `choices` */
    PV_OPTION_INTS,   /* int *, owned by the struct, with an unsigned of entries at `count` */
    PV_OPTION_REALS,  /* double *, likewise */
    PV_OPTION_PICK,   /* pv_pick: a plug-in of `registry` and its own options */
    PV_OPTION_SPAN,   /* pv_span: of commands only, like the next */
    PV_OPTION_WORDS   /* pv_words, borrowed */
} pv_option_type;

/* Which results a key determines: it must be the same when they are resumed. */
typedef enum pv_fixes {
    PV_FIXES_NOTHING = 0,
    PV_FIXES_ROWS = 1, /* the rows of a store */
    PV_FIXES_MODEL = 2 /* a trained model */
} pv_fixes;

/* Of numbers and of the entries of a list; zeroed: any.  Of integers exact, below 2^53. */
typedef struct pv_range {
    double low, high;
    bool open_low, open_high;
} pv_range;

/* Arrays of rows end with a zero row. */
typedef struct pv_option {
    /* The key below its section; of a command: the option without dashes, with - for _; in capitals: a word
     * that stands by itself. */
    const char *name;
    pv_option_type type;
    size_t offset;       /* in its owner's struct */
    const char *initial; /* the default as YAML text; NULL: zero */
    bool required;       /* must be given: has no default */
    pv_range range;
    const char *const *choices; /* names by value; NULL ends them.  Of a real number: words for -1, -2, ...
                                   besides amounts of things: whole numbers, and shares below 1 */
    const struct pv_registry *registry;
    size_t count;             /* of a list: offset of its number of entries */
    int most;                 /* entries of a list, which has at least one unless it may be empty */
    bool may_be_empty;        /* of a text or a list */
    bool path;                /* of a text of a command: settled before the command runs (base/pv_path.h) */
    bool whole;               /* a real number that has no fraction */
    bool negative_is_initial; /* a number below 0 is read as the default: what older files write for none */
    unsigned fixes;           /* of PV_FIXES_... */
    const char *value;        /* what help calls the value of a command's option: "FILE" */
    const char *meaning;
} pv_option;

/* clang-format off */
/* The type and place of a member of a row's owner. */
#define PV_MEMBER(owner, member)                                                                             \
    .type = _Generic(((owner *)0)->member, bool: PV_OPTION_BOOL, int: PV_OPTION_INT,                         \
        int64_t: PV_OPTION_INT64, uint64_t: PV_OPTION_SEED, double: PV_OPTION_REAL, char *: PV_OPTION_TEXT,  \
        unsigned: PV_OPTION_CHOICE, int *: PV_OPTION_INTS, double *: PV_OPTION_REALS,                        \
        pv_pick: PV_OPTION_PICK, pv_span: PV_OPTION_SPAN, pv_words: PV_OPTION_WORDS),                        \
    .offset = offsetof(owner, member)
/* The same of a key that is called like its member. */
#define PV_KEY(owner, member) .name = #member, PV_MEMBER(owner, member)
/* clang-format on */

#define PV_BETWEEN(a, b) .range = {.low = (a), .high = (b)}
#define PV_AT_LEAST(a)   .range = {.low = (a), .high = HUGE_VAL}
#define PV_ABOVE(a)      .range = {.low = (a), .high = HUGE_VAL, .open_low = true}
/* 0 <= x < 1 */
#define PV_FRACTION .range = {.low = 0, .high = 1, .open_high = true}

/* A section of a config: a mapping of its rows' keys, or a list of such mappings (items).  A key of a
 * plug-in that is not picked is checked and left alone, for a later --set may pick it; in an item it is
 * refused, unless it says the default: older files hold the keys of every kind in an item. */
typedef struct pv_section {
    const char *name; /* "" : keys of the top level */
    const char *meaning;
    const pv_option *options;
    size_t offset;       /* of its struct in the config; of a list: of the pointer to its items */
    size_t item_size;    /* of a list: bytes of an item; 0: a mapping */
    size_t count;        /* of a list: offset of its unsigned number of items */
    int most;            /* items of a list */
    const char *example; /* of an item: "{kind: noise}" */
} pv_section;

typedef struct pv_schema {
    const pv_section *sections; /* that of the top level first; a zero section ends them */
    size_t size;                /* of the config's struct */
} pv_schema;

/* Fills a zeroed struct with its rows' defaults; a pick gets its default plug-in with that one's defaults.
 * Owner: pv_options_free.  Local.  Errors: PV_ERR_CONFIG (a default that its own row refuses),
 * PV_ERR_NOMEM. */
pv_status pv_options_defaults(const pv_option *rows, void *options);
/* Frees what the struct owns through its rows, not the struct.  Local. */
void pv_options_free(const pv_option *rows, void *options);

/* A value as text, as YAML writes it; numbers in the shortest form that reads back the same. Owner: the
 * caller frees *text.  Local.  Errors: PV_ERR_NOMEM, PV_ERR_INTERNAL (an enum outside its choices). */
pv_status pv_option_text(const pv_option *row, const void *options, char **text);

#endif

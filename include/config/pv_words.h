/* The words of a command line by the same rows as configs: a row is an option "--labels-per-class N" (or
 * "-o FILE", of one letter), a flag where its member is a bool, a word that stands by itself where its
 * name is in capitals ("STORE").  The rows of a plug-in that a row picks (--method krr) are options too. */
#ifndef PV_WORDS_H
#define PV_WORDS_H

#include "config/pv_option.h"

#include <stdio.h>

/* Parses argv[1..] into a zeroed struct of the rows, defaults filled in.  Strings of type const char * are
 * borrowed from argv.  Owner: pv_options_free(rows, options), also on failure; needless where no row owns
 * anything (char *, int *, a pick).  Local.  Errors: PV_ERR_USAGE (the word is named), PV_ERR_NOMEM. */
pv_status pv_words_parse(int argc, char **argv, const pv_option *rows, void *options);

/* Prints the usage line, what the command does (`about`), and every option with its default.  Local. */
void pv_words_help(FILE *out, const char *command, const char *about, const pv_option *rows);

#endif

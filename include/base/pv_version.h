/* The version of the code, written into every store and model. */
#ifndef PV_VERSION_H
#define PV_VERSION_H

/* The git revision the program was built from ("unknown" outside a repository); static storage. */
const char *pv_version(void);

#endif

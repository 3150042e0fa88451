/* Error values.  Every function that can fail returns a pv_status; pv_fail keeps its message. */
#ifndef PV_STATUS_H
#define PV_STATUS_H

/* Ordered: the more negative, the worse.  pv_agree() returns the worst status of all ranks. */
typedef enum pv_status {
    PV_OK = 0,
    PV_STOPPED = -1,       /* ended early by a signal or a limit, all state saved */
    PV_ERR_USAGE = -10,    /* command line */
    PV_ERR_CONFIG = -11,   /* configuration */
    PV_ERR_DATA = -20,     /* bad or corrupt data in a file */
    PV_ERR_IO = -30,       /* the operating system refused: no such file, disk full, ... */
    PV_ERR_HDF5 = -31,     /* HDF5 refused */
    PV_ERR_NOMEM = -40,    /* out of memory */
    PV_ERR_NUMERIC = -50,  /* a loss or a weight is not finite */
    PV_ERR_INTERNAL = -70, /* a broken invariant of ours */
} pv_status;

/* Short English text of a status; static storage. */
const char *pv_status_text(pv_status status);

/* The process exit status of the contract: 0 done, 1 failed, 2 usage or config, 3 bad data, 75 stopped
 * early. */
int pv_status_exit_code(pv_status status);

/* Keeps a message (printf-style) as the cause of `status`, in place of any earlier one, and returns `status`:
 * `return pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));`.  The message names
 * the file, key or row, and what to do.  Local. */
pv_status pv_fail(pv_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* which else follows paths on which a failure is none */
#define pv_fail(status, ...) (pv_fail(status, __VA_ARGS__), (status))
#endif

/* The message kept last, "" if none.  Valid until the next pv_fail().  Local. */
const char *pv_fail_message(void);

/* Evaluates a call; on failure leaves through the label `done` with the status in `st`. */
#define PV_TRY(call)                                                                                         \
    do {                                                                                                     \
        st = (call);                                                                                         \
        if (st != PV_OK) goto done;                                                                          \
    } while (0)

#endif

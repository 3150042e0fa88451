#include "pv_lanes.h"
#include "base/pv_mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 21 }; /* taken page by page as they are touched */

typedef struct lane {
    ucontext_t context;
    char *stack; /* its lowest page is a guard */
    bool ended;
} lane;

struct pv_lanes {
    int count, current;
    lane *lanes;
    ucontext_t caller;
    void (*body)(void *, int);
    void (*meet)(void *);
    void *context;
};

static pv_status make_stack(lane *l)
{
    void *const stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return pv_fail(PV_ERR_NOMEM, "no memory for a stack of %d bytes", STACK_BYTES);
    l->stack = stack;
    mprotect(stack, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
    return PV_OK;
}

pv_status pv_lanes_new(int count, pv_lanes **out)
{
    pv_lanes *lanes = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(lanes, 1);
    PV_ALLOC(lanes->lanes, count);
    lanes->count = count;
    for (int i = 0; count > 1 && i < count; i++)
        PV_TRY(make_stack(&lanes->lanes[i]));
    *out = lanes;
    lanes = NULL;
done:
    pv_lanes_free(lanes);
    return st;
}

void pv_lanes_free(pv_lanes *lanes)
{
    if (!lanes) return;
    for (int i = 0; lanes->lanes && i < lanes->count; i++)
        if (lanes->lanes[i].stack) munmap(lanes->lanes[i].stack, STACK_BYTES);
    free(lanes->lanes);
    free(lanes);
}

/* makecontext passes on nothing wider than int. */
static void enter(unsigned high, unsigned low)
{
    const uintptr_t address = (uintptr_t)((uint64_t)high << 32 | low);
    pv_lanes *const lanes = (pv_lanes *)address; // NOLINT(performance-no-int-to-ptr)
    lanes->body(lanes->context, lanes->current);
    lanes->lanes[lanes->current].ended = true;
}

static void start(pv_lanes *lanes, lane *l)
{
    const uint64_t self = (uintptr_t)lanes;
    getcontext(&l->context);
    l->context.uc_stack.ss_sp = l->stack;
    l->context.uc_stack.ss_size = STACK_BYTES;
    l->context.uc_link = &lanes->caller;
    l->ended = false;
    makecontext(&l->context, (void (*)(void))enter, 2, (unsigned)(self >> 32), (unsigned)self);
}

void pv_lanes_run(pv_lanes *lanes, void (*body)(void *, int), void (*meet)(void *), void *context)
{
    lanes->body = body;
    lanes->meet = meet;
    lanes->context = context;
    if (lanes->count == 1) {
        body(context, 0);
        return;
    }
    for (int i = 0; i < lanes->count; i++)
        start(lanes, &lanes->lanes[i]);
    for (;;) {
        for (lanes->current = 0; lanes->current < lanes->count; lanes->current++)
            swapcontext(&lanes->caller, &lanes->lanes[lanes->current].context);
        if (lanes->lanes[0].ended) return;
        meet(context);
    }
}

void pv_lanes_meet(pv_lanes *lanes)
{
    if (lanes->count == 1)
        lanes->meet(lanes->context);
    else
        swapcontext(&lanes->lanes[lanes->current].context, &lanes->caller);
}

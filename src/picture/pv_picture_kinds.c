/* Which kind of picture an INR asks for, and whether a store's words about it hold: they are not taken on
 * trust. */
#include "pv_picture_kinds.h"

static pv_status check(const pv_picture_subject *subject)
{
    const pv_arch *arch = subject->arch;
    const int inputs = pv_arch_inputs(arch), outputs = arch->dims[arch->layers];
    const pv_source_form *form = subject->signal ? pv_signal_form(subject->signal) : NULL;
    if (form && (form->inputs != inputs || form->channels != outputs))
        return pv_fail(PV_ERR_DATA,
                       "'%s' holds INRs of %d coordinates and %d channels, its signal has %d and %d channels",
                       subject->where, inputs, outputs, form->inputs, form->channels);
    return PV_OK;
}

pv_status pv_picture_draw(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note)
{
    const pv_signal_about *about = subject->about;
    const int inputs = pv_arch_inputs(subject->arch);
    const pv_status st = check(subject);
    *canvas = (pv_canvas){0};
    if (st != PV_OK) return st;
    if (inputs == 1) return pv_picture_wave(subject, canvas, note);
    if (inputs == 2 && about->height > 0) return pv_picture_grid(subject, canvas, note);
    if (inputs == 3 && about->height > 0) return pv_picture_grid(subject, canvas, note);
    if (inputs == 3) return pv_picture_shape(subject, canvas, note);
    return pv_fail(PV_ERR_DATA,
                   "'%s' does not say what its INRs of %d coordinates show: there is nothing to render",
                   subject->where, inputs);
}

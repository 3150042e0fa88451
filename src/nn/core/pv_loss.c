/* Cross-entropy of logits and its gradient. */
#include "nn/core/pv_loss.h"

#include <math.h>
#include <stddef.h>

/* log sum exp of a row, by its largest value. */
static double log_sum(int classes, const pv_real *logits)
{
    double largest = (double)logits[0];
    for (int k = 1; k < classes; k++)
        largest = fmax(largest, (double)logits[k]);
    double sum = exp((double)logits[0] - largest);
    for (int k = 1; k < classes; k++)
        sum += exp((double)logits[k] - largest);
    return largest + log(sum);
}

/* Both losses are sum t (log sum exp - logit), with gradient softmax * sum t - t. */
static double row_loss(int classes, const pv_real *logits, const pv_real *targets, int label, double scale,
                       pv_real *dlogits)
{
    const double whole = log_sum(classes, logits);
    double loss = 0, mass = 0;
    for (int k = 0; k < classes; k++) {
        const double t = targets ? (double)targets[k] : k == label;
        mass += t;
        if (t != 0) loss += t * (whole - (double)logits[k]);
    }
    for (int k = 0; dlogits && k < classes; k++) {
        const double t = targets ? (double)targets[k] : k == label;
        dlogits[k] = (pv_real)(scale * (mass * exp((double)logits[k] - whole) - t));
    }
    return loss;
}

double pv_cross_entropy(int batch, int classes, const pv_real *logits, const int32_t *labels, double scale,
                        pv_real *dlogits)
{
    double loss = 0;
    for (int64_t i = 0; i < batch; i++)
        loss += row_loss(classes, logits + i * classes, NULL, labels[i], scale,
                         dlogits ? dlogits + i * classes : NULL);
    return loss;
}

double pv_cross_entropy_soft(int batch, int classes, const pv_real *logits, const pv_real *targets,
                             double scale, pv_real *dlogits)
{
    double loss = 0;
    for (int64_t i = 0; i < batch; i++)
        loss += row_loss(classes, logits + i * classes, targets + i * classes, 0, scale,
                         dlogits ? dlogits + i * classes : NULL);
    return loss;
}

int pv_count_correct(int batch, int classes, const pv_real *logits, const int32_t *labels)
{
    int correct = 0;
    for (int64_t i = 0; i < batch; i++) {
        int best = 0;
        for (int k = 1; k < classes; k++)
            if (logits[i * classes + k] > logits[i * classes + best]) best = k;
        correct += best == labels[i] && !isnan(logits[i * classes + best]);
    }
    return correct;
}

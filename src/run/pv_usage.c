/* What the operating system says of this process and this node. */
#include "pv_usage.h"

#include <glob.h>
#include <stdio.h>
#include <sys/resource.h>

double pv_usage_cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int64_t read_counter(const char *path)
{
    long long value = -1;
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    if (fscanf(file, "%lld", &value) != 1) value = -1;
    fclose(file);
    return value;
}

int64_t pv_usage_joules(void)
{
    const int64_t cray = read_counter("/sys/cray/pm_counters/energy");
    if (cray >= 0) return cray;
    glob_t packages;
    int64_t sum = -1;
    if (glob("/sys/class/powercap/intel-rapl:[0-9]/energy_uj", 0, NULL, &packages) != 0) return -1;
    for (size_t i = 0; i < packages.gl_pathc; i++) {
        const int64_t microjoules = read_counter(packages.gl_pathv[i]);
        if (microjoules >= 0) sum = (sum < 0 ? 0 : sum) + microjoules / 1000000;
    }
    globfree(&packages);
    return sum;
}

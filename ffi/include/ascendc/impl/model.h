/* The model clock: when each pipe of the core would be free. The scalar unit hands instructions to the pipes in
 * order; a pipe works on its own ones in order; flags and barriers make one wait for another. */
#ifndef VINCI_ASCENDC_MODEL_H
#define VINCI_ASCENDC_MODEL_H

#include "core.h"

namespace vinci {

inline __attribute__((always_inline)) double larger(double a, double b) { return a > b ? a : b; }

/* An instruction of `cycles` on a pipe. */
inline __attribute__((always_inline)) void charge(Pipe pipe, double cycles)
{
    Core *c = core();
    c->time[kS] += c->rates[kIssue];
    c->busy[kS] += c->rates[kIssue];
    c->time[pipe] = larger(c->time[pipe], c->time[kS]) + cycles;
    c->busy[pipe] += cycles;
}

/* A transfer from or to global memory. */
inline void charge_global(Pipe pipe, uint64_t bytes, uint64_t pieces)
{
    Core *c = core();
    const bool reads = pipe == kMte2;
    /* HBM is reached in pieces of 512 bytes: a shorter one takes the time of its sectors of 32, and a start. */
    const double rate = c->rates[reads ? kHbmRead : kHbmWrite];
    c->bytes += bytes;
    charge(pipe, static_cast<double>(bytes) / rate + static_cast<double>(pieces) * c->rates[kTransfer]);
}

/* A vector instruction over `bytes` of its widest operand, which passes `passes` times through the unit. */
inline __attribute__((always_inline)) void charge_vector(uint64_t bytes, double passes = 1)
{
    Core *c = core();
    charge(kV, c->rates[kVectorStart] + passes * static_cast<double>((bytes + 255) / 256 * 256) / c->rates[kVector]);
}

inline double *flag(Core *c, int from, int to, int event)
{
    return reinterpret_cast<double *>(&c->scratch[kFlags + (from * kPipes + to) * 16 + event]);
}

/* What was handed to `from` so far is done: at what time. */
inline __attribute__((always_inline)) void set_flag(int from, int to, int event)
{
    Core *c = core();
    double latency = 0;
    if (from == kMte2 || from == kMte3) {
        latency = c->rates[kHbmLatency];
    } else if (from == kMte1) {
        latency = c->rates[kL1Latency];
    }
    c->time[kS] += c->rates[kIssue];
    c->time[from] = larger(c->time[from], c->time[kS]);
    *flag(c, from, to, event) = c->time[from] + latency;
}

/* `to` goes on when the flag has been set. */
inline __attribute__((always_inline)) void wait_flag(int from, int to, int event)
{
    Core *c = core();
    c->time[kS] += c->rates[kIssue];
    c->time[to] = larger(larger(c->time[to], c->time[kS]), *flag(c, from, to, event));
}

} // namespace vinci

#endif

/* The model clock: when each pipe of the core would be free. The scalar unit hands instructions to the pipes in
 * order; a pipe works on its own ones in order; flags and barriers make one wait for another. Every instruction
 * says with charge, charge_vector or charge_global what it did; nothing else of an instruction is about time. */
#ifndef VINCI_ASCENDC_MODEL_H
#define VINCI_ASCENDC_MODEL_H

#include "cache.h"
#include "race.h"

namespace vinci {

inline __attribute__((always_inline)) double larger(double a, double b) { return a > b ? a : b; }
inline __attribute__((always_inline)) lanes_t larger(lanes_t a, lanes_t b) { return a > b ? a : b; }
inline __attribute__((always_inline)) lanes_t smaller(lanes_t a, lanes_t b) { return a < b ? a : b; }
inline __attribute__((always_inline)) lanes_t every(double all) { return lanes_t{all, all, all, all}; }

/* The scalar unit works for so many cycles. */
inline __attribute__((always_inline)) void charge_scalar(Core *c, double cycles)
{
    c->time[kS] += cycles;
    c->busy[kS] += cycles;
}

/* When an instruction that is handed to a pipe now can begin. */
inline __attribute__((always_inline)) lanes_t issue(Core *c, Pipe pipe)
{
    charge_scalar(c, c->rates[kIssue]);
    return larger(c->time[pipe], c->time[kS]);
}

/* A pipe began at `start`, could take its next instruction after `cost`, and what it did arrived after `latency`. */
inline __attribute__((always_inline)) void work(Core *c, Pipe pipe, lanes_t start, lanes_t cost, double latency)
{
    const lanes_t end = start + cost, arrived = end + latency;
    c->busy[pipe] += arrived - larger(start, c->tail[pipe]);
    c->time[pipe] = end;
    c->tail[pipe] = arrived;
    if (__builtin_expect(c->mode != 0, 0)) {
        observe(c, pipe, start, arrived);
    }
}

/* An instruction of `cycles` on a pipe. */
inline __attribute__((always_inline)) void charge(Pipe pipe, double cycles)
{
    Core *c = core();
    const lanes_t start = issue(c, pipe);
    if (pipe == kV) {
        c->vector = start;
    }
    work(c, pipe, start, every(cycles), pipe == kMte1 ? c->rates[kL1Latency] : 0);
}

/* How many cores use global memory at a time, this one included: the others are taken to use it for the same part of
 * their time. All begin together, so at first it is all of them. */
inline __attribute__((always_inline)) lanes_t sharers(const Core *c, lanes_t now)
{
    constexpr double kBegin = 4000;
    return 1 + (c->sharers - 1) * ((c->flow + kBegin) / (now + kBegin));
}

/* Bytes that a transfer of `rows` pieces moves between a core and global memory: of a piece that lies across lines, but does
 * not begin with one, the lines whole. */
inline double moved_bytes(const Core *c, uint64_t at, uint64_t bytes, uint64_t rows, uint64_t pitch)
{
    const auto line = static_cast<uint64_t>(c->rates[kLine]);
    const uint64_t row = rows == 0 ? 0 : bytes / rows;
    if (line < 2 || row == 0 || (at % line == 0 && (pitch % line == 0 || rows == 1))) {
        return static_cast<double>(bytes);
    }
    /* Rows repeat themselves before long. */
    constexpr uint64_t kEnough = 64;
    const uint64_t seen = pitch % line == 0 ? 1 : (rows < kEnough ? rows : kEnough);
    uint64_t all = 0;
    for (uint64_t r = 0; r < seen; ++r) {
        const uint64_t begin = (at + r * pitch) % line, lines = (begin + row + line - 1) / line;
        all += begin == 0 || lines == 1 ? row : lines * line;
    }
    return static_cast<double>(all) * static_cast<double>(rows) / static_cast<double>(seen);
}

/* A transfer from or to global memory, of `rows` pieces that are `pitch` bytes apart there; it takes the core
 * `least` cycles. Where `global` is not said, nothing is known about the caches, and it is charged to HBM. */
inline __attribute__((noinline)) void charge_global(
    Pipe pipe, uint64_t bytes, uint64_t rows, const void *global = nullptr, uint64_t pitch = 0, bool bypass = false,
    double least = 0)
{
    Core *c = core();
    const bool loads = pipe == kMte2;
    look_up(c, reinterpret_cast<uint64_t>(global), bytes, rows, pitch, !loads, bypass);
    const lanes_t start = issue(c, pipe), others = sharers(c, start);
    const double b = moved_bytes(c, reinterpret_cast<uint64_t>(global), bytes, rows, pitch), l2 = b / c->rates[kAllL2] * others[kHit], hbm = b / c->rates[kAllHbm];
    lanes_t cost;
    if (loads) {
        const double near = larger(b / c->rates[kCoreL2], l2), far = b / c->rates[kCoreHbm];
        cost = lanes_t{near, larger(far, hbm * others[kMiss]), larger(far, hbm * others[kBack]), near};
    } else {
        const double near = larger(pipe == kFix ? 0 : b / c->rates[kCoreWrite], l2);
        cost = lanes_t{near, near, larger(near, hbm * c->rates[kWriteBack] * others[kBack]), near};
    }
    cost = larger(cost, every(larger(least, rows * static_cast<double>(c->rates[kRow])))) + c->rates[kTransfer];
    /* The vector unit goes first in UB. It stores to half of the bank groups, so every other time it is in the way. */
    const lanes_t meets = smaller(start + cost, c->tail[kV]) - larger(start, c->vector);
    cost += larger(meets, every(0)) * 0.5;
    const lanes_t before = larger(start, c->tail[pipe]);
    work(c, pipe, start, cost, loads ? c->rates[kHbmLatency] : 0);
    const lanes_t used = c->tail[pipe] - before;
    /* Stores that stay in L2 take nothing of HBM. */
    c->flow += loads ? used : lanes_t{used[0], 0, used[2], 0};
}

/* Which of the sixteen bank groups the blocks of a repeat touch. */
inline uint32_t bank_groups(uint64_t at, uint32_t block)
{
    uint32_t groups = 0;
    for (uint32_t i = 0; i < 8; ++i) {
        groups |= 1u << ((at / 32 + i * block) & 15);
    }
    return groups;
}

/* An operand's address, and its strides in blocks of 32 bytes. */
struct Banks {
    const void *at;
    uint32_t block = 1;
    uint32_t repeat = 8;
};

/* Cycles that the banks of UB cost per repeat of an instruction: two loads from one bank group take turns; so do a
 * load and a store in one bank, unless both walk through it together, when the store comes a repeat later. */
inline double bank_conflicts(const Core *c, uint32_t repeats, const Banks &d, const Banks &a, const Banks &b)
{
    if (c->arch != 2201 || repeats == 0) {
        return 0;
    }
    const uint64_t base = c->local[kUb];
    const uint64_t to = reinterpret_cast<uint64_t>(d.at) - base, x = reinterpret_cast<uint64_t>(a.at) - base,
                   y = reinterpret_cast<uint64_t>(b.at) - base;
    double lost = 0;
    const uint32_t seen = repeats < 16 ? repeats : 16;
    for (uint32_t r = 0; r < seen; ++r) {
        const uint32_t gd = bank_groups(to + r * d.repeat * 32ull, d.block), ga = bank_groups(x + r * a.repeat * 32ull, a.block),
                       gb = bank_groups(y + r * b.repeat * 32ull, b.block);
        if (x != y && (ga & gb) != 0) {
            lost += 1;
            continue;
        }
        const bool with_a = (to ^ x) >> 16 == 0 && (gd & ga) != 0 && gd != ga;
        const bool with_b = (to ^ y) >> 16 == 0 && (gd & gb) != 0 && gd != gb;
        lost += with_a || with_b ? 0.8 : 0;
    }
    return lost / seen;
}

/* How many different blocks of a repeat fall upon one bank group at most: they take turns. */
inline uint32_t crowd(const void *at, uint32_t block)
{
    if (block % 4 != 0 || block == 0) {
        return 1;
    }
    uint8_t count[16] = {};
    uint32_t most = 0;
    for (uint32_t i = 0; i < 8; ++i) {
        const uint32_t n = ++count[(reinterpret_cast<uint64_t>(at) / 32 + i * block) & 15];
        most = n > most ? n : most;
    }
    return most;
}

/* Cycles that operands cost per repeat beyond the first because their own blocks crowd. */
inline double crowding(const Core *c, const Banks &d, const Banks &a, const Banks &b)
{
    if (c->arch != 2201) {
        return 0;
    }
    const uint32_t to = crowd(d.at, d.block), x = crowd(a.at, a.block), y = crowd(b.at, b.block), from = x > y ? x : y;
    return (to > from ? to : from) - 1;
}

/* A vector instruction over `bytes` of its widest operand, which passes `passes` times through the unit. */
inline __attribute__((always_inline)) void charge_vector(uint64_t bytes, double passes = 1)
{
    Core *c = core();
    charge(kV, c->rates[kVectorStart] + passes * static_cast<double>((bytes + 255) / 256 * 256) / c->rates[kVector]);
}

/* One with one source, by repeats. */
inline __attribute__((noinline)) void charge_vector1(uint32_t repeats, double passes, Banks d, Banks a)
{
    Core *c = core();
    charge(kV, c->rates[kVectorStart] + repeats * (passes * 256.0 / c->rates[kVector] + crowding(c, d, a, a)));
}

/* One with two sources, by repeats. */
inline __attribute__((noinline)) void charge_vector2(uint32_t repeats, double passes, Banks d, Banks a, Banks b)
{
    Core *c = core();
    const double each = passes * 256.0 / c->rates[kVector];
    const double sources = c->rates[kSources] != 0 && passes < 2 ? 2 : each;
    charge(kV, c->rates[kVectorStart] + repeats * (larger(each, sources) + bank_conflicts(c, repeats, d, a, b) + crowding(c, d, a, b)));
}

/* What was handed to `from` so far is done: when, and what is known then. */
inline __attribute__((always_inline)) void raise(Flag &flag, int from)
{
    Core *c = core();
    charge_scalar(c, c->rates[kIssue]);
    c->time[from] = larger(c->time[from], c->time[kS]);
    flag.time = larger(c->time[from], c->tail[from]);
    if (__builtin_expect((c->mode & kFindRaces) != 0, 0)) {
        known(c, from, flag.seen);
    }
}

/* `to` goes on when the flag has been raised. */
inline __attribute__((always_inline)) void await(const Flag &flag, int to)
{
    Core *c = core();
    charge_scalar(c, c->rates[kIssue]);
    c->time[to] = larger(larger(c->time[to], c->time[kS]), flag.time);
    if (__builtin_expect((c->mode & kFindRaces) != 0, 0)) {
        learn(c, to, flag.seen);
    }
}

inline __attribute__((always_inline)) Flag &flag(Core *c, int from, int to, int event)
{
    return c->flags[(from * kPipes + to) * 8 + event];
}
inline __attribute__((always_inline)) void set_flag(int from, int to, int event) { raise(flag(core(), from, to, event), from); }
inline __attribute__((always_inline)) void wait_flag(int from, int to, int event) { await(flag(core(), from, to, event), to); }

/* All pipes wait for all. */
inline void barrier_all()
{
    Core *c = core();
    charge_scalar(c, c->rates[kIssue]);
    lanes_t latest = c->time[kS];
    for (int i = 0; i < kPipes; ++i) {
        latest = larger(latest, larger(c->time[i], c->tail[i]));
    }
    for (int i = 0; i < kPipes; ++i) {
        c->time[i] = latest;
    }
    if (c->mode & kFindRaces) {
        c->touches = 0;
    }
}

/* A pipe waits for itself. */
inline __attribute__((always_inline)) void barrier(Pipe pipe)
{
    Core *c = core();
    charge_scalar(c, c->rates[kIssue]);
    c->time[pipe] = larger(c->time[pipe], c->tail[pipe]);
}

/* The scalar unit loads or stores an element of local memory. It waits for what the vector unit does and waits for,
 * as the flags that the compiler inserts on the chip make it. */
inline __attribute__((always_inline)) void charge_element(Rate rate)
{
    Core *c = core();
    const double cycles = c->rates[rate];
    const lanes_t start = larger(c->time[kS], larger(c->time[kV], c->tail[kV]));
    c->time[kS] = start + cycles;
    c->busy[kS] += cycles;
    if (__builtin_expect((c->mode & kRecord) != 0, 0)) {
        record(c, kS, start, c->time[kS]);
    }
}

} // namespace vinci

#endif

/* Accesses to local memory that nothing orders. The checks of an instruction's operands leave them here; when the
 * instruction is charged to its pipe, they are compared with those of other pipes which this one does not know to
 * be complete: on the chip either may come first. What one pipe does comes in order; so does what the scalar unit
 * does with what the others do, since there the compiler inserts the flags.
 *
 * Off unless Core::mode asks for it. */
#ifndef VINCI_ASCENDC_RACE_H
#define VINCI_ASCENDC_RACE_H

#include "core.h"

namespace vinci {

/* What `from` knows when all that was issued to it is complete. */
inline void known(Core *c, int from, uint32_t *seen)
{
    for (int i = 0; i < kPipes; ++i) {
        const uint32_t own = c->seen[from][i], scalar = c->seen[kS][i];
        seen[i] = own > scalar ? own : scalar;
    }
    seen[from] = c->issued[from];
}

inline void learn(Core *c, int to, const uint32_t *seen)
{
    for (int i = 0; i < kPipes; ++i) {
        if (seen[i] > c->seen[to][i]) {
            c->seen[to][i] = seen[i];
        }
    }
}

/* An operand of the instruction that is being checked. */
inline __attribute__((noinline)) void note(Core *c, const void *p, uint64_t bytes)
{
    if (c->operands < 8 && bytes != 0) {
        c->operand[c->operands][0] = reinterpret_cast<uint64_t>(p);
        c->operand[c->operands][1] = reinterpret_cast<uint64_t>(p) + bytes;
        ++c->operands;
    }
}

inline bool same(const uint64_t *a, const uint64_t *b)
{
    return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

inline void report(Core *c, const Touch &a, const Touch &b)
{
    for (uint32_t i = 0; i < c->races; ++i) {
        if (same(c->race[i].places[0], a.places) && same(c->race[i].places[1], b.places)) {
            return;
        }
    }
    if (c->races < kRaces) {
        Race &race = c->race[c->races++];
        const Touch *both[2] = {&a, &b};
        for (int i = 0; i < 2; ++i) {
            race.low[i] = both[i]->low;
            race.high[i] = both[i]->high;
            for (int k = 0; k < 4; ++k) {
                race.places[i][k] = both[i]->places[k];
            }
            race.pipe[i] = both[i]->pipe;
            race.write[i] = both[i]->write;
        }
    }
}

inline void compare(Core *c, const Touch &now)
{
    const uint32_t *seen = c->seen[now.pipe], *scalar = c->seen[kS];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->touches; ++i) {
        Touch &t = c->touch[i];
        const bool ordered = t.pipe == now.pipe || t.number <= seen[t.pipe] || t.number <= scalar[t.pipe];
        if (t.low < now.high && now.low < t.high) {
            if (!ordered && (t.write || now.write)) {
                report(c, t, now);
            }
            /* Whoever is ordered after this one is ordered after what it covers. */
            if (ordered && now.write >= t.write && now.low <= t.low && t.high <= now.high && (now.write || t.pipe == now.pipe)) {
                continue;
            }
        }
        if (kept != i) {
            c->touch[kept] = t;
        }
        ++kept;
    }
    if (kept == kTouches) {
        /* The oldest is forgotten. */
        for (uint32_t i = 1; i < kTouches; ++i) {
            c->touch[i - 1] = c->touch[i];
        }
        --kept;
    }
    c->touch[kept] = now;
    c->touches = kept + 1;
}

/* What pipe `pipe` did from when to when. Pauses that are short beside what has passed are left out. */
inline void record(Core *c, Pipe pipe, lanes_t from, lanes_t to)
{
    const uint32_t n = c->slices;
    for (uint32_t i = n; i > 0 && i + 8 > n; --i) {
        Slice &last = c->slice[i - 1];
        if (last.pipe == static_cast<uint32_t>(pipe)) {
            if (from[kMiss] - last.to[kMiss] <= to[kMiss] / 512) {
                for (int l = 0; l < 3; ++l) {
                    last.to[l] = static_cast<float>(to[l]);
                }
                return;
            }
            break;
        }
    }
    if (n < kSlices) {
        Slice &s = c->slice[n];
        for (int l = 0; l < 3; ++l) {
            s.from[l] = static_cast<float>(from[l]);
            s.to[l] = static_cast<float>(to[l]);
        }
        s.pipe = pipe;
        c->slices = n + 1;
    }
}

inline bool lies_in(const Core *c, Local memory, uint64_t address)
{
    return address - c->local[memory] < c->local_bytes[memory];
}

/* Whether an instruction stores to its operand `i`: the cube's memories say it by what they are for; of others it is
 * the operand that is checked first, but a copy to global memory has none. */
inline bool stores(const Core *c, Pipe pipe, uint64_t i)
{
    const uint64_t at = c->operand[i][0];
    switch (pipe) {
        case kM: return lies_in(c, kL0C, at);
        case kFix: return !lies_in(c, kL0C, at) && !lies_in(c, kFb, at);
        case kMte1: return !lies_in(c, kL1, at);
        case kMte3: return i == 0 && c->operands > 1;
        default: return i == 0;
    }
}

/* An instruction was handed to a pipe. */
inline __attribute__((noinline)) void observe(Core *c, Pipe pipe, lanes_t from, lanes_t to)
{
    if (c->mode & kRecord) {
        record(c, pipe, from, to);
    }
    if (c->mode & kFindRaces) {
        const uint32_t number = ++c->issued[pipe];
        Touch t = {};
        const auto *frame = static_cast<const uint64_t *>(__builtin_frame_address(0));
        for (int k = 0; k < 4 && frame != nullptr; ++k) {
            t.places[k] = frame[1];
            frame = reinterpret_cast<const uint64_t *>(frame[0]);
        }
        for (uint64_t i = 0; i < c->operands; ++i) {
            t.low = c->operand[i][0];
            t.high = c->operand[i][1];
            t.number = number;
            t.pipe = static_cast<uint8_t>(pipe);
            t.write = stores(c, pipe, i);
            compare(c, t);
        }
    }
    c->operands = 0;
}

} // namespace vinci

#endif

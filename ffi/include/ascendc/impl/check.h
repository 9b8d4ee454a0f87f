/* Checks of instructions against what the core has. A check that fails ends the kernel, and the device says what
 * was wrong: the numbers below are read by driver/device/src/code/explain.rs. */
#ifndef VINCI_ASCENDC_CHECK_H
#define VINCI_ASCENDC_CHECK_H

#include "core.h"
#include "race.h"

namespace vinci {

enum Check : uint64_t {
    kNone = 0,
    kLocalRange = 1,   /* memory, offset, bytes, size, name */
    kLocalAlign = 2,   /* memory, offset, alignment, name */
    kGlobalAlign = 3,  /* address, alignment, name */
    kRepeat = 4,       /* what, value, most, name */
    kQueueEmpty = 5,   /* queue position */
    kQueueFull = 6,    /* queue position, depth */
    kNoRoom = 7,       /* memory, bytes wanted, bytes left */
    kAssert = 8,       /* line, file, text */
    kShape = 9,        /* name, what, value, most */
    kForeign = 10,     /* memory that the instruction cannot use: memory, name */
    kUnsupported = 11, /* name */
    kNoBuffer = 12,    /* all buffers of a queue are taken: position, number */
    kEventTwice = 13   /* from, to, event */
};

/* Text is passed by address; the device reads it from the code object. */
[[noreturn]] inline __attribute__((always_inline)) void fail(
    Check kind, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0, const char *name = nullptr,
    uint64_t e = 0)
{
    Core *core_ = core();
    volatile uint64_t *check = core_->check;
    check[0] = kind;
    check[1] = a;
    check[2] = b;
    check[3] = c;
    check[4] = d;
    check[5] = reinterpret_cast<uint64_t>(name);
    check[6] = e;
#if defined(__VINCI_HARNESS__)
    harness_failed();
#else
    __asm__ volatile("ud2" ::: "memory");
    __builtin_unreachable();
#endif
}

/* Which of the core's memories an address is in. */
inline int local_of(const Core *c, uint64_t address)
{
    for (int i = 0; i < kLocals; ++i) {
        if (address - c->local[i] <= c->local_bytes[i]) {
            return i;
        }
    }
    return kLocals;
}

/* `bytes` from `p` on lie in memory `m`, at a multiple of `align`. */
inline __attribute__((always_inline)) void check_range(
    Local m, const void *p, uint64_t bytes, uint64_t align, const char *name)
{
    const Core *c = core();
    const uint64_t at = reinterpret_cast<uint64_t>(p) - c->local[m];
    if (__builtin_expect(at > c->local_bytes[m] || bytes > c->local_bytes[m] - at, 0)) {
        const int other = local_of(c, reinterpret_cast<uint64_t>(p));
        if (other != kLocals && other != m) {
            fail(kForeign, static_cast<uint64_t>(other), static_cast<uint64_t>(m), 0, 0, name);
        }
        fail(kLocalRange, m, at, bytes, c->local_bytes[m], name);
    }
    if (__builtin_expect((at & (align - 1)) != 0, 0)) {
        fail(kLocalAlign, m, at, align, 0, name);
    }
}

/* The same of an operand of an instruction; what a vector instruction or a copy stores to comes first. */
inline __attribute__((always_inline)) void check_local(
    Local m, const void *p, uint64_t bytes, uint64_t align, const char *name)
{
    check_range(m, p, bytes, align, name);
    if (__builtin_expect((core()->mode & kFindRaces) != 0, 0)) {
        note(core(), p, bytes);
    }
}

/* Bytes of `count` pieces that begin `step` bytes apart; what is more than can be counted is more than there is. */
inline __attribute__((always_inline)) uint64_t span(uint64_t count, uint64_t step, uint64_t bytes)
{
    uint64_t all;
    return __builtin_mul_overflow(count - 1, step, &all) || __builtin_add_overflow(all, bytes, &all) ? ~0ull : all;
}

/* The same of rows, which may follow one another downwards. */
inline __attribute__((always_inline)) void check_rows(
    Local m, const void *p, uint64_t count, uint64_t bytes, int64_t step, uint64_t align, const char *name)
{
    const uint64_t back = step < 0 ? span(count, 0 - static_cast<uint64_t>(step), 0) : 0;
    check_local(m, static_cast<const uint8_t *>(p) - back, step < 0 ? (back + bytes < back ? ~0ull : back + bytes) : span(count, step, bytes), align, name);
}

inline __attribute__((always_inline)) void check_ub(
    const void *p, uint64_t bytes, const char *name, uint64_t align = 32)
{
    check_local(kUb, p, bytes, align, name);
}

} // namespace vinci

#endif

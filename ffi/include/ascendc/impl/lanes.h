/* How vector instructions walk: by repeats of 256 bytes, each of eight blocks of 32 bytes with strides between them,
 * under a mask; or flat, over a number of elements. */
#ifndef VINCI_ASCENDC_LANES_H
#define VINCI_ASCENDC_LANES_H

#include "model.h"
#include "tensor.h"

namespace AscendC {

struct UnaryRepeatParams {
    UnaryRepeatParams() = default;
    UnaryRepeatParams(uint16_t dstBlk, uint16_t srcBlk, uint8_t dstRep, uint8_t srcRep)
        : dstBlkStride(dstBlk), srcBlkStride(srcBlk), dstRepStride(dstRep), srcRepStride(srcRep)
    {
    }
    UnaryRepeatParams(uint16_t dstBlk, uint16_t srcBlk, uint8_t dstRep, uint8_t srcRep, bool half)
        : dstBlkStride(dstBlk), srcBlkStride(srcBlk), dstRepStride(dstRep), srcRepStride(srcRep), halfBlock(half)
    {
    }
    uint32_t blockNumber = 8;
    uint16_t dstBlkStride = 1;
    uint16_t srcBlkStride = 1;
    uint8_t dstRepStride = 8;
    uint8_t srcRepStride = 8;
    bool repeatStrideMode = false;
    bool strideSizeMode = false;
    bool halfBlock = false;
};

struct BinaryRepeatParams {
    BinaryRepeatParams() = default;
    BinaryRepeatParams(uint8_t dstBlk, uint8_t src0Blk, uint8_t src1Blk, uint8_t dstRep, uint8_t src0Rep, uint8_t src1Rep)
        : dstBlkStride(dstBlk), src0BlkStride(src0Blk), src1BlkStride(src1Blk), dstRepStride(dstRep),
          src0RepStride(src0Rep), src1RepStride(src1Rep)
    {
    }
    uint32_t blockNumber = 8;
    uint8_t dstBlkStride = 1;
    uint8_t src0BlkStride = 1;
    uint8_t src1BlkStride = 1;
    uint8_t dstRepStride = 8;
    uint8_t src0RepStride = 8;
    uint8_t src1RepStride = 8;
    bool repeatStrideMode = false;
    bool strideSizeMode = false;
};

enum class MaskMode : uint8_t { NORMAL = 0, COUNTER };

inline void SetMaskCount() { vinci::core()->scratch[vinci::kMaskCount] = 1; }
inline void SetMaskNorm() { vinci::core()->scratch[vinci::kMaskCount] = 0; }
/* What masks are, SetMaskCount and SetMaskNorm say: bits, or in `low` a number of elements. */
template <typename T, MaskMode mode = MaskMode::NORMAL> inline void SetVectorMask(uint64_t high, uint64_t low)
{
    vinci::Core *c = vinci::core();
    c->scratch[vinci::kMaskHigh] = high;
    c->scratch[vinci::kMaskLow] = low;
}
template <typename T, MaskMode mode = MaskMode::NORMAL> inline void SetVectorMask(int32_t length)
{
    vinci::Core *c = vinci::core();
    if (mode == MaskMode::COUNTER || c->scratch[vinci::kMaskCount] != 0) {
        c->scratch[vinci::kMaskLow] = length;
        c->scratch[vinci::kMaskHigh] = 0;
    } else {
        c->scratch[vinci::kMaskLow] = length >= 64 ? ~0ull : (1ull << length) - 1;
        c->scratch[vinci::kMaskHigh] = length >= 128 ? ~0ull : (length > 64 ? (1ull << (length - 64)) - 1 : 0);
    }
}
inline void ResetMask()
{
    vinci::Core *c = vinci::core();
    c->scratch[vinci::kMaskHigh] = c->scratch[vinci::kMaskLow] = ~0ull;
}

} // namespace AscendC

namespace vinci {

/* Which lanes of each repeat work. */
struct Mask {
    uint64_t low = ~0ull;
    uint64_t high = ~0ull;
    /* Instead of repeats: so many elements. */
    uint64_t count = 0;

    static Mask first(uint64_t n)
    {
        Mask m;
        if (core()->scratch[kMaskCount]) {
            m.count = n;
        } else {
            m.low = n >= 64 ? ~0ull : (1ull << n) - 1;
            m.high = n >= 128 ? ~0ull : (n > 64 ? (1ull << (n - 64)) - 1 : 0);
        }
        return m;
    }
    static Mask bits(const uint64_t *words)
    {
        Mask m;
        if (core()->scratch[kMaskCount]) {
            m.count = words[0];
        } else {
            m.low = words[0];
            m.high = words[1];
        }
        return m;
    }
    /* The mask that SetVectorMask left, for instructions that are told to take it. */
    static Mask current()
    {
        const Core *c = core();
        Mask m;
        m.low = c->scratch[kMaskLow];
        m.high = c->scratch[kMaskHigh];
        if (c->scratch[kMaskCount]) {
            m.count = m.low;
        }
        return m;
    }
    bool operator[](uint32_t lane) const { return ((lane < 64 ? low >> lane : high >> (lane - 64)) & 1) != 0; }
    /* Number of lanes, from the first on, that can matter. */
    uint32_t reach() const { return high ? 128 - __builtin_clzll(high) : (low ? 64 - __builtin_clzll(low) : 0); }
};

/* An operand: where lane `lane` of a repeat is. */
template <typename T> struct Operand {
    T *data;
    uint32_t block;
    uint32_t repeat;

    static constexpr uint32_t kPerBlock = 32 / sizeof(T);

    T *at(uint32_t rep, uint32_t lane) const
    {
        auto *p = reinterpret_cast<uint8_t *>(const_cast<typename RemoveConst<T>::type *>(data));
        return reinterpret_cast<T *>(p + rep * repeat * 32ull + (lane / kPerBlock) * block * 32ull) + lane % kPerBlock;
    }
    bool flat(uint32_t lanes) const { return block == 1 && repeat * kPerBlock == lanes; }
    void check(uint32_t repeats, uint32_t lanes, const char *name) const
    {
        if (repeats == 0 || lanes == 0) {
            return;
        }
        const uint64_t blocks = (lanes + kPerBlock - 1) / kPerBlock;
        check_ub(data, ((repeats - 1) * static_cast<uint64_t>(repeat) + (blocks - 1) * block) * 32 + 32, name);
    }

private:
    template <typename U> struct RemoveConst {
        using type = U;
    };
    template <typename U> struct RemoveConst<const U> {
        using type = U;
    };
};

/* Calls `each(repeat, lane)` for the lanes that work. */
template <class F>
inline __attribute__((always_inline)) void walk(const Mask &mask, uint32_t repeats, uint32_t lanes, const F &each)
{
    if (mask.count != 0) {
        for (uint64_t i = 0; i < mask.count; ++i) {
            each(static_cast<uint32_t>(i / lanes), static_cast<uint32_t>(i % lanes));
        }
        return;
    }
    for (uint32_t rep = 0; rep < repeats; ++rep) {
        for (uint32_t lane = 0; lane < lanes; ++lane) {
            if (mask[lane]) {
                each(rep, lane);
            }
        }
    }
}

/* Repeats and lanes that a mask makes of an instruction, for checks and the clock. */
struct Extent {
    uint32_t repeats;
    uint32_t lanes;
};
inline Extent extent(const Mask &mask, uint32_t repeats, uint32_t lanes)
{
    if (mask.count != 0) {
        if (__builtin_expect(mask.count > UINT32_MAX, 0)) {
            fail(kRepeat, 3, mask.count, UINT32_MAX, 0, "a mask that is a count");
        }
        const auto full = static_cast<uint32_t>((mask.count + lanes - 1) / lanes);
        return {full, full > 1 ? lanes : static_cast<uint32_t>(mask.count)};
    }
    const uint32_t reach = mask.reach();
    return {repeats, reach < lanes ? reach : lanes};
}

template <typename A, typename B> constexpr uint32_t lanes_of() { return 256 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B)); }

#define VINCI_LANES _Pragma("clang loop vectorize(enable) interleave(enable)")

/* One operand to one. */
template <typename D, typename S, class F>
inline __attribute__((always_inline)) void flat1(D *d, const S *s, uint32_t count, const char *name, const F &f, double passes = 1)
{
    check_ub(d, count * sizeof(D), name);
    check_ub(s, count * sizeof(S), name);
    VINCI_LANES for (uint32_t i = 0; i < count; ++i) { d[i] = f(s[i]); }
    charge_vector(count * (sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S)), passes);
}

template <typename D, typename S, class F>
inline void masked1(
    Operand<D> d, Operand<const S> s, const Mask &mask, uint32_t repeats, const char *name, const F &f, double passes = 1)
{
    constexpr uint32_t lanes = lanes_of<D, S>();
    if (mask.count == 0 && mask.reach() >= lanes && d.flat(lanes) && s.flat(lanes) && mask.low == ~0ull) {
        return flat1(d.data, s.data, repeats * lanes, name, f, passes);
    }
    const Extent e = extent(mask, repeats, lanes);
    d.check(e.repeats, e.lanes, name);
    s.check(e.repeats, e.lanes, name);
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) { *d.at(r, l) = f(*s.at(r, l)); });
    charge_vector1(e.repeats, passes, {d.data, d.block, d.repeat}, {s.data, s.block, s.repeat});
}

/* Two operands to one. */
template <typename D, typename A, typename B, class F>
inline __attribute__((always_inline)) void flat2(D *d, const A *a, const B *b, uint32_t count, const char *name, const F &f, double passes = 1)
{
    check_ub(d, count * sizeof(D), name);
    check_ub(a, count * sizeof(A), name);
    check_ub(b, count * sizeof(B), name);
    VINCI_LANES for (uint32_t i = 0; i < count; ++i) { d[i] = f(a[i], b[i], d[i]); }
    constexpr uint64_t widest = sizeof(D) > sizeof(A) ? sizeof(D) : sizeof(A);
    charge_vector2(static_cast<uint32_t>((count * widest + 255) / 256), passes, {d}, {a}, {b});
}

template <typename D, typename A, typename B, class F>
inline void masked2(
    Operand<D> d, Operand<const A> a, Operand<const B> b, const Mask &mask, uint32_t repeats, const char *name, const F &f,
    double passes = 1)
{
    constexpr uint32_t lanes = lanes_of<D, A>();
    if (mask.count == 0 && mask.reach() >= lanes && d.flat(lanes) && a.flat(lanes) && b.flat(lanes) && mask.low == ~0ull) {
        return flat2(d.data, a.data, b.data, repeats * lanes, name, f, passes);
    }
    const Extent e = extent(mask, repeats, lanes);
    d.check(e.repeats, e.lanes, name);
    a.check(e.repeats, e.lanes, name);
    b.check(e.repeats, e.lanes, name);
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        D *to = d.at(r, l);
        *to = f(*a.at(r, l), *b.at(r, l), *to);
    });
    charge_vector2(e.repeats, passes, {d.data, d.block, d.repeat}, {a.data, a.block, a.repeat}, {b.data, b.block, b.repeat});
}

} // namespace vinci

#endif

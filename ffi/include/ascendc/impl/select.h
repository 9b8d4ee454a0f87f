/* Comparison and selection. Results of comparisons are bits, the first element's in the lowest bit of the first byte.
 * What a comparison without destination finds, and what a selection without mask takes, is a register of 128 bits. */
#ifndef VINCI_ASCENDC_SELECT_H
#define VINCI_ASCENDC_SELECT_H

#include "vector.h"

namespace AscendC {

enum class CMPMODE : uint8_t { LT = 0, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t { VSEL_CMPMASK_SPR = 0, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };

} // namespace AscendC

namespace vinci {

template <typename T> inline __attribute__((always_inline)) bool compare(T a, T b, AscendC::CMPMODE mode)
{
    switch (mode) {
        case AscendC::CMPMODE::LT: return a < b;
        case AscendC::CMPMODE::GT: return a > b;
        case AscendC::CMPMODE::EQ: return a == b;
        case AscendC::CMPMODE::LE: return a <= b;
        case AscendC::CMPMODE::GE: return a >= b;
        default: return a != b;
    }
}

/* Elements that a comparison of the first `count` takes: whole repeats. */
template <typename T> inline uint32_t whole_repeats(uint32_t count) { return count / (256 / sizeof(T)); }

/* The bits of `repeats` repeats, side by side; the mask of lanes does not matter to comparisons of this chip. */
template <typename T, class B>
inline void compare_all(uint8_t *to, const Operand<const T> &a, const B &other, AscendC::CMPMODE mode, uint32_t repeats, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    a.check(repeats, lanes, name);
    check_ub(to, repeats * lanes / 8, name);
    for (uint32_t r = 0; r < repeats; ++r) {
        for (uint32_t l = 0; l < lanes; l += 8) {
            uint8_t bits = 0;
            for (uint32_t k = 0; k < 8; ++k) {
                bits |= static_cast<uint8_t>(compare(*a.at(r, l + k), other(r, l + k), mode) << k);
            }
            to[(r * lanes + l) / 8] = bits;
        }
    }
    charge_vector(repeats * 256ull);
}

template <typename T>
inline void compare_two(void *to, const Operand<const T> &a, const Operand<const T> &b, AscendC::CMPMODE mode, uint32_t repeats)
{
    b.check(repeats, 256 / sizeof(T), "Compare");
    compare_all<T>(static_cast<uint8_t *>(to), a, [&](uint32_t r, uint32_t l) { return *b.at(r, l); }, mode, repeats, "Compare");
}

template <typename T>
inline void compare_one(void *to, const Operand<const T> &a, T b, AscendC::CMPMODE mode, uint32_t repeats, const char *name)
{
    compare_all<T>(static_cast<uint8_t *>(to), a, [b](uint32_t, uint32_t) { return b; }, mode, repeats, name);
}

/* `bits` holds a bit per element of the walk; with `same` each repeat takes those of the first. */
template <typename T, class B>
inline void select_all(const Operand<T> &d, const uint8_t *bits, bool same, const Operand<const T> &a, const B &other,
    const Mask &mask, uint32_t repeats)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Extent e = extent(mask, repeats, lanes);
    d.check(e.repeats, e.lanes, "Select");
    a.check(e.repeats, e.lanes, "Select");
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        const uint32_t at = (same ? 0 : r * lanes) + l;
        *d.at(r, l) = (bits[at / 8] >> (at % 8)) & 1 ? *a.at(r, l) : other(r, l);
    });
    charge_vector(e.repeats * 256ull);
}

/* The mask's bytes that so many repeats read. */
template <typename T> inline void check_bits(const void *bits, bool same, const Mask &mask, uint32_t repeats)
{
    const Extent e = extent(mask, repeats, 256 / sizeof(T));
    if (e.repeats != 0) {
        const uint64_t lanes = (same ? 0 : (e.repeats - 1) * (256 / sizeof(T))) + e.lanes;
        check_ub(bits, (lanes + 7) / 8, "Select");
    }
}

} // namespace vinci

namespace AscendC {

template <typename T, typename U>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, uint32_t count)
{
    vinci::compare_two<T>(dst.GetPhyAddr(), {src0.GetPhyAddr(), 1, 8}, {src1.GetPhyAddr(), 1, 8}, mode, vinci::whole_repeats<T>(count));
}
template <typename T, typename U, bool isSetMask = true, typename M>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const M &,
    uint8_t repeatTime, const BinaryRepeatParams &p)
{
    vinci::compare_two<T>(dst.GetPhyAddr(), {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride},
        {src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride}, mode, repeatTime);
}

/* One repeat, into the register. Lanes outside the mask keep their bits. */
template <typename T>
inline void compare_to_register(const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const vinci::Mask &mask, const BinaryRepeatParams &p)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const vinci::Operand<const T> a{src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, b{src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride};
    const vinci::Extent e = vinci::extent(mask, 1, lanes);
    a.check(1, e.lanes, "Compare");
    b.check(1, e.lanes, "Compare");
    uint64_t *bits = &vinci::core()->scratch[vinci::kCompareLow];
    vinci::walk(mask, 1, lanes, [&](uint32_t, uint32_t l) {
        const uint64_t bit = 1ull << (l % 64);
        bits[l / 64] = vinci::compare(*a.at(0, l), *b.at(0, l), mode) ? bits[l / 64] | bit : bits[l / 64] & ~bit;
    });
    vinci::charge_vector(256);
}
template <typename T, bool isSetMask = true>
inline void Compare(const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const uint64_t mask, const BinaryRepeatParams &p)
{
    compare_to_register(src0, src1, mode, isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(), p);
}
template <typename T, bool isSetMask = true>
inline void Compare(const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, const uint64_t mask[], const BinaryRepeatParams &p)
{
    compare_to_register(src0, src1, mode, isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(), p);
}

#define VINCI_COMPARE(NAME) \
    template <typename T, typename U, bool isSetMask = true> \
    inline void NAME(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, uint32_t count) \
    { \
        vinci::compare_one<T>(dst.GetPhyAddr(), {src.GetPhyAddr(), 1, 8}, scalar, mode, vinci::whole_repeats<T>(count), #NAME); \
    } \
    template <typename T, typename U, bool isSetMask = true, typename M> \
    inline void NAME(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, const M &, \
        uint8_t repeatTime, const UnaryRepeatParams &p) \
    { \
        vinci::compare_one<T>( \
            dst.GetPhyAddr(), {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, scalar, mode, repeatTime, #NAME); \
    }
VINCI_COMPARE(Compares)
VINCI_COMPARE(CompareScalar)
#undef VINCI_COMPARE

/* The register: 16 bytes. */
template <typename T> inline void SetCmpMask(const LocalTensor<T> &src)
{
    vinci::check_ub(src.GetPhyAddr(), 16, "SetCmpMask", 16);
    __builtin_memcpy(&vinci::core()->scratch[vinci::kCompareLow], src.GetPhyAddr(), 16);
    vinci::charge_vector(32);
}
template <typename T> inline void GetCmpMask(const LocalTensor<T> &dst)
{
    vinci::check_ub(dst.GetPhyAddr(), 16, "GetCmpMask", 16);
    __builtin_memcpy(dst.GetPhyAddr(), &vinci::core()->scratch[vinci::kCompareLow], 16);
    vinci::charge_vector(32);
}

/* src0 where the bit is set, else src1. */
template <typename T, typename U>
inline void select_two(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, const LocalTensor<T> &src1,
    SELMODE selMode, const vinci::Mask &mask, uint32_t repeats, const BinaryRepeatParams &p)
{
    const bool same = selMode == SELMODE::VSEL_CMPMASK_SPR;
    const vinci::Operand<const T> b{src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride};
    const vinci::Extent e = vinci::extent(mask, repeats, 256 / sizeof(T));
    vinci::check_bits<T>(selMask.GetPhyAddr(), same, mask, repeats);
    b.check(e.repeats, e.lanes, "Select");
    vinci::select_all<T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, reinterpret_cast<const uint8_t *>(selMask.GetPhyAddr()),
        same, {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, [&](uint32_t r, uint32_t l) { return *b.at(r, l); }, mask, repeats);
}
template <typename T, typename U>
inline void select_one(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T scalar,
    const vinci::Mask &mask, uint32_t repeats, const BinaryRepeatParams &p)
{
    vinci::check_bits<T>(selMask.GetPhyAddr(), false, mask, repeats);
    vinci::select_all<T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, reinterpret_cast<const uint8_t *>(selMask.GetPhyAddr()),
        false, {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, [scalar](uint32_t, uint32_t) { return scalar; }, mask, repeats);
}
inline vinci::Mask first_elements(uint32_t count)
{
    vinci::Mask m;
    m.count = count;
    return m;
}

template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, const LocalTensor<T> &src1,
    SELMODE selMode, uint32_t count)
{
    if (count != 0) {
        select_two(dst, selMask, src0, src1, selMode, first_elements(count), 0, BinaryRepeatParams());
    }
}
template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T src1, SELMODE, uint32_t count)
{
    if (count != 0) {
        select_one(dst, selMask, src0, src1, first_elements(count), 0, BinaryRepeatParams());
    }
}
template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, const LocalTensor<T> &src1,
    SELMODE selMode, uint64_t mask, uint8_t repeatTime, const BinaryRepeatParams &p)
{
    select_two(dst, selMask, src0, src1, selMode, vinci::Mask::first(mask), repeatTime, p);
}
template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, const LocalTensor<T> &src1,
    SELMODE selMode, uint64_t mask[], uint8_t repeatTime, const BinaryRepeatParams &p)
{
    select_two(dst, selMask, src0, src1, selMode, vinci::Mask::bits(mask), repeatTime, p);
}
template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T src1, SELMODE,
    uint64_t mask, uint8_t repeatTime, const BinaryRepeatParams &p)
{
    select_one(dst, selMask, src0, src1, vinci::Mask::first(mask), repeatTime, p);
}
template <typename T, typename U, bool isSetMask = true>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, T src1, SELMODE,
    uint64_t mask[], uint8_t repeatTime, const BinaryRepeatParams &p)
{
    select_one(dst, selMask, src0, src1, vinci::Mask::bits(mask), repeatTime, p);
}

/* With the registers: the bits themselves, or (mode 2) the low half of their address. */
template <typename T, SELMODE selMode>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, uint8_t repeatTime, const BinaryRepeatParams &p)
{
    static_assert(selMode != SELMODE::VSEL_TENSOR_SCALAR_MODE, "a selection from a scalar has a mask");
    const vinci::Core *c = vinci::core();
    const uint8_t *bits = reinterpret_cast<const uint8_t *>(&c->scratch[vinci::kCompareLow]);
    constexpr bool same = selMode == SELMODE::VSEL_CMPMASK_SPR;
    const vinci::Mask mask = vinci::Mask::current();
    if (!same) {
        const auto low = static_cast<uint32_t>(c->scratch[vinci::kCompareLow]);
        bits = reinterpret_cast<const uint8_t *>(c->local[vinci::kUb] + static_cast<uint32_t>(low - static_cast<uint32_t>(c->local[vinci::kUb])));
        vinci::check_bits<T>(bits, false, mask, repeatTime);
    }
    const vinci::Operand<const T> b{src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride};
    const vinci::Extent e = vinci::extent(mask, repeatTime, 256 / sizeof(T));
    b.check(e.repeats, e.lanes, "Select");
    vinci::select_all<T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, bits, same,
        {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, [&](uint32_t r, uint32_t l) { return *b.at(r, l); }, mask, repeatTime);
}
/* The scalar is in the register. */
template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &selMask, const LocalTensor<T> &src0, uint8_t repeatTime, const BinaryRepeatParams &p)
{
    T scalar;
    __builtin_memcpy(&scalar, &vinci::core()->scratch[vinci::kCompareLow], sizeof(T));
    select_one(dst, selMask, src0, scalar, vinci::Mask::current(), repeatTime, p);
}

} // namespace AscendC

#endif

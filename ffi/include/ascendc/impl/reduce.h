/* Reductions of vectors: of each block of 32 bytes, of neighbours, of each repeat, of everything.
 *
 * Sums are made pairwise, as a balanced tree over the lanes of a block or a repeat, with a rounding to the type of the
 * elements at each step; lanes outside the mask count as zero. Of equal extremes the first wins; a NaN wins over
 * numbers. */
#ifndef VINCI_ASCENDC_REDUCE_H
#define VINCI_ASCENDC_REDUCE_H

#include "vector.h"

namespace AscendC {

enum class ReduceOrder : uint8_t { ORDER_VALUE_INDEX = 0, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };
enum class ReduceType : uint8_t { MAX = 0, MIN, SUM, MEAN, XOR_SUM, NO_REDUCE };

} // namespace AscendC

namespace vinci {

using AscendC::ReduceOrder;

/* Calls `each(repeat, mask of that repeat)`: a mask that is a count ends in a repeat with fewer lanes. */
template <class F>
inline __attribute__((always_inline)) void each_repeat(const Mask &mask, uint32_t repeats, uint32_t lanes, const F &each)
{
    if (mask.count == 0) {
        for (uint32_t r = 0; r < repeats; ++r) {
            each(r, mask);
        }
        return;
    }
    for (uint64_t done = 0; done < mask.count; done += lanes) {
        const uint64_t left = mask.count - done, n = left < lanes ? left : lanes;
        Mask m;
        m.low = n >= 64 ? ~0ull : (1ull << n) - 1;
        m.high = n >= 128 ? ~0ull : (n > 64 ? (1ull << (n - 64)) - 1 : 0);
        each(static_cast<uint32_t>(done / lanes), m);
    }
}

/* The lanes of a repeat side by side, and `rest` where the mask has none. */
template <typename T, uint32_t lanes>
inline __attribute__((always_inline)) void load_lanes(
    wide<T> (&to)[lanes], const Operand<const T> &from, uint32_t repeat, const Mask &mask, wide<T> rest)
{
    if (mask.low == ~0ull && (lanes <= 64 || mask.high == ~0ull) && from.block == 1) {
        const T *p = from.at(repeat, 0);
        VINCI_LANES for (uint32_t i = 0; i < lanes; ++i) { to[i] = static_cast<wide<T>>(p[i]); }
        return;
    }
    for (uint32_t i = 0; i < lanes; ++i) {
        to[i] = mask[i] ? static_cast<wide<T>>(*from.at(repeat, i)) : rest;
    }
}

/* One rounding to T. */
template <typename T> inline __attribute__((always_inline)) wide<T> rounded(wide<T> x)
{
    return static_cast<wide<T>>(static_cast<T>(x));
}

/* Sums neighbours until `left` values are left. */
template <typename T, uint32_t lanes>
inline __attribute__((always_inline)) void tree(wide<T> (&v)[lanes], uint32_t left)
{
    for (uint32_t n = lanes; n > left; n /= 2) {
        for (uint32_t i = 0; i < n / 2; ++i) {
            v[i] = rounded<T>(v[2 * i] + v[2 * i + 1]);
        }
    }
}

template <typename T> struct Extreme {
    T value;
    uint32_t lane;
};

/* The greatest (or the least) of the lanes of a repeat in the mask, of which there is one at least. */
template <typename T, bool max>
inline Extreme<T> extreme(const Operand<const T> &from, uint32_t repeat, const Mask &mask, uint32_t begin, uint32_t end)
{
    Extreme<T> best{T(0), ~0u};
    wide<T> record = 0;
    for (uint32_t i = begin; i < end; ++i) {
        if (!mask[i]) {
            continue;
        }
        const T v = *from.at(repeat, i);
        const wide<T> x = static_cast<wide<T>>(v);
        const bool better = max ? x > record : x < record;
        if (best.lane == ~0u || (record == record && (better || x != x))) {
            best = {v, i};
            record = x;
        }
    }
    return best;
}

inline bool any(const Mask &mask, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; ++i) {
        if (mask[i]) {
            return true;
        }
    }
    return false;
}

/* An index is stored with the bits of an integer of the elements' size. */
template <typename T> inline T index_bits(uint32_t index)
{
    T bits;
    if constexpr (sizeof(T) == 2) {
        const auto narrow = static_cast<uint16_t>(index);
        __builtin_memcpy(&bits, &narrow, 2);
    } else {
        __builtin_memcpy(&bits, &index, 4);
    }
    return bits;
}

/* What registers hold of the last reduction. */
template <typename T> inline void keep(Scratch where, T value)
{
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    core()->scratch[where] = bits;
}
template <typename T> inline T kept(Scratch where)
{
    T value;
    __builtin_memcpy(&value, &core()->scratch[where], sizeof(T));
    return value;
}

/* Sum of each repeat, to `out(repeat, sum)`. */
template <typename T, class F>
inline void whole_sums(const Operand<const T> &src, const Mask &mask, uint32_t repeats, const char *name, const F &out)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Extent e = extent(mask, repeats, lanes);
    src.check(e.repeats, e.lanes, name);
    each_repeat(mask, repeats, lanes, [&](uint32_t r, const Mask &m) __attribute__((always_inline)) {
        if (any(m, 0, lanes)) {
            wide<T> v[lanes];
            load_lanes<T, lanes>(v, src, r, m, 0);
            tree<T, lanes>(v, 1);
            out(r, static_cast<T>(v[0]));
        }
    });
    charge_vector(e.repeats * 256ull, 2);
}

template <typename T>
inline void whole_sum(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, const char *name)
{
    const uint32_t n = extent(mask, repeats, 256 / sizeof(T)).repeats;
    check_ub(dst, n == 0 ? 0 : ((n - 1) * static_cast<uint64_t>(dstStride) + 1) * sizeof(T), name, sizeof(T));
    whole_sums<T>({src, srcBlock, srcStride}, mask, repeats, name, [&](uint32_t r, T sum) { dst[r * dstStride] = sum; });
}

template <typename T, bool max>
inline void whole_extreme(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, ReduceOrder order, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Operand<const T> from{src, srcBlock, srcStride};
    const Extent e = extent(mask, repeats, lanes);
    from.check(e.repeats, e.lanes, name);
    /* Bytes of one result: an index alone has 32 bits. */
    const uint64_t unit = order == ReduceOrder::ORDER_ONLY_VALUE ? sizeof(T) : (order == ReduceOrder::ORDER_ONLY_INDEX ? 4 : 2 * sizeof(T));
    check_ub(dst, e.repeats == 0 ? 0 : (e.repeats - 1) * dstStride * unit + unit, name, unit);
    Extreme<T> all{T(0), ~0u};
    each_repeat(mask, repeats, lanes, [&](uint32_t r, const Mask &m) {
        const Extreme<T> best = extreme<T, max>(from, r, m, 0, lanes);
        if (best.lane == ~0u) {
            return;
        }
        auto *to = reinterpret_cast<uint8_t *>(dst) + r * dstStride * unit;
        const T index = index_bits<T>(best.lane);
        switch (order) {
            case ReduceOrder::ORDER_VALUE_INDEX:
                __builtin_memcpy(to, &best.value, sizeof(T));
                __builtin_memcpy(to + sizeof(T), &index, sizeof(T));
                break;
            case ReduceOrder::ORDER_INDEX_VALUE:
                __builtin_memcpy(to, &index, sizeof(T));
                __builtin_memcpy(to + sizeof(T), &best.value, sizeof(T));
                break;
            case ReduceOrder::ORDER_ONLY_VALUE: __builtin_memcpy(to, &best.value, sizeof(T)); break;
            default: __builtin_memcpy(to, &best.lane, 4); break;
        }
        const auto x = static_cast<wide<T>>(best.value), record = static_cast<wide<T>>(all.value);
        if (all.lane == ~0u || (record == record && ((max ? x > record : x < record) || x != x))) {
            all = {best.value, r * lanes + best.lane};
        }
    });
    keep(kReduceLow, all.value);
    keep(kReduceIndex, index_bits<T>(all.lane));
    charge_vector(e.repeats * 256ull, 2);
}

/* Of each block of 32 bytes; blocks without a lane in the mask leave what was there. */
template <typename T, class F>
inline void each_block(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, const char *name, const F &reduce)
{
    constexpr uint32_t lanes = 256 / sizeof(T), per = 32 / sizeof(T);
    const Operand<const T> from{src, srcBlock, srcStride};
    const Extent e = extent(mask, repeats, lanes);
    from.check(e.repeats, e.lanes, name);
    check_ub(dst, e.repeats == 0 ? 0 : ((e.repeats - 1) * dstStride * 8ull + (e.lanes + per - 1) / per) * sizeof(T), name, 8 * sizeof(T));
    each_repeat(mask, repeats, lanes, [&](uint32_t r, const Mask &m) __attribute__((always_inline)) {
        reduce(from, r, m, dst + r * dstStride * 8);
    });
    charge_vector(e.repeats * 256ull);
}

template <typename T>
inline void block_sum(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T), per = 32 / sizeof(T);
    each_block(dst, src, mask, repeats, dstStride, srcBlock, srcStride, name,
        [](const Operand<const T> &from, uint32_t r, const Mask &m, T *to) __attribute__((always_inline)) {
            wide<T> v[lanes];
            load_lanes<T, lanes>(v, from, r, m, 0);
            tree<T, lanes>(v, 8);
            for (uint32_t b = 0; b < 8; ++b) {
                if (any(m, b * per, (b + 1) * per)) {
                    to[b] = static_cast<T>(v[b]);
                }
            }
        });
}

template <typename T, bool max>
inline void block_extreme(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, const char *name)
{
    constexpr uint32_t per = 32 / sizeof(T);
    each_block(dst, src, mask, repeats, dstStride, srcBlock, srcStride, name,
        [](const Operand<const T> &from, uint32_t r, const Mask &m, T *to) {
            for (uint32_t b = 0; b < 8; ++b) {
                const Extreme<T> best = extreme<T, max>(from, r, m, b * per, (b + 1) * per);
                if (best.lane != ~0u) {
                    to[b] = best.value;
                }
            }
        });
}

/* Of each two neighbours; a pair outside the mask leaves what was there. */
template <typename T>
inline void pair_sum(T *dst, const T *src, const Mask &mask, uint32_t repeats, uint32_t dstStride, uint32_t srcBlock,
    uint32_t srcStride, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Operand<const T> from{src, srcBlock, srcStride};
    const Extent e = extent(mask, repeats, lanes);
    from.check(e.repeats, e.lanes, name);
    check_ub(dst, e.repeats == 0 ? 0 : (e.repeats - 1) * dstStride * 128ull + (e.lanes + 1) / 2 * sizeof(T), name);
    each_repeat(mask, repeats, lanes, [&](uint32_t r, const Mask &m) __attribute__((always_inline)) {
        wide<T> v[lanes];
        load_lanes<T, lanes>(v, from, r, m, 0);
        T *to = dst + r * dstStride * (lanes / 2);
        for (uint32_t i = 0; i < lanes / 2; ++i) {
            if (m[2 * i] || m[2 * i + 1]) {
                to[i] = static_cast<T>(rounded<T>(v[2 * i] + v[2 * i + 1]));
            }
        }
    });
    charge_vector(e.repeats * 256ull);
}

/* The extreme of everything. An index counts elements from the first one's address on. */
template <typename T, bool max>
inline void total_extreme(T *dst, const T *src, const T *work, const Mask &mask, uint32_t repeats, uint32_t srcStride,
    bool index, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T), per = 32 / sizeof(T);
    const Operand<const T> from{src, 1, srcStride};
    const Extent e = extent(mask, repeats, lanes);
    if (e.repeats == 0) {
        return;
    }
    from.check(e.repeats, e.lanes, name);
    /* The chip keeps a value and an index of each repeat in the work space, then of each repeat of these. */
    uint64_t need = 0;
    for (uint64_t n = e.repeats * 2ull;; n = (n + lanes - 1) / lanes * 2) {
        const uint64_t round = (n + per - 1) / per * per;
        need = index || need == 0 ? need + round : need;
        if (n <= 2) {
            break;
        }
    }
    check_ub(work, e.repeats > 1 ? need * sizeof(T) : 0, name);
    check_ub(dst, (index ? 2 : 1) * sizeof(T), name, sizeof(T));
    Extreme<T> all{T(0), ~0u};
    each_repeat(mask, repeats, lanes, [&](uint32_t r, const Mask &m) {
        const Extreme<T> best = extreme<T, max>(from, r, m, 0, lanes);
        const auto x = static_cast<wide<T>>(best.value), record = static_cast<wide<T>>(all.value);
        if (best.lane != ~0u && (all.lane == ~0u || (record == record && ((max ? x > record : x < record) || x != x)))) {
            all = {best.value, r * srcStride * per + best.lane};
        }
    });
    if (all.lane == ~0u) {
        return;
    }
    dst[0] = all.value;
    if (index) {
        dst[1] = index_bits<T>(all.lane);
    }
    keep(kReduceLow, all.value);
    keep(kReduceIndex, index_bits<T>(all.lane));
    charge_vector(e.repeats * 256ull, 2);
}

/* The sum of everything: of the repeats' sums one after the other, or as a tree of repeats in turn. */
template <typename T>
inline void total_sum(T *dst, const T *src, const T *work, const Mask &mask, uint32_t repeats, uint32_t srcStride,
    bool in_order, const char *name)
{
    constexpr uint32_t lanes = 256 / sizeof(T), per = 32 / sizeof(T);
    const uint32_t n = extent(mask, repeats, lanes).repeats;
    if (n == 0) {
        return;
    }
    check_ub(dst, sizeof(T), name, sizeof(T));
    const Operand<const T> from{src, 1, srcStride};
    T result{};
    if (in_order) {
        wide<T> sum = 0;
        whole_sums<T>(from, mask, repeats, name, [&](uint32_t, T s) { sum = rounded<T>(sum + static_cast<wide<T>>(s)); });
        result = static_cast<T>(sum);
    } else {
        T *sums = const_cast<T *>(work);
        check_ub(work, (n + per - 1) / per * 32ull, name);
        whole_sums<T>(from, mask, repeats, name, [&](uint32_t r, T s) { sums[r] = s; });
        for (uint32_t left = n; left > 1;) {
            const uint32_t rounds = (left + lanes - 1) / lanes;
            Mask rest;
            rest.count = left;
            whole_sums<T>({sums, 1, 8}, rest, rounds, name, [&](uint32_t r, T s) { sums[r] = s; });
            left = rounds;
        }
        result = sums[0];
    }
    dst[0] = result;
    keep(kReduceLow, result);
}

/* A mask of the first lanes, whatever the mode is: what reductions of all elements use. */
inline Mask counted(uint64_t n)
{
    Mask m;
    m.count = n;
    return m;
}

} // namespace vinci

namespace AscendC {

/* Two forms of each: the mask as a number of lanes, and as bits. */
#define VINCI_REDUCE(NAME, CALL) \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t mask, const int32_t repeatTime, \
        const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride) \
    { \
        const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(); \
        vinci::CALL(dst.GetPhyAddr(), src.GetPhyAddr(), m, repeatTime, dstRepStride, srcBlkStride, srcRepStride, #NAME); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int32_t repeatTime, \
        const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride) \
    { \
        const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(); \
        vinci::CALL(dst.GetPhyAddr(), src.GetPhyAddr(), m, repeatTime, dstRepStride, srcBlkStride, srcRepStride, #NAME); \
    }

#define VINCI_COMMA ,
VINCI_REDUCE(WholeReduceSum, whole_sum<T>)
VINCI_REDUCE(BlockReduceSum, block_sum<T>)
VINCI_REDUCE(BlockReduceMax, block_extreme<T VINCI_COMMA true>)
VINCI_REDUCE(BlockReduceMin, block_extreme<T VINCI_COMMA false>)
VINCI_REDUCE(PairReduceSum, pair_sum<T>)
#undef VINCI_REDUCE

template <typename T, bool isSetMask = true>
inline void RepeatReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t repeatTime, const int32_t mask,
    const int32_t dstBlkStride, const int32_t srcBlkStride, const int32_t dstRepStride, const int32_t srcRepStride)
{
    (void)dstBlkStride;
    WholeReduceSum<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
}

#define VINCI_REDUCE(NAME, MAX) \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t mask, const int32_t repeatTime, \
        const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride, \
        ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX) \
    { \
        const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(); \
        vinci::whole_extreme<T, MAX>( \
            dst.GetPhyAddr(), src.GetPhyAddr(), m, repeatTime, dstRepStride, srcBlkStride, srcRepStride, order, #NAME); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint64_t mask[], const int32_t repeatTime, \
        const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride, \
        ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX) \
    { \
        const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(); \
        vinci::whole_extreme<T, MAX>( \
            dst.GetPhyAddr(), src.GetPhyAddr(), m, repeatTime, dstRepStride, srcBlkStride, srcRepStride, order, #NAME); \
    }
VINCI_REDUCE(WholeReduceMax, true)
VINCI_REDUCE(WholeReduceMin, false)
#undef VINCI_REDUCE

/* The same under their newer names: the kind of reduction is a template argument. */
template <ReduceType type, typename T, typename U = T, bool isSetMask = true, typename M>
inline void ReduceRepeat(const LocalTensor<T> &dst, const LocalTensor<U> &src, const M &mask, const int32_t repeatTime,
    const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride,
    ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX)
{
    if constexpr (type == ReduceType::SUM) {
        WholeReduceSum<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
    } else if constexpr (type == ReduceType::MAX) {
        WholeReduceMax<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride, order);
    } else {
        static_assert(type == ReduceType::MIN, "sums and extremes");
        WholeReduceMin<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride, order);
    }
}
template <ReduceType type, typename T, typename U = T, bool isSetMask = true, typename M>
inline void ReduceDataBlock(const LocalTensor<T> &dst, const LocalTensor<U> &src, const M &mask, const int32_t repeatTime,
    const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride)
{
    if constexpr (type == ReduceType::SUM) {
        BlockReduceSum<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
    } else if constexpr (type == ReduceType::MAX) {
        BlockReduceMax<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
    } else {
        static_assert(type == ReduceType::MIN, "sums and extremes");
        BlockReduceMin<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
    }
}
template <ReduceType type, typename T, typename U = T, bool isSetMask = true, typename M>
inline void ReducePairElem(const LocalTensor<T> &dst, const LocalTensor<U> &src, const M &mask, const int32_t repeatTime,
    const int32_t dstRepStride, const int32_t srcBlkStride, const int32_t srcRepStride)
{
    static_assert(type == ReduceType::SUM, "neighbours are summed");
    PairReduceSum<T, isSetMask>(dst, src, mask, repeatTime, dstRepStride, srcBlkStride, srcRepStride);
}

#define VINCI_REDUCE(NAME, MAX) \
    template <typename T> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int32_t count, \
        bool calIndex = false) \
    { \
        if (count > 0) { \
            vinci::total_extreme<T, MAX>( \
                dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), vinci::counted(count), 0, 8, calIndex, #NAME); \
        } \
    } \
    template <typename T> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int32_t mask, \
        const int32_t repeatTime, const int32_t srcRepStride, bool calIndex = false) \
    { \
        vinci::total_extreme<T, MAX>(dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), vinci::Mask::first(mask), \
            repeatTime, srcRepStride, calIndex, #NAME); \
    } \
    template <typename T> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, \
        const uint64_t mask[], const int32_t repeatTime, const int32_t srcRepStride, bool calIndex = false) \
    { \
        vinci::total_extreme<T, MAX>(dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), vinci::Mask::bits(mask), \
            repeatTime, srcRepStride, calIndex, #NAME); \
    }
VINCI_REDUCE(ReduceMax, true)
VINCI_REDUCE(ReduceMin, false)
#undef VINCI_REDUCE
#undef VINCI_COMMA

template <typename T, bool isSetMask = true>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int32_t count)
{
    const auto m = isSetMask ? vinci::counted(count) : vinci::Mask::current();
    if (m.count != 0) {
        vinci::total_sum(dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), m, 0, 8, true, "ReduceSum");
    }
}
template <typename T>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work, const int32_t mask,
    const int32_t repeatTime, const int32_t srcRepStride)
{
    vinci::total_sum(dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), vinci::Mask::first(mask), repeatTime,
        srcRepStride, false, "ReduceSum");
}
template <typename T>
inline void ReduceSum(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<T> &work,
    const uint64_t mask[], const int32_t repeatTime, const int32_t srcRepStride)
{
    vinci::total_sum(dst.GetPhyAddr(), src.GetPhyAddr(), work.GetPhyAddr(), vinci::Mask::bits(mask), repeatTime,
        srcRepStride, false, "ReduceSum");
}

/* What registers hold of the last reduction: an extreme and its index among all repeats, or a sum. */
template <typename T> inline void GetReduceRepeatMaxMinSpr(T &value, T &index)
{
    value = vinci::kept<T>(vinci::kReduceLow);
    index = vinci::kept<T>(vinci::kReduceIndex);
}
template <typename T> inline void GetReduceRepeatMaxMinSpr(T &value) { value = vinci::kept<T>(vinci::kReduceLow); }
template <typename T> inline T GetReduceRepeatSumSpr() { return vinci::kept<T>(vinci::kReduceLow); }
template <typename T> inline void GetReduceMaxMinCount(T &value, T &index) { GetReduceRepeatMaxMinSpr(value, index); }
template <typename T> inline void GetReduceMaxMinCount(T &value) { GetReduceRepeatMaxMinSpr(value); }
template <typename T> inline T GetAccVal() { return vinci::kept<T>(vinci::kReduceLow); }

} // namespace AscendC

#endif

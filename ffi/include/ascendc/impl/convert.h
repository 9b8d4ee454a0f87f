/* Conversions. */
#ifndef VINCI_ASCENDC_CONVERT_H
#define VINCI_ASCENDC_CONVERT_H

#include "int4.h"
#include "lanes.h"
#include "vector.h"

namespace AscendC {

enum class RoundMode : uint8_t { CAST_NONE = 0, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };

} // namespace AscendC

namespace vinci {

using AscendC::RoundMode;

/* To a whole number. CAST_ROUND takes halves away from zero; without a mode halves go to even. */
inline __attribute__((always_inline)) float to_whole(float x, RoundMode mode)
{
    switch (mode) {
        case RoundMode::CAST_FLOOR: return __builtin_floorf(x);
        case RoundMode::CAST_CEIL: return __builtin_ceilf(x);
        case RoundMode::CAST_TRUNC: return __builtin_truncf(x);
        case RoundMode::CAST_ROUND: {
            const float whole = __builtin_truncf(x);
            return __builtin_fabsf(x - whole) >= 0.5f ? whole + __builtin_copysignf(1.0f, x) : whole;
        }
        case RoundMode::CAST_ODD: {
            const float whole = __builtin_truncf(x);
            const bool even = __builtin_fmodf(whole, 2.0f) == 0.0f;
            return whole != x && even ? whole + __builtin_copysignf(1.0f, x) : whole;
        }
        default: return __builtin_rintf(x);
    }
}

/* To an integer: what does not fit becomes the nearest that does, and NaN becomes 0. */
template <typename T> inline __attribute__((always_inline)) T to_integer(float x, RoundMode mode)
{
    const float whole = to_whole(x, mode);
    constexpr bool is_signed = T(-1) < T(0);
    constexpr double high = is_signed ? static_cast<double>((1ull << (sizeof(T) * 8 - 1)) - 1)
                                      : static_cast<double>(~0ull >> (64 - sizeof(T) * 8));
    constexpr double low = is_signed ? -high - 1 : 0;
    const double wide = whole;
    if (wide != wide) {
        return T(0);
    }
    return wide >= high ? static_cast<T>(is_signed ? (1ull << (sizeof(T) * 8 - 1)) - 1 : ~0ull >> (64 - sizeof(T) * 8))
                        : (wide <= low ? static_cast<T>(low) : static_cast<T>(wide));
}

/* To a float of half the width. The compiler rounds to nearest even; the other modes start from there. */
template <typename T> inline __attribute__((always_inline)) T to_narrow(float x, RoundMode mode)
{
    const T nearest = static_cast<T>(x);
    const float back = static_cast<float>(nearest);
    if (mode == RoundMode::CAST_NONE || mode == RoundMode::CAST_RINT || x != x || back == x) {
        return nearest;
    }
    uint16_t bits;
    __builtin_memcpy(&bits, &nearest, 2);
    const bool away = __builtin_fabsf(back) > __builtin_fabsf(x);
    /* The two neighbours: nearer to zero, and further from it. */
    const uint16_t inner = away ? static_cast<uint16_t>(bits - 1) : bits, outer = static_cast<uint16_t>(inner + 1);
    uint16_t chosen = bits;
    if (mode == RoundMode::CAST_TRUNC) {
        chosen = inner;
    } else if (mode == RoundMode::CAST_FLOOR) {
        chosen = x < 0 ? outer : inner;
    } else if (mode == RoundMode::CAST_CEIL) {
        chosen = x > 0 ? outer : inner;
    } else if (mode == RoundMode::CAST_ODD) {
        chosen = (inner & 1) ? inner : outer;
    } else {
        T a, b;
        __builtin_memcpy(&a, &inner, 2);
        __builtin_memcpy(&b, &outer, 2);
        const double half_way = (static_cast<double>(static_cast<float>(a)) + static_cast<float>(b)) / 2;
        chosen = __builtin_fabs(static_cast<double>(x)) >= __builtin_fabs(half_way) ? outer : inner;
    }
    T result;
    __builtin_memcpy(&result, &chosen, 2);
    return result;
}

template <typename D, typename S> inline __attribute__((always_inline)) D convert(S s, RoundMode mode)
{
    constexpr bool to_real = AscendC::IsReal<D>::value, from_real = AscendC::IsReal<S>::value;
    if constexpr (from_real && to_real) {
        if constexpr (AscendC::kSame<D, S>) {
            return static_cast<D>(to_whole(static_cast<float>(s), mode));
        } else if constexpr (sizeof(D) == 4) {
            return static_cast<float>(s);
        } else {
            return to_narrow<D>(static_cast<float>(s), mode);
        }
    } else if constexpr (from_real) {
        return to_integer<D>(static_cast<float>(s), mode);
    } else if constexpr (to_real) {
        if constexpr (sizeof(D) == 4) {
            return static_cast<D>(s);
        } else {
            return to_narrow<D>(static_cast<float>(s), mode);
        }
    } else {
        return static_cast<D>(s);
    }
}

} // namespace vinci

namespace AscendC {

template <typename D, typename S>
inline void cast_masked(const LocalTensor<D> &dst, const LocalTensor<S> &src, RoundMode how, const vinci::Mask &mask,
    uint32_t repeats, const UnaryRepeatParams &p)
{
    if constexpr (kSame<D, int4b_t>) {
        vinci::to_nibbles<S>(dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride, {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride},
            mask, repeats, [how](S s) { return vinci::convert<int8_t, S>(s, how); });
    } else if constexpr (kSame<S, int4b_t>) {
        vinci::from_nibbles<D>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, src.GetPhyAddr(), p.srcBlkStride,
            p.srcRepStride, mask, repeats);
    } else {
        vinci::masked1<D, S>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride},
            {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, mask, repeats, "Cast",
            [how](S s) { return vinci::convert<D, S>(s, how); });
    }
}

template <typename D, typename S>
inline void Cast(const LocalTensor<D> &dst, const LocalTensor<S> &src, const RoundMode &mode, const uint32_t count)
{
    const RoundMode how = mode;
    if constexpr (kSame<D, int4b_t> || kSame<S, int4b_t>) {
        /* Side by side: 128 elements of 16 bits beside 64 bytes of these. */
        vinci::Mask m;
        m.count = count;
        if (count != 0) {
            cast_masked(dst, src, how, m, 0, kSame<D, int4b_t> ? UnaryRepeatParams(1, 1, 2, 8) : UnaryRepeatParams(1, 1, 8, 2));
        }
    } else {
        vinci::flat1(dst.GetPhyAddr(), src.GetPhyAddr(), count, "Cast",
            [how](S s) __attribute__((always_inline)) { return vinci::convert<D, S>(s, how); });
    }
}
template <typename D, typename S, bool isSetMask = true>
inline void Cast(const LocalTensor<D> &dst, const LocalTensor<S> &src, const RoundMode &mode, const uint64_t mask,
    const uint8_t repeats, const UnaryRepeatParams &p)
{
    cast_masked(dst, src, mode, isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(), repeats, p);
}
template <typename D, typename S, bool isSetMask = true>
inline void Cast(const LocalTensor<D> &dst, const LocalTensor<S> &src, const RoundMode &mode, const uint64_t mask[],
    const uint8_t repeats, const UnaryRepeatParams &p)
{
    cast_masked(dst, src, mode, isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(), repeats, p);
}

} // namespace AscendC

#endif

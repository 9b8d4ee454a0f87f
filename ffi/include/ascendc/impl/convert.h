/* Conversions, comparisons and selection. */
#ifndef VINCI_ASCENDC_CONVERT_H
#define VINCI_ASCENDC_CONVERT_H

#include "lanes.h"
#include "vector.h"

namespace AscendC {

enum class RoundMode : uint8_t { CAST_NONE = 0, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };
enum class CMPMODE : uint8_t { LT = 0, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t { VSEL_CMPMASK_SPR = 0, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };

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

} // namespace vinci

namespace AscendC {

template <typename D, typename S>
inline void Cast(const LocalTensor<D> &dst, const LocalTensor<S> &src, const RoundMode &mode, const uint32_t count)
{
    const RoundMode how = mode;
    vinci::flat1(dst.GetPhyAddr(), src.GetPhyAddr(), count, "Cast",
        [how](S s) __attribute__((always_inline)) { return vinci::convert<D, S>(s, how); });
}
template <typename D, typename S, bool isSetMask = true>
inline void Cast(const LocalTensor<D> &dst, const LocalTensor<S> &src, const RoundMode &mode, const uint64_t mask,
    const uint8_t repeats, const UnaryRepeatParams &p)
{
    const RoundMode how = mode;
    vinci::masked1<D, S>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride},
        {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride},
        isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(), repeats, "Cast",
        [how](S s) { return vinci::convert<D, S>(s, how); });
}

/* A bit for each element, the first in the lowest bit of the first byte. */
template <typename T, typename U>
inline void Compare(const LocalTensor<U> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, CMPMODE mode, uint32_t count)
{
    const T *a = src0.GetPhyAddr(), *b = src1.GetPhyAddr();
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    vinci::check_ub(a, count * sizeof(T), "Compare");
    vinci::check_ub(b, count * sizeof(T), "Compare");
    vinci::check_ub(to, (count + 7) / 8, "Compare");
    for (uint32_t i = 0; i < count; i += 8) {
        uint8_t bits = 0;
        for (uint32_t k = 0; k < 8 && i + k < count; ++k) {
            bits |= static_cast<uint8_t>(vinci::compare(a[i + k], b[i + k], mode) << k);
        }
        to[i / 8] = bits;
    }
    vinci::charge_vector(count * sizeof(T));
}
template <typename T, typename U>
inline void CompareScalar(const LocalTensor<U> &dst, const LocalTensor<T> &src, const T scalar, CMPMODE mode, uint32_t count)
{
    const T *a = src.GetPhyAddr();
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    vinci::check_ub(a, count * sizeof(T), "CompareScalar");
    vinci::check_ub(to, (count + 7) / 8, "CompareScalar");
    for (uint32_t i = 0; i < count; i += 8) {
        uint8_t bits = 0;
        for (uint32_t k = 0; k < 8 && i + k < count; ++k) {
            bits |= static_cast<uint8_t>(vinci::compare(a[i + k], scalar, mode) << k);
        }
        to[i / 8] = bits;
    }
    vinci::charge_vector(count * sizeof(T));
}

/* src0 where the bit is set, else src1. */
template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &mask, const LocalTensor<T> &src0,
    const LocalTensor<T> &src1, SELMODE, uint32_t count)
{
    const auto *bits = reinterpret_cast<const uint8_t *>(mask.GetPhyAddr());
    vinci::check_ub(bits, (count + 7) / 8, "Select");
    vinci::check_ub(src0.GetPhyAddr(), count * sizeof(T), "Select");
    vinci::check_ub(src1.GetPhyAddr(), count * sizeof(T), "Select");
    vinci::check_ub(dst.GetPhyAddr(), count * sizeof(T), "Select");
    for (uint32_t i = 0; i < count; ++i) {
        dst.GetPhyAddr()[i] = (bits[i / 8] >> (i % 8)) & 1 ? src0.GetPhyAddr()[i] : src1.GetPhyAddr()[i];
    }
    vinci::charge_vector(count * sizeof(T));
}
template <typename T, typename U>
inline void Select(const LocalTensor<T> &dst, const LocalTensor<U> &mask, const LocalTensor<T> &src0, T scalar, SELMODE,
    uint32_t count)
{
    const auto *bits = reinterpret_cast<const uint8_t *>(mask.GetPhyAddr());
    vinci::check_ub(bits, (count + 7) / 8, "Select");
    vinci::check_ub(src0.GetPhyAddr(), count * sizeof(T), "Select");
    vinci::check_ub(dst.GetPhyAddr(), count * sizeof(T), "Select");
    for (uint32_t i = 0; i < count; ++i) {
        dst.GetPhyAddr()[i] = (bits[i / 8] >> (i % 8)) & 1 ? src0.GetPhyAddr()[i] : scalar;
    }
    vinci::charge_vector(count * sizeof(T));
}

} // namespace AscendC

#endif

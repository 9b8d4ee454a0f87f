/* Vector arithmetic. Each instruction has three forms: over a number of elements, under a mask that is a number of
 * lanes, and under a mask of bits. float16 and bfloat16 are computed in float32 and rounded to nearest even. */
#ifndef VINCI_ASCENDC_VECTOR_H
#define VINCI_ASCENDC_VECTOR_H

#include "copy.h"
#include "lanes.h"
#include "math.h"

namespace vinci {

/* The type that an element is computed in. */
template <typename T> struct Wide {
    using type = T;
};
template <> struct Wide<half> {
    using type = float;
};
template <> struct Wide<bfloat16_t> {
    using type = float;
};
template <typename T> using wide = typename Wide<T>::type;

/* Integers wrap: they are computed without a sign. */
template <typename T> struct Unsigned {
    using type = T;
};
template <> struct Unsigned<int8_t> {
    using type = uint8_t;
};
template <> struct Unsigned<int16_t> {
    using type = uint16_t;
};
template <> struct Unsigned<int32_t> {
    using type = uint32_t;
};
template <> struct Unsigned<int64_t> {
    using type = uint64_t;
};

template <typename T> inline __attribute__((always_inline)) T add(T a, T b)
{
    if constexpr (AscendC::IsReal<T>::value) {
        return static_cast<T>(static_cast<wide<T>>(a) + static_cast<wide<T>>(b));
    } else {
        using U = typename Unsigned<T>::type;
        return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    }
}
template <typename T> inline __attribute__((always_inline)) T sub(T a, T b)
{
    if constexpr (AscendC::IsReal<T>::value) {
        return static_cast<T>(static_cast<wide<T>>(a) - static_cast<wide<T>>(b));
    } else {
        using U = typename Unsigned<T>::type;
        return static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b)));
    }
}
template <typename T> inline __attribute__((always_inline)) T mul(T a, T b)
{
    if constexpr (AscendC::IsReal<T>::value) {
        return static_cast<T>(static_cast<wide<T>>(a) * static_cast<wide<T>>(b));
    } else {
        return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    }
}
template <typename T> inline __attribute__((always_inline)) T div(T a, T b)
{
    return static_cast<T>(static_cast<wide<T>>(a) / static_cast<wide<T>>(b));
}
/* A NaN in either operand is the result. */
template <typename T> inline __attribute__((always_inline)) T larger_of(T a, T b)
{
    const wide<T> x = a, y = b;
    return static_cast<T>(x > y || x != x ? x : y);
}
template <typename T> inline __attribute__((always_inline)) T smaller_of(T a, T b)
{
    const wide<T> x = a, y = b;
    return static_cast<T>(x < y || x != x ? x : y);
}
template <typename T> inline __attribute__((always_inline)) T relu(T a)
{
    const wide<T> x = a;
    return static_cast<T>(x > wide<T>(0) || x != x ? x : wide<T>(0));
}
/* Multiply and add with one rounding. */
template <typename T> inline __attribute__((always_inline)) T fused(T a, T b, T c)
{
    if constexpr (AscendC::kSame<T, float>) {
        return __builtin_fmaf(a, b, c);
    } else if constexpr (AscendC::IsReal<T>::value) {
        return static_cast<T>(__builtin_fmaf(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
    } else {
        return add(mul(a, b), c);
    }
}
/* Bits of 16-bit words, of whatever type the operands are. */
template <typename T> struct Bits {
    using type = uint16_t;
};

} // namespace vinci

namespace AscendC {

#define VINCI_BINARY(NAME, PASSES, EXPRESSION) \
    template <typename T> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, const int32_t &count) \
    { \
        vinci::flat2(dst.GetPhyAddr(), src0.GetPhyAddr(), src1.GetPhyAddr(), count, #NAME, \
            [](T a, T b, [[maybe_unused]] T d) __attribute__((always_inline)) { return EXPRESSION; }, PASSES); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, uint64_t mask, \
        const uint8_t repeats, const BinaryRepeatParams &p) \
    { \
        const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(); \
        vinci::masked2<T, T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, {src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride}, \
            m, repeats, #NAME, [](T a, T b, [[maybe_unused]] T d) { return EXPRESSION; }, PASSES); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<T> &src1, uint64_t mask[], \
        const uint8_t repeats, const BinaryRepeatParams &p) \
    { \
        const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(); \
        vinci::masked2<T, T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, {src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride}, \
            m, repeats, #NAME, [](T a, T b, [[maybe_unused]] T d) { return EXPRESSION; }, PASSES); \
    }

VINCI_BINARY(Add, 1, vinci::add(a, b))
VINCI_BINARY(Sub, 1, vinci::sub(a, b))
VINCI_BINARY(Mul, 1, vinci::mul(a, b))
VINCI_BINARY(Div, 2, vinci::div(a, b))
VINCI_BINARY(Max, 1, vinci::larger_of(a, b))
VINCI_BINARY(Min, 1, vinci::smaller_of(a, b))
VINCI_BINARY(AddRelu, 1, vinci::relu(vinci::add(a, b)))
VINCI_BINARY(SubRelu, 1, vinci::relu(vinci::sub(a, b)))
VINCI_BINARY(FusedMulAdd, 1, vinci::fused(a, d, b))
VINCI_BINARY(FusedMulAddRelu, 1, vinci::relu(vinci::fused(a, d, b)))
VINCI_BINARY(And, 1, static_cast<T>(a & b))
VINCI_BINARY(Or, 1, static_cast<T>(a | b))
#undef VINCI_BINARY

/* dst += src0 * src1, where dst may be wider. */
template <typename T, typename U>
inline void MulAddDst(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, const int32_t &count)
{
    vinci::flat2(dst.GetPhyAddr(), src0.GetPhyAddr(), src1.GetPhyAddr(), count, "MulAddDst",
        [](U a, U b, T d) { return vinci::fused(static_cast<T>(a), static_cast<T>(b), d); });
}
template <typename T, typename U>
inline void MulAddDst(const LocalTensor<T> &dst, const LocalTensor<U> &src0, const LocalTensor<U> &src1, uint64_t mask,
    const uint8_t repeats, const BinaryRepeatParams &p)
{
    vinci::masked2<T, U, U>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride},
        {src0.GetPhyAddr(), p.src0BlkStride, p.src0RepStride}, {src1.GetPhyAddr(), p.src1BlkStride, p.src1RepStride},
        vinci::Mask::first(mask), repeats, "MulAddDst",
        [](U a, U b, T d) { return vinci::fused(static_cast<T>(a), static_cast<T>(b), d); });
}

#define VINCI_UNARY(NAME, PASSES, EXPRESSION) \
    template <typename T> inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const int32_t &count) \
    { \
        vinci::flat1(dst.GetPhyAddr(), src.GetPhyAddr(), count, #NAME, \
            [](T a) __attribute__((always_inline)) { return EXPRESSION; }, PASSES); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint64_t mask, const uint8_t repeats, \
        const UnaryRepeatParams &p) \
    { \
        const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(); \
        vinci::masked1<T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, m, repeats, #NAME, [](T a) { return EXPRESSION; }, PASSES); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint64_t mask[], const uint8_t repeats, \
        const UnaryRepeatParams &p) \
    { \
        const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(); \
        vinci::masked1<T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, m, repeats, #NAME, [](T a) { return EXPRESSION; }, PASSES); \
    }

VINCI_UNARY(Relu, 1, vinci::relu(a))
VINCI_UNARY(Exp, 4, static_cast<T>(vinci::exp(static_cast<float>(a))))
VINCI_UNARY(Ln, 4, static_cast<T>(vinci::log(static_cast<float>(a))))
VINCI_UNARY(Abs, 1, static_cast<T>(a < T(0) || (a == T(0)) ? (a == T(0) ? T(0) : T(-a)) : a))
VINCI_UNARY(Reciprocal, 1, static_cast<T>(1.0f / static_cast<float>(a)))
VINCI_UNARY(Sqrt, 4, static_cast<T>(__builtin_sqrtf(static_cast<float>(a))))
VINCI_UNARY(Rsqrt, 1, static_cast<T>(1.0f / __builtin_sqrtf(static_cast<float>(a))))
VINCI_UNARY(Not, 1, static_cast<T>(~a))
VINCI_UNARY(Neg, 1, vinci::sub(T(0), a))
#undef VINCI_UNARY

#define VINCI_SCALAR(NAME, EXPRESSION) \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, const int32_t &count) \
    { \
        const T b = scalar; \
        vinci::flat1(dst.GetPhyAddr(), src.GetPhyAddr(), count, #NAME, \
            [b](T a) __attribute__((always_inline)) { return EXPRESSION; }); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, uint64_t mask, \
        const uint8_t repeats, const UnaryRepeatParams &p) \
    { \
        const T b = scalar; \
        const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current(); \
        vinci::masked1<T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, m, repeats, #NAME, [b](T a) { return EXPRESSION; }); \
    } \
    template <typename T, bool isSetMask = true> \
    inline void NAME(const LocalTensor<T> &dst, const LocalTensor<T> &src, const T &scalar, uint64_t mask[], \
        const uint8_t repeats, const UnaryRepeatParams &p) \
    { \
        const T b = scalar; \
        const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current(); \
        vinci::masked1<T, T>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride}, \
            {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, m, repeats, #NAME, [b](T a) { return EXPRESSION; }); \
    }

VINCI_SCALAR(Adds, vinci::add(a, b))
VINCI_SCALAR(Muls, vinci::mul(a, b))
VINCI_SCALAR(Maxs, vinci::larger_of(a, b))
VINCI_SCALAR(Mins, vinci::smaller_of(a, b))
VINCI_SCALAR(LeakyRelu, static_cast<T>(a >= T(0) ? a : vinci::mul(a, b)))
VINCI_SCALAR(ShiftLeft, static_cast<T>(a << b))
VINCI_SCALAR(ShiftRight, static_cast<T>(a >> b))
#undef VINCI_SCALAR

/* dst += src * scalar. */
template <typename T, typename U>
inline void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalar, const int32_t &count)
{
    const T b = static_cast<T>(scalar);
    vinci::flat2(dst.GetPhyAddr(), src.GetPhyAddr(), src.GetPhyAddr(), count, "Axpy",
        [b](U a, U, T d) { return vinci::fused(static_cast<T>(a), b, d); });
}
template <typename T, typename U>
inline void Axpy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const U &scalar, uint64_t mask,
    const uint8_t repeats, const UnaryRepeatParams &p)
{
    const T b = static_cast<T>(scalar);
    vinci::masked2<T, U, U>({dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride},
        {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride}, {src.GetPhyAddr(), p.srcBlkStride, p.srcRepStride},
        vinci::Mask::first(mask), repeats, "Axpy", [b](U a, U, T d) { return vinci::fused(static_cast<T>(a), b, d); });
}

template <typename T> inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, const int32_t &count)
{
    const T value = scalar;
    T *d = dst.GetPhyAddr();
    vinci::check_ub(d, count * sizeof(T), "Duplicate");
    VINCI_LANES for (int32_t i = 0; i < count; ++i) { d[i] = value; }
    vinci::charge_vector(count * sizeof(T));
}
template <typename T, bool isSetMask = true>
inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, uint64_t mask, const uint8_t repeats,
    const uint16_t block, const uint8_t repeat)
{
    const T value = scalar;
    const auto m = isSetMask ? vinci::Mask::first(mask) : vinci::Mask::current();
    vinci::masked1<T, T>({dst.GetPhyAddr(), block, repeat}, {dst.GetPhyAddr(), block, repeat}, m, repeats, "Duplicate",
        [value](T) { return value; });
}
template <typename T, bool isSetMask = true>
inline void Duplicate(const LocalTensor<T> &dst, const T &scalar, uint64_t mask[], const uint8_t repeats,
    const uint16_t block, const uint8_t repeat)
{
    const T value = scalar;
    const auto m = isSetMask ? vinci::Mask::bits(mask) : vinci::Mask::current();
    vinci::masked1<T, T>({dst.GetPhyAddr(), block, repeat}, {dst.GetPhyAddr(), block, repeat}, m, repeats, "Duplicate",
        [value](T) { return value; });
}

template <typename T, bool isSetMask = true>
inline void Copy(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint64_t mask, const uint8_t repeats,
    const CopyRepeatParams &p)
{
    vinci::masked1<T, T>({dst.GetPhyAddr(), p.dstStride, p.dstRepeatSize}, {src.GetPhyAddr(), p.srcStride, p.srcRepeatSize},
        vinci::Mask::first(mask), repeats, "Copy", [](T a) { return a; });
}

/* The numbers from `first` on. */
template <typename T> inline void CreateVecIndex(const LocalTensor<T> &dst, const T &first, uint32_t count)
{
    T *d = dst.GetPhyAddr();
    vinci::check_ub(d, count * sizeof(T), "CreateVecIndex");
    for (uint32_t i = 0; i < count; ++i) {
        d[i] = static_cast<T>(static_cast<vinci::wide<T>>(first) + static_cast<vinci::wide<T>>(static_cast<int32_t>(i)));
    }
    vinci::charge_vector(count * sizeof(T));
}
template <typename T>
inline void ArithProgression(const LocalTensor<T> &dst, const T first, const T step, const int32_t count)
{
    T *d = dst.GetPhyAddr();
    vinci::check_ub(d, count * sizeof(T), "ArithProgression");
    for (int32_t i = 0; i < count; ++i) {
        d[i] = static_cast<T>(static_cast<vinci::wide<T>>(first) + static_cast<vinci::wide<T>>(step) * static_cast<vinci::wide<T>>(i));
    }
    vinci::charge_vector(count * sizeof(T));
}

/* Each of the source's first 8 * repeats elements fills a block of 32 bytes. */
struct BrcbRepeatParams {
    BrcbRepeatParams() = default;
    BrcbRepeatParams(const uint16_t block, const uint16_t repeat) : dstBlkStride(block), dstRepStride(repeat) {}
    uint32_t blockNumber = 8;
    uint16_t dstBlkStride = 1;
    uint16_t dstRepStride = 8;
};
template <typename T>
inline void Brcb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const uint8_t repeats, const BrcbRepeatParams &p)
{
    vinci::Operand<T> d{dst.GetPhyAddr(), p.dstBlkStride, p.dstRepStride};
    constexpr uint32_t lanes = 256 / sizeof(T);
    d.check(repeats, lanes, "Brcb");
    vinci::check_ub(src.GetPhyAddr(), repeats * 8 * sizeof(T), "Brcb");
    for (uint32_t r = 0; r < repeats; ++r) {
        for (uint32_t l = 0; l < lanes; ++l) {
            *d.at(r, l) = src.GetPhyAddr()[r * 8 + l / (32 / sizeof(T))];
        }
    }
    vinci::charge_vector(repeats * 256);
}

} // namespace AscendC

#endif

/* The cube: products of fractals. L0C holds 16 by 16 elements per fractal, columns of fractals one after the other.
 *
 * Products are exact and summed in float (with one rounding per step, along k) or in int32, which wraps. */
#ifndef VINCI_ASCENDC_CUBE_H
#define VINCI_ASCENDC_CUBE_H

#include "load.h"

namespace AscendC {

struct MmadParams {
    MmadParams() = default;
    MmadParams(uint16_t rows, uint16_t columns, uint16_t depth, uint8_t flag, bool source, bool zero)
        : m(rows), n(columns), k(depth), unitFlag(flag), cmatrixSource(source), cmatrixInitVal(zero)
    {
    }
    MmadParams(uint16_t rows, uint16_t columns, uint16_t depth, bool bias, int32_t offset, bool sparse, bool winogradA, bool winogradB)
        : m(rows), n(columns), k(depth), isBias(bias), fmOffset(offset), enSsparse(sparse), enWinogradA(winogradA), enWinogradB(winogradB)
    {
    }
    uint16_t m = 0;
    uint16_t n = 0;
    uint16_t k = 0;
    bool isBias = false;
    int32_t fmOffset = 0;
    bool enSsparse = false;
    bool enWinogradA = false;
    bool enWinogradB = false;
    uint8_t unitFlag = 0;
    bool kDirectionAlign = false;
    bool cmatrixSource = false;
    bool cmatrixInitVal = true;
    bool disableGemv = false;
};

} // namespace AscendC

namespace vinci {

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
template <typename C> struct Row {
    using type = Floats;
};
template <> struct Row<int32_t> {
    using type = Ints;
};

/* How much of a product is made ready at a time, in elements: rows, columns, depth. */
constexpr uint32_t kTileRows = 256, kTileColumns = 256, kTileDepth = 64;

/* Where in L0A, or (with columns for rows) in L0B, the 32 bytes of depth `k` in row `r` are. */
template <typename T> inline const uint8_t *lane_of(const void *base, uint32_t r, uint32_t k, uint64_t rowStep, uint64_t depthStep)
{
    return static_cast<const uint8_t *>(base) + r / 16 * rowStep + k / kC0<T> * depthStep + r % 16 * 32;
}

template <typename T, typename C> inline __attribute__((always_inline)) C element(const uint8_t *lane, uint32_t k)
{
    if constexpr (AscendC::kSame<T, AscendC::int4b_t>) {
        const auto byte = static_cast<int8_t>(lane[k / 2]);
        return k % 2 == 0 ? static_cast<int8_t>(byte << 4) >> 4 : byte >> 4;
    } else {
        return static_cast<C>(reinterpret_cast<const T *>(lane)[k]);
    }
}

/* C's 16 rows of 16 columns += A's 16 rows (`a[row * kTileDepth + k]`) times B's columns (`b[k * kTileColumns + column]`). */
template <typename C> inline __attribute__((always_inline)) void fractal_product(C *c, const C *a, const C *b, uint32_t depth)
{
    using R = typename Row<C>::type;
    auto *rows = reinterpret_cast<R *>(c);
    R sum[16];
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < 16; ++i) {
        sum[i] = rows[i];
    }
    for (uint32_t k = 0; k < depth; ++k) {
        const R right = *reinterpret_cast<const R *>(b + k * kTileColumns);
#pragma clang loop unroll(full)
        for (uint32_t i = 0; i < 16; ++i) {
            const C left = a[i * kTileDepth + k];
            if constexpr (AscendC::kSame<C, float>) {
                const R l = {left, left, left, left, left, left, left, left, left, left, left, left, left, left, left, left};
                sum[i] = __builtin_elementwise_fma(l, right, sum[i]);
            } else {
                sum[i] += left * right;
            }
        }
    }
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < 16; ++i) {
        rows[i] = sum[i];
    }
}

/* A's and B's elements as the product takes them. Steps are bytes from a row of fractals to the next, and from a
 * fractal to the next in depth. */
struct Steps {
    uint64_t leftRow;
    uint64_t leftDepth;
    uint64_t rightRow;
    uint64_t rightDepth;
    bool vector; /* A is one row, whose elements lie side by side */
};

template <typename C, typename T>
inline __attribute__((noinline)) void product(C *c, const void *a, const void *b, uint32_t m, uint32_t n, uint32_t k, const Steps &s)
{
    alignas(64) C left[kTileRows * kTileDepth];
    alignas(64) C right[kTileDepth * kTileColumns];
    const uint32_t m16 = (m + 15) / 16 * 16, n16 = (n + 15) / 16 * 16;
    constexpr uint32_t c0 = kC0<T>;
    for (uint32_t n0 = 0; n0 < n16; n0 += kTileColumns) {
        const uint32_t columns = n16 - n0 < kTileColumns ? n16 - n0 : kTileColumns;
        for (uint32_t k0 = 0; k0 < k; k0 += kTileDepth) {
            const uint32_t depth = k - k0 < kTileDepth ? k - k0 : kTileDepth;
            for (uint32_t j = 0; j < columns; ++j) {
                for (uint32_t d = 0; d < depth; d += c0) {
                    const uint8_t *lane = lane_of<T>(b, n0 + j, k0 + d, s.rightRow, s.rightDepth);
                    const uint32_t count = depth - d < c0 ? depth - d : c0;
                    for (uint32_t i = 0; i < count; ++i) {
                        right[(d + i) * kTileColumns + j] = element<T, C>(lane, i);
                    }
                }
            }
            for (uint32_t m0 = 0; m0 < m16; m0 += kTileRows) {
                const uint32_t rows = m16 - m0 < kTileRows ? m16 - m0 : kTileRows;
                for (uint32_t i = 0; i < rows; ++i) {
                    for (uint32_t d = 0; d < depth; d += c0) {
                        const uint32_t count = depth - d < c0 ? depth - d : c0;
                        const uint8_t *lane = s.vector ? static_cast<const uint8_t *>(a) + (k0 + d) / c0 * 32
                                                       : lane_of<T>(a, m0 + i, k0 + d, s.leftRow, s.leftDepth);
                        for (uint32_t e = 0; e < count; ++e) {
                            left[i * kTileDepth + d + e] = element<T, C>(lane, e);
                        }
                    }
                    if (s.vector) {
                        break;
                    }
                }
                for (uint32_t j = 0; j < columns; j += 16) {
                    for (uint32_t i = 0; i < rows; i += 16) {
                        C *to = c + ((n0 + j) / 16 * (m16 / 16) + (m0 + i) / 16) * 256ull;
                        if (s.vector) {
                            /* The other 15 rows of the fractal are nobody's. */
                            for (uint32_t x = 0; x < 16; ++x) {
                                C sum = to[x];
                                for (uint32_t d = 0; d < depth; ++d) {
                                    if constexpr (AscendC::kSame<C, float>) {
                                        sum = __builtin_fmaf(left[d], right[d * kTileColumns + j + x], sum);
                                    } else {
                                        sum += left[d] * right[d * kTileColumns + j + x];
                                    }
                                }
                                to[x] = sum;
                            }
                        } else {
                            fractal_product<C>(to, left + i * kTileDepth, right + j, depth);
                        }
                    }
                }
            }
        }
    }
}

/* C's elements before the product: zero, or a row of biases. */
template <typename C> inline void begin_product(C *c, const C *bias, uint32_t m, uint32_t n)
{
    const uint32_t m16 = (m + 15) / 16 * 16, n16 = (n + 15) / 16 * 16;
    for (uint32_t j = 0; j < n16; j += 16) {
        C *to = c + static_cast<uint64_t>(j) * m16;
        for (uint32_t i = 0; i < m16; ++i) {
            for (uint32_t x = 0; x < 16; ++x) {
                to[i * 16 + x] = bias == nullptr ? C(0) : bias[j + x];
            }
        }
    }
}

/* Multiply-adds per cycle of the cube for a type. */
template <typename T> inline double cube_rate()
{
    return core()->rates[sizeof(T) == 4 ? kCubeFloat : (sizeof(T) == 1 ? kCubeInt8 : kCubeHalf)];
}

template <typename C, typename T>
inline void mmad(C *c, const T *a, const T *b, const C *bias, const AscendC::MmadParams &p, const char *name)
{
    if (p.m == 0 || p.n == 0 || p.k == 0) {
        return;
    }
    constexpr uint32_t c0 = kC0<T>;
    if (p.m > 4095 || p.n > 4095 || p.k > 4095) {
        fail(kShape, 3, p.m > p.n ? (p.m > p.k ? p.m : p.k) : (p.n > p.k ? p.n : p.k), 4095, 0, name);
    }
    const uint64_t m16 = (p.m + 15) / 16, n16 = (p.n + 15) / 16;
    uint64_t depth = (p.k + c0 - 1) / c0;
    if (sizeof(T) == 4 && p.kDirectionAlign) {
        depth = (p.k + 15) / 16 * 2;
    }
    const bool vector = p.m == 1 && !p.disableGemv;
    const Steps steps{depth * kFractal, kFractal, kFractal, n16 * kFractal, vector};
    const uint64_t left = vector ? ((p.k + c0 - 1) / c0 + 15) / 16 * kFractal : m16 * depth * kFractal;
    check_local(kL0A, a, left, 512, name);
    check_local(kL0B, b, ((p.k + c0 - 1) / c0) * n16 * kFractal, 512, name);
    check_local(kL0C, c, m16 * n16 * 1024, 1024, name);
    if (bias != nullptr) {
        check_local(kBt, bias, p.n * 4ull, 64, name);
        begin_product(c, bias, p.m, p.n);
    } else if (p.cmatrixInitVal && !p.isBias) {
        begin_product<C>(c, nullptr, p.m, p.n);
    }
    product<C, T>(c, a, b, p.m, p.n, p.k, steps);
    const double work = static_cast<double>(m16 * 16) * static_cast<double>(n16 * 16) * static_cast<double>((p.k + c0 - 1) / c0 * c0);
    charge(kM, core()->rates[kCubeStart] + work / cube_rate<T>());
}

} // namespace vinci

namespace AscendC {

/* C = A * B, or C += A * B; the biases, if some are wanted, begin the bias table. */
template <typename C, typename A, typename B>
inline void Mmad(const LocalTensor<C> &dst, const LocalTensor<A> &fm, const LocalTensor<B> &filter, const MmadParams &p)
{
    static_assert(kSame<A, B>, "both sides have one type");
    const C *bias = !p.cmatrixInitVal && p.cmatrixSource ? reinterpret_cast<const C *>(vinci::core()->local[vinci::kBt]) : nullptr;
    vinci::mmad<C, A>(dst.GetPhyAddr(), fm.GetPhyAddr(), filter.GetPhyAddr(), bias, p, "Mmad");
}
template <typename C, typename A, typename B, typename D>
inline void Mmad(const LocalTensor<C> &dst, const LocalTensor<A> &fm, const LocalTensor<B> &filter, const LocalTensor<D> &bias, const MmadParams &p)
{
    static_assert(kSame<A, B> && kSame<C, D>, "both sides have one type, and biases the product's");
    vinci::mmad<C, A>(dst.GetPhyAddr(), fm.GetPhyAddr(), filter.GetPhyAddr(),
        local_of(bias.GetPosition()) == vinci::kBt ? bias.GetPhyAddr() : nullptr, p, "Mmad");
}

/* The order in which the chip walks C, and the precision of its float32 products: neither changes results here. */
inline void SetMMColumnMajor() {}
inline void SetMMRowMajor() {}
inline void SetHF32Mode(bool) {}
inline void SetHF32TransMode(bool) {}

} // namespace AscendC

#endif

/* Products with a matrix of which two in four elements are zero. It comes as the other two, and two bits for each of them
 * that say where it was: the first is at that place of the four, the second at the place behind it. Values go to L0B, and
 * the bits to a memory of their own, whose bytes 128 i to 128 i + 127 belong to fractal i of L0B. */
#ifndef VINCI_ASCENDC_SPARSE_H
#define VINCI_ASCENDC_SPARSE_H

#include "cube.h"

namespace AscendC {

/* Fractals that lie side by side, with their indices. */
template <typename T = int8_t, typename U = uint8_t>
inline void LoadDataWithSparse(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<U> &idx, const LoadData2DParams &p)
{
    static_assert(sizeof(T) == 1 && sizeof(U) == 1, "elements of eight bits");
    constexpr uint64_t indices = vinci::kFractal / 4;
    if (p.repeatTimes == 0) {
        return;
    }
    vinci::Core *c = vinci::core();
    const auto *from = reinterpret_cast<const uint8_t *>(src.GetPhyAddr()) + p.startIndex * vinci::kFractal;
    const auto *which = reinterpret_cast<const uint8_t *>(idx.GetPhyAddr()) + p.startIndex * indices;
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    vinci::check_local(vinci::kL0B, to, p.repeatTimes * vinci::kFractal, vinci::kFractal, "LoadDataWithSparse");
    vinci::check_local(vinci::kL1, from, p.repeatTimes * vinci::kFractal, 32, "LoadDataWithSparse");
    vinci::check_local(vinci::kL1, which, p.repeatTimes * indices, 32, "LoadDataWithSparse");
    __builtin_memcpy(to, from, p.repeatTimes * vinci::kFractal);
    __builtin_memcpy(c->chosen + (reinterpret_cast<uint64_t>(to) - c->local[vinci::kL0B]) / 4, which, p.repeatTimes * indices);
    vinci::charge_load(vinci::kL0B, p.repeatTimes * (vinci::kFractal + indices));
}

} // namespace AscendC

namespace vinci {

/* Fractals of 16 columns and 32 of the depth become two each, with zeros in their places. */
inline void spread(int8_t *to, const int8_t *values, const uint8_t *which, uint32_t fractals)
{
    __builtin_memset(to, 0, fractals * 2 * kFractal);
    for (uint32_t f = 0; f < fractals; ++f) {
        for (uint32_t i = 0; i < kFractal; ++i) {
            const uint32_t column = i / 32, value = i % 32;
            const uint32_t place = value / 2 * 4 + value % 2 + (which[(f * kFractal + i) / 4] >> (i % 4 * 2) & 3);
            /* Only the last place can be meant by a three, of a second element. */
            if (place / 4 == value / 2) {
                to[(place / 32 * fractals + f) * kFractal + column * 32 + place % 32] = values[f * kFractal + i];
            }
        }
    }
}

} // namespace vinci

namespace AscendC {

/* C = A * B, or C += A * B, with B as LoadDataWithSparse left it; `k` counts the columns of A. */
template <typename C = int32_t, typename A = int8_t, typename B = int8_t>
inline void MmadWithSparse(const LocalTensor<C> &dst, const LocalTensor<A> &fm, const LocalTensor<B> &filter, const MmadParams &p)
{
    static_assert(kSame<A, int8_t> && kSame<B, int8_t> && kSame<C, int32_t>, "bytes, and sums of 32 bits");
    constexpr const char *name = "MmadWithSparse";
    constexpr uint32_t most = 16;
    if (p.m == 0 || p.n == 0 || p.k == 0) {
        return;
    }
    if (p.m > 4095 || p.n > 4095 || p.k > 4095 || p.k % 64 != 0) {
        vinci::fail(vinci::kShape, 3, p.k, 4095, 0, name);
    }
    const uint64_t m16 = (p.m + 15) / 16, n16 = (p.n + 15) / 16, depth = p.k / 32;
    vinci::check_local(vinci::kL0A, fm.GetPhyAddr(), m16 * depth * vinci::kFractal, 512, name);
    vinci::check_local(vinci::kL0B, filter.GetPhyAddr(), depth / 2 * n16 * vinci::kFractal, 512, name);
    vinci::check_local(vinci::kL0C, dst.GetPhyAddr(), m16 * n16 * 1024, 1024, name);
    if (p.cmatrixInitVal && !p.isBias) {
        vinci::begin_product<C>(dst.GetPhyAddr(), nullptr, p.m, p.n);
    }
    const vinci::Core *c = vinci::core();
    const uint8_t *which = c->chosen + (reinterpret_cast<uint64_t>(filter.GetPhyAddr()) - c->local[vinci::kL0B]) / 4;
    alignas(64) int8_t whole[2 * most * vinci::kFractal];
    for (uint64_t n = 0; n < n16; n += most) {
        const auto columns = static_cast<uint32_t>(n16 - n < most ? n16 - n : most);
        for (uint64_t k = 0; k < depth / 2; ++k) {
            const uint64_t fractal = k * n16 + n;
            vinci::spread(whole, filter.GetPhyAddr() + fractal * vinci::kFractal, which + fractal * vinci::kFractal / 4, columns);
            const vinci::Steps steps{depth * vinci::kFractal, vinci::kFractal, vinci::kFractal, columns * vinci::kFractal, false};
            vinci::product<C, A>(dst.GetPhyAddr() + n * m16 * 256, fm.GetPhyAddr() + k * 2 * vinci::kFractal, whole, p.m, columns * 16, 64, steps);
        }
    }
    const double work = static_cast<double>(m16 * 16) * static_cast<double>(n16 * 16) * p.k / 2;
    vinci::charge(vinci::kM, c->rates[vinci::kCubeStart] + work / vinci::cube_rate<A>());
}

} // namespace AscendC

#endif

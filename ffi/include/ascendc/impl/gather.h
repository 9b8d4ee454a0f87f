/* Elements by address, and by a mask. */
#ifndef VINCI_ASCENDC_GATHER_H
#define VINCI_ASCENDC_GATHER_H

#include "reduce.h"

namespace AscendC {

struct GatherRepeatParams {
    GatherRepeatParams() = default;
    GatherRepeatParams(const uint8_t block, const uint8_t repeat) : dstBlkStride(block), dstRepStride(repeat) {}
    uint32_t blockNumber = 8;
    uint16_t dstRepStride = 8;
    uint8_t dstBlkStride = 1;
    uint8_t src0BlkStride = 1;
    uint8_t src0RepStride = 8;
    uint8_t src1BlkStride = 1;
    uint8_t src1RepStride = 8;
    bool repeatStrideMode = false;
    bool strideSizeMode = false;
};

struct GatherMaskParams {
    GatherMaskParams() = default;
    GatherMaskParams(const uint8_t block, const uint16_t repeats, const uint16_t src0Repeat, const uint8_t src1Repeat)
        : src0BlockStride(block), repeatTimes(repeats), src0RepeatStride(src0Repeat), src1RepeatStride(src1Repeat)
    {
    }
    uint8_t src0BlockStride = 1;
    uint16_t repeatTimes = 0;
    uint16_t src0RepeatStride = 8;
    uint8_t src1RepeatStride = 8;
};
enum class GatherMaskMode : uint8_t { VERSION_V1 = 0, VERSION_V2 = 1 };
constexpr GatherMaskMode defaultGatherMaskMode = GatherMaskMode::VERSION_V1;

} // namespace AscendC

namespace vinci {

/* An element `offset` bytes from `base` on. */
template <typename T> inline __attribute__((always_inline)) T *element_at(T *base, uint64_t offset, const char *name)
{
    auto *p = reinterpret_cast<T *>(reinterpret_cast<uint64_t>(base) + offset);
    check_ub(p, sizeof(T), name, sizeof(T));
    return p;
}

template <typename T>
inline void gather(T *dst, const T *src, const uint32_t *offsets, uint32_t base, const Mask &mask, uint32_t repeats, uint32_t stride)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Extent e = extent(mask, repeats, lanes);
    const Operand<T> d{dst, 1, stride};
    d.check(e.repeats, e.lanes, "Gather");
    check_ub(offsets, e.repeats == 0 ? 0 : ((e.repeats - 1) * lanes + e.lanes) * 4ull, "Gather");
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        *d.at(r, l) = *element_at(src, static_cast<uint64_t>(base) + offsets[r * lanes + l], "Gather");
    });
    charge_vector(e.repeats * 256ull, sizeof(T) == 4 ? 4 : 8);
}

template <typename T>
inline void scatter(T *dst, const T *src, const uint32_t *offsets, uint32_t base, const Mask &mask, uint32_t repeats, uint32_t stride)
{
    constexpr uint32_t lanes = 256 / sizeof(T);
    const Extent e = extent(mask, repeats, lanes);
    const Operand<const T> s{src, 1, stride};
    s.check(e.repeats, e.lanes, "Scatter");
    check_ub(offsets, e.repeats == 0 ? 0 : ((e.repeats - 1) * lanes + e.lanes) * 4ull, "Scatter");
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        *element_at(dst, static_cast<uint64_t>(base) + offsets[r * lanes + l], "Scatter") = *s.at(r, l);
    });
    charge_vector(e.repeats * 256ull, sizeof(T) == 4 ? 4 : 8);
}

/* Packs the elements that `chosen(repeat, element)` names; their number. */
template <typename T, class F>
inline uint64_t gather_mask(T *dst, const T *src, bool counter, uint32_t mask, const AscendC::GatherMaskParams &p, const F &chosen)
{
    constexpr uint32_t per = 32 / sizeof(T);
    const uint32_t elements = counter ? mask : 8 * per;
    if (p.repeatTimes == 0 || elements == 0) {
        return 0;
    }
    const uint64_t blocks = (elements + per - 1) / per;
    check_ub(src, ((p.repeatTimes - 1) * static_cast<uint64_t>(p.src0RepeatStride) + (blocks - 1) * p.src0BlockStride) * 32 + 32, "GatherMask");
    uint64_t count = 0;
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        for (uint32_t i = 0; i < elements; ++i) {
            if (chosen(r, i)) {
                const T v = src[(r * static_cast<uint64_t>(p.src0RepeatStride) + i / per * p.src0BlockStride) * per + i % per];
                check_ub(dst + count, sizeof(T), "GatherMask", sizeof(T));
                dst[count++] = v;
            }
        }
    }
    /* The instruction leaves the mode of masks that are bits. */
    core()->scratch[kMaskCount] = 0;
    charge_vector(p.repeatTimes * blocks * 32, 2);
    return count;
}

} // namespace vinci

namespace AscendC {

template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint32_t count)
{
    if (count != 0) {
        vinci::gather(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::counted(count), 0, 8);
    }
}
template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint64_t mask, const uint8_t repeatTime, const uint16_t dstRepStride)
{
    vinci::gather(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::Mask::first(mask), repeatTime, dstRepStride);
}
template <typename T>
inline void Gather(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint64_t mask[], const uint8_t repeatTime, const uint16_t dstRepStride)
{
    vinci::gather(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::Mask::bits(mask), repeatTime, dstRepStride);
}

template <typename T>
inline void Scatter(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint32_t count)
{
    if (count != 0) {
        vinci::scatter(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::counted(count), 0, 8);
    }
}
template <typename T>
inline void Scatter(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint64_t mask, const uint8_t repeatTime, const uint8_t srcRepStride)
{
    vinci::scatter(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::Mask::first(mask), repeatTime, srcRepStride);
}
template <typename T>
inline void Scatter(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint32_t base, const uint64_t mask[], const uint8_t repeatTime, const uint8_t srcRepStride)
{
    vinci::scatter(dst.GetPhyAddr(), src.GetPhyAddr(), offset.GetPhyAddr(), base, vinci::Mask::bits(mask), repeatTime, srcRepStride);
}

/* Blocks of 32 bytes, eight per repeat. */
template <typename T>
inline void Gatherb(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint32_t> &offset,
    const uint8_t repeatTime, const GatherRepeatParams &p)
{
    const uint32_t block = p.dstBlkStride == 0 ? 1 : p.dstBlkStride;
    const vinci::Operand<T> d{dst.GetPhyAddr(), block, p.dstRepStride};
    d.check(repeatTime, 256 / sizeof(T), "Gatherb");
    vinci::check_ub(offset.GetPhyAddr(), repeatTime * 32ull, "Gatherb");
    for (uint32_t r = 0; r < repeatTime; ++r) {
        for (uint32_t b = 0; b < 8; ++b) {
            const uint8_t *from = reinterpret_cast<const uint8_t *>(src.GetPhyAddr()) + offset.GetPhyAddr()[r * 8 + b];
            vinci::check_ub(from, 32, "Gatherb");
            __builtin_memmove(d.at(r, b * (32 / sizeof(T))), from, 32);
        }
    }
    vinci::charge_vector(repeatTime * 256ull);
}

template <typename T, GatherMaskMode mode = defaultGatherMaskMode>
inline void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const uint8_t src1Pattern, const bool reduceMode,
    const uint32_t mask, const GatherMaskParams &params, uint64_t &rsvdCnt)
{
    if (src1Pattern < 1 || src1Pattern > 7) {
        vinci::fail(vinci::kShape, 3, src1Pattern, 7, 0, "GatherMask");
    }
    rsvdCnt = vinci::gather_mask(dst.GetPhyAddr(), src0.GetPhyAddr(), reduceMode, mask, params, [=](uint32_t, uint32_t i) {
        return src1Pattern == 7 || (src1Pattern < 3 ? i % 2 == src1Pattern - 1u : i % 4 == src1Pattern - 3u);
    });
}
template <typename T, typename U, GatherMaskMode mode = defaultGatherMaskMode>
inline void GatherMask(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<U> &src1Pattern,
    const bool reduceMode, const uint32_t mask, const GatherMaskParams &params, uint64_t &rsvdCnt)
{
    const auto *bits = reinterpret_cast<const uint8_t *>(src1Pattern.GetPhyAddr());
    const uint64_t bytes = ((reduceMode ? mask : 256 / sizeof(T)) + 7) / 8;
    if (params.repeatTimes != 0) {
        vinci::check_ub(bits, (params.repeatTimes - 1) * params.src1RepeatStride * 32ull + bytes, "GatherMask");
    }
    rsvdCnt = vinci::gather_mask(dst.GetPhyAddr(), src0.GetPhyAddr(), reduceMode, mask, params, [&](uint32_t r, uint32_t i) {
        return ((bits[r * params.src1RepeatStride * 32u + i / 8] >> (i % 8)) & 1) != 0;
    });
}

} // namespace AscendC

#endif

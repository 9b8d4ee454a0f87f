/* From L0C to global memory or L1: in rows or as fractals, with scaling, rounding and ReLU on the way. */
#ifndef VINCI_ASCENDC_FIXPIPE_H
#define VINCI_ASCENDC_FIXPIPE_H

#include "cube.h"

enum QuantMode_t {
    NoQuant = 0,
    F322F16 = 1,
    VQF322HIF8_PRE = 2,
    QF322HIF8_PRE = 3,
    VQF322HIF8_PRE_HYBRID = 4,
    QF322HIF8_PRE_HYBRID = 5,
    AttachF16Mul = 6,
    VREQ8 = 8,
    REQ8 = 9,
    VDEQF16 = 10,
    DEQF16 = 11,
    VQF322FP8_PRE = 12,
    QF322FP8_PRE = 13,
    VQF322F32_PRE = 14,
    QF322F32_PRE = 15,
    F322BF16 = 16,
    VSHIFTS322S16 = 17,
    SHIFTS322S16 = 18,
    VQF322B8_PRE = 23,
    QF322B8_PRE = 24,
    VQF322F16_PRE = 32,
    QF322F16_PRE = 33,
    VQF322BF16_PRE = 34,
    QF322BF16_PRE = 35,
    VQS322BF16_PRE = 36,
    QS322BF16_PRE = 37,
};

namespace AscendC {

enum class CO2Layout : uint8_t { NZ = 0, ROW_MAJOR, COLUMN_MAJOR };
struct FixpipeConfig {
    CO2Layout format;
    bool isToUB = false;
};
constexpr FixpipeConfig CFG_NZ = {CO2Layout::NZ, false};
constexpr FixpipeConfig CFG_ROW_MAJOR = {CO2Layout::ROW_MAJOR, false};
constexpr FixpipeConfig CFG_COLUMN_MAJOR = {CO2Layout::COLUMN_MAJOR, false};

struct FixpipeParamsV220 {
    FixpipeParamsV220() = default;
    FixpipeParamsV220(uint16_t n, uint16_t m, uint16_t src, uint32_t dst, bool relu)
        : nSize(n), mSize(m), srcStride(src), dstStride(dst), reluEn(relu)
    {
    }
    FixpipeParamsV220(uint16_t n, uint16_t m, uint16_t src, uint32_t dst, bool relu, QuantMode_t quant, int64_t scale,
        uint16_t count, uint16_t srcNd, uint16_t dstNd, uint8_t flag)
        : nSize(n), mSize(m), srcStride(src), dstStride(dst), quantPre(quant), deqScalar(scale), ndNum(count), srcNdStride(srcNd),
          dstNdStride(dstNd), reluEn(relu), unitFlag(flag)
    {
    }
    uint16_t nSize = 0;
    uint16_t mSize = 0;
    uint16_t srcStride = 0;
    uint32_t dstStride = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint64_t deqScalar = 0;
    uint16_t ndNum = 1;
    uint16_t srcNdStride = 0;
    uint16_t dstNdStride = 0;
    bool reluEn = false;
    uint8_t unitFlag = 0;
    bool isChannelSplit = false;
};

struct DataCopyCO12DstParams {
    DataCopyCO12DstParams() = default;
    DataCopyCO12DstParams(uint16_t n, uint16_t m, uint32_t dst, uint16_t src, QuantMode_t quant, uint8_t relu, bool split, bool rows)
        : nSize(n), mSize(m), dstStride(dst), srcStride(src), quantPre(quant), reluPre(relu), channelSplit(split), nz2ndEn(rows)
    {
    }
    uint8_t sid = 0;
    uint16_t nSize = 0;
    uint16_t mSize = 0;
    uint32_t dstStride = 0;
    uint16_t srcStride = 0;
    uint8_t unitFlag = 0;
    uint8_t clipReluPre = 0;
    uint8_t eltWiseOp = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint8_t reluPre = 0;
    bool channelSplit = false;
    bool nz2ndEn = false;
};

} // namespace AscendC

namespace vinci {

/* The factor of a scale: a float with ten bits of mantissa. */
inline float scale_of(uint64_t scale) { return as_float(static_cast<uint32_t>(scale) & 0xffffe000u); }

/* Nearest, halves to even, within [low, high]; a NaN becomes 0. */
inline float clamp_round(float x, float low, float high)
{
    if (x != x) {
        return 0;
    }
    return __builtin_rintf(x < low ? low : (x > high ? high : x));
}

inline bool is_vector_mode(QuantMode_t mode) { return mode == VREQ8 || mode == VDEQF16 || mode == VQF322B8_PRE; }

/* What becomes of one element. `scale` is its column's, or everyone's. */
template <typename D, typename S>
inline __attribute__((always_inline)) D fix_element(S value, QuantMode_t mode, uint64_t scale, bool relu)
{
    if constexpr (AscendC::kSame<D, int8_t> || AscendC::kSame<D, uint8_t>) {
        float x;
        if constexpr (AscendC::kSame<S, int32_t>) {
            if ((scale >> 36) & 1) {
                const int32_t shifted = value >> ((scale >> 32 & 15) + 1);
                x = static_cast<float>(shifted < -32768 ? -32768 : (shifted > 32767 ? 32767 : shifted));
            } else {
                x = static_cast<float>(value);
            }
        } else {
            x = value;
        }
        x *= relu && x < 0 ? 0.0f : scale_of(scale);
        const auto offset = static_cast<int32_t>(scale >> 37 & 511);
        const float y = clamp_round(x, -256, 255) + static_cast<float>(offset >= 256 ? offset - 512 : offset);
        return (scale >> 46) & 1 ? static_cast<D>(static_cast<int8_t>(y < -128 ? -128 : (y > 127 ? 127 : y)))
                                 : static_cast<D>(static_cast<uint8_t>(y < 0 ? 0 : (y > 255 ? 255 : y)));
    } else if constexpr (AscendC::kSame<S, int32_t> && AscendC::kSame<D, half>) {
        float x = static_cast<float>(value);
        if ((scale >> 36) & 1) {
            const int32_t shifted = value >> ((scale >> 32 & 15) + 1);
            x = static_cast<float>(shifted < -32768 ? -32768 : (shifted > 32767 ? 32767 : shifted));
        }
        x *= relu && x < 0 ? 0.0f : scale_of(scale);
        return static_cast<half>(x > 65504.0f ? 65504.0f : (x < -65504.0f ? -65504.0f : x));
    } else {
        static_assert(AscendC::IsReal<D>::value == AscendC::IsReal<S>::value, "integers become floats by DEQF16");
        const S x = relu && value < S(0) ? S(0) : value;
        return static_cast<D>(x);
    }
}

/* Whether the mode makes a D of an S: the chip does not find out by itself. */
template <typename D, typename S> inline bool mode_fits(QuantMode_t mode)
{
    if constexpr (AscendC::kSame<D, int8_t> || AscendC::kSame<D, uint8_t>) {
        return AscendC::kSame<S, int32_t> ? mode == REQ8 || mode == VREQ8 : mode == QF322B8_PRE || mode == VQF322B8_PRE;
    } else if constexpr (AscendC::kSame<D, half>) {
        return AscendC::kSame<S, int32_t> ? mode == DEQF16 || mode == VDEQF16 : mode == F322F16;
    } else if constexpr (AscendC::kSame<D, bfloat16_t>) {
        return mode == F322BF16;
    } else {
        return mode == NoQuant;
    }
}

struct Fix {
    uint32_t n;
    uint32_t m;
    uint32_t srcStride; /* rows from a column of fractals to the next */
    uint64_t dstStride; /* rows: elements; fractals: bytes from a column to the next */
    QuantMode_t mode;
    uint64_t scale;
    const uint64_t *scales;
    bool relu;
    bool rows;
    bool split;
    uint32_t count;
    uint32_t srcNd; /* fractals of 16 by 16 */
    uint64_t dstNd; /* elements */
};

template <typename D, typename S, class Store>
inline void fix(D *dst, const S *src, const Fix &f, const char *name, const Store &store)
{
    if (f.n == 0 || f.m == 0 || f.count == 0) {
        return;
    }
    if (!mode_fits<D, S>(f.mode)) {
        fail(kShape, 3, f.mode, 0, 0, name);
    }
    const uint32_t columns = (f.n + 15) / 16, count = f.rows ? f.count : 1;
    const uint64_t last = (count - 1) * f.srcNd * 256ull + (columns - 1) * static_cast<uint64_t>(f.srcStride) * 16 + f.m * 16ull;
    check_local(kL0C, src, last * sizeof(S), 64, name);
    /* Scales are taken before anything is stored: a result may lie where they were. */
    uint64_t scales[4096];
    if (is_vector_mode(f.mode)) {
        if (f.scales == nullptr || f.n > 4096) {
            fail(kShape, 3, f.mode, 0, 0, name);
        }
        const int where = local_of(core(), reinterpret_cast<uint64_t>(f.scales));
        check_local(where == kLocals ? kFb : Local(where), f.scales, f.n * 8ull, 32, name);
        __builtin_memcpy(scales, f.scales, f.n * 8ull);
    }
    /* Bytes in rows of 32, floats in rows of 8 if they are to be split: else rows of 16. */
    const uint32_t width = f.split ? 8 : (sizeof(D) == 1 ? 32 : 16);
    for (uint32_t nd = 0; nd < count; ++nd) {
        const S *from = src + nd * f.srcNd * 256ull;
        for (uint32_t j = 0; j < columns; ++j) {
            const uint32_t w = f.n - j * 16 < 16 ? f.n - j * 16 : 16;
            for (uint32_t i = 0; i < f.m; ++i) {
                D row[16];
                const S *s = from + j * static_cast<uint64_t>(f.srcStride) * 16 + i * 16ull;
                for (uint32_t x = 0; x < 16; ++x) {
                    row[x] = fix_element<D, S>(s[x], f.mode, is_vector_mode(f.mode) ? (x < w ? scales[j * 16 + x] : 0) : f.scale, f.relu);
                }
                if (f.rows) {
                    store(dst + nd * f.dstNd + i * f.dstStride + j * 16, row, w);
                } else if (width == 8) {
                    for (uint32_t x = 0; x < w; x += 8) {
                        auto *to = reinterpret_cast<uint8_t *>(dst) + (j * 2 + x / 8) * f.dstStride;
                        store(reinterpret_cast<D *>(to) + i * 8, row + x, 8u);
                    }
                } else {
                    /* The last 16 columns of an odd number stay a fractal of 16. */
                    const bool wide = width == 32 && (j % 2 == 1 || j + 1 < columns);
                    auto *to = reinterpret_cast<uint8_t *>(dst) + (width == 32 ? j / 2 : j) * f.dstStride;
                    store(reinterpret_cast<D *>(to) + (wide ? i * 32 + j % 2 * 16 : i * 16), row, 16u);
                }
            }
        }
    }
}

template <typename D, typename S> inline void fix_to_global(D *dst, const S *src, const Fix &f, const char *name)
{
    fix(dst, src, f, name, [](D *to, const D *row, uint32_t n) __attribute__((always_inline)) { AscendC::store_global(to, row, n); });
    const uint64_t rows = f.rows ? static_cast<uint64_t>(f.m) * f.count : (f.n + 15) / 16, elements = static_cast<uint64_t>(f.n) * f.m * f.count;
    charge_global(kFix, elements * sizeof(D), rows, dst, f.rows ? f.dstStride * sizeof(D) : f.dstStride, false,
        static_cast<double>(elements * sizeof(S)) / core()->rates[kL0CToOut]);
}
template <typename D, typename S> inline void fix_to_local(D *dst, Local memory, const S *src, const Fix &f, const char *name)
{
    const uint32_t columns = (f.n + 15) / 16, width = f.split ? 8 : (sizeof(D) == 1 ? 32 : 16);
    const uint64_t rows = f.split ? (f.n + 7) / 8 : (columns * 16 + width - 1) / width;
    check_local(memory, dst, f.n == 0 || f.m == 0 ? 0 : span(rows, f.dstStride, f.m * width * sizeof(D)), 32, name);
    fix(dst, src, f, name, [](D *to, const D *row, uint32_t n) __attribute__((always_inline)) { __builtin_memcpy(to, row, n * sizeof(D)); });
    charge(kFix, static_cast<double>(f.n) * f.m * sizeof(S) / core()->rates[kL0CToOut]);
}

inline Fix fix_of(const AscendC::FixpipeParamsV220 &p, const uint64_t *scales, bool rows)
{
    return {p.nSize, p.mSize, p.srcStride, rows ? p.dstStride : p.dstStride * 32ull, p.quantPre, p.deqScalar, scales, p.reluEn, rows,
        p.isChannelSplit, p.ndNum, p.srcNdStride, p.dstNdStride};
}
inline Fix fix_of(const AscendC::DataCopyCO12DstParams &p)
{
    const Core *c = core();
    const bool rows = p.nz2ndEn;
    const uint64_t nd = c->scratch[kFixNd];
    return {p.nSize, p.mSize, p.srcStride, rows ? p.dstStride : p.dstStride * 32ull, p.quantPre, c->scratch[kFixQuant],
        reinterpret_cast<const uint64_t *>(c->scratch[kFixScales]), p.reluPre == 1, rows, p.channelSplit,
        rows ? static_cast<uint32_t>(nd & 0xffff) : 1, static_cast<uint32_t>(nd >> 16 & 0xffff), nd >> 32};
}

} // namespace vinci

namespace AscendC {

template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p)
{
    vinci::fix_to_global(const_cast<T *>(dst.GetPhyAddr()), src.GetPhyAddr(), vinci::fix_of(p, nullptr, config.format == CO2Layout::ROW_MAJOR), "Fixpipe");
}
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR, typename S = uint64_t>
inline void Fixpipe(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<S> &scales, const FixpipeParamsV220 &p)
{
    vinci::fix_to_global(const_cast<T *>(dst.GetPhyAddr()), src.GetPhyAddr(),
        vinci::fix_of(p, scales.GetPhyAddr(), config.format == CO2Layout::ROW_MAJOR), "Fixpipe");
}
/* L1 takes fractals, whatever the configuration says. */
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR>
inline void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const FixpipeParamsV220 &p)
{
    vinci::fix_to_local(dst.GetPhyAddr(), local_of(dst.GetPosition()), src.GetPhyAddr(), vinci::fix_of(p, nullptr, false), "Fixpipe");
}
template <typename T, typename U, const FixpipeConfig &config = CFG_ROW_MAJOR, typename S = uint64_t>
inline void Fixpipe(const LocalTensor<T> &dst, const LocalTensor<U> &src, const LocalTensor<S> &scales, const FixpipeParamsV220 &p)
{
    vinci::fix_to_local(dst.GetPhyAddr(), local_of(dst.GetPosition()), src.GetPhyAddr(), vinci::fix_of(p, scales.GetPhyAddr(), false), "Fixpipe");
}

/* The same with registers for what is not in the parameters. */
inline void SetFixpipeNz2ndFlag(uint16_t ndNum, uint16_t srcNdStride, uint32_t dstNdStride)
{
    vinci::core()->scratch[vinci::kFixNd] = ndNum | static_cast<uint64_t>(srcNdStride) << 16 | static_cast<uint64_t>(dstNdStride) << 32;
}
inline void SetFixpipePreQuantFlag(uint64_t scale) { vinci::core()->scratch[vinci::kFixQuant] = scale; }
template <typename T> inline void SetFixPipeConfig(const LocalTensor<T> &, const LocalTensor<T> &scales, bool = false)
{
    vinci::core()->scratch[vinci::kFixScales] = reinterpret_cast<uint64_t>(scales.GetPhyAddr());
}
template <typename T, bool setRelu = false> inline void SetFixPipeConfig(const LocalTensor<T> &scales, bool = false)
{
    vinci::core()->scratch[vinci::kFixScales] = reinterpret_cast<uint64_t>(scales.GetPhyAddr());
}
template <typename T, typename U>
inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<U> &src, const DataCopyCO12DstParams &p)
{
    vinci::fix_to_global(const_cast<T *>(dst.GetPhyAddr()), src.GetPhyAddr(), vinci::fix_of(p), "DataCopy");
}
template <typename T, typename U>
inline void DataCopy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const DataCopyCO12DstParams &p)
{
    vinci::Fix f = vinci::fix_of(p);
    f.rows = false;
    vinci::fix_to_local(dst.GetPhyAddr(), local_of(dst.GetPosition()), src.GetPhyAddr(), f, "DataCopy");
}

} // namespace AscendC

#endif

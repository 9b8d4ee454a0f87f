/* From L1 (or global memory) to L0A and L0B: fractals of 512 bytes, transposed or not, and windows over images.
 *
 * A fractal has 16 rows of 32 bytes. L0A holds a matrix as rows of fractals, each with rows of elements; L0B as rows of
 * fractals, each with columns of elements: 16 columns of 32 bytes. */
#ifndef VINCI_ASCENDC_LOAD_H
#define VINCI_ASCENDC_LOAD_H

#include "copy.h"
#include "sync.h"
#include "tensor.h"

namespace AscendC {

struct LoadData2DParams {
    LoadData2DParams() = default;
    LoadData2DParams(uint16_t start, uint8_t repeats, uint16_t stride, uint8_t, uint16_t gap, bool transpose, uint8_t mode)
        : startIndex(start), dstGap(gap), srcStride(stride), ifTranspose(transpose), repeatTimes(repeats), addrMode(mode)
    {
    }
    uint16_t startIndex = 0;
    uint16_t dstGap = 0;
    uint16_t srcStride = 0;
    bool ifTranspose = false;
    uint8_t repeatTimes = 0;
    uint8_t sid = 0;
    uint8_t addrMode = 0;
};

struct LoadData2dTransposeParams {
    LoadData2dTransposeParams() = default;
    LoadData2dTransposeParams(uint16_t start, uint8_t repeats, uint16_t stride, uint16_t gap, uint16_t fractals)
        : startIndex(start), repeatTimes(repeats), srcStride(stride), dstGap(gap), dstFracGap(fractals)
    {
    }
    LoadData2dTransposeParams(uint16_t start, uint8_t repeats, uint16_t stride, uint16_t gap, uint16_t fractals, uint8_t mode)
        : startIndex(start), repeatTimes(repeats), srcStride(stride), dstGap(gap), dstFracGap(fractals), addrMode(mode)
    {
    }
    uint16_t startIndex = 0;
    uint8_t repeatTimes = 0;
    uint16_t srcStride = 0;
    uint16_t dstGap = 0;
    uint16_t dstFracGap = 0;
    uint8_t addrMode = 0;
};

template <typename T> struct LoadData3DParamsV2 {
    LoadData3DParamsV2() = default;
    LoadData3DParamsV2(const uint8_t pads[4], uint16_t h, uint16_t w, uint16_t channels, uint16_t k, uint16_t m, uint16_t kStart,
        uint16_t mStart, uint8_t stepW, uint8_t stepH, uint8_t kernelW, uint8_t kernelH, uint8_t dilationW, uint8_t dilationH,
        bool transpose, bool smallK, T pad)
        : l1H(h), l1W(w), channelSize(channels), kExtension(k), mExtension(m), kStartPt(kStart), mStartPt(mStart),
          strideW(stepW), strideH(stepH), filterW(kernelW), filterH(kernelH), dilationFilterW(dilationW),
          dilationFilterH(dilationH), enTranspose(transpose), enSmallK(smallK), padValue(pad)
    {
        for (int i = 0; i < 4; ++i) {
            padList[i] = pads[i];
        }
    }
    LoadData3DParamsV2(const uint8_t pads[4], uint16_t h, uint16_t w, uint16_t channels, uint16_t k, uint16_t m, uint16_t kStart,
        uint16_t mStart, uint8_t stepW, uint8_t stepH, uint8_t kernelW, uint8_t kernelH, uint8_t dilationW, uint8_t dilationH,
        bool transpose, bool smallK, T pad, bool moreW, bool moreH, bool control)
        : LoadData3DParamsV2(pads, h, w, channels, k, m, kStart, mStart, stepW, stepH, kernelW, kernelH, dilationW, dilationH,
              transpose, smallK, pad)
    {
        filterSizeW = moreW;
        filterSizeH = moreH;
        fMatrixCtrl = control;
    }
    uint8_t padList[4] = {0, 0, 0, 0};
    uint16_t l1H = 0;
    uint16_t l1W = 0;
    uint16_t channelSize = 0;
    uint16_t kExtension = 0;
    uint16_t mExtension = 0;
    uint16_t kStartPt = 0;
    uint16_t mStartPt = 0;
    uint8_t strideW = 1;
    uint8_t strideH = 1;
    uint8_t filterW = 1;
    uint8_t filterH = 1;
    uint8_t dilationFilterW = 1;
    uint8_t dilationFilterH = 1;
    bool enTranspose = false;
    bool enSmallK = false;
    T padValue = T();
    bool filterSizeW = false;
    bool filterSizeH = false;
    bool fMatrixCtrl = false;
};

struct IsResetLoad3dConfig {
    bool isSetFMatrix = true;
    bool isSetPadding = true;
};
constexpr IsResetLoad3dConfig IS_RESER_LOAD3D_DEFAULT_CONFIG = {true, true};
enum class FmatrixMode : uint8_t { FMATRIX_LEFT = 0, FMATRIX_RIGHT = 1 };

template <typename T> struct InitConstValueParams {
    InitConstValueParams() = default;
    InitConstValueParams(uint16_t repeats, uint16_t blocks, uint16_t gap, T value)
        : repeatTimes(repeats), blockNum(blocks), dstGap(gap), initValue(value)
    {
    }
    uint16_t repeatTimes = 0;
    uint16_t blockNum = 0;
    uint16_t dstGap = 0;
    T initValue = T();
};

} // namespace AscendC

namespace vinci {

constexpr uint64_t kFractal = 512;

/* Elements of a type in 32 bytes. */
template <typename T> inline constexpr uint32_t kC0 = 32 / sizeof(T);
template <> inline constexpr uint32_t kC0<AscendC::int4b_t> = 64;

/* Of a core's L0: which of the two, or a fault. */
inline Local l0_of(AscendC::TPosition position, const char *name)
{
    const Local memory = local_of(position);
    if (memory != kL0A && memory != kL0B) {
        fail(kForeign, memory, kL0A, 0, 0, name);
    }
    return memory;
}

inline void charge_load(Local memory, uint64_t bytes)
{
    charge(kMte1, static_cast<double>(bytes) / core()->rates[memory == kL0A ? kL1ToL0A : kL1ToL0B]);
}

/* The state that windows over images take from registers: kLoad3d is height, width and pads, kLoad3dPad the value. */
struct Image {
    uint16_t height;
    uint16_t width;
    uint8_t pads[4]; /* left, right, top, bottom */
};

} // namespace vinci

namespace AscendC {

template <typename T>
inline void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2DParams &p)
{
    if (p.repeatTimes == 0) {
        return;
    }
    const vinci::Local memory = vinci::l0_of(dst.GetPosition(), "LoadData");
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    const auto *from = reinterpret_cast<const uint8_t *>(src.GetPhyAddr()) + p.startIndex * vinci::kFractal;
    const uint64_t step = (1ull + p.dstGap) * vinci::kFractal, stride = p.srcStride * vinci::kFractal;
    vinci::check_local(memory, to, (p.repeatTimes - 1) * step + vinci::kFractal, 512, "LoadData");
    vinci::check_local(vinci::kL1, from, (p.repeatTimes - 1) * stride + vinci::kFractal, 32, "LoadData");
    if (p.ifTranspose && sizeof(T) != 2) {
        vinci::fail(vinci::kUnsupported, 0, 0, 0, 0, "transposition by LoadData of other than 16-bit elements");
    }
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        if (p.ifTranspose) {
            const auto *s = reinterpret_cast<const uint16_t *>(from + r * stride);
            auto *d = reinterpret_cast<uint16_t *>(to + r * step);
            for (uint32_t i = 0; i < 16; ++i) {
                for (uint32_t j = 0; j < 16; ++j) {
                    d[i * 16 + j] = s[j * 16 + i];
                }
            }
        } else {
            __builtin_memcpy(to + r * step, from + r * stride, vinci::kFractal);
        }
    }
    vinci::charge_load(memory, p.repeatTimes * vinci::kFractal);
}

/* From global memory; to L1 too. */
template <typename T>
inline void LoadData(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const LoadData2DParams &p)
{
    if (p.repeatTimes == 0) {
        return;
    }
    const vinci::Local memory = local_of(dst.GetPosition());
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    const auto *from = reinterpret_cast<const uint8_t *>(src.GetPhyAddr());
    const uint64_t step = (1ull + p.dstGap) * vinci::kFractal;
    vinci::check_local(memory, to, (p.repeatTimes - 1) * step + vinci::kFractal, memory == vinci::kL1 ? 32 : 512, "LoadData");
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        const int64_t at = p.startIndex + (p.addrMode ? -1ll : 1ll) * r * p.srcStride;
        __builtin_memcpy(to + r * step, from + at * static_cast<int64_t>(vinci::kFractal), vinci::kFractal);
    }
    vinci::charge_global(vinci::kMte2, p.repeatTimes * vinci::kFractal, p.repeatTimes);
}

/* Transposes squares: one fractal of 16-bit elements, two of bytes (below one another) or of 32-bit elements (side by
 * side), four of four bits. */
template <typename T>
inline void LoadDataWithTranspose(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData2dTransposeParams &p)
{
    constexpr uint32_t fractals = kSame<T, int4b_t> ? 4 : (sizeof(T) == 2 ? 1 : 2);
    constexpr uint64_t square = fractals * vinci::kFractal;
    if (p.repeatTimes == 0) {
        return;
    }
    const vinci::Local memory = vinci::l0_of(dst.GetPosition(), "LoadDataWithTranspose");
    auto *to = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    const auto *from = reinterpret_cast<const uint8_t *>(src.GetPhyAddr());
    const uint64_t step = (1ull + p.dstGap) * vinci::kFractal, apart = (1ull + p.dstFracGap) * vinci::kFractal;
    vinci::check_local(memory, to, (p.repeatTimes - 1) * step + (fractals - 1) * apart + vinci::kFractal, 512, "LoadDataWithTranspose");
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        const int64_t at = p.startIndex + (p.addrMode ? -1ll : 1ll) * r * p.srcStride;
        const uint8_t *s = from + at * static_cast<int64_t>(square);
        vinci::check_local(vinci::kL1, s, square, 32, "LoadDataWithTranspose");
        if constexpr (kSame<T, int4b_t>) {
            for (uint32_t i = 0; i < 64; ++i) {
                uint8_t *row = to + r * step + i / 16 * apart + i % 16 * 32;
                for (uint32_t j = 0; j < 64; j += 2) {
                    const uint8_t low = s[j * 32 + i / 2] >> (i % 2 * 4) & 15, high = s[(j + 1) * 32 + i / 2] >> (i % 2 * 4) & 15;
                    row[j / 2] = static_cast<uint8_t>(low | high << 4);
                }
            }
        } else if constexpr (sizeof(T) == 4) {
            const auto *x = reinterpret_cast<const T *>(s);
            for (uint32_t i = 0; i < 16; ++i) {
                for (uint32_t j = 0; j < 16; ++j) {
                    /* Row j, column i of the square. */
                    reinterpret_cast<T *>(to + r * step + j / 8 * apart)[i * 8 + j % 8] = x[i / 8 * 128 + j * 8 + i % 8];
                }
            }
        } else {
            constexpr uint32_t n = 16 * fractals;
            const auto *x = reinterpret_cast<const T *>(s);
            for (uint32_t i = 0; i < n; ++i) {
                auto *row = reinterpret_cast<T *>(to + r * step + i / 16 * apart) + i % 16 * n;
                for (uint32_t j = 0; j < n; ++j) {
                    row[j] = x[j * n + i];
                }
            }
        }
    }
    vinci::charge_load(memory, p.repeatTimes * square);
}

inline void SetFmatrix(uint16_t height, uint16_t width, const uint8_t pads[4], const FmatrixMode & = FmatrixMode::FMATRIX_LEFT)
{
    const vinci::Image image{height, width, {pads[0], pads[1], pads[2], pads[3]}};
    __builtin_memcpy(&vinci::core()->scratch[vinci::kImage], &image, sizeof(image));
}
template <typename T> inline void SetLoadDataPaddingValue(const T value)
{
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    vinci::core()->scratch[vinci::kImagePad] = bits;
}

/* The matrix that a convolution makes of an image of (channels / C0, height, width, C0): a row for each place of the
 * window, and in it C0 channels for each element of the window, for each group of channels. */
template <typename T, const IsResetLoad3dConfig &config = IS_RESER_LOAD3D_DEFAULT_CONFIG>
inline void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData3DParamsV2<T> &p)
{
    constexpr uint32_t c0 = vinci::kC0<T>;
    if constexpr (config.isSetFMatrix) {
        SetFmatrix(p.l1H, p.l1W, p.padList);
    }
    if constexpr (config.isSetPadding) {
        SetLoadDataPaddingValue(p.padValue);
    }
    vinci::Image image;
    __builtin_memcpy(&image, &vinci::core()->scratch[vinci::kImage], sizeof(image));
    T pad;
    __builtin_memcpy(&pad, &vinci::core()->scratch[vinci::kImagePad], sizeof(T));
    const uint32_t kernelW = p.filterW + (p.filterSizeW ? 256 : 0), kernelH = p.filterH + (p.filterSizeH ? 256 : 0);
    if (image.height == 0 || image.width == 0 || p.channelSize == 0 || p.kExtension == 0 || p.mExtension == 0 || kernelW == 0 ||
        kernelH == 0 || p.strideW == 0 || p.strideH == 0) {
        return;
    }
    const vinci::Local memory = vinci::l0_of(dst.GetPosition(), "LoadData");
    const int32_t spanW = (kernelW - 1) * p.dilationFilterW + 1, paddedW = image.width + image.pads[0] + image.pads[1];
    const int32_t spanH = (kernelH - 1) * p.dilationFilterH + 1, paddedH = image.height + image.pads[2] + image.pads[3];
    if (spanW > paddedW || spanH > paddedH) {
        vinci::fail(vinci::kShape, 3, spanW > paddedW ? spanW : spanH, spanW > paddedW ? paddedW : paddedH, 0, "LoadData: a window");
    }
    const uint32_t outW = (paddedW - spanW) / p.strideW + 1, outH = (paddedH - spanH) / p.strideH + 1;
    const uint32_t channels = (p.channelSize + c0 - 1) / c0;
    const uint32_t m16 = (p.mExtension + 15) / 16 * 16, kC0 = (p.kExtension + c0 - 1) / c0 * c0, k16 = (p.kExtension + 15) / 16 * 16;
    const bool right = memory == vinci::kL0B, turned = !right && p.enTranspose;
    if (kSame<T, int4b_t> && (right || turned)) {
        vinci::fail(vinci::kUnsupported, 0, 0, 0, 0, "LoadData of an image of four-bit elements that is transposed");
    }
    const uint64_t elements = right || turned ? static_cast<uint64_t>(m16) * (sizeof(T) == 4 ? k16 : kC0) : static_cast<uint64_t>(m16) * kC0;
    const uint64_t bytes = elements / c0 * 32;
    vinci::check_local(memory, dst.GetPhyAddr(), bytes, 512, "LoadData");
    vinci::check_local(vinci::kL1, src.GetPhyAddr(), static_cast<uint64_t>(channels) * image.height * image.width * 32, 32, "LoadData");
    T *to = dst.GetPhyAddr();
    constexpr uint32_t held = 32 / sizeof(T);
    T padding[held], nothing[held] = {};
    for (T &v : padding) {
        v = pad;
    }
    for (uint32_t m = 0; m < m16; ++m) {
        const uint32_t place = p.mStartPt + m;
        const bool beyond = m >= p.mExtension || place >= outW * outH;
        const int32_t top = static_cast<int32_t>(place / outW * p.strideH) - image.pads[2];
        const int32_t left = static_cast<int32_t>(place % outW * p.strideW) - image.pads[0];
        for (uint32_t k = 0; k < kC0; k += c0) {
            const uint32_t block = (p.kStartPt + k) / c0, window = block % (kernelW * kernelH), channel = block / (kernelW * kernelH);
            const int32_t h = top + static_cast<int32_t>(window / kernelW) * p.dilationFilterH;
            const int32_t w = left + static_cast<int32_t>(window % kernelW) * p.dilationFilterW;
            const bool inside = h >= 0 && h < image.height && w >= 0 && w < image.width && channel < channels;
            const T *s = inside ? src.GetPhyAddr() + ((static_cast<uint64_t>(channel) * image.height + h) * image.width + w) * held : padding;
            if (beyond) {
                s = nothing;
            }
            if (!right && !turned) {
                __builtin_memcpy(to + (m / 16 * (kC0 / c0) + k / c0) * 16ull * held + m % 16 * held, s, 32);
                continue;
            }
            for (uint32_t c = 0; c < held; ++c) {
                const uint32_t column = k + c;
                /* L0B: m goes down the columns. L0A turned round: m goes along the rows. */
                const uint64_t fractal = right ? m / c0 * ((sizeof(T) == 4 ? k16 : kC0) / 16) + column / 16 : column / 16 * (m16 / c0) + m / c0;
                to[fractal * 16ull * held + column % 16 * held + m % c0] = s[c];
            }
        }
    }
    vinci::charge_load(memory, bytes);
}

/* Fills L1, L0A or L0B; blocks are 32 bytes in L1, else 512. */
template <typename T> inline void Fill(const LocalTensor<T> &dst, const InitConstValueParams<T> &p)
{
    const vinci::Local memory = local_of(dst.GetPosition());
    const uint64_t unit = memory == vinci::kL1 ? 32 : vinci::kFractal;
    if (p.repeatTimes == 0 || p.blockNum == 0) {
        return;
    }
    const uint64_t step = (static_cast<uint64_t>(p.blockNum) + p.dstGap) * unit;
    vinci::check_local(memory, dst.GetPhyAddr(), (p.repeatTimes - 1) * step + p.blockNum * unit, unit, "Fill");
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        T *to = reinterpret_cast<T *>(reinterpret_cast<uint8_t *>(dst.GetPhyAddr()) + r * step);
        for (uint64_t i = 0; i < p.blockNum * unit / sizeof(T); ++i) {
            to[i] = p.initValue;
        }
    }
    vinci::charge(memory == vinci::kL1 ? vinci::kMte2 : vinci::kMte1, p.repeatTimes * p.blockNum * unit / 128.0);
}
template <typename T> inline void InitConstValue(const LocalTensor<T> &dst, const InitConstValueParams<T> &p) { Fill(dst, p); }

} // namespace AscendC

#endif

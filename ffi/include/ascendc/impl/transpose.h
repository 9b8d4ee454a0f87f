/* Transposition: of 16 by 16 elements, of sixteen blocks at given addresses, of images. */
#ifndef VINCI_ASCENDC_TRANSPOSE_H
#define VINCI_ASCENDC_TRANSPOSE_H

#include "vector.h"

namespace AscendC {

constexpr int32_t NCHW_CONV_ADDR_LIST_SIZE = 16;

enum class TransposeType : uint8_t {
    TRANSPOSE_TYPE_NONE,
    TRANSPOSE_NZ2ND_0213,
    TRANSPOSE_NZ2NZ_0213,
    TRANSPOSE_NZ2NZ_012_WITH_N,
    TRANSPOSE_NZ2ND_012_WITH_N,
    TRANSPOSE_NZ2ND_012_WITHOUT_N,
    TRANSPOSE_NZ2NZ_012_WITHOUT_N,
    TRANSPOSE_ND2ND_ONLY,
    TRANSPOSE_ND_UB_GM,
    TRANSPOSE_GRAD_ND_UB_GM,
    TRANSPOSE_ND2ND_B16,
    TRANSPOSE_NCHW2NHWC,
    TRANSPOSE_NHWC2NCHW
};

struct TransposeParamsExt {
    TransposeParamsExt() = default;
    TransposeParamsExt(uint16_t n, uint16_t c, uint16_t h, uint16_t w, TransposeType type)
        : nSize(n), cSize(c), hSize(h), wSize(w), transposeType(type)
    {
    }
    uint16_t nSize = 0;
    uint16_t cSize = 0;
    uint16_t hSize = 0;
    uint16_t wSize = 0;
    TransposeType transposeType = TransposeType::TRANSPOSE_ND2ND_B16;
};

struct TransDataTo5HDParams {
    TransDataTo5HDParams() = default;
    TransDataTo5HDParams(bool dstHigh, bool srcHigh, uint8_t repeats, uint16_t dstStride, uint16_t srcStride)
        : dstHighHalf(dstHigh), srcHighHalf(srcHigh), repeatTimes(repeats), dstRepStride(dstStride), srcRepStride(srcStride)
    {
    }
    bool dstHighHalf = false;
    bool srcHighHalf = false;
    uint8_t repeatTimes = 1;
    uint16_t dstRepStride = 0;
    uint16_t srcRepStride = 0;
};

template <typename T> inline void Transpose(const LocalTensor<T> &dst, const LocalTensor<T> &src)
{
    static_assert(sizeof(T) == 2, "16 by 16 elements of 16 bits");
    vinci::check_ub(dst.GetPhyAddr(), 512, "Transpose");
    vinci::check_ub(src.GetPhyAddr(), 512, "Transpose");
    T from[256];
    __builtin_memcpy(from, src.GetPhyAddr(), 512);
    for (uint32_t i = 0; i < 16; ++i) {
        for (uint32_t j = 0; j < 16; ++j) {
            dst.GetPhyAddr()[i * 16 + j] = from[j * 16 + i];
        }
    }
    vinci::charge_vector(512);
}

template <typename T>
inline void Transpose(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LocalTensor<uint8_t> &, const TransposeParamsExt &p)
{
    if (p.transposeType == TransposeType::TRANSPOSE_TYPE_NONE) {
        return;
    }
    if constexpr (sizeof(T) == 2) {
        if (p.transposeType == TransposeType::TRANSPOSE_ND2ND_B16) {
            return Transpose(dst, src);
        }
    }
    const bool to_last = p.transposeType == TransposeType::TRANSPOSE_NCHW2NHWC;
    if (!to_last && p.transposeType != TransposeType::TRANSPOSE_NHWC2NCHW) {
        vinci::fail(vinci::kUnsupported, 0, 0, 0, 0, "Transpose of this type");
    }
    const uint32_t image = p.hSize * p.wSize;
    const uint64_t total = static_cast<uint64_t>(p.nSize) * p.cSize * image;
    vinci::check_ub(dst.GetPhyAddr(), total * sizeof(T), "Transpose");
    vinci::check_ub(src.GetPhyAddr(), total * sizeof(T), "Transpose");
    for (uint32_t n = 0; n < p.nSize; ++n) {
        const T *from = src.GetPhyAddr() + n * p.cSize * image;
        T *to = dst.GetPhyAddr() + n * p.cSize * image;
        for (uint32_t c = 0; c < p.cSize; ++c) {
            for (uint32_t i = 0; i < image; ++i) {
                if (to_last) {
                    to[i * p.cSize + c] = from[c * image + i];
                } else {
                    to[c * image + i] = from[i * p.cSize + c];
                }
            }
        }
    }
    vinci::charge_vector(total * sizeof(T), 2);
}

/* Element i of block j becomes element j of block i. Blocks of bytes have 32 elements, of which a half takes part;
 * blocks of 32-bit elements have 8, so two blocks take what 16 have at one place. */
template <typename T>
inline void TransDataTo5HD(uint64_t dstList[NCHW_CONV_ADDR_LIST_SIZE], uint64_t srcList[NCHW_CONV_ADDR_LIST_SIZE], const TransDataTo5HDParams &p)
{
    constexpr uint32_t per = 32 / sizeof(T);
    for (uint32_t r = 0; r < p.repeatTimes; ++r) {
        T from[16][per];
        for (uint32_t j = 0; j < 16; ++j) {
            const auto *s = reinterpret_cast<const uint8_t *>(srcList[j]) + (p.repeatTimes > 1 ? r * p.srcRepStride * 32ull : 0);
            vinci::check_ub(s, 32, "TransDataTo5HD");
            __builtin_memcpy(from[j], s, 32);
        }
        for (uint32_t i = 0; i < 16; ++i) {
            auto *to = reinterpret_cast<T *>(dstList[i] + (p.repeatTimes > 1 ? r * p.dstRepStride * 32ull : 0));
            vinci::check_ub(to, 32, "TransDataTo5HD");
            if constexpr (sizeof(T) == 1) {
                for (uint32_t j = 0; j < 16; ++j) {
                    to[(p.dstHighHalf ? 16 : 0) + j] = from[j][(p.srcHighHalf ? 16 : 0) + i];
                }
            } else if constexpr (sizeof(T) == 2) {
                for (uint32_t j = 0; j < 16; ++j) {
                    to[j] = from[j][i];
                }
            } else {
                for (uint32_t j = 0; j < 8; ++j) {
                    to[j] = from[i % 2 * 8 + j][i / 2];
                }
            }
        }
    }
    vinci::charge_vector(p.repeatTimes * 512ull);
}
template <typename T>
inline void TransDataTo5HD(const LocalTensor<T> (&dstList)[NCHW_CONV_ADDR_LIST_SIZE],
    const LocalTensor<T> (&srcList)[NCHW_CONV_ADDR_LIST_SIZE], const TransDataTo5HDParams &p)
{
    uint64_t dst[NCHW_CONV_ADDR_LIST_SIZE], src[NCHW_CONV_ADDR_LIST_SIZE];
    for (int i = 0; i < NCHW_CONV_ADDR_LIST_SIZE; ++i) {
        dst[i] = reinterpret_cast<uint64_t>(dstList[i].GetPhyAddr());
        src[i] = reinterpret_cast<uint64_t>(srcList[i].GetPhyAddr());
    }
    TransDataTo5HD<T>(dst, src, p);
}
template <typename T>
inline void TransDataTo5HD(const LocalTensor<uint64_t> &dst, const LocalTensor<uint64_t> &src, const TransDataTo5HDParams &p)
{
    vinci::check_ub(dst.GetPhyAddr(), 128, "TransDataTo5HD");
    vinci::check_ub(src.GetPhyAddr(), 128, "TransDataTo5HD");
    TransDataTo5HD<T>(dst.GetPhyAddr(), src.GetPhyAddr(), p);
}

} // namespace AscendC

#endif

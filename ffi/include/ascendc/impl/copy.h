/* Copies between global and local memory. */
#ifndef VINCI_ASCENDC_COPY_H
#define VINCI_ASCENDC_COPY_H

#include "sync.h"
#include "tensor.h"

namespace AscendC {

struct DataCopyParams {
    DataCopyParams() = default;
    DataCopyParams(uint16_t count, uint16_t length, uint16_t srcGap, uint16_t dstGap)
        : blockCount(count), blockLen(length), srcStride(srcGap), dstStride(dstGap)
    {
    }
    uint16_t blockCount = 1;
    uint16_t blockLen = 0;
    union {
        uint16_t srcStride = 0;
        uint16_t srcGap;
    };
    union {
        uint16_t dstStride = 0;
        uint16_t dstGap;
    };
};

struct DataCopyExtParams {
    DataCopyExtParams() = default;
    DataCopyExtParams(uint16_t count, uint32_t length, int64_t src, int64_t dst, uint32_t reserved)
        : blockCount(count), blockLen(length), srcStride(src), dstStride(dst), rsv(reserved)
    {
    }
    uint16_t blockCount = 1;
    uint32_t blockLen = 0;
    int64_t srcStride = 0;
    int64_t dstStride = 0;
    uint32_t rsv = 0;
};

template <typename T> struct DataCopyPadExtParams {
    DataCopyPadExtParams() = default;
    DataCopyPadExtParams(bool pad, uint8_t left, uint8_t right, T value)
        : isPad(pad), leftPadding(left), rightPadding(right), paddingValue(value)
    {
    }
    bool isPad = false;
    uint8_t leftPadding = 0;
    uint8_t rightPadding = 0;
    T paddingValue = T(0);
};

struct DataCopyPadParams {
    DataCopyPadParams() = default;
    DataCopyPadParams(bool pad, uint8_t left, uint8_t right, uint64_t value)
        : isPad(pad), leftPadding(left), rightPadding(right), paddingValue(value)
    {
    }
    bool isPad = false;
    uint8_t leftPadding = 0;
    uint8_t rightPadding = 0;
    uint64_t paddingValue = 0;
};

struct Nd2NzParams {
    Nd2NzParams() = default;
    Nd2NzParams(
        uint16_t nd, uint16_t n, uint16_t d, uint64_t srcNd, uint64_t srcD, uint16_t c0, uint16_t nStride, uint64_t nz)
        : ndNum(nd), nValue(n), dValue(d), srcNdMatrixStride(srcNd), srcDValue(srcD), dstNzC0Stride(c0),
          dstNzNStride(nStride), dstNzMatrixStride(nz)
    {
    }
    uint16_t ndNum = 0;
    uint16_t nValue = 0;
    uint32_t dValue = 0;
    uint64_t srcNdMatrixStride = 0;
    uint64_t srcDValue = 0;
    uint16_t dstNzC0Stride = 0;
    uint16_t dstNzNStride = 0;
    uint64_t dstNzMatrixStride = 0;
};

struct CopyRepeatParams {
    CopyRepeatParams() = default;
    CopyRepeatParams(uint16_t dst, uint16_t src, uint16_t dstRepeat, uint16_t srcRepeat)
        : dstStride(dst), srcStride(src), dstRepeatSize(dstRepeat), srcRepeatSize(srcRepeat)
    {
    }
    uint16_t dstStride = 1;
    uint16_t srcStride = 1;
    uint16_t dstRepeatSize = 8;
    uint16_t srcRepeatSize = 8;
};

} // namespace AscendC

namespace vinci {

/* From a row to the next, with so many blocks of 32 bytes between them; what cannot be counted is as far as can be. */
inline int64_t step_of(uint64_t row, int64_t blocks)
{
    int64_t step;
    return __builtin_mul_overflow(blocks, 32, &step) || __builtin_add_overflow(step, static_cast<int64_t>(row), &step) ? INT64_MAX : step;
}

} // namespace vinci

namespace AscendC {

enum Atomic : uint64_t { kAtomicNone, kAtomicAdd, kAtomicMax, kAtomicMin };

template <typename T> inline void SetAtomicAdd() { vinci::core()->scratch[vinci::kAtomic] = kAtomicAdd; }
template <typename T> inline void SetAtomicMax() { vinci::core()->scratch[vinci::kAtomic] = kAtomicMax; }
template <typename T> inline void SetAtomicMin() { vinci::core()->scratch[vinci::kAtomic] = kAtomicMin; }
inline void SetAtomicNone() { vinci::core()->scratch[vinci::kAtomic] = kAtomicNone; }
template <typename T> inline void SetAtomicType() {}

/* Replaces an element of global memory by what an atomic copy makes of it; other cores may do so too. */
template <typename T> inline void atomic_element(T *to, T value, uint64_t how)
{
    using Bits = typename Choose<sizeof(T) == 1, uint8_t, typename Choose<sizeof(T) == 2, uint16_t, uint32_t>::type>::type;
    T old;
    Bits before, after;
    do {
        before = __atomic_load_n(reinterpret_cast<Bits *>(to), __ATOMIC_RELAXED);
        __builtin_memcpy(&old, &before, sizeof(T));
        T result;
        if (how == kAtomicAdd) {
            result = static_cast<T>(old + value);
        } else if (how == kAtomicMax) {
            result = value > old ? value : old;
        } else {
            result = value < old ? value : old;
        }
        __builtin_memcpy(&after, &result, sizeof(T));
    } while (!__atomic_compare_exchange_n(
        reinterpret_cast<Bits *>(to), &before, after, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

/* Stores a row to global memory as the atomic mode says. */
template <typename T> inline __attribute__((always_inline)) void store_global(T *to, const T *from, uint64_t elements)
{
    const uint64_t how = vinci::core()->scratch[vinci::kAtomic];
    if (__builtin_expect(how == kAtomicNone, 1)) {
        __builtin_memcpy(to, from, elements * sizeof(T));
        return;
    }
    for (uint64_t i = 0; i < elements; ++i) {
        atomic_element(to + i, from[i], how);
    }
}

/* Rows between global memory and a local one. Strides in bytes are from the end of a row to the start of the next. */
template <typename T>
inline void rows_in(
    T *to, vinci::Local memory, const T *from, uint32_t count, uint64_t bytes, int64_t srcGap, int64_t dstGap,
    const char *name, bool bypass = false)
{
    if (count == 0 || bytes == 0) {
        return;
    }
    vinci::check_rows(memory, to, count, bytes, static_cast<int64_t>(bytes) + dstGap, 32, name);
    auto *d = reinterpret_cast<uint8_t *>(to);
    auto *s = reinterpret_cast<const uint8_t *>(from);
    for (uint32_t i = 0; i < count; ++i) {
        __builtin_memcpy(d, s, bytes);
        d += bytes + dstGap;
        s += bytes + srcGap;
    }
    vinci::charge_global(vinci::kMte2, count * bytes, count, from, bytes + srcGap, bypass);
}

template <typename T>
inline void rows_out(
    T *to, const T *from, vinci::Local memory, uint32_t count, uint64_t bytes, int64_t srcGap, int64_t dstGap,
    const char *name)
{
    if (count == 0 || bytes == 0) {
        return;
    }
    vinci::check_rows(memory, from, count, bytes, static_cast<int64_t>(bytes) + srcGap, 32, name);
    auto *d = reinterpret_cast<uint8_t *>(to);
    auto *s = reinterpret_cast<const uint8_t *>(from);
    for (uint32_t i = 0; i < count; ++i) {
        store_global(reinterpret_cast<T *>(d), reinterpret_cast<const T *>(s), bytes / sizeof(T));
        d += bytes + dstGap;
        s += bytes + srcGap;
    }
    vinci::charge_global(vinci::kMte3, count * bytes, count, to, bytes + dstGap);
}

/* Bytes of a copy of so many elements: whole blocks of 32 bytes. */
template <typename T> inline uint64_t whole_blocks(uint32_t elements, const char *name)
{
    const uint64_t bytes = static_cast<uint64_t>(elements) * sizeof(T);
    if (__builtin_expect(bytes % 32 != 0, 0)) {
        vinci::fail(vinci::kShape, 1, bytes, 32, 0, name);
    }
    return bytes;
}

template <typename T> inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, uint32_t count)
{
    rows_in(dst.GetPhyAddr(), local_of(dst.GetPosition()), src.GetPhyAddr(), 1, whole_blocks<T>(count, "DataCopy"), 0, 0, "DataCopy", src.bypasses());
}
template <typename T> inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, uint32_t count)
{
    rows_out(const_cast<T *>(dst.GetPhyAddr()), src.GetPhyAddr(), local_of(src.GetPosition()), 1, whole_blocks<T>(count, "DataCopy"), 0, 0, "DataCopy");
}
template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &p)
{
    rows_in(dst.GetPhyAddr(), local_of(dst.GetPosition()), src.GetPhyAddr(), p.blockCount, p.blockLen * 32ull, p.srcStride * 32ll, p.dstStride * 32ll, "DataCopy", src.bypasses());
}
template <typename T>
inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &p)
{
    rows_out(const_cast<T *>(dst.GetPhyAddr()), src.GetPhyAddr(), local_of(src.GetPosition()), p.blockCount, p.blockLen * 32ull, p.srcStride * 32ll, p.dstStride * 32ll, "DataCopy");
}

/* Bytes that lengths of a copy to a memory count. */
constexpr uint64_t copy_unit(vinci::Local to) { return to == vinci::kBt ? 64 : (to == vinci::kFb ? 128 : 32); }

/* Within the core. */
template <typename T, typename U>
inline void DataCopy(const LocalTensor<T> &dst, const LocalTensor<U> &src, const DataCopyParams &p)
{
    if (p.blockCount == 0 || p.blockLen == 0) {
        return;
    }
    const auto to = local_of(dst.GetPosition()), from = local_of(src.GetPosition());
    const uint64_t bytes = p.blockLen * copy_unit(to);
    const uint64_t dstGap = p.dstStride * copy_unit(to), srcGap = p.srcStride * 32ull;
    vinci::check_local(to, dst.GetPhyAddr(), p.blockCount * bytes + (p.blockCount - 1) * dstGap, 32, "DataCopy");
    const uint64_t taken = sizeof(T) > sizeof(U) ? bytes / sizeof(T) * sizeof(U) : bytes;
    vinci::check_local(from, src.GetPhyAddr(), p.blockCount * taken + (p.blockCount - 1) * srcGap, 32, "DataCopy");
    auto *d = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    auto *s = reinterpret_cast<const uint8_t *>(src.GetPhyAddr());
    for (uint32_t i = 0; i < p.blockCount; ++i) {
        if constexpr (kSame<T, U>) {
            __builtin_memmove(d, s, bytes);
        } else {
            /* Biases become float on their way. */
            static_assert(kSame<T, float>, "a copy converts to float only");
            for (uint64_t k = 0; k < bytes / sizeof(T); ++k) {
                reinterpret_cast<T *>(d)[k] = static_cast<T>(reinterpret_cast<const U *>(s)[k]);
            }
        }
        d += bytes + dstGap;
        s += taken + srcGap;
    }
    vinci::charge(from == vinci::kL1 ? vinci::kMte1 : vinci::kV, p.blockCount * bytes / 128.0);
}
template <typename T> inline void DataCopy(const LocalTensor<T> &dst, const LocalTensor<T> &src, uint32_t count)
{
    DataCopy(dst, src, DataCopyParams(1, static_cast<uint16_t>((whole_blocks<T>(count, "DataCopy") + copy_unit(local_of(dst.GetPosition())) - 1) / copy_unit(local_of(dst.GetPosition()))), 0, 0));
}

/* Rows of any length: in local memory each begins at a multiple of 32 bytes. `srcStride` of global memory is in
 * bytes, that of local memory in blocks of 32. */
template <typename T>
inline void DataCopyPad(
    const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyExtParams &p,
    const DataCopyPadExtParams<T> &pad)
{
    const auto memory = local_of(dst.GetPosition());
    const uint64_t left = pad.leftPadding * sizeof(T), right = pad.rightPadding * sizeof(T);
    const uint64_t row = (left + p.blockLen + right + 31) / 32 * 32;
    if (p.blockCount == 0 || p.blockLen == 0) {
        return;
    }
    if (left > 32 || right > 32) {
        vinci::fail(vinci::kShape, 2, left > right ? left : right, 32, 0, "DataCopyPad");
    }
    const int64_t step = vinci::step_of(row, p.dstStride);
    vinci::check_rows(memory, dst.GetPhyAddr(), p.blockCount, row, step, 32, "DataCopyPad");
    /* A row is padded with the value that comes along, or with the one that SetPadValue left. */
    T value = pad.paddingValue;
    if (!pad.isPad) {
        __builtin_memcpy(&value, &vinci::core()->scratch[vinci::kPadValue], sizeof(T));
    }
    auto *d = reinterpret_cast<uint8_t *>(dst.GetPhyAddr());
    auto *s = reinterpret_cast<const uint8_t *>(src.GetPhyAddr());
    for (uint32_t i = 0; i < p.blockCount; ++i) {
        if (pad.isPad || left + right != 0) {
            T *begin = reinterpret_cast<T *>(d), *body = reinterpret_cast<T *>(d + left + p.blockLen);
            for (uint64_t k = 0; k < left / sizeof(T); ++k) {
                begin[k] = value;
            }
            for (uint64_t k = 0; k < (row - left - p.blockLen) / sizeof(T); ++k) {
                body[k] = value;
            }
        }
        __builtin_memcpy(d + left, s, p.blockLen);
        d += step;
        s += p.blockLen + p.srcStride;
    }
    vinci::charge_global(vinci::kMte2, static_cast<uint64_t>(p.blockCount) * p.blockLen, p.blockCount, src.GetPhyAddr(), p.blockLen + p.srcStride, src.bypasses());
}
template <typename T>
inline void DataCopyPad(
    const LocalTensor<T> &dst, const GlobalTensor<T> &src, const DataCopyParams &p, const DataCopyPadParams &pad)
{
    T value;
    __builtin_memcpy(&value, &pad.paddingValue, sizeof(T));
    DataCopyPad(dst, src, DataCopyExtParams(p.blockCount, p.blockLen, p.srcStride, p.dstStride, 0), DataCopyPadExtParams<T>(pad.isPad, pad.leftPadding, pad.rightPadding, value));
}
template <typename T>
inline void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyExtParams &p)
{
    if (p.blockCount == 0 || p.blockLen == 0) {
        return;
    }
    const uint64_t row = (p.blockLen + 31ull) / 32 * 32;
    const int64_t step = vinci::step_of(row, p.srcStride);
    vinci::check_rows(local_of(src.GetPosition()), src.GetPhyAddr(), p.blockCount, row, step, 32, "DataCopyPad");
    auto *d = reinterpret_cast<uint8_t *>(const_cast<T *>(dst.GetPhyAddr()));
    auto *s = reinterpret_cast<const uint8_t *>(src.GetPhyAddr());
    for (uint32_t i = 0; i < p.blockCount; ++i) {
        store_global(reinterpret_cast<T *>(d), reinterpret_cast<const T *>(s), p.blockLen / sizeof(T));
        d += p.blockLen + p.dstStride;
        s += step;
    }
    vinci::charge_global(vinci::kMte3, static_cast<uint64_t>(p.blockCount) * p.blockLen, p.blockCount, dst.GetPhyAddr(), p.blockLen + p.dstStride);
}
template <typename T>
inline void DataCopyPad(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const DataCopyParams &p)
{
    DataCopyPad(dst, src, DataCopyExtParams(p.blockCount, p.blockLen, p.srcStride, p.dstStride, 0));
}

/* A matrix of rows becomes columns of blocks: element (n, d) lies in column d / C0 at row n. */
template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const Nd2NzParams &p)
{
    constexpr uint64_t c0 = 32 / sizeof(T);
    const uint64_t columns = (p.dValue + c0 - 1) / c0;
    if (p.ndNum == 0 || p.nValue == 0 || columns == 0) {
        return;
    }
    const uint64_t matrix = ((columns - 1) * p.dstNzC0Stride + (p.nValue - 1ull) * p.dstNzNStride) * 32 + 32;
    const uint64_t step = p.dstNzMatrixStride > ~0ull / sizeof(T) ? ~0ull : p.dstNzMatrixStride * sizeof(T);
    vinci::check_local(local_of(dst.GetPosition()), dst.GetPhyAddr(), vinci::span(p.ndNum, step, matrix), 32, "DataCopy(Nd2Nz)");
    for (uint64_t m = 0; m < p.ndNum; ++m) {
        const T *from = src.GetPhyAddr() + m * p.srcNdMatrixStride;
        T *to = dst.GetPhyAddr() + m * p.dstNzMatrixStride;
        for (uint64_t column = 0; column < columns; ++column) {
            const uint64_t width = p.dValue - column * c0 < c0 ? p.dValue - column * c0 : c0;
            for (uint64_t n = 0; n < p.nValue; ++n) {
                T *block = to + (column * p.dstNzC0Stride + n * p.dstNzNStride) * c0;
                const T *row = from + n * p.srcDValue + column * c0;
                if (width == c0) {
                    __builtin_memcpy(block, row, 32);
                } else {
                    for (uint64_t k = 0; k < c0; ++k) {
                        block[k] = k < width ? row[k] : T();
                    }
                }
            }
        }
    }
    vinci::charge_global(vinci::kMte2, p.ndNum * p.nValue * p.dValue * sizeof(T), p.ndNum * p.nValue, src.GetPhyAddr(), p.srcDValue * sizeof(T), src.bypasses());
}

} // namespace AscendC

#endif

/* Copies of slices: in each dimension, the innermost first, runs of elements with gaps between them. */
#ifndef VINCI_ASCENDC_SLICE_H
#define VINCI_ASCENDC_SLICE_H

#include "copy.h"
#include "memory.h"

namespace AscendC {

struct SliceInfo {
    SliceInfo() = default;
    SliceInfo(uint32_t start, uint32_t end, uint32_t gap, uint32_t burst, uint32_t shape = 0)
        : startIndex(start), endIndex(end), stride(gap), burstLen(burst), shapeValue(shape)
    {
    }
    uint32_t startIndex = 0; /* first element */
    uint32_t endIndex = 0;   /* last element */
    uint32_t stride = 0;     /* elements between two runs */
    uint32_t burstLen = 0;   /* of a run: blocks of 32 bytes in the innermost dimension, else 1 */
    uint32_t shapeValue = 0; /* elements of the dimension */
};

/* Walks over the runs of a slice. */
template <typename T> class SliceWalk {
public:
    SliceWalk(const SliceInfo info[], uint32_t dimensions) : info_(info), dimensions_(dimensions)
    {
        for (uint32_t d = 0; d < dimensions; ++d) {
            at_[d] = info[d].startIndex;
        }
    }
    uint64_t run(uint32_t d) const { return d == 0 ? info_[0].burstLen * 32ull / sizeof(T) : info_[d].burstLen; }
    uint64_t offset() const
    {
        uint64_t sum = 0, size = 1;
        for (uint32_t d = 0; d < dimensions_; ++d) {
            sum += at_[d] * size;
            size *= info_[d].shapeValue;
        }
        return sum;
    }
    /* False behind the last run. */
    bool step()
    {
        for (uint32_t d = 0; d < dimensions_; ++d) {
            at_[d] += run(d) + info_[d].stride;
            if (at_[d] <= info_[d].endIndex) {
                return true;
            }
            at_[d] = info_[d].startIndex;
        }
        return false;
    }

private:
    const SliceInfo *info_;
    uint32_t dimensions_;
    uint64_t at_[K_MAX_DIM] = {};
};

template <typename T, class Move>
inline uint64_t slices(const SliceInfo dst[], const SliceInfo src[], uint32_t dimensions, const Move &move)
{
    if (dimensions == 0 || dimensions > K_MAX_DIM) {
        vinci::fail(vinci::kShape, 3, dimensions, K_MAX_DIM, 0, "DataCopy of a slice");
    }
    SliceWalk<T> to(dst, dimensions), from(src, dimensions);
    uint64_t bytes = 0;
    bool more = true;
    while (more) {
        const uint64_t n = from.run(0);
        if (to.run(0) != n) {
            vinci::fail(vinci::kShape, 3, to.run(0), n, 0, "DataCopy of a slice");
        }
        move(to.offset(), from.offset(), n);
        bytes += n * sizeof(T);
        more = to.step() & from.step();
    }
    return bytes;
}

template <typename T>
inline void DataCopy(const LocalTensor<T> &dst, const GlobalTensor<T> &src, const SliceInfo dstInfo[], const SliceInfo srcInfo[], const uint32_t dimValue = 1)
{
    const auto memory = local_of(dst.GetPosition());
    const uint64_t bytes = slices<T>(dstInfo, srcInfo, dimValue, [&](uint64_t to, uint64_t from, uint64_t n) {
        vinci::check_local(memory, dst.GetPhyAddr() + to, n * sizeof(T), 32, "DataCopy");
        __builtin_memcpy(dst.GetPhyAddr() + to, src.GetPhyAddr() + from, n * sizeof(T));
    });
    vinci::charge_global(vinci::kMte2, bytes, bytes / 512 + 1);
}
template <typename T>
inline void DataCopy(const GlobalTensor<T> &dst, const LocalTensor<T> &src, const SliceInfo dstInfo[], const SliceInfo srcInfo[], const uint32_t dimValue = 1)
{
    const auto memory = local_of(src.GetPosition());
    const uint64_t bytes = slices<T>(dstInfo, srcInfo, dimValue, [&](uint64_t to, uint64_t from, uint64_t n) {
        vinci::check_local(memory, src.GetPhyAddr() + from, n * sizeof(T), 32, "DataCopy");
        store_global(const_cast<T *>(dst.GetPhyAddr()) + to, src.GetPhyAddr() + from, n);
    });
    vinci::charge_global(vinci::kMte3, bytes, bytes / 512 + 1);
}

} // namespace AscendC

#endif

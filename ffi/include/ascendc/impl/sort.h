/* Sorting: groups of 32, merges of up to four sorted queues, and what is made of both. A sorted element takes eight
 * bytes: the score (float, or half and two bytes that say nothing), then the index. Greater scores come first, a NaN
 * before all; of equal ones the earlier. */
#ifndef VINCI_ASCENDC_SORT_H
#define VINCI_ASCENDC_SORT_H

#include "vector.h"

namespace AscendC {

template <typename T> struct MrgSortSrcList {
    MrgSortSrcList() = default;
    MrgSortSrcList(const LocalTensor<T> a, const LocalTensor<T> b, const LocalTensor<T> c, const LocalTensor<T> d)
        : src1(a), src2(b), src3(c), src4(d)
    {
    }
    LocalTensor<T> src1;
    LocalTensor<T> src2;
    LocalTensor<T> src3;
    LocalTensor<T> src4;
};

struct MrgSort4Info {
    MrgSort4Info() = default;
    MrgSort4Info(const uint16_t lengths[4], bool suspend, uint16_t valid, uint16_t repeats)
        : ifExhaustedSuspension(suspend), validBit(valid), repeatTimes(static_cast<uint8_t>(repeats))
    {
        for (int i = 0; i < 4; ++i) {
            elementLengths[i] = lengths[i];
        }
    }
    uint16_t elementLengths[4] = {0, 0, 0, 0};
    bool ifExhaustedSuspension = false;
    uint16_t validBit = 0;
    uint8_t repeatTimes = 1;
};

} // namespace AscendC

namespace vinci {

/* A sorted element. */
template <typename T> struct Scored {
    T score;
    alignas(4) uint32_t index;
};
static_assert(sizeof(Scored<half>) == 8 && sizeof(Scored<float>) == 8, "eight bytes");

/* Whether `a` comes before `b`, which was later. */
template <typename T> inline __attribute__((always_inline)) bool precedes(T a, T b)
{
    const auto x = static_cast<float>(a), y = static_cast<float>(b);
    return x != x || (y == y && x >= y);
}

/* Sorts `n` elements, for which `spare` has room too, by merging ever longer runs. */
template <typename E, class F> inline void merge_runs(E *data, E *spare, uint32_t n, const F &before)
{
    E *from = data, *to = spare;
    for (uint32_t run = 1; run < n; run *= 2) {
        for (uint32_t at = 0; at < n; at += 2 * run) {
            uint32_t i = at, j = at + run < n ? at + run : n;
            const uint32_t middle = j, end = at + 2 * run < n ? at + 2 * run : n;
            for (uint32_t k = at; k < end; ++k) {
                to[k] = j >= end || (i < middle && before(from[i], from[j])) ? from[i++] : from[j++];
            }
        }
        E *other = from;
        from = to;
        to = other;
    }
    if (from != data) {
        for (uint32_t i = 0; i < n; ++i) {
            data[i] = from[i];
        }
    }
}

template <typename T> inline void sort32(Scored<T> *to, const T *score, const uint32_t *index)
{
    Scored<T> all[32] = {}, spare[32];
    for (uint32_t i = 0; i < 32; ++i) {
        all[i].score = score[i];
        all[i].index = index[i];
    }
    merge_runs(all, spare, 32, [](const Scored<T> &a, const Scored<T> &b) { return precedes(a.score, b.score); });
    for (uint32_t i = 0; i < 32; ++i) {
        to[i] = all[i];
    }
}

/* Merges queues into `to` until they, or with `suspend` one of them, are at an end; how many of each were taken. */
template <typename T>
inline uint32_t merge(Scored<T> *to, const Scored<T> *const from[4], const uint16_t lengths[4], uint32_t valid, bool suspend, uint16_t taken[4])
{
    uint32_t out = 0;
    for (int q = 0; q < 4; ++q) {
        taken[q] = 0;
    }
    for (;;) {
        int best = -1;
        for (int q = 0; q < 4; ++q) {
            if (!((valid >> q) & 1) || taken[q] >= lengths[q]) {
                continue;
            }
            if (best < 0 || !precedes(from[best][taken[best]].score, from[q][taken[q]].score)) {
                best = q;
            }
        }
        if (best < 0) {
            return out;
        }
        to[out++] = from[best][taken[best]];
        if (++taken[best] >= lengths[best] && suspend) {
            return out;
        }
    }
}

} // namespace vinci

namespace AscendC {

template <typename T>
inline void Sort32(const LocalTensor<T> &dst, const LocalTensor<T> &src0, const LocalTensor<uint32_t> &src1, const int32_t repeatTime)
{
    vinci::check_ub(dst.GetPhyAddr(), repeatTime * 256ull, "Sort32");
    vinci::check_ub(src0.GetPhyAddr(), repeatTime * 32ull * sizeof(T), "Sort32");
    vinci::check_ub(src1.GetPhyAddr(), repeatTime * 128ull, "Sort32");
    auto *to = reinterpret_cast<vinci::Scored<T> *>(dst.GetPhyAddr());
    for (int32_t r = 0; r < repeatTime; ++r) {
        vinci::sort32(to + r * 32, src0.GetPhyAddr() + r * 32, src1.GetPhyAddr() + r * 32);
    }
    vinci::charge_vector(repeatTime * 256ull, 2);
}

template <typename T> inline void MrgSort(const LocalTensor<T> &dst, const MrgSortSrcList<T> &src, const MrgSort4Info &params)
{
    using E = vinci::Scored<T>;
    if (params.validBit != 3 && params.validBit != 7 && params.validBit != 15) {
        vinci::fail(vinci::kShape, 3, params.validBit, 15, 0, "MrgSort");
    }
    const LocalTensor<T> *lists[4] = {&src.src1, &src.src2, &src.src3, &src.src4};
    const E *from[4] = {};
    uint32_t total = 0;
    bool regular = params.validBit == 15 && !params.ifExhaustedSuspension;
    for (int q = 0; q < 4; ++q) {
        if (!((params.validBit >> q) & 1)) {
            continue;
        }
        from[q] = reinterpret_cast<const E *>(lists[q]->GetPhyAddr());
        regular = regular && params.elementLengths[q] == params.elementLengths[0] && from[q] == from[0] + total;
        total += params.elementLengths[q];
        vinci::check_ub(from[q], params.elementLengths[q] * 8ull, "MrgSort", 8);
    }
    /* Several merges in one instruction: only of four queues of one length that lie side by side. */
    const uint32_t repeats = regular ? params.repeatTimes : (params.repeatTimes == 0 ? 0 : 1);
    vinci::check_ub(dst.GetPhyAddr(), repeats * total * 8ull, "MrgSort");
    if (regular) {
        vinci::check_ub(from[0], repeats * total * 8ull, "MrgSort", 8);
    }
    auto *to = reinterpret_cast<E *>(dst.GetPhyAddr());
    uint16_t taken[4] = {};
    for (uint32_t r = 0; r < repeats; ++r) {
        vinci::merge<T>(to + r * total, from, params.elementLengths, params.validBit, params.ifExhaustedSuspension, taken);
        for (int q = 0; q < 4 && regular; ++q) {
            from[q] += total;
        }
    }
    uint64_t &kept = vinci::core()->scratch[vinci::kMerged];
    __builtin_memcpy(&kept, taken, 8);
    vinci::charge_vector(repeats * total * 8ull, 2);
}

/* How many elements of each queue the last merge has taken. */
inline void GetMrgSortResult(uint16_t &list1, uint16_t &list2, uint16_t &list3, uint16_t &list4)
{
    uint16_t taken[4];
    __builtin_memcpy(taken, &vinci::core()->scratch[vinci::kMerged], 8);
    list1 = taken[0];
    list2 = taken[1];
    list3 = taken[2];
    list4 = taken[3];
}

/* Elements of T that a sorted element takes. */
template <typename T> inline uint32_t GetSortOffset(const uint32_t elemOffset) { return elemOffset * 8 / sizeof(T); }
template <typename T> inline uint32_t GetSortLen(const uint32_t elemCount) { return elemCount * 8 / sizeof(T); }

/* Scores need no preparation on this chip. */
template <typename T>
inline void Concat(LocalTensor<T> &concat, const LocalTensor<T> &src, const LocalTensor<T> &, const int32_t)
{
    concat = src;
}

/* Sorts groups of 32, or all of them. */
template <typename T, bool isFullSort>
inline void Sort(const LocalTensor<T> &dst, const LocalTensor<T> &concat, const LocalTensor<uint32_t> &index,
    LocalTensor<T> &tmp, const int32_t repeatTime)
{
    using E = vinci::Scored<T>;
    Sort32(dst, concat, index, repeatTime);
    if constexpr (isFullSort) {
        vinci::check_ub(tmp.GetPhyAddr(), repeatTime * 256ull, "Sort");
        vinci::merge_runs(reinterpret_cast<E *>(dst.GetPhyAddr()), reinterpret_cast<E *>(tmp.GetPhyAddr()), repeatTime * 32u,
            [](const E &a, const E &b) { return vinci::precedes(a.score, b.score); });
        for (int32_t groups = repeatTime; groups > 1; groups = (groups + 3) / 4) {
            vinci::charge_vector(repeatTime * 256ull, 2);
        }
    }
}

/* Takes sorted elements apart, 32 per repeat. */
template <typename T>
inline void Extract(const LocalTensor<T> &dstValue, const LocalTensor<uint32_t> &dstIndex, const LocalTensor<T> &sorted, const int32_t repeatTime)
{
    const uint32_t n = repeatTime * 32;
    vinci::check_ub(dstValue.GetPhyAddr(), n * sizeof(T), "Extract");
    vinci::check_ub(dstIndex.GetPhyAddr(), n * 4ull, "Extract");
    vinci::check_ub(sorted.GetPhyAddr(), n * 8ull, "Extract");
    const auto *from = reinterpret_cast<const vinci::Scored<T> *>(sorted.GetPhyAddr());
    for (uint32_t i = 0; i < n; ++i) {
        const vinci::Scored<T> e = from[i];
        dstValue.GetPhyAddr()[i] = e.score;
        dstIndex.GetPhyAddr()[i] = e.index;
    }
    vinci::charge_vector(n * 8ull);
}

template <typename T, bool isExhaustedSuspension = false>
inline void MrgSort(const LocalTensor<T> &dst, const MrgSortSrcList<T> &list, const uint16_t lengths[4], uint32_t sortedNum[4],
    uint16_t validBit, const int32_t repeatTime)
{
    MrgSort(dst, list, MrgSort4Info(lengths, isExhaustedSuspension, validBit, static_cast<uint16_t>(repeatTime)));
    if constexpr (isExhaustedSuspension) {
        uint16_t taken[4];
        GetMrgSortResult(taken[0], taken[1], taken[2], taken[3]);
        for (int q = 0; q < 4; ++q) {
            sortedNum[q] = taken[q];
        }
    }
}

enum class TopKMode { TOPK_NORMAL = 0, TOPK_NSMALL };
struct TopKInfo {
    int32_t outter = 1;
    int32_t inner;
    int32_t n;
};

/* The k greatest (or least) of each row, in order, and their indices. */
template <typename T, bool isInitIndex = false, bool isHasfinish = false, bool isReuseSrc = false,
    enum TopKMode topkMode = TopKMode::TOPK_NORMAL, typename Tiling>
inline void TopK(const LocalTensor<T> &value, const LocalTensor<int32_t> &index, const LocalTensor<T> &src,
    const LocalTensor<int32_t> &srcIndex, const LocalTensor<bool> &finish, const LocalTensor<uint8_t> &tmp, const int32_t k,
    const Tiling &, const TopKInfo &info, const bool isLargest = true)
{
    using E = vinci::Scored<T>;
    constexpr bool small = topkMode == TopKMode::TOPK_NSMALL;
    const uint32_t inner = info.inner, n = info.n;
    if (inner % 32 != 0 || inner > 4096 || n > inner || k > info.n || k < 1) {
        vinci::fail(vinci::kShape, 3, inner, 4096, 0, "TopK");
    }
    const uint32_t per = 32 / sizeof(T), values = small ? k : (k + per - 1) / per * per, indices = small ? k : (k + 7) / 8 * 8;
    vinci::check_ub(src.GetPhyAddr(), info.outter * inner * sizeof(T), "TopK");
    vinci::check_ub(value.GetPhyAddr(), info.outter * values * sizeof(T), "TopK");
    vinci::check_ub(index.GetPhyAddr(), info.outter * indices * 4ull, "TopK");
    vinci::check_ub(tmp.GetPhyAddr(), inner * 16ull, "TopK");
    auto *all = reinterpret_cast<E *>(tmp.GetPhyAddr()), *spare = all + inner;
    for (int32_t row = 0; row < info.outter; ++row) {
        for (uint32_t i = 0; i < n; ++i) {
            E e{};
            e.score = src.GetPhyAddr()[row * inner + i];
            e.index = isInitIndex ? static_cast<uint32_t>(srcIndex.GetPhyAddr()[small ? row * inner + i : i]) : i;
            all[i] = e;
        }
        vinci::merge_runs(all, spare, n, [isLargest](const E &a, const E &b) {
            const auto x = static_cast<float>(a.score), y = static_cast<float>(b.score);
            return x != x || (y == y && (isLargest ? x >= y : x <= y));
        });
        const bool over = isHasfinish && finish.GetPhyAddr()[row];
        for (int32_t i = 0; i < k; ++i) {
            value.GetPhyAddr()[row * values + i] = all[i].score;
            index.GetPhyAddr()[row * indices + i] = over ? info.n : static_cast<int32_t>(all[i].index);
        }
        vinci::charge_vector(inner * 8ull, 8);
    }
}

} // namespace AscendC

#endif

/* Reductions under masks, repeats and strides, against sums and extremes that the host makes of the same elements. */
#include <cmath>
#include <cstring>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

constexpr int kRepeats = 6;
constexpr uint32_t kBytes = kRepeats * 288;     /* repeats overlap no other: nine blocks each, of which eight are read */
constexpr uint32_t kOut = 4096;                 /* bytes of results */
constexpr int kStride = 9;

enum Form { kWholeSum, kWholeMax, kWholeMin, kIndexFirst, kIndexOnly, kValueOnly, kBlockSum, kBlockMax, kBlockMin, kPair, kForms };

template <typename T> __aicore__ inline void reduce(GM_ADDR in, GM_ADDR out, uint64_t low, uint64_t high, int lanes)
{
    using namespace AscendC;
    TPipe pipe;
    TBuf<TPosition::VECCALC> a, b, c;
    pipe.InitBuffer(a, kBytes);
    pipe.InitBuffer(b, kOut);
    pipe.InitBuffer(c, kOut);
    GlobalTensor<T> x, y;
    x.SetGlobalBuffer(reinterpret_cast<T *>(in), kBytes / sizeof(T));
    y.SetGlobalBuffer(reinterpret_cast<T *>(out), (kForms + 3) * kOut / sizeof(T));
    LocalTensor<T> src = a.Get<T>(), dst = b.Get<T>(), work = c.Get<T>();
    DataCopy(src, x, kBytes / sizeof(T));
    PipeBarrier<PIPE_ALL>();
    /* Other pipes store results, which the next must not overtake. */
    auto put = [&](int result, uint32_t elements) {
        PipeBarrier<PIPE_ALL>();
        DataCopy(y[result * kOut / sizeof(T)], dst, elements);
        PipeBarrier<PIPE_ALL>();
    };
    uint64_t bits[2] = {low, high};
    for (int form = 0; form < kForms; ++form) {
        Duplicate(dst, T(7), kOut / sizeof(T));
        switch (form) {
            case kWholeSum: WholeReduceSum(dst, src, bits, kRepeats, 2, 1, kStride); break;
            case kWholeMax: WholeReduceMax(dst, src, bits, kRepeats, 1, 1, kStride); break;
            case kWholeMin: WholeReduceMin(dst, src, bits, kRepeats, 3, 1, kStride); break;
            case kIndexFirst: WholeReduceMax(dst, src, bits, kRepeats, 1, 1, kStride, ReduceOrder::ORDER_INDEX_VALUE); break;
            case kIndexOnly: WholeReduceMax(dst, src, bits, kRepeats, 1, 1, kStride, ReduceOrder::ORDER_ONLY_INDEX); break;
            case kValueOnly: ReduceRepeat<ReduceType::MIN, T>(dst, src, bits, kRepeats, 1, 1, kStride, ReduceOrder::ORDER_ONLY_VALUE); break;
            case kBlockSum: BlockReduceSum(dst, src, bits, kRepeats, 1, 1, kStride); break;
            case kBlockMax: BlockReduceMax(dst, src, bits, kRepeats, 2, 1, kStride); break;
            case kBlockMin: ReduceDataBlock<ReduceType::MIN, T>(dst, src, bits, kRepeats, 1, 1, kStride); break;
            case kPair: PairReduceSum(dst, src, bits, kRepeats, 1, 1, kStride); break;
        }
        put(form, kOut / sizeof(T));
    }
    Duplicate(dst, T(7), 64);
    ReduceMax(dst, src, work, lanes, kRepeats, kStride, true);
    ReduceMin(dst[32], src, work, lanes, kRepeats, kStride, false);
    put(kForms, 64);
    ReduceSum(dst, src, work, lanes, kRepeats, kStride);
    ReduceSum(dst[32], src, work, 5 * 256 / sizeof(T) + 3);
    dst.SetValue(33, GetReduceRepeatSumSpr<T>());
    put(kForms + 1, 64);
    /* A count of elements instead of lanes. */
    SetMaskCount();
    WholeReduceSum(dst, src, static_cast<int32_t>(2 * 256 / sizeof(T) + 5), 1, 1, 1, 8);
    SetMaskNorm();
    put(kForms + 2, 64);
}

extern "C" __global__ __aicore__ void reduce_half(GM_ADDR in, GM_ADDR out, uint64_t low, uint64_t high, int lanes)
{
    reduce<half>(in, out, low, high, lanes);
}
extern "C" __global__ __aicore__ void reduce_float(GM_ADDR in, GM_ADDR out, uint64_t low, uint64_t high, int lanes)
{
    reduce<float>(in, out, low, high, lanes);
}

/* What the host knows of a type: halves are computed exactly in double and rounded with the library's conversion. */
struct Half {
    using bits = uint16_t;
    static double value(bits b) { return aclFloat16ToFloat(b); }
    static bits of(double v) { return aclFloatToFloat16(static_cast<float>(v)); }
};
struct Float {
    using bits = uint32_t;
    static double value(bits b)
    {
        float f;
        std::memcpy(&f, &b, 4);
        return f;
    }
    static bits of(double v)
    {
        const auto f = static_cast<float>(v);
        bits b;
        std::memcpy(&b, &f, 4);
        return b;
    }
};

/* Halves of a range are summed first: the same tree, from its root. */
template <class K> double sum(const std::vector<double> &v, size_t from, size_t to)
{
    if (to - from == 1) {
        return v[from];
    }
    const size_t middle = (from + to) / 2;
    return K::value(K::of(sum<K>(v, from, middle) + sum<K>(v, middle, to)));
}

template <class K> struct Reference {
    using bits = typename K::bits;
    static constexpr int kLanes = 256 / sizeof(bits), kPer = 32 / sizeof(bits);
    const std::vector<bits> &x;
    uint64_t mask[2];

    bool on(int lane) const { return (mask[lane / 64] >> (lane % 64)) & 1; }
    bits at(int repeat, int lane, int stride = kStride) const { return x[repeat * stride * kPer + lane]; }
    std::vector<double> lanes(int repeat, int stride = kStride) const
    {
        std::vector<double> v;
        for (int l = 0; l < kLanes; ++l) {
            v.push_back(on(l) ? K::value(at(repeat, l, stride)) : 0);
        }
        return v;
    }
    /* Lane of the greatest (sign 1) or least (-1) in [from, to); -1 if no lane takes part. */
    int extreme(int repeat, int from, int to, int sign) const
    {
        int best = -1;
        for (int l = from; l < to; ++l) {
            if (on(l) && (best < 0 || sign * K::value(at(repeat, l)) > sign * K::value(at(repeat, best)))) {
                best = l;
            }
        }
        return best;
    }
};

template <class K> bool compare(const char *what, const std::vector<typename K::bits> &got, size_t base, const std::vector<typename K::bits> &want)
{
    for (size_t i = 0; i < want.size(); ++i) {
        if (got[base + i] != want[i]) {
            std::printf("%s: element %zu is %x (%g) instead of %x (%g)\n", what, i, static_cast<unsigned>(got[base + i]),
                K::value(got[base + i]), static_cast<unsigned>(want[i]), K::value(want[i]));
            return false;
        }
    }
    return true;
}

template <class K> bool check(const std::vector<typename K::bits> &x, const std::vector<typename K::bits> &y, uint64_t low, uint64_t high, int lanes)
{
    using bits = typename K::bits;
    using R = Reference<K>;
    const R r{x, {low, high}};
    const size_t words = kOut / sizeof(bits);
    const bits seven = K::of(7);
    auto put = [](std::vector<bits> &v, size_t at, bits b) {
        if (at < v.size()) {
            v[at] = b;
        }
    };
    for (int form = 0; form < kForms; ++form) {
        std::vector<bits> want(words, seven);
        for (int i = 0; i < kRepeats; ++i) {
            const int most = r.extreme(i, 0, R::kLanes, 1), least = r.extreme(i, 0, R::kLanes, -1);
            switch (form) {
                case kWholeSum: put(want, i * 2, K::of(sum<K>(r.lanes(i), 0, R::kLanes))); break;
                case kWholeMax:
                    put(want, i * 2, r.at(i, most));
                    put(want, i * 2 + 1, static_cast<bits>(most));
                    break;
                case kWholeMin:
                    put(want, i * 6, r.at(i, least));
                    put(want, i * 6 + 1, static_cast<bits>(least));
                    break;
                case kIndexFirst:
                    put(want, i * 2, static_cast<bits>(most));
                    put(want, i * 2 + 1, r.at(i, most));
                    break;
                case kIndexOnly: {
                    const auto index = static_cast<uint32_t>(most);
                    std::memcpy(reinterpret_cast<uint8_t *>(want.data()) + i * 4, &index, 4);
                    break;
                }
                case kValueOnly: put(want, i, r.at(i, least)); break;
                case kPair:
                    for (int l = 0; l < R::kLanes; l += 2) {
                        if (r.on(l) || r.on(l + 1)) {
                            put(want, i * R::kLanes / 2 + l / 2, K::of(sum<K>(r.lanes(i), l, l + 2)));
                        }
                    }
                    break;
                default:
                    for (int b = 0; b < 8; ++b) {
                        const int from = b * R::kPer, to = from + R::kPer, best = r.extreme(i, from, to, form == kBlockMax ? 1 : -1);
                        if (best >= 0) {
                            put(want, (form == kBlockMax ? 16 : 8) * i + b, form == kBlockSum ? K::of(sum<K>(r.lanes(i), from, to)) : r.at(i, best));
                        }
                    }
            }
        }
        static const char *names[] = {"sum of repeats", "greatest of repeats", "least of repeats", "index first", "index only", "value only", "sum of blocks", "greatest of blocks", "least of blocks", "sum of pairs"};
        if (!compare<K>(names[form], y, form * words, want)) {
            return false;
        }
    }
    /* Everything, under a mask of the first lanes. */
    const R first{x, {lanes >= 64 ? ~0ull : (1ull << lanes) - 1, lanes >= 128 ? ~0ull : lanes > 64 ? (1ull << (lanes - 64)) - 1 : 0}};
    int where[2] = {0, 0};
    for (int s = 0; s < 2; ++s) {
        int best = -1;
        for (int i = 0; i < kRepeats; ++i) {
            const int l = first.extreme(i, 0, R::kLanes, s == 0 ? 1 : -1), at = i * kStride * R::kPer + l;
            if (best < 0 || (s == 0 ? K::value(x[at]) > K::value(x[best]) : K::value(x[at]) < K::value(x[best]))) {
                best = at;
            }
        }
        where[s] = best;
    }
    const size_t total = kForms * words;
    if (!compare<K>("greatest of all", y, total, {x[where[0]], static_cast<bits>(where[0])}) || !compare<K>("least of all", y, total + 32, {x[where[1]], seven})) {
        return false;
    }
    std::vector<double> sums(R::kLanes, 0);
    for (int i = 0; i < kRepeats; ++i) {
        sums[i] = sum<K>(first.lanes(i), 0, R::kLanes);
    }
    if (!compare<K>("sum of all, as a tree", y, total + words, {K::of(sum<K>(sums, 0, R::kLanes))})) {
        return false;
    }
    double in_order = 0;
    const R all{x, {~0ull, ~0ull}}, tail{x, {7, 0}};
    for (int i = 0; i < 6; ++i) {
        in_order = K::value(K::of(in_order + sum<K>((i < 5 ? all : tail).lanes(i, 8), 0, R::kLanes)));
    }
    if (!compare<K>("sum of all, in order", y, total + words + 32, {K::of(in_order), K::of(in_order)})) {
        return false;
    }
    const R five{x, {31, 0}};
    return compare<K>("sums under a count", y, total + 2 * words, {K::of(sum<K>(all.lanes(0, 8), 0, R::kLanes)), K::of(sum<K>(all.lanes(1, 8), 0, R::kLanes)), K::of(sum<K>(five.lanes(2, 8), 0, R::kLanes))});
}

template <class K, class L> int attempt(aclrtStream stream, uint32_t seed, uint64_t low, uint64_t high, int lanes, L launch)
{
    using bits = typename K::bits;
    std::vector<bits> x(kBytes / sizeof(bits)), y((kForms + 3) * kOut / sizeof(bits));
    for (bits &b : x) {
        seed = seed * 1664525u + 1013904223u;
        /* Few values, so that extremes come more than once; and not exact ones, so that the order of a sum matters. */
        b = K::of((static_cast<int>(seed >> 24) - 128) * 0.3);
    }
    void *dx, *dy;
    OK(aclrtMalloc(&dx, kBytes, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&dy, y.size() * sizeof(bits), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(dx, kBytes, x.data(), kBytes, ACL_MEMCPY_HOST_TO_DEVICE));
    launch(static_cast<uint8_t *>(dx), static_cast<uint8_t *>(dy));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(y.data(), y.size() * sizeof(bits), dy, y.size() * sizeof(bits), ACL_MEMCPY_DEVICE_TO_HOST));
    OK(aclrtFree(dx));
    OK(aclrtFree(dy));
    return check<K>(x, y, low, high, lanes) ? 0 : 1;
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    const uint64_t masks[][2] = {{~0ull, ~0ull}, {0xffff, 0}, {0x8001020400f00ff0ull, 0x7000000000000001ull}, {1, 1}};
    for (uint32_t i = 0; i < 4; ++i) {
        const uint64_t low = masks[i][0], high = masks[i][1];
        const int halves = i == 0 ? 128 : 100 - 30 * static_cast<int>(i), floats = i == 0 ? 64 : 50 - 10 * static_cast<int>(i);
        if (attempt<Half>(stream, i + 1, low, high, halves, [&](uint8_t *x, uint8_t *y) { reduce_half<<<1, nullptr, stream>>>(x, y, low, high, halves); }) != 0 ||
            attempt<Float>(stream, i + 9, low, 0, floats, [&](uint8_t *x, uint8_t *y) { reduce_float<<<1, nullptr, stream>>>(x, y, low, 0, floats); }) != 0) {
            std::printf("mask %u\n", i);
            return 1;
        }
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

/* Sorting, merging, gathering, scattering and transposing, against the host's own. */
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

constexpr uint32_t kCount = 256;
constexpr uint32_t kOut = 2048;

/* Room for results, each with kOut bytes. */
enum Result { kGroups, kMerged, kSuspended, kTaken, kSorted, kValues, kIndices, kTop, kTopIndex, kGathered, kGatheredMasked, kBlocks, kPattern, kPacked, kScattered, kTransposed, kHd16, kHd32, kHd8, kImage, kBack, kResults };

template <typename T> __aicore__ inline void put(GM_ADDR out, int result, const AscendC::LocalTensor<T> &from)
{
    AscendC::GlobalTensor<T> y;
    y.SetGlobalBuffer(reinterpret_cast<T *>(out + result * kOut), kOut / sizeof(T));
    AscendC::PipeBarrier<PIPE_ALL>();
    AscendC::DataCopy(y, from, kOut / sizeof(T));
    AscendC::PipeBarrier<PIPE_ALL>();
}

struct NoTiling {};

extern "C" __global__ __aicore__ void rearrange(GM_ADDR scores, GM_ADDR numbers, GM_ADDR offsets, GM_ADDR out)
{
    using namespace AscendC;
    LocalMemAllocator<Hardware::UB> memory;
    GlobalTensor<float> x;
    GlobalTensor<uint32_t> n, o;
    x.SetGlobalBuffer(reinterpret_cast<float *>(scores), kCount);
    n.SetGlobalBuffer(reinterpret_cast<uint32_t *>(numbers), kCount);
    o.SetGlobalBuffer(reinterpret_cast<uint32_t *>(offsets), kCount);
    auto score = memory.Alloc<float, kCount>();
    auto number = memory.Alloc<uint32_t, kCount>(), offset = memory.Alloc<uint32_t, kCount>();
    auto work = memory.Alloc<float, 2 * kCount>(), dst = memory.Alloc<float, 2 * kCount>(), tmp = memory.Alloc<float, 4 * kCount>();
    DataCopy(score, x, kCount);
    DataCopy(number, n, kCount);
    DataCopy(offset, o, kCount);
    PipeBarrier<PIPE_ALL>();

    Sort32(work, score, number, kCount / 32);
    put(out, kGroups, work);
    MrgSort4Info info;
    for (uint16_t &length : info.elementLengths) {
        length = 32;
    }
    info.validBit = 15;
    info.repeatTimes = 2;
    MrgSort(dst, {work, work[64], work[128], work[192]}, info);
    put(out, kMerged, dst);
    const uint16_t lengths[4] = {32, 8, 32, 0};
    Duplicate(dst, 0.0f, 2 * kCount);
    MrgSort(dst, {work, work[64], work[128], work[192]}, MrgSort4Info(lengths, true, 7, 1));
    put(out, kSuspended, dst);
    uint16_t taken[4];
    GetMrgSortResult(taken[0], taken[1], taken[2], taken[3]);
    for (int i = 0; i < 4; ++i) {
        dst.ReinterpretCast<uint32_t>().SetValue(i, taken[i]);
    }
    put(out, kTaken, dst);
    Sort<float, true>(dst, score, number, tmp, kCount / 32);
    put(out, kSorted, dst);
    Extract(tmp, work.ReinterpretCast<uint32_t>(), dst, kCount / 32);
    put(out, kValues, tmp);
    put(out, kIndices, work);
    TopK<float>(dst, work.ReinterpretCast<int32_t>(), score, LocalTensor<int32_t>(), LocalTensor<bool>(), tmp.ReinterpretCast<uint8_t>(), 5, NoTiling(), {4, 64, 60}, false);
    put(out, kTop, dst);
    put(out, kTopIndex, work);

    Duplicate(dst, 0.0f, 2 * kCount);
    Gather(dst, score, offset, 16u, 100);
    put(out, kGathered, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    uint64_t bits[2] = {0xf0f0f0f00f0f0f0full, 0};
    Gather(dst, score, offset, 0u, bits, 3, 9);
    put(out, kGatheredMasked, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    Gatherb(dst.ReinterpretCast<uint32_t>(), number, offset[128], 2, {2, 16});
    put(out, kBlocks, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    uint64_t kept = 0;
    GatherMask(dst, score, static_cast<uint8_t>(5), true, 50, {1, 3, 8, 0}, kept);
    dst.ReinterpretCast<uint32_t>().SetValue(kCount, static_cast<uint32_t>(kept));
    put(out, kPattern, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    GatherMask(dst, score, number, false, 0, {1, 4, 8, 1}, kept);
    dst.ReinterpretCast<uint32_t>().SetValue(kCount, static_cast<uint32_t>(kept));
    put(out, kPacked, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    Scatter(dst, score, offset, 8u, 64);
    put(out, kScattered, dst);

    LocalTensor<half> small = score.ReinterpretCast<half>();
    Transpose(dst.ReinterpretCast<half>(), small);
    put(out, kTransposed, dst);
    uint64_t to[16], from[16];
    for (int i = 0; i < 16; ++i) {
        to[i] = reinterpret_cast<uint64_t>(dst.ReinterpretCast<half>()[16 * i].GetPhyAddr());
        from[i] = reinterpret_cast<uint64_t>(small[32 * i].GetPhyAddr());
    }
    Duplicate(dst, 0.0f, 2 * kCount);
    TransDataTo5HD<half>(to, from, TransDataTo5HDParams(false, false, 2, 16, 1));
    put(out, kHd16, dst);
    for (int i = 0; i < 16; ++i) {
        from[i] = reinterpret_cast<uint64_t>(score[8 * i].GetPhyAddr());
    }
    Duplicate(dst, 0.0f, 2 * kCount);
    TransDataTo5HD<float>(to, from, TransDataTo5HDParams(false, false, 1, 0, 0));
    put(out, kHd32, dst);
    Duplicate(dst, 0.0f, 2 * kCount);
    TransDataTo5HD<int8_t>(to, from, TransDataTo5HDParams(true, false, 1, 0, 0));
    put(out, kHd8, dst);
    TransposeParamsExt shape(2, 3, 5, 8, TransposeType::TRANSPOSE_NCHW2NHWC);
    Transpose(dst, score, tmp.ReinterpretCast<uint8_t>(), shape);
    put(out, kImage, dst);
    shape.transposeType = TransposeType::TRANSPOSE_NHWC2NCHW;
    Transpose(work, dst, tmp.ReinterpretCast<uint8_t>(), shape);
    put(out, kBack, work);
}

static std::vector<uint8_t> results(kResults *kOut);
template <typename T> static T got(int result, size_t at)
{
    T v;
    std::memcpy(&v, &results[result * kOut + at * sizeof(T)], sizeof(T));
    return v;
}
template <typename T> static void same(const char *what, int result, size_t at, T want)
{
    const T is = got<T>(result, at);
    if (std::memcmp(&is, &want, sizeof(T)) != 0) {
        std::printf("%s: element %zu is %g instead of %g\n", what, at, static_cast<double>(is), static_cast<double>(want));
        exit(1);
    }
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    std::vector<float> x(kCount);
    std::vector<uint32_t> n(kCount), o(kCount);
    uint32_t seed = 3;
    for (uint32_t i = 0; i < kCount; ++i) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = static_cast<float>(seed >> 26) - 20; /* many are equal */
        n[i] = seed;
        o[i] = i < 128 ? (seed >> 20) % 120 * 4 : (seed >> 20) % 30 * 32;
    }
    /* Those that are scattered to are all different. */
    for (uint32_t i = 0; i < 64; ++i) {
        o[i] = i * 37 % 64 * 4;
    }
    void *dx, *dn, *doff, *dout;
    for (void **p : {&dx, &dn, &doff}) {
        OK(aclrtMalloc(p, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST));
    }
    OK(aclrtMalloc(&dout, results.size(), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(dx, kCount * 4, x.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(dn, kCount * 4, n.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(doff, kCount * 4, o.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    rearrange<<<1, nullptr, stream>>>((uint8_t *)dx, (uint8_t *)dn, (uint8_t *)doff, (uint8_t *)dout);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(results.data(), results.size(), dout, results.size(), ACL_MEMCPY_DEVICE_TO_HOST));

    auto order = [&](uint32_t from, uint32_t to) {
        std::vector<uint32_t> v(to - from);
        std::iota(v.begin(), v.end(), from);
        std::stable_sort(v.begin(), v.end(), [&](uint32_t a, uint32_t b) { return x[a] > x[b]; });
        return v;
    };
    auto sorted = [&](const char *what, int result, uint32_t base, const std::vector<uint32_t> &v) {
        for (uint32_t i = 0; i < v.size(); ++i) {
            same(what, result, 2 * (base + i), x[v[i]]);
            same(what, result, 2 * (base + i) + 1, n[v[i]]);
        }
    };
    for (uint32_t g = 0; g < kCount; g += 32) {
        sorted("groups of 32", kGroups, g, order(g, g + 32));
    }
    sorted("the first four queues", kMerged, 0, order(0, 128));
    sorted("the last four queues", kMerged, 128, order(128, 256));
    sorted("all", kSorted, 0, order(0, kCount));
    const auto all = order(0, kCount);
    for (uint32_t i = 0; i < kCount; ++i) {
        same("scores", kValues, i, x[all[i]]);
        same("indices", kIndices, i, n[all[i]]);
    }
    /* A merge ends with the first queue that does. */
    {
        std::vector<uint32_t> queues[3] = {order(0, 32), order(32, 64), order(64, 96)}, merged;
        queues[1].resize(8);
        size_t at[3] = {};
        while (at[0] < 32 && at[1] < 8 && at[2] < 32) {
            int best = 0;
            for (int q = 1; q < 3; ++q) {
                best = x[queues[q][at[q]]] > x[queues[best][at[best]]] ? q : best;
            }
            merged.push_back(queues[best][at[best]++]);
        }
        sorted("until one is at its end", kSuspended, 0, merged);
        for (int q = 0; q < 3; ++q) {
            same("how many of each", kTaken, q, static_cast<uint32_t>(at[q]));
        }
        same("nothing behind", kSuspended, 2 * merged.size() + 1, 0u);
    }
    for (uint32_t row = 0; row < 4; ++row) {
        std::vector<uint32_t> v(60);
        std::iota(v.begin(), v.end(), 0);
        std::stable_sort(v.begin(), v.end(), [&](uint32_t a, uint32_t b) { return x[row * 64 + a] < x[row * 64 + b]; });
        for (uint32_t i = 0; i < 5; ++i) {
            same("the least five", kTop, row * 8 + i, x[row * 64 + v[i]]);
            same("where they are", kTopIndex, row * 8 + i, v[i]);
        }
    }
    for (uint32_t i = 0; i < 110; ++i) {
        same("gathered", kGathered, i, i < 100 ? x[(16 + o[i]) / 4] : 0.0f);
    }
    for (uint32_t r = 0; r < 3; ++r) {
        for (uint32_t l = 0; l < 72; ++l) {
            const bool on = l < 64 && (0xf0f0f0f00f0f0f0full >> l) & 1;
            same("gathered under a mask", kGatheredMasked, r * 72 + l, on ? x[o[r * 64 + l] / 4] : 0.0f);
        }
    }
    for (uint32_t b = 0; b < 32; ++b) {
        for (uint32_t i = 0; i < 8; ++i) {
            same("blocks", kBlocks, b * 8 + i, b % 2 == 0 ? n[o[128 + b / 2] / 4 + i] : 0u);
        }
    }
    {
        uint32_t at = 0;
        for (uint32_t r = 0; r < 3; ++r) {
            for (uint32_t i = 0; i < 50; ++i) {
                if (i % 4 == 2) {
                    same("a pattern", kPattern, at++, x[r * 64 + i]);
                }
            }
        }
        same("their number", kPattern, kCount, at);
        at = 0;
        for (uint32_t r = 0; r < 4; ++r) {
            for (uint32_t i = 0; i < 64; ++i) {
                if ((n[r * 8 + i / 32] >> (i % 32)) & 1) {
                    same("a mask", kPacked, at++, x[r * 64 + i]);
                }
            }
        }
        same("their number", kPacked, kCount, at);
    }
    for (uint32_t i = 0; i < 64; ++i) {
        same("scattered", kScattered, (8 + o[i]) / 4, x[i]);
    }
    const auto *h = reinterpret_cast<const uint16_t *>(x.data());
    const auto *bytes = reinterpret_cast<const int8_t *>(x.data());
    for (uint32_t i = 0; i < 16; ++i) {
        for (uint32_t j = 0; j < 16; ++j) {
            same("transposed", kTransposed, i * 16 + j, h[j * 16 + i]);
            same("of 16 bits", kHd16, i * 16 + j, h[j * 32 + i]);
            same("of 16 bits, again", kHd16, 256 + i * 16 + j, h[j * 32 + 16 + i]);
            same("of 8 bits", kHd8, i * 32 + 16 + j, bytes[j * 32 + i]);
            same("of 8 bits, beside", kHd8, i * 32 + j, int8_t(0));
            if (j < 8) {
                same("of 32 bits", kHd32, i * 8 + j, x[(i % 2 * 8 + j) * 8 + i / 2]);
            }
        }
    }
    for (uint32_t image = 0; image < 2; ++image) {
        for (uint32_t c = 0; c < 3; ++c) {
            for (uint32_t i = 0; i < 40; ++i) {
                same("an image", kImage, (image * 40 + i) * 3 + c, x[(image * 3 + c) * 40 + i]);
                same("and back", kBack, (image * 3 + c) * 40 + i, x[(image * 3 + c) * 40 + i]);
            }
        }
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

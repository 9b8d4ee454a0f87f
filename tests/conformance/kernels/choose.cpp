/* Comparison and selection in all modes, masks and strides of arithmetic, and copies to memory that several cores add
 * to at a time. */
#include <cmath>
#include <cstring>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

constexpr uint32_t kCount = 512;
constexpr uint32_t kOut = 2048;
enum Result { kCompared, kScalar, kRegister, kTensors, kOne, kRepeated, kMasked, kByRegister, kAdded, kCounted, kWide, kSpread, kResults };

template <typename T> __aicore__ inline void put(GM_ADDR out, int result, const AscendC::LocalTensor<T> &from)
{
    AscendC::GlobalTensor<T> y;
    y.SetGlobalBuffer(reinterpret_cast<T *>(out + result * kOut), kOut / sizeof(T));
    AscendC::PipeBarrier<PIPE_ALL>();
    AscendC::DataCopy(y, from, kOut / sizeof(T));
    AscendC::PipeBarrier<PIPE_ALL>();
}

extern "C" __global__ __aicore__ void choose(GM_ADDR first, GM_ADDR second, GM_ADDR out, int mode)
{
    using namespace AscendC;
    LocalMemAllocator<Hardware::UB> memory;
    GlobalTensor<float> x, z;
    x.SetGlobalBuffer(reinterpret_cast<float *>(first), kCount);
    z.SetGlobalBuffer(reinterpret_cast<float *>(second), kCount);
    auto a = memory.Alloc<float, kCount>(), b = memory.Alloc<float, kCount>(), dst = memory.Alloc<float, kCount>();
    auto bits = memory.Alloc<uint8_t, kOut>();
    DataCopy(a, x, kCount);
    DataCopy(b, z, kCount);
    PipeBarrier<PIPE_ALL>();
    const auto how = static_cast<CMPMODE>(mode);
    uint64_t mask[2] = {0x00ff0ff0aaaa5555ull, 0};

    Duplicate(bits.ReinterpretCast<uint16_t>(), uint16_t(0), kOut / 2);
    Compare(bits, a, b, how, kCount - 7); /* the last repeat is not whole */
    put(out, kCompared, bits);
    Compares(bits, a, 1.5f, how, uint64_t(64), 2, UnaryRepeatParams(1, 2, 8, 16));
    put(out, kScalar, bits);
    Compare(a, b, how, mask, BinaryRepeatParams(1, 1, 1, 8, 8, 8));
    GetCmpMask(bits);
    put(out, kRegister, bits);

    Compare(bits, a, b, how, kCount);
    Select(dst, bits, a, b, SELMODE::VSEL_TENSOR_TENSOR_MODE, kCount - 3);
    put(out, kTensors, dst);
    Select(dst, bits, a, -4.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, kCount);
    put(out, kOne, dst);
    Select(dst, bits, a, b, SELMODE::VSEL_CMPMASK_SPR, kCount);
    put(out, kRepeated, dst);
    Duplicate(dst, 9.0f, kCount);
    Select(dst, bits, a, b, SELMODE::VSEL_TENSOR_TENSOR_MODE, mask, 4, BinaryRepeatParams(1, 1, 1, 16, 8, 8));
    put(out, kMasked, dst);
    SetCmpMask(bits);
    SetVectorMask<float>(mask[1], mask[0]);
    Duplicate(dst, 9.0f, kCount);
    Select<float, SELMODE::VSEL_CMPMASK_SPR>(dst, a, b, 2, BinaryRepeatParams(1, 1, 1, 8, 8, 8));
    put(out, kByRegister, dst);
    ResetMask();

    Duplicate(dst, 9.0f, kCount);
    Add(dst, a, b, mask, 3, BinaryRepeatParams(2, 1, 1, 16, 8, 0));
    put(out, kAdded, dst);
    Duplicate(dst, 9.0f, kCount);
    SetMaskCount();
    Mul(dst, a, b, uint64_t(150), 1, BinaryRepeatParams(1, 1, 1, 8, 8, 8));
    SetMaskNorm();
    put(out, kCounted, dst);
    Duplicate(dst, 9.0f, kCount);
    Cast(dst, a.ReinterpretCast<half>(), RoundMode::CAST_NONE, uint64_t(40), 3, UnaryRepeatParams(1, 1, 8, 4));
    put(out, kWide, dst);
    Duplicate(dst, 9.0f, kCount);
    Brcb(dst, a, 4, BrcbRepeatParams(1, 8));
    put(out, kSpread, dst);
}

/* Each block adds, then raises and lowers. */
template <typename T> __aicore__ inline void pile(GM_ADDR values, GM_ADDR sum, GM_ADDR most, GM_ADDR least, uint32_t count)
{
    using namespace AscendC;
    LocalMemAllocator<Hardware::UB> memory;
    GlobalTensor<T> x, targets[3];
    x.SetGlobalBuffer(reinterpret_cast<T *>(values) + GetBlockIdx() * count, count);
    auto t = memory.Alloc<T>(count);
    DataCopy(t, x, count);
    PipeBarrier<PIPE_ALL>();
    targets[0].SetGlobalBuffer(reinterpret_cast<T *>(sum), count);
    targets[1].SetGlobalBuffer(reinterpret_cast<T *>(most), count);
    targets[2].SetGlobalBuffer(reinterpret_cast<T *>(least), count);
    SetAtomicAdd<T>();
    DataCopy(targets[0], t, count);
    SetAtomicMax<T>();
    DataCopyPad(targets[1], t, DataCopyExtParams(1, count * sizeof(T), 0, 0, 0));
    SetAtomicMin<T>();
    DataCopy(targets[2], t, DataCopyParams(1, static_cast<uint16_t>(count * sizeof(T) / 32), 0, 0));
    SetAtomicNone();
}
#define PILE(T) \
    extern "C" __global__ __aicore__ void pile_##T(GM_ADDR x, GM_ADDR s, GM_ADDR m, GM_ADDR l, uint32_t n) { pile<T>(x, s, m, l, n); }
PILE(float)
PILE(half)
PILE(int32_t)
PILE(int16_t)
PILE(int8_t)

static std::vector<uint8_t> results(kResults *kOut);
template <typename T> static void same(const char *what, int mode, int result, size_t at, T want)
{
    T is;
    std::memcpy(&is, &results[result * kOut + at * sizeof(T)], sizeof(T));
    if (std::memcmp(&is, &want, sizeof(T)) != 0) {
        std::printf("%s, mode %d: element %zu is %g instead of %g\n", what, mode, at, static_cast<double>(is), static_cast<double>(want));
        exit(1);
    }
}

static bool holds(float a, float b, int mode)
{
    const bool all[] = {a < b, a > b, a == b, a <= b, a >= b, a != b};
    return all[mode];
}

template <typename T, class L> static void piled(aclrtStream stream, const char *name, L launch)
{
    constexpr uint32_t blocks = 13, count = 96;
    std::vector<T> x(blocks * count), y[3];
    std::vector<double> sum(count, 5), most(count, -3), least(count, 3);
    for (uint32_t i = 0; i < x.size(); ++i) {
        const int v = static_cast<int>(i * 2654435761u >> 29) - 4;
        x[i] = static_cast<T>(v);
        sum[i % count] += v;
        most[i % count] = std::fmax(most[i % count], v);
        least[i % count] = std::fmin(least[i % count], v);
    }
    void *dx, *dy[3];
    OK(aclrtMalloc(&dx, x.size() * sizeof(T), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(dx, x.size() * sizeof(T), x.data(), x.size() * sizeof(T), ACL_MEMCPY_HOST_TO_DEVICE));
    for (int i = 0; i < 3; ++i) {
        y[i].assign(count, static_cast<T>(i == 0 ? 5 : i == 1 ? -3 : 3));
        OK(aclrtMalloc(&dy[i], count * sizeof(T), ACL_MEM_MALLOC_HUGE_FIRST));
        OK(aclrtMemcpy(dy[i], count * sizeof(T), y[i].data(), count * sizeof(T), ACL_MEMCPY_HOST_TO_DEVICE));
    }
    launch(blocks, (uint8_t *)dx, (uint8_t *)dy[0], (uint8_t *)dy[1], (uint8_t *)dy[2], count);
    OK(aclrtSynchronizeStream(stream));
    for (int i = 0; i < 3; ++i) {
        OK(aclrtMemcpy(y[i].data(), count * sizeof(T), dy[i], count * sizeof(T), ACL_MEMCPY_DEVICE_TO_HOST));
        for (uint32_t k = 0; k < count; ++k) {
            const double want = i == 0 ? sum[k] : i == 1 ? most[k] : least[k];
            if (static_cast<double>(y[i][k]) != want) {
                std::printf("%s, %d: element %u is %g instead of %g\n", name, i, k, static_cast<double>(y[i][k]), want);
                exit(1);
            }
        }
    }
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    std::vector<float> a(kCount), b(kCount);
    for (uint32_t i = 0; i < kCount; ++i) {
        a[i] = static_cast<float>(i * 2654435761u >> 29) / 2;
        b[i] = static_cast<float>((i + 77) * 2246822519u >> 29) / 2;
    }
    a[100] = NAN;
    void *da, *db, *dout;
    OK(aclrtMalloc(&da, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&db, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&dout, results.size(), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(da, kCount * 4, a.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(db, kCount * 4, b.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    const uint64_t mask = 0x00ff0ff0aaaa5555ull;
    for (int mode = 0; mode < 6; ++mode) {
        choose<<<1, nullptr, stream>>>((uint8_t *)da, (uint8_t *)db, (uint8_t *)dout, mode);
        OK(aclrtSynchronizeStream(stream));
        OK(aclrtMemcpy(results.data(), results.size(), dout, results.size(), ACL_MEMCPY_DEVICE_TO_HOST));
        auto bit = [&](uint32_t i) { return holds(a[i], b[i], mode); };
        for (uint32_t byte = 0; byte < kCount / 8; ++byte) {
            uint8_t two = 0, one = 0;
            for (uint32_t k = 0; k < 8; ++k) {
                const uint32_t i = byte * 8 + k, far = i / 64 * 128 + i % 64 / 8 * 16 + i % 8;
                two |= static_cast<uint8_t>(bit(i) << k);
                one |= static_cast<uint8_t>((far < kCount && holds(a[far], 1.5f, mode)) << k);
            }
            same("compared", mode, kCompared, byte, static_cast<uint8_t>(byte < 56 ? two : 0));
            if (byte < 16) {
                same("with a scalar", mode, kScalar, byte, one);
            }
        }
        uint64_t held = 0;
        for (uint32_t i = 0; i < 64; ++i) {
            held |= static_cast<uint64_t>(bit(i)) << i;
        }
        uint64_t found;
        std::memcpy(&found, &results[kRegister * kOut], 8);
        CHECK((found & mask) == (held & mask));
        for (uint32_t i = 0; i < kCount; ++i) {
            if (i < kCount - 3) {
                same("of two", mode, kTensors, i, bit(i) ? a[i] : b[i]);
            }
            same("of one", mode, kOne, i, bit(i) ? a[i] : -4.0f);
            same("the same bits", mode, kRepeated, i, bit(i % 64) ? a[i] : b[i]);
            const uint32_t r = i / 128, l = i % 128, from = r * 64 + l;
            const bool on = l < 64 && (mask >> l) & 1;
            same("under a mask", mode, kMasked, i, on ? (bit(from) ? a[from] : b[from]) : 9.0f);
            same("by the register", mode, kByRegister, i, i < 128 && (mask >> (i % 64)) & 1 ? (bit(i % 64) ? a[i] : b[i]) : 9.0f);
            /* Every second block of the sum, repeats 16 blocks apart. */
            const uint32_t lane = i % 128 / 16 * 8 + i % 8;
            const bool add = i < 384 && i % 16 < 8 && (mask >> lane) & 1;
            same("a sum", mode, kAdded, i, add ? a[i / 128 * 64 + lane] + b[lane] : 9.0f);
            same("a count", mode, kCounted, i, i < 150 ? a[i] * b[i] : 9.0f);
            uint16_t h;
            std::memcpy(&h, reinterpret_cast<const uint8_t *>(a.data()) + (i / 64 * 64 + i % 64) * 2, 2);
            same("wider", mode, kWide, i, i < 192 && i % 64 < 40 ? aclFloat16ToFloat(h) : 9.0f);
            same("spread", mode, kSpread, i, i < 256 ? a[i / 8] : 9.0f);
        }
    }
    piled<float>(stream, "float", [&](auto n, auto... p) { pile_float<<<n, nullptr, stream>>>(p...); });
    piled<_Float16>(stream, "half", [&](auto n, auto... p) { pile_half<<<n, nullptr, stream>>>(p...); });
    piled<int32_t>(stream, "int32", [&](auto n, auto... p) { pile_int32_t<<<n, nullptr, stream>>>(p...); });
    piled<int16_t>(stream, "int16", [&](auto n, auto... p) { pile_int16_t<<<n, nullptr, stream>>>(p...); });
    piled<int8_t>(stream, "int8", [&](auto n, auto... p) { pile_int8_t<<<n, nullptr, stream>>>(p...); });
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

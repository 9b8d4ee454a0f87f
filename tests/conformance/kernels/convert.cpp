/* Conversions in every rounding mode, comparisons and selection, against the host's own arithmetic. */
#include <cfenv>
#include <cmath>
#include <cstring>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

constexpr uint32_t kCount = 512;

extern "C" __global__ __aicore__ void convert(GM_ADDR in, GM_ADDR whole, GM_ADDR narrow, GM_ADDR chosen, int mode)
{
    using namespace AscendC;
    TPipe pipe;
    TBuf<TPosition::VECCALC> a, b, c, d, e;
    for (TBuf<TPosition::VECCALC> *buffer : {&a, &b, &c, &d, &e}) {
        pipe.InitBuffer(*buffer, kCount * 4);
    }
    GlobalTensor<float> x, z;
    GlobalTensor<int32_t> i;
    GlobalTensor<half> h;
    x.SetGlobalBuffer((float *)in, kCount);
    i.SetGlobalBuffer((int32_t *)whole, kCount);
    h.SetGlobalBuffer((half *)narrow, kCount);
    z.SetGlobalBuffer((float *)chosen, kCount);
    LocalTensor<float> from = a.Get<float>(), to = d.Get<float>();
    DataCopy(from, x, kCount);
    PipeBarrier<PIPE_ALL>();
    Cast(b.Get<int32_t>(), from, static_cast<RoundMode>(mode), kCount);
    Cast(c.Get<half>(), from, static_cast<RoundMode>(mode), kCount);
    CompareScalar(e.Get<uint8_t>(), from, 0.0f, CMPMODE::GE, kCount);
    Select(to, e.Get<uint8_t>(), from, -1.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, kCount);
    PipeBarrier<PIPE_ALL>();
    DataCopy(i, b.Get<int32_t>(), kCount);
    DataCopy(h, c.Get<half>(), kCount);
    DataCopy(z, to, kCount);
}

/* As the modes are numbered: none and to even, down, up, halves away from zero, to zero, to odd. */
static double whole(double x, int mode)
{
    switch (mode) {
        case 2: return std::floor(x);
        case 3: return std::ceil(x);
        case 4: return std::round(x);
        case 5: return std::trunc(x);
        case 6: return std::trunc(x) == x ? x : (std::fmod(std::trunc(x), 2) == 0 ? std::trunc(x) + std::copysign(1, x) : std::trunc(x));
        default: return std::nearbyint(x);
    }
}

/* float16 has 11 bits, down to 2^-24. */
static float narrow(float x, int mode)
{
    if (x == 0) {
        return x;
    }
    const int exponent = std::max(std::ilogb(x), -14);
    const double unit = std::ldexp(1.0, exponent - 10);
    return static_cast<float>(whole(x / unit, mode) * unit);
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    std::vector<float> x(kCount), z(kCount);
    std::vector<int32_t> i(kCount);
    std::vector<uint16_t> h(kCount);
    uint32_t seed = 7;
    for (uint32_t k = 0; k < kCount; ++k) {
        seed = seed * 1664525u + 1013904223u;
        x[k] = k < 64 ? static_cast<float>(static_cast<int>(k) - 32) / 2
                      : std::ldexp(static_cast<float>(static_cast<int32_t>(seed)), -31 + static_cast<int>(k % 40) - 26);
    }
    void *dx, *di, *dh, *dz;
    for (void **p : {&dx, &di, &dh, &dz}) {
        OK(aclrtMalloc(p, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST));
    }
    OK(aclrtMemcpy(dx, kCount * 4, x.data(), kCount * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    for (int mode = 0; mode <= 6; ++mode) {
        convert<<<1, nullptr, stream>>>((uint8_t *)dx, (uint8_t *)di, (uint8_t *)dh, (uint8_t *)dz, mode);
        OK(aclrtSynchronizeStream(stream));
        OK(aclrtMemcpy(i.data(), kCount * 4, di, kCount * 4, ACL_MEMCPY_DEVICE_TO_HOST));
        OK(aclrtMemcpy(h.data(), kCount * 2, dh, kCount * 2, ACL_MEMCPY_DEVICE_TO_HOST));
        OK(aclrtMemcpy(z.data(), kCount * 4, dz, kCount * 4, ACL_MEMCPY_DEVICE_TO_HOST));
        for (uint32_t k = 0; k < kCount; ++k) {
            const float want = narrow(x[k], mode), got = aclFloat16ToFloat(h[k]);
            if (i[k] != whole(x[k], mode) || got != want || z[k] != (x[k] >= 0 ? x[k] : -1.0f)) {
                std::printf("mode %d, %a: %d, %a instead of %a, %a\n", mode, x[k], i[k], got, want, z[k]);
                return 1;
            }
        }
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

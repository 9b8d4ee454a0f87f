/* Products on the cube, against the host's: float16, bfloat16, float and int8, shapes that are no multiple of a fractal,
 * sums over several steps, biases, scales, the order of elements in global memory, windows over an image, matrices of which
 * half is zero, and Matmul. */
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "lib/matmul_intf.h"
#include "tiling/tiling_api.h"
#include "check.h"

enum Mode { kPlain, kBias, kTwice, kFractals, kReluHalf, kScaled, kScales, kAtomic };

/* A is m by k, B is k by n, both in rows. C in rows, or as fractals of 16 columns. */
template <typename T, typename S, typename D> __aicore__ inline void multiply(GM_ADDR a, GM_ADDR b, GM_ADDR bias, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k, int mode)
{
    using namespace AscendC;
    constexpr uint32_t c0 = 32 / sizeof(T), square = sizeof(T) == 1 ? 32 : 16;
    const uint32_t m16 = (m + 15) / 16 * 16, n16 = (n + square - 1) / square * square, k16 = (k + square - 1) / square * square;
    GlobalTensor<T> aGm, bGm;
    GlobalTensor<S> biasGm;
    GlobalTensor<D> cGm;
    aGm.SetGlobalBuffer(reinterpret_cast<T *>(a));
    bGm.SetGlobalBuffer(reinterpret_cast<T *>(b));
    biasGm.SetGlobalBuffer(reinterpret_cast<S *>(bias));
    cGm.SetGlobalBuffer(reinterpret_cast<D *>(c));
    LocalMemAllocator<Hardware::L1> l1;
    LocalMemAllocator<Hardware::L0A> l0a;
    LocalMemAllocator<Hardware::L0B> l0b;
    LocalMemAllocator<Hardware::L0C> l0c;
    LocalMemAllocator<Hardware::BIAS> bt;
    auto a1 = l1.Alloc<TPosition::A1, T>(m16 * k16), b1 = l1.Alloc<TPosition::B1, T>(k16 * n16);
    auto c1 = l1.Alloc<TPosition::C1, S>(256);
    auto scales = l1.Alloc<TPosition::C1, uint64_t>(256);
    auto a2 = l0a.Alloc<TPosition::A2, T>(m16 * k16);
    auto b2 = l0b.Alloc<TPosition::B2, T>(k16 * n16);
    auto co = l0c.Alloc<TPosition::CO1, S>(m16 * n16);
    auto c2 = bt.Alloc<TPosition::C2, S>(256);
    DataCopy(a1, aGm, Nd2NzParams(1, m, k, 0, k, m16, 1, 0));
    DataCopy(b1, bGm, Nd2NzParams(1, k, n, 0, n, k16, 1, 0));
    PipeBarrier<PIPE_ALL>();
    const uint32_t depth = (k + c0 - 1) / c0;
    for (uint32_t i = 0; i < m16 / 16; ++i) {
        LoadData(a2[i * depth * 16 * c0], a1[i * 16 * c0], LoadData2DParams(0, depth, m16 / 16, 0, 0, false, 0));
    }
    if constexpr (sizeof(T) == 2) {
        for (uint32_t i = 0; i < k16 / 16; ++i) {
            LoadData(b2[i * n16 * 16], b1[i * 256], LoadData2DParams(0, n16 / 16, k16 / 16, 0, 0, true, 0));
        }
    } else if constexpr (sizeof(T) == 1) {
        for (uint32_t i = 0; i < k16 / 32; ++i) {
            LoadDataWithTranspose(b2[i * n16 * 32], b1[i * 1024], LoadData2dTransposeParams(0, n16 / 32, k16 / 32, 1, 0));
        }
    }
    if (mode == kBias) {
        DataCopy(c1, biasGm, Nd2NzParams(1, 1, n, 0, n, 1, 1, 0));
        PipeBarrier<PIPE_ALL>();
        DataCopy(c2, c1, DataCopyParams(1, (n * 4 + 63) / 64, 0, 0));
    }
    PipeBarrier<PIPE_ALL>();
    MmadParams p(m, n16, k, 0, false, mode != kBias);
    if (mode == kBias) {
        Mmad(co, a2, b2, c2, p);
    } else {
        Mmad(co, a2, b2, p);
    }
    if (mode == kTwice) {
        p.cmatrixInitVal = false;
        Mmad(co, a2, b2, p);
    }
    PipeBarrier<PIPE_ALL>();
    FixpipeParamsV220 f(n, m, m16, n, mode == kReluHalf);
    if constexpr (kSame<D, half>) {
        f.quantPre = QuantMode_t::F322F16;
        Fixpipe(cGm, co, f);
    } else if constexpr (kSame<D, int8_t>) {
        f.quantPre = mode == kScales ? QuantMode_t::VREQ8 : QuantMode_t::REQ8;
        const float scale = 0.0078125f;
        uint32_t bits;
        __builtin_memcpy(&bits, &scale, 4);
        f.deqScalar = bits | 1ull << 46 | 3ull << 37; /* signed, plus 3 */
        if (mode == kScales) {
            GlobalTensor<uint64_t> from;
            from.SetGlobalBuffer(reinterpret_cast<uint64_t *>(bias));
            DataCopy(scales, from, DataCopyParams(1, n * 8 / 32, 0, 0));
            PipeBarrier<PIPE_ALL>();
            Fixpipe(cGm, co, scales, f);
        } else {
            Fixpipe(cGm, co, f);
        }
    } else {
        if (mode == kAtomic) {
            SetAtomicAdd<D>();
        }
        if (mode == kFractals) {
            f.nSize = n16;
            f.dstStride = m * 16 * sizeof(D) / 32;
            Fixpipe<D, S, CFG_NZ>(cGm, co, f);
        } else {
            Fixpipe(cGm, co, f);
        }
        SetAtomicNone();
    }
}

#define PRODUCT(NAME, T, S, D) \
    __global__ __cube__ void NAME(GM_ADDR a, GM_ADDR b, GM_ADDR bias, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k, int mode) \
    { \
        multiply<T, S, D>(a, b, bias, c, m, n, k, mode); \
    }
PRODUCT(halves, half, float, float)
PRODUCT(halves_to_halves, half, float, half)
PRODUCT(brains, bfloat16_t, float, float)
PRODUCT(bytes, int8_t, int32_t, int32_t)
PRODUCT(bytes_to_bytes, int8_t, int32_t, int8_t)

/* B comes transposed: float has no other way into L0B. */
__global__ __cube__ void floats(GM_ADDR a, GM_ADDR b, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k)
{
    using namespace AscendC;
    const uint32_t m16 = (m + 15) / 16 * 16, n16 = (n + 15) / 16 * 16, k8 = (k + 7) / 8;
    GlobalTensor<float> aGm, bGm, cGm;
    aGm.SetGlobalBuffer(reinterpret_cast<float *>(a));
    bGm.SetGlobalBuffer(reinterpret_cast<float *>(b));
    cGm.SetGlobalBuffer(reinterpret_cast<float *>(c));
    LocalMemAllocator<Hardware::L1> l1;
    auto a1 = l1.Alloc<TPosition::A1, float>(m16 * k8 * 8), b1 = l1.Alloc<TPosition::B1, float>(n16 * k8 * 8);
    LocalTensor<float> a2(TPosition::A2, 0, m16 * k8 * 8), b2(TPosition::B2, 0, n16 * k8 * 8), co(TPosition::CO1, 0, m16 * n16);
    DataCopy(a1, aGm, Nd2NzParams(1, m, k, 0, k, m16, 1, 0));
    DataCopy(b1, bGm, Nd2NzParams(1, n, k, 0, k, n16, 1, 0));
    PipeBarrier<PIPE_ALL>();
    for (uint32_t i = 0; i < m16 / 16; ++i) {
        LoadData(a2[i * k8 * 128], a1[i * 128], LoadData2DParams(0, k8, m16 / 16, 0, 0, false, 0));
    }
    LoadData(b2, b1, LoadData2DParams(0, k8 * n16 / 16, 1, 0, 0, false, 0));
    PipeBarrier<PIPE_ALL>();
    Mmad(co, a2, b2, MmadParams(m, n, k, 0, false, true));
    PipeBarrier<PIPE_ALL>();
    Fixpipe(cGm, co, FixpipeParamsV220(n, m, m16, n, false));
}

/* A convolution of 16 channels: 3 by 3, padded by 1, every second place; 16 filters. */
constexpr uint32_t kH = 9, kW = 7, kOutH = 5, kOutW = 4;
__global__ __cube__ void convolve(GM_ADDR image, GM_ADDR filters, GM_ADDR out)
{
    using namespace AscendC;
    GlobalTensor<half> x, w;
    GlobalTensor<float> y;
    x.SetGlobalBuffer(reinterpret_cast<half *>(image));
    w.SetGlobalBuffer(reinterpret_cast<half *>(filters));
    y.SetGlobalBuffer(reinterpret_cast<float *>(out));
    LocalTensor<half> a1(TPosition::A1, 0, kH * kW * 16), b1(TPosition::B1, 65536, 144 * 16);
    LocalTensor<half> a2(TPosition::A2, 0, 32 * 144), b2(TPosition::B2, 0, 144 * 16);
    LocalTensor<float> co(TPosition::CO1, 0, 32 * 16);
    DataCopy(a1, x, kH * kW * 16);
    DataCopy(b1, w, Nd2NzParams(1, 144, 16, 0, 16, 144, 1, 0));
    PipeBarrier<PIPE_ALL>();
    LoadData3DParamsV2<half> p;
    for (uint8_t &pad : p.padList) {
        pad = 1;
    }
    p.l1H = kH;
    p.l1W = kW;
    p.channelSize = 16;
    p.kExtension = 144;
    p.mExtension = kOutH * kOutW;
    p.strideW = p.strideH = 2;
    p.filterW = p.filterH = 3;
    p.padValue = half(0.5);
    LoadData(a2, a1, p);
    LoadData(b2, b1, LoadData2DParams(0, 9, 1, 0, 0, true, 0));
    PipeBarrier<PIPE_ALL>();
    Mmad(co, a2, b2, MmadParams(kOutH * kOutW, 16, 144, 0, false, true));
    PipeBarrier<PIPE_ALL>();
    Fixpipe(y, co, FixpipeParamsV220(16, kOutH * kOutW, 32, 16, false));
}

/* Two in four elements of B are zero: it comes as the others, in fractals, and where they were. */
__global__ __cube__ void sparse(GM_ADDR a, GM_ADDR b, GM_ADDR which, GM_ADDR c, uint32_t m, uint32_t n, uint32_t k)
{
    using namespace AscendC;
    const uint32_t fractals = n / 16 * (k / 64);
    GlobalTensor<int8_t> aGm, bGm;
    GlobalTensor<uint8_t> whichGm;
    GlobalTensor<int32_t> cGm;
    aGm.SetGlobalBuffer(reinterpret_cast<int8_t *>(a));
    bGm.SetGlobalBuffer(reinterpret_cast<int8_t *>(b));
    whichGm.SetGlobalBuffer(which);
    cGm.SetGlobalBuffer(reinterpret_cast<int32_t *>(c));
    LocalTensor<int8_t> a1(TPosition::A1, 0, m * k), b1(TPosition::B1, 0x20000, n * k / 2), a2(TPosition::A2, 0, m * k), b2(TPosition::B2, 1024, n * k / 2);
    LocalTensor<uint8_t> i1(TPosition::B1, 0x40000, n * k / 8);
    LocalTensor<int32_t> co(TPosition::CO1, 0, m * n);
    DataCopy(a1, aGm, Nd2NzParams(1, m, k, 0, k, m, 1, 0));
    DataCopy(b1, bGm, n * k / 2);
    DataCopy(i1, whichGm, n * k / 8);
    PipeBarrier<PIPE_ALL>();
    for (uint32_t i = 0; i < m / 16; ++i) {
        LoadData(a2[i * k * 16], a1[i * 512], LoadData2DParams(0, k / 32, m / 16, 0, 0, false, 0));
    }
    LoadDataWithSparse(b2, b1, i1, LoadData2DParams(0, fractals, 0, 0, 0, false, 0));
    PipeBarrier<PIPE_ALL>();
    MmadWithSparse(co, a2, b2, MmadParams(m, n, k, false, 0, false, false, false));
    PipeBarrier<PIPE_ALL>();
    Fixpipe(cGm, co, FixpipeParamsV220(n, m, m, n, false));
}

/* Vector cores ask for a product; each has its part of the rows or columns. */
__global__ __mix__(1, 2) void whole(GM_ADDR a, GM_ADDR b, GM_ADDR bias, GM_ADDR c, GM_ADDR workspace, AscendC::tiling::TCubeTiling tiling)
{
    using namespace AscendC;
    TPipe pipe;
    matmul::Matmul<matmul::MatmulType<TPosition::GM, CubeFormat::ND, half>, matmul::MatmulType<TPosition::GM, CubeFormat::ND, half, true>,
        matmul::MatmulType<TPosition::GM, CubeFormat::ND, float>, matmul::MatmulType<TPosition::GM, CubeFormat::ND, float>>
        mm;
    REGIST_MATMUL_OBJ(&pipe, GetSysWorkSpacePtr(), mm, &tiling);
    const int block = static_cast<int>(GetBlockIdx());
    if (block >= tiling.usedCoreNum) {
        return;
    }
    const int ms = (tiling.M + tiling.singleCoreM - 1) / tiling.singleCoreM, mi = block % ms, ni = block / ms;
    GlobalTensor<half> x, y;
    GlobalTensor<float> r, z;
    x.SetGlobalBuffer(reinterpret_cast<half *>(a));
    y.SetGlobalBuffer(reinterpret_cast<half *>(b));
    r.SetGlobalBuffer(reinterpret_cast<float *>(bias));
    z.SetGlobalBuffer(reinterpret_cast<float *>(c));
    const int row = mi * tiling.singleCoreM, column = ni * tiling.singleCoreN;
    mm.SetTail(tiling.M - row < tiling.singleCoreM ? tiling.M - row : tiling.singleCoreM, tiling.N - column < tiling.singleCoreN ? tiling.N - column : tiling.singleCoreN);
    mm.SetTensorA(x[row * tiling.Ka]);
    mm.SetTensorB(y[column * tiling.Kb], true);
    mm.SetBias(r[column]);
    mm.IterateAll(z[row * tiling.N + column]);
    mm.End();
}

static aclrtStream stream;
static std::vector<void *> taken;

template <typename T> static uint8_t *device(const std::vector<T> &v)
{
    void *p;
    OK(aclrtMalloc(&p, v.size() * sizeof(T), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(p, v.size() * sizeof(T), v.data(), v.size() * sizeof(T), ACL_MEMCPY_HOST_TO_DEVICE));
    taken.push_back(p);
    return static_cast<uint8_t *>(p);
}
template <typename T> static std::vector<T> host(const uint8_t *p, size_t n)
{
    OK(aclrtSynchronizeStream(stream));
    std::vector<T> v(n);
    OK(aclrtMemcpy(v.data(), n * sizeof(T), p, n * sizeof(T), ACL_MEMCPY_DEVICE_TO_HOST));
    return v;
}

/* Small multiples of 1/4: all sums are exact in float, so the order of summation does not matter. */
static uint32_t seed = 5;
static int number(int span)
{
    seed = seed * 1664525u + 1013904223u;
    return static_cast<int>(seed >> 16) % (2 * span + 1) - span;
}
template <typename T> static T made(float x) { return static_cast<T>(x); }
/* The host's library need not know how. */
template <> __bf16 made<__bf16>(float x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const auto high = static_cast<uint16_t>(bits >> 16);
    __bf16 y;
    std::memcpy(&y, &high, 2);
    return y;
}
template <typename T> static std::vector<T> numbers(size_t n, int span, float unit)
{
    std::vector<T> v(n);
    for (T &x : v) {
        x = made<T>(static_cast<float>(number(span)) * unit);
    }
    return v;
}
template <typename T> static std::vector<double> product(const std::vector<T> &a, const std::vector<T> &b, uint32_t m, uint32_t n, uint32_t k, bool transposed)
{
    std::vector<double> c(m * n, 0);
    for (uint32_t i = 0; i < m; ++i) {
        for (uint32_t d = 0; d < k; ++d) {
            for (uint32_t j = 0; j < n; ++j) {
                c[i * n + j] += static_cast<double>(a[i * k + d]) * static_cast<double>(transposed ? b[j * k + d] : b[d * n + j]);
            }
        }
    }
    return c;
}
template <typename T, typename W> static void same(const char *what, uint32_t m, uint32_t n, uint32_t k, const std::vector<T> &got, const W &want)
{
    for (uint32_t i = 0; i < m; ++i) {
        for (uint32_t j = 0; j < n; ++j) {
            const double w = want(i, j), g = static_cast<double>(got[i * n + j]);
            if (g != w) {
                std::printf("%s, %u x %u x %u: (%u, %u) is %g instead of %g\n", what, m, n, k, i, j, g, w);
                exit(1);
            }
        }
    }
}

template <typename T, typename S, class L> static void real(const char *what, uint32_t m, uint32_t n, uint32_t k, float unit, L launch)
{
    const auto a = numbers<T>(m * k, 7, unit), b = numbers<T>(k * n, 7, unit);
    const auto bias = numbers<S>(n, 50, unit);
    const std::vector<S> before(m * ((n + 31) / 32 * 32), S(3));
    uint8_t *da = device(a), *db = device(b), *dbias = device(bias), *dc = device(before);
    const auto c = product(a, b, m, n, k, false);
    for (int mode : {kPlain, kBias, kTwice, kAtomic}) {
        OK(aclrtMemcpy(dc, before.size() * sizeof(S), before.data(), before.size() * sizeof(S), ACL_MEMCPY_HOST_TO_DEVICE));
        launch(da, db, dbias, dc, m, n, k, mode);
        same(what, m, n, k, host<S>(dc, m * n), [&](uint32_t i, uint32_t j) {
            const double x = c[i * n + j];
            return mode == kBias ? x + static_cast<double>(bias[j]) : mode == kTwice ? 2 * x : mode == kAtomic ? x + 3 : x;
        });
    }
    launch(da, db, dbias, dc, m, n, k, kFractals);
    const auto nz = host<S>(dc, m * ((n + 15) / 16 * 16));
    std::vector<S> rows(m * n);
    for (uint32_t i = 0; i < m; ++i) {
        for (uint32_t j = 0; j < n; ++j) {
            rows[i * n + j] = nz[j / 16 * m * 16 + i * 16 + j % 16];
        }
    }
    same("as fractals", m, n, k, rows, [&](uint32_t i, uint32_t j) { return c[i * n + j]; });
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    OK(aclrtCreateStream(&stream));
    const uint32_t shapes[][3] = {{16, 16, 16}, {128, 128, 64}, {35, 50, 30}, {100, 17, 129}};
    for (const auto &[m, n, k] : shapes) {
        real<half, float>("float16", m, n, k, 0.25f, [&](auto... p) { halves<<<1, nullptr, stream>>>(p...); });
        real<__bf16, float>("bfloat16", m, n, k, 0.25f, [&](auto... p) { brains<<<1, nullptr, stream>>>(p...); });
        real<int8_t, int32_t>("int8", m, n, k, 17.0f, [&](auto... p) { bytes<<<1, nullptr, stream>>>(p...); });
        const auto a = numbers<float>(m * k, 900, 0.125f), b = numbers<float>(n * k, 900, 0.125f);
        uint8_t *dc = device(std::vector<float>(m * n));
        floats<<<1, nullptr, stream>>>(device(a), device(b), dc, m, n, k);
        const auto c = product(a, b, m, n, k, true);
        same("float", m, n, k, host<float>(dc, m * n), [&](uint32_t i, uint32_t j) { return c[i * n + j]; });
    }
    {
        const uint32_t m = 35, n = 64, k = 30;
        const auto a = numbers<half>(m * k, 7, 0.3f), b = numbers<half>(k * n, 7, 0.3f);
        uint8_t *dc = device(std::vector<half>(m * n));
        halves_to_halves<<<1, nullptr, stream>>>(device(a), device(b), nullptr, dc, m, n, k, kReluHalf);
        const auto got = host<half>(dc, m * n);
        const auto c = product(a, b, m, n, k, false);
        for (uint32_t i = 0; i < m * n; ++i) {
            const double want = std::max(0.0, c[i]);
            CHECK(std::fabs(static_cast<double>(got[i]) - want) <= 0.001 * want + 1e-4);
        }
        const auto x = numbers<int8_t>(m * k, 100, 1), y = numbers<int8_t>(k * n, 100, 1);
        const auto z = product(x, y, m, n, k, false);
        std::vector<uint64_t> scales(n);
        for (uint32_t j = 0; j < n; ++j) {
            const float s = 0.001953125f * static_cast<float>(1 + j % 5);
            std::memcpy(&scales[j], &s, 4);
            scales[j] |= (j % 2 ? 1ull << 46 : 0) | (j % 3 ? 510ull << 37 : 0); /* signed or not; less 2 */
        }
        uint8_t *dx = device(x), *dy = device(y), *ds = device(scales), *dz = device(std::vector<int8_t>(m * n));
        bytes_to_bytes<<<1, nullptr, stream>>>(dx, dy, ds, dz, m, n, k, kScaled);
        auto fixed = [](double v, double s, double offset, bool is_signed) {
            const double r = std::nearbyint(std::min(255.0, std::max(-256.0, v * s))) + offset;
            return is_signed ? std::min(127.0, std::max(-128.0, r)) : static_cast<double>(static_cast<int8_t>(static_cast<uint8_t>(std::min(255.0, std::max(0.0, r)))));
        };
        same("scaled", m, n, k, host<int8_t>(dz, m * n), [&](uint32_t i, uint32_t j) { return fixed(z[i * n + j], 0.0078125, 3, true); });
        bytes_to_bytes<<<1, nullptr, stream>>>(dx, dy, ds, dz, m, n, k, kScales);
        same("a scale for each column", m, n, k, host<int8_t>(dz, m * n), [&](uint32_t i, uint32_t j) {
            return fixed(z[i * n + j], 0.001953125 * (1 + j % 5), j % 3 ? -2 : 0, j % 2);
        });
    }
    {
        const auto x = numbers<half>(kH * kW * 16, 7, 0.25f), w = numbers<half>(144 * 16, 7, 0.25f);
        uint8_t *dy = device(std::vector<float>(kOutH * kOutW * 16));
        convolve<<<1, nullptr, stream>>>(device(x), device(w), dy);
        same("a convolution", kOutH * kOutW, 16, 144, host<float>(dy, kOutH * kOutW * 16), [&](uint32_t place, uint32_t filter) {
            double sum = 0;
            for (int t = 0; t < 9; ++t) {
                const int h = static_cast<int>(place / kOutW) * 2 - 1 + t / 3, v = static_cast<int>(place % kOutW) * 2 - 1 + t % 3;
                for (int ch = 0; ch < 16; ++ch) {
                    const bool inside = h >= 0 && h < static_cast<int>(kH) && v >= 0 && v < static_cast<int>(kW);
                    sum += (inside ? static_cast<double>(x[(h * kW + v) * 16 + ch]) : 0.5) * static_cast<double>(w[(t * 16 + ch) * 16 + filter]);
                }
            }
            return sum;
        });
    }
    for (const auto &[m, n, k] : {std::array<uint32_t, 3>{16, 16, 64}, {32, 272, 192}}) {
        const auto a = numbers<int8_t>(m * k, 100, 1);
        std::vector<int8_t> b(n * k, 0), values(n * k / 2);
        std::vector<uint8_t> which(n * k / 8, 0);
        for (uint32_t j = 0; j < n; ++j) {
            for (uint32_t g = 0; g < k / 4; ++g) {
                const uint32_t first = static_cast<uint32_t>(number(50) + 50) % 3;
                const uint32_t places[2] = {first, first + 1 + static_cast<uint32_t>(number(50) + 50) % (3 - first)};
                for (uint32_t e = 0; e < 2; ++e) {
                    const auto value = static_cast<int8_t>(number(100));
                    b[j * k + g * 4 + places[e]] = value;
                    const uint32_t d = g * 2 + e, at = (d / 32 * (n / 16) + j / 16) * 512 + j % 16 * 32 + d % 32;
                    values[at] = value;
                    which[at / 4] |= static_cast<uint8_t>((places[e] - e) << (at % 4 * 2));
                }
            }
        }
        uint8_t *dc = device(std::vector<int32_t>(m * n));
        sparse<<<1, nullptr, stream>>>(device(a), device(values), device(which), dc, m, n, k);
        const auto c = product(a, b, m, n, k, true);
        same("two in four", m, n, k, host<int32_t>(dc, m * n), [&](uint32_t i, uint32_t j) { return c[i * n + j]; });
    }
    for (const auto &[m, n, k] : {std::array<uint32_t, 3>{512, 512, 128}, {300, 100, 70}, {33, 1000, 257}}) {
        matmul_tiling::MultiCoreMatmulTiling api(*platform_ascendc::PlatformAscendCManager::GetInstance());
        api.SetDim(6);
        api.SetAType(matmul_tiling::TPosition::GM, matmul_tiling::CubeFormat::ND, matmul_tiling::DataType::DT_FLOAT16);
        api.SetBType(matmul_tiling::TPosition::GM, matmul_tiling::CubeFormat::ND, matmul_tiling::DataType::DT_FLOAT16, true);
        api.SetCType(matmul_tiling::TPosition::GM, matmul_tiling::CubeFormat::ND, matmul_tiling::DataType::DT_FLOAT);
        OK(api.SetOrgShape(m, n, k));
        OK(api.SetShape(m, n, k));
        OK(api.EnableBias(true));
        AscendC::tiling::TCubeTiling tiling;
        OK(api.GetTiling(tiling));
        CHECK(tiling.usedCoreNum > 1 && tiling.usedCoreNum <= 6);
        const auto a = numbers<half>(m * k, 7, 0.25f), b = numbers<half>(n * k, 7, 0.25f);
        const auto bias = numbers<float>(n, 50, 0.25f);
        uint8_t *dc = device(std::vector<float>(m * n));
        whole<<<(tiling.usedCoreNum + 1) / 2, nullptr, stream>>>(device(a), device(b), device(bias), dc, nullptr, tiling);
        const auto c = product(a, b, m, n, k, true);
        same("Matmul", m, n, k, host<float>(dc, m * n), [&](uint32_t i, uint32_t j) { return c[i * n + j] + static_cast<double>(bias[j]); });
    }
    for (void *p : taken) {
        OK(aclrtFree(p));
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

/* A vector addition through queues, launched every way there is, on any number of blocks. */
#include <cstring>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

using namespace AscendC;

namespace {
constexpr uint32_t kTile = 512;

template <typename T> class Adder {
public:
    __aicore__ Adder() {}
    __aicore__ void Init(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total)
    {
        length_ = total / GetBlockNum();
        x_.SetGlobalBuffer((__gm__ T *)x + length_ * GetBlockIdx(), length_);
        y_.SetGlobalBuffer((__gm__ T *)y + length_ * GetBlockIdx(), length_);
        z_.SetGlobalBuffer((__gm__ T *)z + length_ * GetBlockIdx(), length_);
        pipe_.InitBuffer(in_x_, 2, kTile * sizeof(T));
        pipe_.InitBuffer(in_y_, 2, kTile * sizeof(T));
        pipe_.InitBuffer(out_, 2, kTile * sizeof(T));
    }
    __aicore__ void Process()
    {
        for (uint32_t at = 0; at < length_; at += kTile) {
            const uint32_t n = length_ - at < kTile ? length_ - at : kTile;
            LocalTensor<T> x = in_x_.AllocTensor<T>(), y = in_y_.AllocTensor<T>();
            DataCopy(x, x_[at], n);
            DataCopy(y, y_[at], n);
            in_x_.EnQue(x);
            in_y_.EnQue(y);
            x = in_x_.template DeQue<T>();
            y = in_y_.template DeQue<T>();
            LocalTensor<T> z = out_.AllocTensor<T>();
            Add(z, x, y, static_cast<int32_t>(n));
            out_.EnQue(z);
            in_x_.FreeTensor(x);
            in_y_.FreeTensor(y);
            z = out_.template DeQue<T>();
            DataCopy(z_[at], z, n);
            out_.FreeTensor(z);
        }
    }

private:
    TPipe pipe_;
    TQue<TPosition::VECIN, 2> in_x_, in_y_;
    TQue<TPosition::VECOUT, 2> out_;
    GlobalTensor<T> x_, y_, z_;
    uint32_t length_;
};
} // namespace

struct Tiling {
    uint32_t total;
    float ignored;
    uint64_t also;
};

extern "C" __global__ __aicore__ void add_half(GM_ADDR x, GM_ADDR y, GM_ADDR z, Tiling tiling)
{
    Adder<half> adder;
    adder.Init(x, y, z, tiling.total);
    adder.Process();
}

extern "C" __global__ __aicore__ void add_tiled(GM_ADDR x, GM_ADDR y, GM_ADDR z, __gm__ uint32_t *total)
{
    Adder<half> adder;
    adder.Init(x, y, z, *total);
    adder.Process();
}

template <typename T> __global__ __aicore__ void add_any(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total)
{
    Adder<T> adder;
    adder.Init(x, y, z, total);
    adder.Process();
}

extern "C" __global__ __aicore__ void greet(uint8_t small, double real, int64_t large)
{
    AscendC::printf("block %d of %d: %u %.2f %ld %s\n", (int)GetBlockIdx(), (int)GetBlockNum(), small, real, large, "ok");
}

/* Every block adds one to all others' cells, then all meet, then each checks its own. */
extern "C" __global__ __aicore__ void meet_all(__gm__ uint32_t *cells, __gm__ uint32_t *good)
{
    const uint32_t n = GetBlockNum(), me = GetBlockIdx();
    for (uint32_t i = 0; i < n; ++i) {
        __atomic_fetch_add(&cells[i], 1, __ATOMIC_RELAXED);
    }
    SyncAll();
    good[me] = cells[me] == n;
}

static uint16_t half_bits(float value)
{
    return aclFloatToFloat16(value);
}

struct Data {
    uint32_t n;
    uint8_t *x, *y, *z;
    explicit Data(uint32_t count) : n(count)
    {
        std::vector<uint16_t> a(n), b(n), c(n, 0);
        for (uint32_t i = 0; i < n; ++i) {
            a[i] = half_bits(static_cast<float>(i % 100));
            b[i] = half_bits(0.5f * static_cast<float>(i % 7));
        }
        for (uint8_t **p : {&x, &y, &z}) {
            OK(aclrtMalloc((void **)p, n * 2, ACL_MEM_MALLOC_HUGE_FIRST));
        }
        OK(aclrtMemcpy(x, n * 2, a.data(), n * 2, ACL_MEMCPY_HOST_TO_DEVICE));
        OK(aclrtMemcpy(y, n * 2, b.data(), n * 2, ACL_MEMCPY_HOST_TO_DEVICE));
        clear();
    }
    ~Data()
    {
        for (uint8_t *p : {x, y, z}) {
            OK(aclrtFree(p));
        }
    }
    void clear() { OK(aclrtMemset(z, n * 2, 0, n * 2)); }
    void verify()
    {
        std::vector<uint16_t> c(n);
        OK(aclrtMemcpy(c.data(), n * 2, z, n * 2, ACL_MEMCPY_DEVICE_TO_HOST));
        for (uint32_t i = 0; i < n; ++i) {
            CHECK(c[i] == half_bits(static_cast<float>(i % 100) + 0.5f * static_cast<float>(i % 7)));
        }
        clear();
    }
};

static void run(const char *path, aclrtStream stream)
{
    Data d(64 * 512);

    for (uint32_t blocks : {1u, 2u, 8u, 64u}) {
        add_half<<<blocks, nullptr, stream>>>(d.x, d.y, d.z, Tiling{d.n, 1.0f, 2});
        OK(aclrtSynchronizeStream(stream));
        d.verify();
    }
    /* More blocks than cores, each with one tile. */
    CHECK((add_any<half><<<d.n / 16, nullptr, stream>>>(d.x, d.y, d.z, d.n)) == 0);
    OK(aclrtSynchronizeStream(stream));
    d.verify();

    aclrtBinHandle binary;
    aclrtFuncHandle function;
    OK(aclrtBinaryLoadFromFile(path, nullptr, &binary));
    OK(aclrtBinaryGetFunction(binary, "add_tiled", &function));
    char name[32];
    OK(aclrtGetFunctionName(function, sizeof(name), name));
    CHECK(strcmp(name, "add_tiled") == 0);

    /* A list of arguments, with a placeholder. */
    aclrtArgsHandle args;
    aclrtParamHandle params[4];
    OK(aclrtKernelArgsInit(function, &args));
    for (int i = 0; i < 3; ++i) {
        OK(aclrtKernelArgsAppend(args, i == 0 ? &d.x : i == 1 ? &d.y : &d.z, 8, &params[i]));
    }
    OK(aclrtKernelArgsAppendPlaceHolder(args, &params[3]));
    uint32_t *total;
    OK(aclrtKernelArgsGetPlaceHolderBuffer(args, params[3], sizeof(*total), (void **)&total));
    *total = d.n;
    OK(aclrtKernelArgsFinalize(args));
    OK(aclrtLaunchKernelWithConfig(function, 8, stream, nullptr, args, nullptr));
    OK(aclrtSynchronizeStream(stream));
    d.verify();

    /* Host memory, with a placeholder. */
    struct {
        void *x, *y, *z, *total;
        uint64_t value;
    } host = {d.x, d.y, d.z, nullptr, d.n};
    aclrtPlaceHolderInfo place = {24, 32};
    OK(aclrtLaunchKernelWithHostArgs(function, 4, stream, nullptr, &host, sizeof(host), &place, 1));
    OK(aclrtSynchronizeStream(stream));
    d.verify();

    /* Device memory. */
    void *there;
    OK(aclrtMalloc(&there, sizeof(host), ACL_MEM_MALLOC_HUGE_FIRST));
    host.total = (uint8_t *)there + 32;
    OK(aclrtMemcpy(there, sizeof(host), &host, sizeof(host), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtLaunchKernel(function, 4, there, sizeof(host), stream));
    OK(aclrtSynchronizeStream(stream));
    d.verify();
    aclrtLaunchKernelAttr attribute = {ACL_RT_LAUNCH_KERNEL_ATTR_TIMEOUT, {}};
    attribute.value.timeout = 10;
    aclrtLaunchKernelCfg config = {&attribute, 1};
    OK(aclrtLaunchKernelV2(function, 2, there, sizeof(host), &config, stream));
    OK(aclrtSynchronizeStream(stream));
    d.verify();

    /* What must be refused. */
    CHECK(aclrtBinaryGetFunction(binary, "nothing", &function) != 0);
    CHECK(aclrtBinaryLoadFromData("\177ELF", 4, nullptr, &binary) != 0);
    CHECK(aclrtBinaryLoadFromFile("/nowhere", nullptr, &binary) != 0);

    greet<<<2, nullptr, stream>>>(200, 2.5, -7);
    OK(aclrtSynchronizeStream(stream));

    uint32_t *cells;
    OK(aclrtMalloc((void **)&cells, 2 * 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(cells, 2 * 4096, 0, 2 * 4096));
    meet_all<<<40, nullptr, stream>>>(cells, cells + 1024);
    OK(aclrtSynchronizeStream(stream));
    std::vector<uint32_t> good(40);
    OK(aclrtMemcpy(good.data(), 160, cells + 1024, 160, ACL_MEMCPY_DEVICE_TO_HOST));
    for (uint32_t g : good) {
        CHECK(g == 1);
    }

    /* Pinned host memory, which the kernel reaches too. */
    uint16_t *pinned;
    void *seen;
    OK(aclrtMallocHost((void **)&pinned, d.n * 2));
    OK(aclrtHostRegisterV2(pinned, d.n * 2, ACL_HOST_REG_MAPPED));
    OK(aclrtHostGetDevicePointer(pinned, &seen, 0));
    memset(pinned, 0, d.n * 2);
    add_any<half><<<8, nullptr, stream>>>(d.x, d.y, (uint8_t *)seen, d.n);
    OK(aclrtSynchronizeStream(stream));
    for (uint32_t i = 0; i < d.n; ++i) {
        CHECK(pinned[i] == half_bits(static_cast<float>(i % 100) + 0.5f * static_cast<float>(i % 7)));
    }
    OK(aclrtHostUnregister(pinned));
    OK(aclrtFreeHost(pinned));
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    run(argv[1], stream);
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

/* Kernels that follow one another in a stream: they begin in order and see what those before them did, and none begins
 * behind one that went wrong. Other streams go on. */
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

/* x = 3 x + number, so that the order matters. */
extern "C" __global__ __aicore__ void step(__gm__ uint32_t *x, uint32_t number)
{
    x[block_idx] = 3 * x[block_idx] + number;
}
extern "C" __global__ __aicore__ void trap_at(__gm__ uint32_t *x, uint32_t number)
{
    if (x[0] == number) {
        asm("trap");
    }
}
/* Block 0 is the last to store: those that follow must wait for all blocks. */
extern "C" __global__ __aicore__ void spread(__gm__ uint32_t *x, uint32_t blocks)
{
    using namespace AscendC;
    if (block_idx == 0) {
        for (volatile int i = 0; i < 20000; ++i) {
        }
    }
    x[block_idx] = x[(block_idx + blocks - 1) % blocks + blocks] + 1;
}
extern "C" __global__ __aicore__ void copy(__gm__ uint32_t *x, uint32_t blocks) { x[block_idx + blocks] = x[block_idx]; }
/* Cores of a block wait for each other, and count what they waited for anew in each launch. */
__global__ __mix__(1, 2) void meet(__gm__ uint32_t *x)
{
    using namespace AscendC;
    if ASCEND_IS_AIC {
        x[GetBlockIdx() * 64] += 1;
        CrossCoreSetFlag<2, PIPE_MTE3>(3);
        CrossCoreWaitFlag<2>(4);
        x[GetBlockIdx() * 64 + 1] = x[GetBlockIdx() * 64 + 16] + x[GetBlockIdx() * 64 + 32];
    }
    if ASCEND_IS_AIV {
        const int64_t block = GetBlockIdx() / 2, part = GetBlockIdx() % 2;
        CrossCoreWaitFlag<2>(3);
        x[block * 64 + 16 + part * 16] = x[block * 64] * (part + 1);
        CrossCoreSetFlag<2, PIPE_MTE3>(4);
    }
}

int main()
{
    constexpr uint32_t blocks = 7, launches = 3000;
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream streams[2];
    uint32_t *x[2];
    for (int i = 0; i < 2; ++i) {
        OK(aclrtCreateStream(&streams[i]));
        OK(aclrtMalloc((void **)&x[i], 4096, ACL_MEM_MALLOC_HUGE_FIRST));
        OK(aclrtMemset(x[i], 4096, 0, 4096));
    }
    auto read = [&](int i) {
        std::vector<uint32_t> v(1024);
        OK(aclrtMemcpy(v.data(), 4096, x[i], 4096, ACL_MEMCPY_DEVICE_TO_HOST));
        return v;
    };
    /* Two streams at a time, each in its own order. */
    uint32_t want[2] = {};
    for (uint32_t n = 0; n < launches; ++n) {
        for (int i = 0; i < 2; ++i) {
            step<<<i == 0 ? 1 : blocks, nullptr, streams[i]>>>(x[i], n + i);
            want[i] = 3 * want[i] + n + i;
        }
    }
    for (int i = 0; i < 2; ++i) {
        OK(aclrtSynchronizeStream(streams[i]));
        const auto v = read(i);
        for (uint32_t b = 0; b < (i == 0 ? 1 : blocks); ++b) {
            CHECK(v[b] == want[i]);
        }
    }
    /* Each block takes what its neighbour made in the kernel before. */
    OK(aclrtMemset(x[0], 4096, 0, 4096));
    for (uint32_t n = 0; n < 200; ++n) {
        spread<<<blocks, nullptr, streams[0]>>>(x[0], blocks);
        copy<<<blocks, nullptr, streams[0]>>>(x[0], blocks);
    }
    OK(aclrtSynchronizeStream(streams[0]));
    for (uint32_t b = 0; b < blocks; ++b) {
        CHECK(read(0)[b] == 200);
    }
    OK(aclrtMemset(x[0], 4096, 0, 4096));
    for (uint32_t n = 0; n < 50; ++n) {
        meet<<<4, nullptr, streams[0]>>>(x[0]);
    }
    OK(aclrtSynchronizeStream(streams[0]));
    for (uint32_t b = 0; b < 4; ++b) {
        CHECK(read(0)[b * 64] == 50 && read(0)[b * 64 + 1] == 150);
    }
    /* The 40th step is the last: the kernel behind it goes wrong, and nothing comes after. */
    for (int round = 0; round < 20; ++round) {
        OK(aclrtMemset(x[0], 4096, 0, 4096));
        uint32_t last = 0;
        for (uint32_t n = 0; n < 100; ++n) {
            step<<<1, nullptr, streams[0]>>>(x[0], n);
            last = n < 40 ? 3 * last + n : last;
            if (n == 39) {
                trap_at<<<1, nullptr, streams[0]>>>(x[0], last);
            }
            step<<<1, nullptr, streams[1]>>>(x[1], n);
        }
        CHECK(aclrtSynchronizeStream(streams[0]) != 0);
        OK(aclrtSynchronizeStream(streams[1]));
        CHECK(read(0)[0] == last);
        OK(aclrtStreamAbort(streams[0]));
        step<<<1, nullptr, streams[0]>>>(x[0], 5);
        OK(aclrtSynchronizeStream(streams[0]));
        CHECK(read(0)[0] == 3 * last + 5);
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

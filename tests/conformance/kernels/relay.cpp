/* What the cores of a block wait for each other takes model time: work that follows other work on another core adds to it,
 * work beside it does not. */
#include "acl/acl.h"
#include "kernel_operator.h"
#include "model.h"

using namespace AscendC;

constexpr uint32_t kTile = 16384, kTiles = 64;

enum How : int { kCube, kVector, kBeside, kAfter, kTurns, kAll };

__aicore__ inline void load(GM_ADDR from, TPosition to, uint32_t tiles)
{
    GlobalTensor<half> x;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(from));
    const LocalTensor<half> tile(to, 0, kTile);
    for (uint32_t i = 0; i < tiles; ++i) {
        DataCopy(tile, x[i * kTile], kTile);
    }
}

extern "C" __global__ __mix__(1, 2) void relay(GM_ADDR from, int how)
{
    if ASCEND_IS_AIC {
        if (how == kTurns) {
            for (uint32_t i = 0; i < kTiles; ++i) {
                load(from, TPosition::A1, 1);
                CrossCoreSetFlag<2, PIPE_MTE2>(1);
                CrossCoreWaitFlag<2>(2);
            }
        } else if (how != kVector) {
            load(from, TPosition::A1, kTiles);
            CrossCoreSetFlag<2, PIPE_MTE2>(1);
        }
    }
    if ASCEND_IS_AIV {
        if (how == kTurns) {
            for (uint32_t i = 0; i < kTiles; ++i) {
                CrossCoreWaitFlag<2>(1);
                load(from, TPosition::VECIN, 1);
                CrossCoreSetFlag<2, PIPE_MTE2>(2);
            }
            return;
        }
        if (how == kAfter) {
            CrossCoreWaitFlag<2>(1);
        }
        if (how != kCube) {
            load(from, TPosition::VECIN, kTiles);
        }
        /* All vector cores wait for the slowest. */
        if (how == kAll && GetBlockIdx() == 0) {
            load(from, TPosition::VECIN, kTiles);
        }
        if (how == kAll) {
            CrossCoreSetFlag<0, PIPE_MTE2>(3);
            CrossCoreWaitFlag<0>(3);
            load(from, TPosition::VECIN, kTiles);
        }
    }
}

int main()
{
    ModelClock clock;
    const aclrtStream stream = clock.stream;
    void *x;
    OK(aclrtMalloc(&x, kTile * 2 * kTiles, ACL_MEM_MALLOC_HUGE_FIRST));
    double us[kAll + 1] = {};
    /* The first round fills L2. */
    for (int round = 0; round < 2; ++round) {
        for (int how = kCube; how <= kAll; ++how) {
            us[how] = clock.us([&] { relay<<<4, nullptr, stream>>>(static_cast<uint8_t *>(x), how); });
        }
    }
    std::printf("cube %.2f, vector %.2f, beside %.2f, after %.2f, in turns %.2f, all %.2f us\n", us[0], us[1], us[2], us[3], us[4], us[5]);
    const double sum = us[kCube] + us[kVector], longer = us[kCube] > us[kVector] ? us[kCube] : us[kVector];
    CHECK(us[kBeside] < 1.1 * longer);
    CHECK(us[kAfter] > 0.9 * sum && us[kAfter] < 1.1 * sum);
    CHECK(us[kTurns] > 0.9 * sum);
    CHECK(us[kAll] > 2.7 * us[kVector]);
    return 0;
}

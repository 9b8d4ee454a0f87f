/* Missing flags: what is said about them, and that nothing is said of kernels that have them all. */
#include <cstring>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

using namespace AscendC;

constexpr uint32_t kTile = 1024, kRounds = 6;

/* Which order is left out. */
enum Lacks : int { kNothing, kLoaded, kStored, kReused, kRewritten, kBarrier };

struct Room {
    LocalTensor<half> x, z;
};
__aicore__ inline Room room(uint32_t at)
{
    return {LocalTensor<half>(TPosition::VECCALC, at, kTile), LocalTensor<half>(TPosition::VECCALC, at + 0x8000, kTile)};
}

/* Two rooms take turns; flags, but for one. */
extern "C" __global__ __aicore__ void turns(GM_ADDR in, GM_ADDR out, int lacks)
{
    GlobalTensor<half> x, z;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(in));
    z.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(out));
    for (int i = 0; i < 2; ++i) {
        SetFlag<HardEvent::V_MTE2>(i);
        SetFlag<HardEvent::MTE3_V>(i);
    }
    for (uint32_t i = 0; i < kRounds; ++i) {
        const int turn = i % 2;
        const Room r = room(turn * 0x4000);
        WaitFlag<HardEvent::V_MTE2>(turn);
        if (lacks == kReused) {
            SetFlag<HardEvent::V_MTE2>(turn);
        }
        DataCopy(r.x, x[i * kTile], kTile); /* LOAD */
        if (lacks != kLoaded) {
            SetFlag<HardEvent::MTE2_V>(turn);
            WaitFlag<HardEvent::MTE2_V>(turn);
        }
        WaitFlag<HardEvent::MTE3_V>(turn);
        if (lacks == kRewritten) {
            SetFlag<HardEvent::MTE3_V>(turn);
        }
        Adds(r.z, r.x, static_cast<half>(1), kTile); /* COMPUTE */
        if (lacks != kReused) {
            SetFlag<HardEvent::V_MTE2>(turn);
        }
        if (lacks != kStored) {
            SetFlag<HardEvent::V_MTE3>(turn);
            WaitFlag<HardEvent::V_MTE3>(turn);
        }
        DataCopy(z[i * kTile], r.z, kTile); /* STORE */
        if (lacks != kRewritten) {
            SetFlag<HardEvent::MTE3_V>(turn);
        }
    }
    for (int i = 0; i < 2; ++i) {
        WaitFlag<HardEvent::V_MTE2>(i);
        WaitFlag<HardEvent::MTE3_V>(i);
    }
}

/* Queues bring their flags along. */
extern "C" __global__ __aicore__ void queues(GM_ADDR in, GM_ADDR out)
{
    TPipe pipe;
    TQue<TPosition::VECIN, 2> from;
    TQue<TPosition::VECOUT, 2> to;
    pipe.InitBuffer(from, 2, kTile * 2);
    pipe.InitBuffer(to, 2, kTile * 2);
    GlobalTensor<half> x, z;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(in));
    z.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(out));
    for (uint32_t i = 0; i < kRounds; ++i) {
        LocalTensor<half> a = from.AllocTensor<half>();
        DataCopy(a, x[i * kTile], kTile);
        from.EnQue(a);
        a = from.DeQue<half>();
        LocalTensor<half> b = to.AllocTensor<half>();
        Adds(b, a, static_cast<half>(1), kTile);
        b.SetValue(0, b.GetValue(1));
        to.EnQue(b);
        from.FreeTensor(a);
        b = to.DeQue<half>();
        DataCopy(z[i * kTile], b, kTile);
        to.FreeTensor(b);
    }
}

/* One barrier after each step, or none. */
extern "C" __global__ __aicore__ void barriers(GM_ADDR in, GM_ADDR out, int lacks)
{
    GlobalTensor<half> x, z;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(in));
    z.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(out));
    const Room r = room(0);
    for (uint32_t i = 0; i < kRounds; ++i) {
        DataCopy(r.x, x[i * kTile], kTile);
        PipeBarrier<PIPE_ALL>();
        Adds(r.z, r.x, static_cast<half>(1), kTile);
        PipeBarrier<PIPE_V>();
        Adds(r.z, r.z, static_cast<half>(1), kTile);
        if (lacks == kNothing) {
            PipeBarrier<PIPE_ALL>();
        }
        DataCopy(z[i * kTile], r.z, kTile);
        PipeBarrier<PIPE_ALL>();
    }
}

struct Case {
    int lacks;
    const char *says[4];
};
static const Case kCases[] = {
    {kLoaded, {"MTE2 stores to UB+0x0, 2048 bytes, races.cpp:40", "then V loads from UB+0x0", "no flag from MTE2 to V", "races.cpp:49"}},
    {kStored, {"V stores to UB+0x8000", "then MTE3 loads from UB+0x8000", "no flag from V to MTE3", "races.cpp:57"}},
    {kReused, {"V loads from UB+0x0", "then MTE2 stores to UB+0x0", "no flag from V to MTE2", "block 0"}},
    {kRewritten, {"MTE3 loads from UB+0x8000", "then V stores to UB+0x8000", "no flag from MTE3 to V", "block 0"}},
};

int main()
{
    setenv("VINCI_RACES", "error", 1);
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    uint8_t *in, *out;
    OK(aclrtMalloc((void **)&in, kTile * 2 * kRounds, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc((void **)&out, kTile * 2 * kRounds, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(in, kTile * 2 * kRounds, 0, kTile * 2 * kRounds));
    for (int i = 0; i < 3; ++i) {
        turns<<<4, nullptr, stream>>>(in, out, kNothing);
        queues<<<4, nullptr, stream>>>(in, out);
        barriers<<<4, nullptr, stream>>>(in, out, kNothing);
        OK(aclrtSynchronizeStream(stream));
    }
    bool good = true;
    for (const Case &c : kCases) {
        turns<<<4, nullptr, stream>>>(in, out, c.lacks);
        const int code = aclrtSynchronizeStream(stream);
        const char *text = aclGetRecentErrMsg();
        bool said = code == 507015 && text != nullptr && strstr(text, "kernel turns: race") != nullptr;
        for (const char *word : c.says) {
            said = said && strstr(text, word) != nullptr;
        }
        if (!said) {
            std::printf("without %d: code %d: %s\n", c.lacks, code, text ? text : "(nothing)");
        }
        good = good && said;
        OK(aclrtStreamAbort(stream));
    }
    barriers<<<1, nullptr, stream>>>(in, out, kBarrier);
    CHECK(aclrtSynchronizeStream(stream) == 507015);
    CHECK(strstr(aclGetRecentErrMsg(), "no flag from V to MTE3") != nullptr);
    OK(aclrtStreamAbort(stream));
    turns<<<4, nullptr, stream>>>(in, out, kNothing);
    OK(aclrtSynchronizeStream(stream));
    CHECK(good);
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

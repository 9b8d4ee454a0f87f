/* Each way in which a kernel can go wrong: how it ends, what is said about it, and that the stream can go on. */
#include <cstring>
#include <dirent.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

using namespace AscendC;

enum Wrong : int { kNothing, kWild, kNull, kFar, kUnaligned, kOversized, kOverrun, kTrap, kDivide, kNoSignal, kNoBuffer, kEmpty, kTooMuch, kDeadlock, kForever, kStack, kAssert, kL1, kL0A, kL0B, kL0C, kBackwards, kCounted, kNegative, kSplit, kRoom, kMatrices, kRandom };

/* Local memories but UB, and operands whose end is easily miscounted. */
__aicore__ inline void leave(int wrong, GlobalTensor<int32_t> &global, LocalTensor<int32_t> &local)
{
    GlobalTensor<half> halves;
    halves.SetGlobalBuffer((__gm__ half *)global.GetPhyAddr(), 2048);
    const LocalTensor<half> l1(TPosition::A1, 0, 4096), a2(TPosition::A2, 0, 1024), b2(TPosition::B2, 0, 1024);
    const LocalTensor<float> floats(TPosition::VECCALC, 0, 1024), l0c(TPosition::CO1, 0, 1024);
    switch (wrong) {
        case kL1:
            DataCopy(LocalTensor<half>(TPosition::A1, 524288 - 32, 64), halves, 64);
            break;
        case kL0A:
            LoadData(LocalTensor<half>(TPosition::A2, 65536 - 512, 512), l1, LoadData2DParams(0, 2, 1, 0, 0, false, 0));
            break;
        case kL0B:
            LoadData(LocalTensor<half>(TPosition::B2, 65536 - 512, 512), l1, LoadData2DParams(0, 2, 1, 0, 1, true, 0));
            break;
        case kL0C:
            Mmad(LocalTensor<float>(TPosition::CO1, 131072 - 1024, 512), a2, b2, MmadParams(32, 16, 16, 0, false, true));
            break;
        case kBackwards:
            DataCopyPad(local[16], global, DataCopyExtParams(90, 32, 0, -3, 0), DataCopyPadExtParams<int32_t>());
            break;
        case kCounted:
            SetMaskCount();
            Add(local, local, local, 1ull << 33, 1, BinaryRepeatParams());
            break;
        case kNegative: {
            LocalTensor<float> work = floats[512];
            Sort<float, true>(floats, floats, floats.ReinterpretCast<uint32_t>(), work, -1);
            break;
        }
        case kSplit: {
            FixpipeParamsV220 f(16, 16, 16, 16, false);
            f.isChannelSplit = true;
            Fixpipe(LocalTensor<float>(TPosition::A1, 524288 - 512, 128), l0c, f);
            break;
        }
        case kRoom: {
            TPipe pipe;
            TQue<TPosition::VECIN, 1> queue;
            pipe.InitBuffer(queue, 16, 0x10000020);
            break;
        }
        case kMatrices:
            DataCopy(l1, halves, Nd2NzParams(1, 65535, 16, 0, 16, 1, 65535, 0));
            break;
    }
}

__attribute__((noinline)) int eat(int n, volatile int *keep)
{
    volatile int room[1024];
    room[n & 1023] = n;
    return n > 0 ? eat(n - 1, &room[n & 1023]) + room[n & 1023] : *keep;
}

/* Whatever comes: addresses, lengths, strides and flags from a seed. Some of it is harmless. */
__aicore__ inline void random_fault(uint64_t seed, __gm__ int32_t *data)
{
    auto next = [&seed](uint64_t below) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        return (seed >> 33) % below;
    };
    LocalTensor<int32_t> a(TPosition::VECCALC, static_cast<uint32_t>(next(300000)), 64), b(TPosition::VECCALC, static_cast<uint32_t>(next(300000)), 64);
    GlobalTensor<int32_t> global;
    for (uint64_t steps = 1 + next(4); steps > 0; --steps) {
        const uint64_t far = next(4) == 0 ? next(1ull << 31) << next(33) : next(8192);
        global.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(reinterpret_cast<uint64_t>(data) + far), 64);
        switch (next(9)) {
            case 0: DataCopy(a, global, static_cast<uint32_t>(next(100000))); break;
            case 1: DataCopy(global, a, static_cast<uint32_t>(next(100000))); break;
            case 2:
                DataCopy(a, global, DataCopyParams(static_cast<uint16_t>(next(65536)), static_cast<uint16_t>(next(300)), static_cast<uint16_t>(next(65536)), static_cast<uint16_t>(next(65536))));
                break;
            case 3: Add(a, a, b, static_cast<int32_t>(next(100000))); break;
            case 4: Adds(a, b, 1, next(200), static_cast<uint8_t>(next(256)), UnaryRepeatParams(next(256), next(256), next(256), next(256))); break;
            case 5: WaitFlag<HardEvent::MTE2_V>(static_cast<int32_t>(next(8))); break;
            case 6: *reinterpret_cast<volatile int32_t *>(far << next(40)) = 1; break;
            case 7: a.SetValue(static_cast<uint32_t>(next(1u << 20)), b.GetValue(static_cast<uint32_t>(next(1u << 20)))); break;
            default: global.SetValue(0, static_cast<int32_t>(1 / (next(2)))); break;
        }
    }
}

extern "C" __global__ __aicore__ void misbehave(int wrong, __gm__ int32_t *data, int zero)
{
    TPipe pipe;
    TQue<TPosition::VECIN, 1> queue;
    TBuf<TPosition::VECCALC> buffer;
    pipe.InitBuffer(queue, 1, 1024);
    pipe.InitBuffer(buffer, 1024);
    GlobalTensor<int32_t> global;
    global.SetGlobalBuffer(data, 1024);
    LocalTensor<int32_t> local = buffer.Get<int32_t>();
    switch (wrong) {
        case kWild:
            *(volatile int *)0x123456789000 = 1;
            break;
        case kNull:
            data = nullptr;
            *(volatile int *)data = 1;
            break;
        case kFar:
            data[1l << 30] = 1;
            break;
        case kUnaligned:
            DataCopy(local[1], global, 8);
            break;
        case kOversized:
            DataCopy(local, global, 3);
            break;
        case kOverrun:
            Add(local, local, local, 60000);
            break;
        case kTrap:
            asm("trap");
            break;
        case kDivide:
            data[0] = data[1] / zero;
            break;
        case kNoSignal:
            WaitFlag<HardEvent::MTE2_V>(3);
            break;
        case kNoBuffer:
            queue.AllocTensor<int32_t>();
            queue.AllocTensor<int32_t>();
            break;
        case kEmpty:
            queue.DeQue<int32_t>();
            break;
        case kTooMuch:
            pipe.InitBuffer(buffer, 200000);
            break;
        case kDeadlock:
            if (GetBlockIdx() != 0) {
                SyncAll();
            }
            break;
        case kForever:
            while (*(volatile int *)data != 12345) {
            }
            break;
        case kStack: {
            volatile int start = 0;
            data[0] = eat(100000, &start);
            break;
        }
        case kAssert:
            ascendc_assert(zero == 1);
            break;
        case kRandom:
            random_fault(static_cast<uint64_t>(zero), data);
            break;
        case kNothing:
            data[GetBlockIdx()] += 1;
            break;
        default:
            leave(wrong, global, local);
    }
}

struct Case {
    int wrong;
    int code;
    const char *says[3];
};

static const Case kCases[] = {
    {kWild, 507015, {"store to 0x123456789000", "where nothing is mapped", "faults.cpp:"}},
    {kNull, 507015, {"0x0", "null pointer", "faults.cpp:"}},
    {kFar, 507015, {"store to", "bytes behind", "faults.cpp:"}},
    {kUnaligned, 507015, {"DataCopy", "not a multiple of 32", "faults.cpp:"}},
    {kOversized, 507015, {"DataCopy", "12 bytes are not a multiple of 32", "faults.cpp:"}},
    {kOverrun, 507015, {"Add: UB+", "leaves UB of 196608 bytes by", "faults.cpp:"}},
    {kTrap, 507015, {"trap", "block", "faults.cpp:"}},
    {kDivide, 507015, {"division", "core", "faults.cpp:"}},
    {kNoSignal, 507014, {"WaitFlag from MTE2 to V, event 3", "nobody has set it", "faults.cpp:"}},
    {kNoBuffer, 507014, {"AllocTensor", "all 1 buffers", "faults.cpp:"}},
    {kEmpty, 507014, {"DeQue", "VECIN is empty", "faults.cpp:"}},
    {kTooMuch, 507015, {"InitBuffer", "are left of UB", "faults.cpp:"}},
    {kDeadlock, 507014, {"waits for another core's flag", "block", "faults.cpp:"}},
    {kForever, 507014, {"ran past its time limit", "block", "faults.cpp:"}},
    {kStack, 507015, {"stack", "full", "faults.cpp:"}},
    {kAssert, 507015, {"assertion failed", "zero == 1", "faults.cpp:"}},
    {kL1, 507015, {"DataCopy: L1+0x7ffe0, 128 bytes", "leaves L1 of 524288 bytes by 96", "faults.cpp:"}},
    {kL0A, 507015, {"LoadData: L0A+0xfe00, 1024 bytes", "leaves L0A of 65536 bytes by 512", "faults.cpp:"}},
    {kL0B, 507015, {"LoadData: L0B+0xfe00, 1536 bytes", "leaves L0B of 65536 bytes by 1024", "faults.cpp:"}},
    {kL0C, 507015, {"Mmad: L0C+0x1fc00, 2048 bytes", "leaves L0C of 131072 bytes by 1024", "faults.cpp:"}},
    {kBackwards, 507015, {"DataCopyPad", "bytes before UB", "faults.cpp:"}},
    {kCounted, 507015, {"a mask that is a count: 8589934592 is more than 4294967295", "block", "faults.cpp:"}},
    {kNegative, 507015, {"Sort", "UB", "faults.cpp:"}},
    {kSplit, 507015, {"Fixpipe: L1+0x7fe00", "leaves L1", "faults.cpp:"}},
    {kRoom, 507015, {"InitBuffer: 4294967808 bytes", "are left of UB", "faults.cpp:"}},
    {kMatrices, 507015, {"DataCopy(Nd2Nz): L1+0x0", "leaves L1", "faults.cpp:"}},
};

static void expect(const Case &c, int32_t *data, aclrtStream stream)
{
    misbehave<<<4, nullptr, stream>>>(c.wrong, data, 0);
    const int code = aclrtSynchronizeStream(stream);
    const char *text = aclGetRecentErrMsg();
    bool good = code == c.code && text != nullptr;
    for (const char *word : c.says) {
        good = good && strstr(text, word) != nullptr;
    }
    if (!good) {
        printf("case %d: code %d, wanted %d: %s\n", c.wrong, code, c.code, text ? text : "(nothing)");
        exit(1);
    }
    CHECK(strstr(text, "kernel misbehave") != nullptr);
    OK(aclrtStreamAbort(stream));
}

static uint64_t resident()
{
    uint64_t pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(fscanf(f, "%lu %lu", &all, &pages) == 2);
    fclose(f);
    return pages * 4096;
}

/* Of the processes that this one has started. */
static uint64_t children_resident()
{
    uint64_t sum = 0;
    DIR *all = opendir("/proc");
    CHECK(all != nullptr);
    while (dirent *entry = readdir(all)) {
        const std::string at = std::string("/proc/") + entry->d_name;
        FILE *stat = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen((at + "/stat").c_str(), "r") : nullptr;
        if (stat == nullptr) {
            continue;
        }
        int parent = 0;
        if (fscanf(stat, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == getpid()) {
            uint64_t pages = 0, resident = 0;
            FILE *f = fopen((at + "/statm").c_str(), "r");
            if (f != nullptr && fscanf(f, "%lu %lu", &pages, &resident) == 2) {
                sum += resident * 4096;
            }
            if (f != nullptr) {
                fclose(f);
            }
        }
        fclose(stat);
    }
    closedir(all);
    return sum;
}

int main(int argc, char **argv)
{
    const int storm = argc > 2 ? atoi(argv[2]) : 200;
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    OK(aclrtSetOpExecuteTimeOutWithMs(200));
    aclrtStream stream, other;
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    int32_t *data, *theirs;
    OK(aclrtMalloc((void **)&data, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc((void **)&theirs, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(data, 4096, 0, 4096));
    OK(aclrtMemset(theirs, 4096, 0, 4096));

    /* Each alone; the stream goes on afterwards. */
    for (const Case &c : kCases) {
        expect(c, data, stream);
        misbehave<<<1, nullptr, stream>>>(kNothing, data, 0);
        OK(aclrtSynchronizeStream(stream));
    }

    /* While one stream's kernel does not end, another's do. */
    misbehave<<<4, nullptr, stream>>>(kForever, data, 0);
    for (int i = 0; i < 50; ++i) {
        misbehave<<<4, nullptr, other>>>(kNothing, theirs, 0);
    }
    OK(aclrtSynchronizeStream(other));
    CHECK(aclrtSynchronizeStream(stream) == 507014);
    OK(aclrtStreamAbort(stream));
    int32_t counts[4];
    OK(aclrtMemcpy(counts, 16, theirs, 16, ACL_MEMCPY_DEVICE_TO_HOST));
    CHECK(counts[0] == 50 && counts[3] == 50);

    /* A storm of them leaves nothing behind. */
    uint32_t seed = 12345;
    uint64_t before = 0, theirs_before = 0;
    for (int i = 0; i < storm; ++i) {
        if (i == storm / 4) {
            before = resident();
            theirs_before = children_resident();
        }
        seed = seed * 1664525u + 1013904223u;
        const Case &c = kCases[(seed >> 16) % (sizeof(kCases) / sizeof(kCases[0]))];
        /* Those that are waited for would take the time limit each. */
        if (c.wrong != kForever) {
            expect(c, data, stream);
        }
    }
    const uint64_t after = resident();
    CHECK(after < before + (4 << 20));

    /* So does a storm of what nobody has thought of: it faults, or it does not, and the stream goes on. */
    int faults = 0;
    for (int i = 0; i < storm; ++i) {
        misbehave<<<1 + i % 5, nullptr, stream>>>(kRandom, data, i + 1);
        const int code = aclrtSynchronizeStream(stream);
        CHECK(code == 0 || code == 507014 || code == 507015);
        if (code != 0) {
            ++faults;
            const char *text = aclGetRecentErrMsg();
            CHECK(text != nullptr && strstr(text, "kernel misbehave") != nullptr);
            OK(aclrtStreamAbort(stream));
        }
    }
    CHECK(faults > storm / 2);
    CHECK(resident() < before + (6 << 20));
    CHECK(children_resident() < theirs_before + (24 << 20));
    misbehave<<<4, nullptr, stream>>>(kNothing, data, 0);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

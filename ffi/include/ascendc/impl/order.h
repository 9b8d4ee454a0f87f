/* Order between blocks that programs keep with words of global memory on the chip. Here the words that the cores of a
 * kernel share do it: they are zero when a kernel begins, and a core that waits for one gives way to others. */
#ifndef VINCI_ASCENDC_ORDER_H
#define VINCI_ASCENDC_ORDER_H

#include "sync.h"

namespace vinci {

/* Where in the shared words the flags of IBSet are (8 events of 48 blocks), and those of groups. */
constexpr uint64_t kBlockFlags = 3640, kGroupFlags = 4032, kTurn = 8;

inline uint64_t *block_flag(int32_t block, int32_t event) { return AscendC::shared_word(kBlockFlags + (event & 7) * 48 + block % 48); }

} // namespace vinci

namespace AscendC {

/* One block tells another that it may go on. */
template <bool isAIVOnly = true>
inline void IBSet(const GlobalTensor<int32_t> &, const LocalTensor<int32_t> &, int32_t blockIdx, int32_t eventID)
{
    PipeBarrier<PIPE_ALL>();
    __atomic_store_n(vinci::block_flag(blockIdx, eventID), 1, __ATOMIC_RELEASE);
}
template <bool isAIVOnly = true>
inline void IBWait(const GlobalTensor<int32_t> &, const LocalTensor<int32_t> &, int32_t blockIdx, int32_t eventID)
{
    PipeBarrier<PIPE_ALL>();
    uint64_t *flag = vinci::block_flag(blockIdx, eventID);
    wait_at_least(flag, 1);
    __atomic_store_n(flag, 0, __ATOMIC_RELEASE);
}

/* Blocks take turns, in the order of their indices. */
inline void InitDetermineComputeWorkspace(GlobalTensor<int32_t> &, LocalTensor<int32_t> &) {}
inline void WaitPreBlock(GlobalTensor<int32_t> &, LocalTensor<int32_t> &)
{
    const vinci::Core *c = vinci::core();
    const uint64_t all = static_cast<uint64_t>(c->blocks) * (c->role == vinci::kAiv ? c->sub_blocks : 1);
    wait_at_least(shared_word(vinci::kTurn), visits(48)++ * all + c->block);
}
inline void NotifyNextBlock(GlobalTensor<int32_t> &, LocalTensor<int32_t> &)
{
    PipeBarrier<PIPE_ALL>();
    __atomic_add_fetch(shared_word(vinci::kTurn), 1, __ATOMIC_ACQ_REL);
}

enum class PipeMode : uint8_t { SCALAR_MODE = 0, MTE3_MODE = 1, MAX };

/* Some blocks arrive, others wait until all of these have. */
template <PipeMode mode> class GroupBarrier {
public:
    GroupBarrier(__gm__ uint8_t *workspace, uint32_t arrive, uint32_t wait)
        : word_(vinci::kGroupFlags + reinterpret_cast<uint64_t>(workspace) / 512 % 64), arrive_(arrive), wait_(wait)
    {
    }
    void Arrive(uint32_t)
    {
        PipeBarrier<PIPE_ALL>();
        __atomic_add_fetch(shared_word(word_), 1, __ATOMIC_ACQ_REL);
    }
    void Wait(uint32_t) { wait_at_least(shared_word(word_), ++rounds_ * arrive_); }
    uint64_t GetWorkspaceLen() { return wait_ * 512ull; }

private:
    uint64_t word_;
    uint64_t rounds_ = 0;
    uint32_t arrive_;
    uint32_t wait_;
};

/* Tasks that follow one another overlap on the chip; here the next one begins when this one has ended. */
inline void WaitPreTaskEnd() {}
template <pipe_t pipe = PIPE_MTE3> inline void SetNextTaskStart() {}

inline void DisableDmaAtomic() { vinci::core()->scratch[vinci::kAtomic] = 0; }

/* Past the cache, of which there is none. */
template <typename T> inline T ReadGmByPassDCache(__gm__ T *address)
{
    vinci::core()->time[vinci::kS] += vinci::core()->rates[vinci::kHbmLatency];
    return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
template <typename T> inline void WriteGmByPassDCache(__gm__ T *address, T value)
{
    vinci::core()->time[vinci::kS] += 1;
    __atomic_store_n(address, value, __ATOMIC_RELEASE);
}
template <typename T> inline T ReadGmByPassDCache(const GlobalTensor<T> &tensor) { return ReadGmByPassDCache(const_cast<T *>(tensor.GetPhyAddr())); }

/* One read, changed and written back by nobody else in between; what was there before. */
#define VINCI_ATOMIC(NAME, HOW) \
    template <typename T> inline T NAME(__gm__ T *address, T value) \
    { \
        T old = __atomic_load_n(address, __ATOMIC_RELAXED), next; \
        do { \
            next = HOW; \
        } while (!__atomic_compare_exchange(address, &old, &next, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)); \
        return old; \
    }
VINCI_ATOMIC(AtomicAdd, static_cast<T>(old + value))
VINCI_ATOMIC(AtomicMax, value > old ? value : old)
VINCI_ATOMIC(AtomicMin, value < old ? value : old)
VINCI_ATOMIC(AtomicExch, value)
#undef VINCI_ATOMIC

} // namespace AscendC

#endif

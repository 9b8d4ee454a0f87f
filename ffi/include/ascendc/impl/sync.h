/* Order: flags between the pipes of a core, barriers, cache control, flags between cores. */
#ifndef VINCI_ASCENDC_SYNC_H
#define VINCI_ASCENDC_SYNC_H

#include "model.h"
#include "tensor.h"

namespace vinci {

constexpr Pipe pipe_of(pipe_t pipe)
{
    switch (pipe) {
        case PIPE_V: return kV;
        case PIPE_M: return kM;
        case PIPE_MTE1: return kMte1;
        case PIPE_MTE2: return kMte2;
        case PIPE_MTE3: return kMte3;
        case PIPE_FIX: return kFix;
        default: return kS;
    }
}

} // namespace vinci

namespace AscendC {

enum class HardEvent : uint8_t {
    MTE2_MTE1,
    MTE1_MTE2,
    MTE1_M,
    M_MTE1,
    MTE2_V,
    V_MTE2,
    MTE3_V,
    V_MTE3,
    M_V,
    V_M,
    V_V,
    MTE3_MTE1,
    MTE1_MTE3,
    MTE1_V,
    MTE2_M,
    M_MTE2,
    V_MTE1,
    M_FIX,
    FIX_M,
    MTE3_MTE2,
    MTE2_MTE3,
    S_V,
    V_S,
    S_MTE2,
    MTE2_S,
    S_MTE3,
    MTE3_S,
    MTE2_FIX,
    FIX_MTE2,
    FIX_S,
    M_S,
    FIX_MTE3,
    MTE1_FIX,
    FIX_MTE1,
    FIX_FIX,
    FIX_V,
    V_FIX,
    MTE3_FIX,
    S_FIX,
    S_M,
    S_MTE1,
    MTE1_S,
    MAX
};

struct EventPair {
    vinci::Pipe from;
    vinci::Pipe to;
};

constexpr EventPair kEvents[] = {
    {vinci::kMte2, vinci::kMte1}, {vinci::kMte1, vinci::kMte2}, {vinci::kMte1, vinci::kM},
    {vinci::kM, vinci::kMte1},    {vinci::kMte2, vinci::kV},    {vinci::kV, vinci::kMte2},
    {vinci::kMte3, vinci::kV},    {vinci::kV, vinci::kMte3},    {vinci::kM, vinci::kV},
    {vinci::kV, vinci::kM},       {vinci::kV, vinci::kV},       {vinci::kMte3, vinci::kMte1},
    {vinci::kMte1, vinci::kMte3}, {vinci::kMte1, vinci::kV},    {vinci::kMte2, vinci::kM},
    {vinci::kM, vinci::kMte2},    {vinci::kV, vinci::kMte1},    {vinci::kM, vinci::kFix},
    {vinci::kFix, vinci::kM},     {vinci::kMte3, vinci::kMte2}, {vinci::kMte2, vinci::kMte3},
    {vinci::kS, vinci::kV},       {vinci::kV, vinci::kS},       {vinci::kS, vinci::kMte2},
    {vinci::kMte2, vinci::kS},    {vinci::kS, vinci::kMte3},    {vinci::kMte3, vinci::kS},
    {vinci::kMte2, vinci::kFix},  {vinci::kFix, vinci::kMte2},  {vinci::kFix, vinci::kS},
    {vinci::kM, vinci::kS},       {vinci::kFix, vinci::kMte3},  {vinci::kMte1, vinci::kFix},
    {vinci::kFix, vinci::kMte1},  {vinci::kFix, vinci::kFix},   {vinci::kFix, vinci::kV},
    {vinci::kV, vinci::kFix},     {vinci::kMte3, vinci::kFix},  {vinci::kS, vinci::kFix},
    {vinci::kS, vinci::kM},       {vinci::kS, vinci::kMte1},    {vinci::kMte1, vinci::kS},
};
static_assert(sizeof(kEvents) / sizeof(kEvents[0]) == static_cast<size_t>(HardEvent::MAX), "one pair per event");

using TEventID = int8_t;
constexpr int kEventIds = 8;

/* Which events of a pair of pipes are set and which ids are given out: bits 0 to 7 and 8 to 15 of a word. */
inline uint64_t &event_state(int pair) { return vinci::core()->scratch[vinci::kEvents + pair]; }

template <HardEvent event> inline __attribute__((always_inline)) void SetFlag(int32_t id)
{
    constexpr EventPair pair = kEvents[static_cast<int>(event)];
    uint64_t &state = event_state(static_cast<int>(event));
    if (__builtin_expect((state >> (id & 7)) & 1, 0)) {
        vinci::fail(vinci::kEventTwice, pair.from, pair.to, id);
    }
    state |= 1ull << (id & 7);
    vinci::set_flag(pair.from, pair.to, id & 7);
}

/* Instructions take effect in the order of the program, so a flag that is not set here is set by nobody: on the chip
 * the pipe would wait for ever. */
template <HardEvent event> inline __attribute__((always_inline)) void WaitFlag(int32_t id)
{
    constexpr EventPair pair = kEvents[static_cast<int>(event)];
    uint64_t &state = event_state(static_cast<int>(event));
    if (__builtin_expect(!((state >> (id & 7)) & 1), 0)) {
        vinci::fail(vinci::kQueueEmpty, 1, pair.from, pair.to, id, "WaitFlag");
    }
    state &= ~(1ull << (id & 7));
    vinci::wait_flag(pair.from, pair.to, id & 7);
}

template <pipe_t pipe> inline __attribute__((always_inline)) void PipeBarrier()
{
    if constexpr (pipe == PIPE_ALL) {
        vinci::barrier_all();
    } else {
        vinci::barrier(vinci::pipe_of(pipe));
    }
}

enum class DcciDst : uint64_t { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
enum class CacheLine : uint64_t { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE };
enum class MemDsbT : uint64_t { ALL = 0, DDR, UB, SEQ };

/* Caches are coherent here: what a core stores is seen by the others at once. */
template <typename T, CacheLine line, DcciDst dst = DcciDst::CACHELINE_ALL>
inline void DataCacheCleanAndInvalid(const GlobalTensor<T> &)
{
    vinci::charge_scalar(vinci::core(), line == CacheLine::SINGLE_CACHE_LINE ? 20 : 200);
}
template <typename T, CacheLine line, DcciDst dst = DcciDst::CACHELINE_ALL>
inline void DataCacheCleanAndInvalid(const LocalTensor<T> &)
{
    vinci::charge_scalar(vinci::core(), 20);
}
template <MemDsbT kind> inline void DataSyncBarrier() { vinci::charge_scalar(vinci::core(), 20); }

inline int64_t GetBlockIdx() { return vinci::core()->block; }
inline int64_t GetBlockNum() { return vinci::core()->blocks; }
inline int64_t GetSubBlockIdx() { return vinci::core()->sub_block; }
inline int64_t GetSubBlockNum() { return vinci::core()->sub_blocks; }
inline int64_t GetTaskRation() { return vinci::core()->sub_blocks; }
inline int64_t GetTaskRatio() { return vinci::core()->sub_blocks; }
inline int64_t GetSystemCycle() { return static_cast<int64_t>(__builtin_ia32_rdtsc() / 64); }
inline int64_t GetProgramCounter() { return reinterpret_cast<int64_t>(__builtin_return_address(0)); }
inline uint64_t GetCtrlSpr() { return vinci::core()->scratch[vinci::kControl]; }
inline int64_t GetArchVersion(uint32_t &version)
{
    version = vinci::core()->arch;
    return version;
}
[[noreturn]] inline void Trap() { __asm__ volatile("ud2"); __builtin_unreachable(); }

/* Flags between cores. The words that the cores of a kernel share: 0 to 15 are barriers of all of one kind of core,
 * 16 on are counted flags per block, direction and id. What is behind kBlockFlags and kGroupFlags (order.h) are times:
 * of barriers, of flags of all cores, and of flags within a block, which nobody sets back. */
constexpr uint64_t kBarrierTimes = 4096, kAllTimes = 4160, kBlockTimes = 4928;
/* As many times of a flag are kept: how often it can be set before somebody waits for it, on the chip 15 times. */
constexpr uint64_t kTimesKept = 16;
inline uint64_t *shared_word(uint64_t index)
{
    vinci::Core *c = vinci::core();
    c->uses_shared = 1;
    return c->shared + index;
}

inline void wait_at_least(uint64_t *word, uint64_t value)
{
    vinci::Core *c = vinci::core();
    c->scratch[vinci::kWaitsAt] = reinterpret_cast<uint64_t>(__builtin_return_address(0));
    c->wait(c, word, value);
}

/* How often this core has come to barrier or flag `which`: kept in its own words. */
inline uint64_t &visits(uint64_t which) { return vinci::core()->scratch[960 + which]; }

/* The latest of all who come to a place, lane by lane. Later than zero, numbers are in the order of their bits. */
inline void arrive(uint64_t *times, vinci::lanes_t mine)
{
    for (int lane = 0; lane < 3; ++lane) {
        const double time = mine[lane];
        uint64_t bits, there = __atomic_load_n(times + lane, __ATOMIC_RELAXED);
        __builtin_memcpy(&bits, &time, sizeof(bits));
        while (there < bits && !__atomic_compare_exchange_n(times + lane, &there, bits, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        }
    }
}
inline vinci::lanes_t latest_of(const uint64_t *times)
{
    vinci::lanes_t latest = {};
    for (int lane = 0; lane < 3; ++lane) {
        const uint64_t bits = __atomic_load_n(times + lane, __ATOMIC_ACQUIRE);
        double time;
        __builtin_memcpy(&time, &bits, sizeof(time));
        latest[lane] = time;
    }
    return latest;
}

/* Three times in a word, to 12 bits each. */
inline uint64_t packed(vinci::lanes_t time)
{
    uint64_t word = 0;
    for (int lane = 0; lane < 3; ++lane) {
        const auto narrow = static_cast<float>(time[lane]);
        uint32_t bits;
        __builtin_memcpy(&bits, &narrow, sizeof(bits));
        word |= static_cast<uint64_t>(bits >> 11) << (21 * lane);
    }
    return word;
}
inline vinci::lanes_t unpacked(uint64_t word)
{
    vinci::lanes_t time = {};
    for (int lane = 0; lane < 3; ++lane) {
        const auto bits = static_cast<uint32_t>(word >> (21 * lane) & 0x1fffff) << 11;
        float wide;
        __builtin_memcpy(&wide, &bits, sizeof(wide));
        time[lane] = wide;
    }
    return time;
}

/* All blocks meet. */
inline __attribute__((noinline)) void meet(uint64_t which, uint64_t parties)
{
    PipeBarrier<PIPE_ALL>();
    vinci::Core *c = vinci::core();
    /* The latest of all goes on last: its time is there for the others before it is counted. A core that is a round
     * ahead uses other words. */
    uint64_t *times = shared_word(kBarrierTimes + (which % 8 * 2 + visits(56 + which % 8)++ % 2) * 4);
    arrive(times, c->time[vinci::kS]);
    uint64_t *word = shared_word(which);
    const uint64_t mine = __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
    const uint64_t round = (mine + parties - 1) / parties;
    wait_at_least(word, round * parties);
    const vinci::lanes_t latest = vinci::larger(c->time[vinci::kS], latest_of(times));
    for (vinci::lanes_t &time : c->time) {
        time = latest;
    }
    vinci::charge_scalar(vinci::core(), 1000);
}

/* On cores of a mix both kinds meet; GetBlockNum counts blocks of cube cores then. */
template <bool isAIVOnly = true> inline void SyncAll()
{
    const vinci::Core *c = vinci::core();
    const uint64_t blocks = c->blocks;
    if (c->role == vinci::kAny) {
        meet(0, blocks);
    } else if (isAIVOnly) {
        meet(c->role == vinci::kAiv ? 1 : 2, c->role == vinci::kAiv ? blocks * c->sub_blocks : blocks);
    } else {
        meet(3, blocks * (1 + c->sub_blocks));
    }
}
template <bool isAIVOnly = true>
inline void SyncAll(const GlobalTensor<int32_t> &, const LocalTensor<int32_t> &, int32_t cores = 0)
{
    if (cores > 0) {
        meet(4, cores);
    } else {
        SyncAll<isAIVOnly>();
    }
}

/* Where core `who` of a block (0: the cube core, then its vector cores) says when it set a flag for the `nth` time. */
inline uint64_t *set_time(uint64_t group, uint64_t who, uint16_t id, uint64_t nth)
{
    return shared_word(kBlockTimes + ((group % 48 * 3 + who) * 16 + (id & 15)) * kTimesKept + nth % kTimesKept);
}
inline uint64_t *all_times(bool vector, uint16_t id, uint64_t nth) { return shared_word(kAllTimes + ((vector * 16 + (id & 15)) * 8 + nth % 8) * 3); }

/* How often this core has set a flag. */
inline uint64_t &settings(uint64_t which) { return vinci::core()->scratch[896 + which]; }

template <uint8_t mode, pipe_t pipe> inline void CrossCoreSetFlag(uint16_t id)
{
    vinci::Core *c = vinci::core();
    vinci::charge_scalar(c, c->rates[vinci::kIssue]);
    const uint64_t flags = 16;
    const bool vector = c->role == vinci::kAiv;
    const uint64_t group = vector ? c->block / c->sub_blocks : c->block;
    /* It is set when the pipe has done what it was told so far, and seen as late as memory is. */
    constexpr vinci::Pipe from = vinci::pipe_of(pipe);
    const vinci::lanes_t time = vinci::larger(vinci::larger(c->time[from], c->time[vinci::kS]), c->tail[from]) + c->rates[vinci::kHbmLatency];
    const uint64_t nth = ++settings((mode * 16 + (id & 15)) & 63);
    if constexpr (mode == 0) {
        arrive(all_times(vector, id, nth), time);
    } else {
        __atomic_store_n(set_time(group, vector ? 1 + c->sub_block : 0, id, nth), packed(time), __ATOMIC_RELAXED);
    }
    const uint64_t slot = flags + ((group % 96) * 2 + (c->role == vinci::kAiv)) * 16 + (id & 15);
    if constexpr (mode == 2) {
        __atomic_add_fetch(shared_word(slot), 1, __ATOMIC_ACQ_REL);
    } else if constexpr (mode == 1) {
        __atomic_add_fetch(shared_word(flags + 96 * 32 + (group % 32) * 16 + (id & 15)), 1, __ATOMIC_ACQ_REL);
    } else {
        __atomic_add_fetch(shared_word(flags + 96 * 32 + 32 * 16 + (c->role == vinci::kAiv) * 16 + (id & 15)), 1, __ATOMIC_ACQ_REL);
    }
}

template <uint8_t mode = 2, pipe_t pipe = PIPE_S> inline void CrossCoreWaitFlag(uint16_t id)
{
    vinci::Core *c = vinci::core();
    const uint64_t flags = 16;
    const bool vector = c->role == vinci::kAiv;
    const uint64_t group = vector ? c->block / c->sub_blocks : c->block;
    const uint64_t nth = ++visits((mode * 16 + (id & 15)) & 63);
    if constexpr (mode == 2) {
        /* A cube core waits for all vector cores of its block, these for the cube core. */
        const uint64_t slot = flags + ((group % 96) * 2 + !vector) * 16 + (id & 15);
        wait_at_least(shared_word(slot), nth * (vector ? 1 : c->sub_blocks));
    } else if constexpr (mode == 1) {
        wait_at_least(shared_word(flags + 96 * 32 + (group % 32) * 16 + (id & 15)), nth * c->sub_blocks);
    } else {
        const uint64_t all = static_cast<uint64_t>(c->blocks) * (vector ? c->sub_blocks : 1);
        wait_at_least(shared_word(flags + 96 * 32 + 32 * 16 + vector * 16 + (id & 15)), nth * all);
    }
    vinci::lanes_t set = {};
    if constexpr (mode == 0) {
        set = latest_of(all_times(vector, id, nth));
    } else {
        const bool by_cube = mode == 2 && vector;
        for (uint64_t who = by_cube ? 0 : 1; who <= (by_cube ? 0 : c->sub_blocks); ++who) {
            set = vinci::larger(set, unpacked(__atomic_load_n(set_time(group, who, id, nth), __ATOMIC_RELAXED)));
        }
    }
    vinci::lanes_t &time = c->time[vinci::pipe_of(pipe)];
    time = vinci::larger(time, set);
}

} // namespace AscendC

#define block_idx (::vinci::core()->block)
#define block_num (::vinci::core()->blocks)
inline int64_t get_block_idx() { return ::vinci::core()->block; }
inline int64_t get_block_num() { return ::vinci::core()->blocks; }
inline int64_t get_subblockid() { return ::vinci::core()->sub_block; }
inline int64_t get_subblockdim() { return ::vinci::core()->sub_blocks; }
inline int64_t get_coreid() { return ::vinci::core()->core; }
inline uint64_t get_ctrl() { return ::vinci::core()->scratch[::vinci::kControl]; }
inline void set_ctrl(uint64_t value) { ::vinci::core()->scratch[::vinci::kControl] = value; }
inline int64_t get_sys_cnt() { return AscendC::GetSystemCycle(); }
template <typename T> inline void dcci(T *, cache_line_t, dcci_dst_t = dcci_dst_t::CACHELINE_ALL) {}
template <typename T> inline void dcci(T *, uint64_t, uint64_t = 0) {}
inline void dsb(mem_dsb_t) {}
inline void pipe_barrier(pipe_t) { AscendC::PipeBarrier<PIPE_S>(); }
inline void set_flag(pipe_t from, pipe_t to, int event)
{
    ::vinci::set_flag(::vinci::pipe_of(from), ::vinci::pipe_of(to), event & 7);
}
inline void wait_flag(pipe_t from, pipe_t to, int event)
{
    ::vinci::wait_flag(::vinci::pipe_of(from), ::vinci::pipe_of(to), event & 7);
}
inline void trap() { AscendC::Trap(); }

#endif

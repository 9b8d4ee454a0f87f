/* Local memory without queues, pools of it, and small things that kernels begin with. */
#ifndef VINCI_ASCENDC_MEMORY_H
#define VINCI_ASCENDC_MEMORY_H

#include "pipe.h"
#include "vector.h"

namespace AscendC {

template <bool Condition, typename A, typename B> using Conditional = Choose<Condition, A, B>;
template <typename A, typename B> struct IsSameType {
    static constexpr bool value = kSame<A, B>;
};
constexpr uint32_t K_MAX_DIM = 8;

inline int32_t CeilDivision(int32_t a, int32_t b) { return b == 0 ? a : (a + b - 1) / b; }
template <typename T> inline T DivCeil(T a, T b) { return b == 0 ? a : (a + b - 1) / b; }
template <typename T> inline T CeilAlign(T a, T b) { return DivCeil(a, b) * b; }
template <typename T> inline T AlignUp(T a, T b) { return DivCeil(a, b) * b; }

constexpr vinci::Local local_of(Hardware memory)
{
    switch (memory) {
        case Hardware::L1: return vinci::kL1;
        case Hardware::L0A: return vinci::kL0A;
        case Hardware::L0B: return vinci::kL0B;
        case Hardware::L0C: return vinci::kL0C;
        case Hardware::BIAS: return vinci::kBt;
        case Hardware::FIXBUF: return vinci::kFb;
        default: return vinci::kUb;
    }
}
constexpr TPosition position_of(Hardware memory)
{
    switch (memory) {
        case Hardware::L1: return TPosition::A1;
        case Hardware::L0A: return TPosition::A2;
        case Hardware::L0B: return TPosition::B2;
        case Hardware::L0C: return TPosition::CO1;
        case Hardware::BIAS: return TPosition::C2;
        case Hardware::FIXBUF: return TPosition::C2PIPE2GM;
        default: return TPosition::VECCALC;
    }
}

/* Hands out one memory from its beginning, in the order of the calls. */
template <Hardware memory> class LocalMemAllocator {
public:
    uint32_t GetCurAddr() const { return used_; }
    template <TPosition position, typename T, uint32_t elements> LocalTensor<T> Alloc() { return take<T>(position, elements); }
    template <typename T, uint32_t elements> LocalTensor<T> Alloc() { return take<T>(position_of(memory), elements); }
    template <TPosition position, typename T> LocalTensor<T> Alloc(uint32_t elements) { return take<T>(position, elements); }
    template <typename T> LocalTensor<T> Alloc(uint32_t elements) { return take<T>(position_of(memory), elements); }

private:
    template <typename T> LocalTensor<T> take(TPosition position, uint32_t elements)
    {
        const vinci::Core *c = vinci::core();
        const uint64_t bytes = (elements * sizeof(T) + 31) / 32 * 32;
        const uint64_t left = c->local_bytes[local_of(memory)] - used_;
        if (bytes > left) {
            vinci::fail(vinci::kNoRoom, local_of(memory), bytes, left, 0, "Alloc");
        }
        LocalTensor<T> tensor(reinterpret_cast<T *>(c->local[local_of(memory)] + used_), static_cast<uint32_t>(elements * sizeof(T)), position);
        used_ += static_cast<uint32_t>(bytes);
        return tensor;
    }
    uint32_t used_ = 0;
};

/* A part of a pipe's memory that is handed out again and again. */
template <TPosition position, uint32_t bufIDSize = 4> class TBufPool {
public:
    void Init() {}
    template <TPosition src, TPosition dst, int32_t depth, auto config>
    bool InitBuffer(TQueBind<src, dst, depth, config> &queue, uint32_t number, uint32_t length)
    {
        if (number > kQueueBuffers || number == 0) {
            vinci::fail(vinci::kRepeat, 1, number, kQueueBuffers, 0, "InitBuffer");
        }
        const uint64_t each = (length + 31ull) / 32 * 32;
        queue.furnish(take(number * each), static_cast<int>(number), static_cast<uint32_t>(each));
        return true;
    }
    template <TPosition at> bool InitBuffer(TBuf<at> &buffer, uint32_t length)
    {
        const uint64_t whole = (length + 31ull) / 32 * 32;
        buffer.furnish(take(whole), static_cast<uint32_t>(whole));
        return true;
    }
    /* A pool in this one; with `shared` it begins where that one does. */
    template <TPosition at, uint32_t n> bool InitBufPool(TBufPool<at, n> &pool, uint32_t length)
    {
        pool.furnish(take(length), length);
        return true;
    }
    template <TPosition at, uint32_t n, TPosition other, uint32_t m>
    bool InitBufPool(TBufPool<at, n> &pool, uint32_t length, TBufPool<other, m> &shared)
    {
        pool.furnish(shared.base(), length);
        return true;
    }
    void Reset() { used_ = 0; }

    /* For TPipe and other pools. */
    void furnish(uint64_t base, uint32_t length)
    {
        base_ = base;
        length_ = length;
        used_ = 0;
    }
    uint64_t base() const { return base_; }

private:
    uint64_t take(uint64_t bytes)
    {
        if (bytes > length_ - used_) {
            vinci::fail(vinci::kNoRoom, local_of(position), bytes, length_ - used_, 0, "InitBuffer");
        }
        const uint64_t at = base_ + used_;
        used_ += static_cast<uint32_t>(bytes);
        return at;
    }
    uint64_t base_ = 0;
    uint32_t length_ = 0;
    uint32_t used_ = 0;
};

template <TPosition position, uint32_t n> inline bool TPipe::InitBufPool(TBufPool<position, n> &pool, uint32_t length)
{
    const uint64_t whole = (length + 31ull) / 32 * 32;
    pool.furnish(take(local_of(position), whole), static_cast<uint32_t>(whole));
    return true;
}
template <TPosition position, uint32_t n, TPosition other, uint32_t m>
inline bool TPipe::InitBufPool(TBufPool<position, n> &pool, uint32_t length, TBufPool<other, m> &shared)
{
    pool.furnish(shared.base(), length);
    return true;
}

/* What a kernel without a TPipe sets back before it begins. */
inline void InitSocState()
{
    SetAtomicNone();
    SetMaskNorm();
    ResetMask();
    vinci::core()->scratch[vinci::kPadValue] = 0;
}

/* What DataCopyPad puts beside a row that is not to be padded with a value of its own. */
template <typename T, TPosition position = TPosition::MAX> inline void SetPadValue(T value)
{
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    vinci::core()->scratch[vinci::kPadValue] = bits;
}

/* Fills global memory with a value. */
template <typename T> inline void InitOutput(GlobalTensor<T> &tensor, uint32_t size, T value = T(0))
{
    T *to = const_cast<T *>(tensor.GetPhyAddr());
    for (uint32_t i = 0; i < size; ++i) {
        to[i] = value;
    }
    vinci::charge_global(vinci::kMte3, size * sizeof(T), 1);
}

} // namespace AscendC

#endif

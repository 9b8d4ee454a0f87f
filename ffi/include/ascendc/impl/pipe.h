/* TPipe hands out local memory; a queue passes its buffers from the pipe that fills them to the one that uses them.
 *
 * The instructions of a core take effect in the order of the program, so what is left of the queues' flags is the
 * model clock, and checks: a queue that is empty or has no buffer would stop a pipe for ever. */
#ifndef VINCI_ASCENDC_PIPE_H
#define VINCI_ASCENDC_PIPE_H

#include "sync.h"
#include "tensor.h"

namespace AscendC {

constexpr int kQueueBuffers = 16;

/* Who fills a buffer at a position, and who uses it. */
constexpr vinci::Pipe filler(TPosition position)
{
    switch (position) {
        case TPosition::VECIN:
        case TPosition::A1:
        case TPosition::B1:
        case TPosition::C1:
        case TPosition::TSCM:
        case TPosition::SPM: return vinci::kMte2;
        case TPosition::A2:
        case TPosition::B2:
        case TPosition::C2: return vinci::kMte1;
        case TPosition::CO1: return vinci::kM;
        default: return vinci::kV;
    }
}
constexpr vinci::Pipe user(TPosition position)
{
    switch (position) {
        case TPosition::A1:
        case TPosition::B1:
        case TPosition::C1:
        case TPosition::TSCM: return vinci::kMte1;
        case TPosition::A2:
        case TPosition::B2:
        case TPosition::C2: return vinci::kM;
        case TPosition::CO1: return vinci::kFix;
        case TPosition::VECOUT:
        case TPosition::CO2: return vinci::kMte3;
        default: return vinci::kV;
    }
}

struct TQueConfig {
    bool nd2nz = false;
    bool nz2nd = false;
    bool scmBlockGroup = false;
    uint32_t bufferLen = 0;
    uint32_t bufferNumber = 0;
};

template <TPosition src, TPosition dst, int32_t depth, auto config = 0> class TQueBind {
public:
    static constexpr TPosition srcPosition = src;
    static constexpr TPosition dstPosition = dst;

    template <typename T> __aicore__ LocalTensor<T> AllocTensor()
    {
        for (int tried = 0; tried < number_; ++tried) {
            const int i = (next_ + tried) % number_;
            if (state_[i] == kFree) {
                next_ = (i + 1) % number_;
                state_[i] = kTaken;
                vinci::await(free_[i], kFiller);
                return LocalTensor<T>(reinterpret_cast<T *>(base_ + i * length_), length_, src, this);
            }
        }
        vinci::fail(vinci::kNoBuffer, static_cast<uint64_t>(src), number_, 0, 0, "AllocTensor");
    }
    template <typename T> __aicore__ void AllocTensor(LocalTensor<T> &tensor) { tensor = AllocTensor<T>(); }

    template <typename T> __aicore__ bool EnQue(const LocalTensor<T> &tensor)
    {
        const int i = index(tensor.GetPhyAddr(), "EnQue");
        if (count_ >= kQueueBuffers || (depth > 0 && count_ >= (depth > number_ ? depth : number_))) {
            vinci::fail(vinci::kQueueFull, static_cast<uint64_t>(src), depth, 0, 0, "EnQue");
        }
        vinci::raise(filled_[i], kFiller);
        order_[(first_ + count_) % kQueueBuffers] = static_cast<uint8_t>(i);
        lengths_[i] = tensor.GetLength();
        ++count_;
        return true;
    }
    template <TPosition from, TPosition to, typename T> __aicore__ bool EnQue(const LocalTensor<T> &tensor)
    {
        return EnQue(tensor);
    }

    template <typename T> __aicore__ LocalTensor<T> DeQue()
    {
        if (count_ == 0) {
            vinci::fail(vinci::kQueueEmpty, 0, static_cast<uint64_t>(src), 0, 0, "DeQue");
        }
        const int i = order_[first_];
        first_ = (first_ + 1) % kQueueBuffers;
        --count_;
        vinci::await(filled_[i], kUser);
        return LocalTensor<T>(reinterpret_cast<T *>(base_ + i * length_), length_, dst, this);
    }
    template <TPosition from, TPosition to, typename T> __aicore__ LocalTensor<T> DeQue() { return DeQue<T>(); }
    template <typename T> __aicore__ void DeQue(LocalTensor<T> &tensor) { tensor = DeQue<T>(); }

    template <typename T> __aicore__ void FreeTensor(LocalTensor<T> &tensor)
    {
        const int i = index(tensor.GetPhyAddr(), "FreeTensor");
        state_[i] = kFree;
        vinci::raise(free_[i], kUser);
    }
    template <typename T> __aicore__ void FreeTensor(LocalTensor<T> &&tensor) { FreeTensor(tensor); }
    __aicore__ void FreeAllEvent() {}
    template <typename T> __aicore__ bool VacantInQue() { return count_ < (depth > 0 ? depth : number_); }
    __aicore__ bool VacantInQue() { return count_ < (depth > 0 ? depth : number_); }
    __aicore__ bool HasTensorInQue() { return count_ != 0; }
    __aicore__ int32_t GetTensorCountInQue() { return count_; }
    __aicore__ bool HasIdleBuffer()
    {
        for (int i = 0; i < number_; ++i) {
            if (state_[i] == kFree) {
                return true;
            }
        }
        return false;
    }

    /* For TPipe. */
    __aicore__ void furnish(uint64_t base, int number, uint32_t length)
    {
        base_ = base;
        number_ = number;
        length_ = length;
        next_ = first_ = count_ = 0;
        for (int i = 0; i < number; ++i) {
            state_[i] = kFree;
            free_[i] = {};
        }
    }

    /* For pools of the program's own: a buffer after the other. */
    __aicore__ void InitStartBufHandle(uint8_t *, uint32_t number, uint32_t length) { furnish(0, static_cast<int>(number), length); }
    template <class Pool> __aicore__ void InitBufHandle(Pool *, uint32_t index, uint8_t *, uint64_t address, uint32_t)
    {
        base_ = index == 0 ? vinci::core()->local[local_of(src)] + address : base_;
    }

private:
    static constexpr vinci::Pipe kFiller = filler(src);
    static constexpr vinci::Pipe kUser = user(dst);
    enum State : uint8_t { kFree, kTaken };

    template <typename P> int index(P *data, const char *name)
    {
        const uint64_t at = reinterpret_cast<uint64_t>(data) - base_;
        if (length_ == 0 || at >= static_cast<uint64_t>(length_) * number_) {
            vinci::fail(vinci::kQueueFull, static_cast<uint64_t>(src), 0, 1, 0, name);
        }
        return static_cast<int>(at / length_);
    }

    uint64_t base_ = 0;
    uint32_t length_ = 0;
    int number_ = 0;
    int next_ = 0;
    int first_ = 0;
    int count_ = 0;
    State state_[kQueueBuffers] = {};
    uint8_t order_[kQueueBuffers] = {};
    uint32_t lengths_[kQueueBuffers] = {};
    /* Raised when a buffer has been filled, and when it may be again. */
    vinci::Flag filled_[kQueueBuffers];
    vinci::Flag free_[kQueueBuffers];
};

template <TPosition position, int32_t depth, auto config = 0>
class TQue : public TQueBind<position, position, depth, config> {
};

template <TPosition position, uint32_t n> class TBufPool;

template <TPosition position = TPosition::LCM> class TBuf {
public:
    static constexpr TPosition srcPosition = position;
    template <typename T> __aicore__ LocalTensor<T> Get() { return LocalTensor<T>(reinterpret_cast<T *>(base_), length_, position, this); }
    template <typename T> __aicore__ LocalTensor<T> Get(uint32_t elements)
    {
        return LocalTensor<T>(reinterpret_cast<T *>(base_), elements * sizeof(T), position, this);
    }
    template <typename T> __aicore__ LocalTensor<T> GetWithOffset(uint32_t size, uint32_t offset)
    {
        return LocalTensor<T>(reinterpret_cast<T *>(base_ + offset), size * sizeof(T), position, this);
    }
    template <typename T> __aicore__ void EnQue(const LocalTensor<T> &) {}
    template <typename T> __aicore__ LocalTensor<T> DeQue() { return Get<T>(); }
    template <typename T> __aicore__ LocalTensor<T> AllocTensor() { return Get<T>(); }
    template <typename T> __aicore__ void FreeTensor(LocalTensor<T> &) {}
    __aicore__ void InitStartBufHandle(uint8_t *, uint32_t, uint32_t length) { length_ = length; }
    template <class Pool> __aicore__ void InitBufHandle(Pool *, uint32_t, uint8_t *, uint64_t address, uint32_t)
    {
        base_ = vinci::core()->local[local_of(position)] + address;
    }
    __aicore__ uint32_t GetBufLen() const { return length_; }
    __aicore__ void furnish(uint64_t base, uint32_t length)
    {
        base_ = base;
        length_ = length;
    }

private:
    uint64_t base_ = 0;
    uint32_t length_ = 0;
};

class TPipe {
public:
    __aicore__ TPipe() { Init(); }
    TPipe(const TPipe &) = delete;
    TPipe &operator=(const TPipe &) = delete;
    /* Its memory may be another's at once: everything ends first. */
    __aicore__ ~TPipe()
    {
        Destroy();
        if (vinci::core()->scratch[vinci::kPipe] == reinterpret_cast<uint64_t>(this)) {
            vinci::core()->scratch[vinci::kPipe] = 0;
        }
    }
    __aicore__ void Init()
    {
        for (uint32_t &used : used_) {
            used = 0;
        }
        vinci::core()->scratch[vinci::kPipe] = reinterpret_cast<uint64_t>(this);
    }
    __aicore__ void Destroy() { PipeBarrier<PIPE_ALL>(); }
    __aicore__ void Reset()
    {
        Destroy();
        Init();
    }

    template <TPosition src, TPosition dst, int32_t depth, auto config>
    __aicore__ bool InitBuffer(TQueBind<src, dst, depth, config> &queue, uint32_t number, uint32_t length)
    {
        if (number > kQueueBuffers || number == 0) {
            vinci::fail(vinci::kRepeat, 1, number, kQueueBuffers, 0, "InitBuffer");
        }
        const uint64_t each = (length + 31ull) / 32 * 32;
        queue.furnish(take(local_of(src), number * each), static_cast<int>(number), static_cast<uint32_t>(each));
        return true;
    }
    template <TPosition position> __aicore__ bool InitBuffer(TBuf<position> &buffer, uint32_t length)
    {
        const uint64_t whole = (length + 31ull) / 32 * 32;
        buffer.furnish(take(local_of(position), whole), static_cast<uint32_t>(whole));
        return true;
    }

    template <TPosition position, uint32_t n> bool InitBufPool(TBufPool<position, n> &pool, uint32_t length);
    template <class Pool> bool InitBufPool(Pool &pool, uint32_t length)
    {
        pool.furnish(take(local_of(Pool::kPosition), length) - vinci::core()->local[local_of(Pool::kPosition)], length);
        return true;
    }
    template <class Pool, class Other> bool InitBufPool(Pool &pool, uint32_t length, Other &shared)
    {
        pool.furnish(shared.GetCurAddr(), length);
        return true;
    }
    template <TPosition position, uint32_t n, TPosition other, uint32_t m>
    bool InitBufPool(TBufPool<position, n> &pool, uint32_t length, TBufPool<other, m> &shared);

    template <HardEvent event> __aicore__ TEventID AllocEventID()
    {
        uint64_t &state = event_state(static_cast<int>(event));
        for (int id = 0; id < kEventIds; ++id) {
            if (!((state >> (8 + id)) & 1)) {
                state |= 1ull << (8 + id);
                return static_cast<TEventID>(id);
            }
        }
        vinci::fail(vinci::kRepeat, 2, kEventIds, kEventIds - 1, 0, "AllocEventID");
    }
    template <HardEvent event> __aicore__ void ReleaseEventID(TEventID id)
    {
        event_state(static_cast<int>(event)) &= ~(1ull << (8 + (id & 7)));
    }
    __aicore__ TEventID FetchEventID(HardEvent event)
    {
        const uint64_t state = event_state(static_cast<int>(event));
        for (int id = 0; id < kEventIds; ++id) {
            if (!((state >> (8 + id)) & 1)) {
                return static_cast<TEventID>(id);
            }
        }
        return 0;
    }
    template <HardEvent event> __aicore__ TEventID FetchEventID() { return FetchEventID(event); }
    template <TPosition position, typename T> __aicore__ LocalTensor<T> GetAbsAddr(int32_t offset, int32_t size) const
    {
        const uint64_t base = vinci::core()->local[local_of(position)];
        return LocalTensor<T>(reinterpret_cast<T *>(base + offset), size * sizeof(T), position);
    }

private:
    __aicore__ uint64_t take(vinci::Local memory, uint64_t bytes)
    {
        const vinci::Core *c = vinci::core();
        uint32_t &used = used_[memory];
        const uint32_t left = c->local_bytes[memory] - used;
        if (bytes > left) {
            vinci::fail(vinci::kNoRoom, memory, bytes, left, 0, "InitBuffer");
        }
        const uint64_t at = c->local[memory] + used;
        used += static_cast<uint32_t>(bytes);
        return at;
    }
    uint32_t used_[vinci::kLocals];
};

/* The members of a pool of the program's own. */
#define EXTERN_IMPL_BUFPOOL(NAME, POSITION, COUNT) \
public: \
    static constexpr AscendC::TPosition kPosition = POSITION; \
    void Init() { used_ = 0; } \
    void Reset() \
    { \
        used_ = 0; \
        current_ = begin_; \
    } \
    uint8_t *GetBufHandle(uint8_t) { return nullptr; } \
    void SetCurAddr(uint64_t address) \
    { \
        if (address - begin_ > length_) { \
            vinci::fail(vinci::kNoRoom, AscendC::local_of(POSITION), address - current_, length_ - (current_ - begin_), 0, #NAME); \
        } \
        current_ = address; \
    } \
    uint64_t GetCurAddr() { return current_; } \
    void SetCurBufSize(uint8_t count) { used_ = count; } \
    uint8_t GetCurBufSize() { return used_; } \
    void furnish(uint64_t begin, uint32_t length) \
    { \
        begin_ = current_ = begin; \
        length_ = length; \
        used_ = 0; \
    } \
\
private: \
    uint64_t begin_ = 0; \
    uint64_t current_ = 0; \
    uint32_t length_ = 0; \
    uint8_t used_ = 0

inline __aicore__ TPipe *GetTPipePtr() { return reinterpret_cast<TPipe *>(vinci::core()->scratch[vinci::kPipe]); }

} // namespace AscendC

#endif

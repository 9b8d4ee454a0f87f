/* Tensors: a view of global memory, a view of a core's local memory. */
#ifndef VINCI_ASCENDC_TENSOR_H
#define VINCI_ASCENDC_TENSOR_H

#include "model.h"
#include "types.h"

namespace AscendC {

enum class CacheMode { CACHE_MODE_DISABLE = 0, CACHE_MODE_NORMAL = 1, CACHE_MODE_LAST = 2, CACHE_MODE_PERSISTENT = 4 };
enum class CacheRwMode { READ = 1, WRITE = 2, RW = 3 };

/* Elements of four bits lie two in a byte: an offset counts these, a pointer bytes. */
template <typename T> constexpr uint64_t steps_of(uint64_t elements)
{
    if constexpr (kSame<T, int4b_t>) {
        return elements / 2;
    } else {
        return elements;
    }
}
template <typename T> constexpr uint64_t elements_of(uint64_t steps) { return kSame<T, int4b_t> ? steps * 2 : steps; }

template <typename T> class GlobalTensor {
public:
    using PrimType = T;
    void SetGlobalBuffer(__gm__ T *buffer, uint64_t size)
    {
        address_ = buffer;
        size_ = size;
    }
    void SetGlobalBuffer(__gm__ T *buffer)
    {
        address_ = buffer;
        size_ = 0;
    }
    const __gm__ T *GetPhyAddr() const { return address_; }
    __gm__ T *GetPhyAddr(uint64_t offset) const { return address_ + offset; }
    __gm__ T *GetPhyAddr() { return address_; }
    T GetValue(uint64_t offset) const
    {
        vinci::charge_scalar(vinci::core(), vinci::core()->rates[vinci::kHbmLatency] / 8);
        return address_[offset];
    }
    __gm__ T &operator()(uint64_t offset) const { return address_[offset]; }
    void SetValue(uint64_t offset, T value)
    {
        vinci::charge_scalar(vinci::core(), 1);
        address_[offset] = value;
    }
    uint64_t GetSize() const { return size_; }
    GlobalTensor operator[](uint64_t offset) const
    {
        GlobalTensor other = *this;
        other.address_ = address_ + steps_of<T>(offset);
        other.size_ = size_ > offset ? size_ - offset : 0;
        return other;
    }
    template <typename U> GlobalTensor<U> ReinterpretCast() const
    {
        GlobalTensor<U> other;
        other.SetGlobalBuffer(reinterpret_cast<__gm__ U *>(address_), size_ * sizeof(T) / sizeof(U));
        other.SetL2CacheHint(bypass_ ? CacheMode::CACHE_MODE_DISABLE : CacheMode::CACHE_MODE_NORMAL);
        return other;
    }
    template <CacheRwMode mode = CacheRwMode::RW> void SetL2CacheHint(CacheMode cache)
    {
        bypass_ = cache == CacheMode::CACHE_MODE_DISABLE;
    }
    bool bypasses() const { return bypass_; }

private:
    __gm__ T *address_ = nullptr;
    uint64_t size_ = 0;
    bool bypass_ = false;
};

template <typename T> class LocalTensor {
public:
    using PrimType = T;
    LocalTensor() = default;
    LocalTensor(TPosition position, uint32_t address, uint32_t elements)
        : position_(position), bytes_(static_cast<uint32_t>(steps_of<T>(elements) * sizeof(T)))
    {
        data_ = reinterpret_cast<T *>(vinci::core()->local[local_of(position)] + address);
    }
    LocalTensor(T *data, uint32_t bytes, TPosition position, void *owner = nullptr)
        : data_(data), owner_(owner), position_(position), bytes_(bytes)
    {
    }
    T *GetPhyAddr() const { return data_; }
    T *GetPhyAddr(uint32_t offset) const { return data_ + offset; }
    T GetValue(uint32_t index) const { return *element(index, "GetValue", vinci::kScalarLoad); }
    T &operator()(uint32_t index) const { return *element(index, "operator()", vinci::kScalarLoad); }
    template <typename V> void SetValue(uint32_t index, V value) const { *element(index, "SetValue", vinci::kScalarStore) = static_cast<T>(value); }
    LocalTensor operator[](uint32_t offset) const
    {
        LocalTensor other = *this;
        other.data_ = data_ + steps_of<T>(offset);
        const auto skip = static_cast<uint32_t>(steps_of<T>(offset) * sizeof(T));
        other.bytes_ = bytes_ > skip ? bytes_ - skip : 0;
        return other;
    }
    uint32_t GetSize() const { return static_cast<uint32_t>(elements_of<T>(bytes_ / sizeof(T))); }
    uint32_t GetLength() const { return bytes_; }
    void SetSize(uint32_t elements) { bytes_ = static_cast<uint32_t>(steps_of<T>(elements) * sizeof(T)); }
    TPosition GetPosition() const { return position_; }
    void SetUserTag(uint32_t tag) { tag_ = tag; }
    uint32_t GetUserTag() const { return tag_; }
    template <typename U> LocalTensor<U> ReinterpretCast() const
    {
        LocalTensor<U> other(reinterpret_cast<U *>(data_), bytes_, position_, owner_);
        other.SetUserTag(tag_);
        return other;
    }
    void *owner() const { return owner_; }

private:
    T *element(uint32_t index, const char *name, vinci::Rate rate) const
    {
        vinci::charge_element(rate);
        vinci::check_range(vinci::Local(local_of(position_)), data_ + index, sizeof(T), sizeof(T), name);
        return data_ + index;
    }
    T *data_ = nullptr;
    void *owner_ = nullptr;
    TPosition position_ = TPosition::VECCALC;
    uint32_t bytes_ = 0;
    uint32_t tag_ = 0;
};

} // namespace AscendC

#endif

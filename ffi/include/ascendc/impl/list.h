/* Lists of tensors in global memory: how far it is to the addresses of the data, a description of each tensor (number of
 * dimensions, index, sizes), then the addresses. */
#ifndef VINCI_ASCENDC_LIST_H
#define VINCI_ASCENDC_LIST_H

#include "tensor.h"

namespace AscendC {

template <typename T> class TensorDesc {
public:
    void SetShapeAddr(uint64_t *shape) { shape_ = shape; }
    uint64_t GetDim() const { return dim_; }
    uint64_t GetIndex() const { return index_; }
    uint64_t GetShape(uint32_t at) const { return shape_[at]; }
    T *GetDataPtr() const { return data_; }
    GlobalTensor<T> GetDataObj() const
    {
        GlobalTensor<T> tensor;
        tensor.SetGlobalBuffer(data_);
        return tensor;
    }
    /* For ListTensorDesc. */
    void fill(uint32_t dim, uint32_t index, const uint64_t *shape, T *data)
    {
        dim_ = dim;
        index_ = index;
        data_ = data;
        for (uint32_t i = 0; shape_ != nullptr && i < dim; ++i) {
            shape_[i] = shape[i];
        }
    }

private:
    T *data_ = nullptr;
    uint64_t *shape_ = nullptr;
    uint64_t index_ = 0;
    uint64_t dim_ = 0;
};

class ListTensorDesc {
public:
    ListTensorDesc() = default;
    ListTensorDesc(__gm__ void *data, uint32_t length = ~0u, uint32_t shapeSize = ~0u) { Init(data, length, shapeSize); }
    void Init(__gm__ void *data, uint32_t length = ~0u, uint32_t shapeSize = ~0u)
    {
        base_ = static_cast<uint8_t *>(data);
        addresses_ = *reinterpret_cast<uint64_t *>(base_);
        if (length != ~0u && addresses_ > length) {
            vinci::fail(vinci::kShape, 3, addresses_, length, 0, "ListTensorDesc");
        }
        size_ = 0;
        for (uint64_t at = 8; at < addresses_; at += 8 + 8ull * *reinterpret_cast<uint32_t *>(base_ + at)) {
            ++size_;
        }
        if (shapeSize != ~0u && shapeSize < size_) {
            vinci::fail(vinci::kShape, 3, size_, shapeSize, 0, "ListTensorDesc");
        }
    }
    template <typename T> void GetDesc(TensorDesc<T> &desc, uint32_t index)
    {
        uint64_t at = 8;
        for (uint32_t i = 0; i < index && at < addresses_; ++i) {
            at += 8 + 8ull * *reinterpret_cast<uint32_t *>(base_ + at);
        }
        if (at >= addresses_) {
            vinci::fail(vinci::kShape, 3, index, size_, 0, "ListTensorDesc::GetDesc");
        }
        const auto *head = reinterpret_cast<uint32_t *>(base_ + at);
        desc.fill(head[0], head[1], reinterpret_cast<uint64_t *>(base_ + at + 8), GetDataPtr<T>(index));
    }
    template <typename T> T *GetDataPtr(uint32_t index) { return reinterpret_cast<T *>(reinterpret_cast<uint64_t *>(base_ + addresses_)[index]); }
    uint32_t GetSize() const { return size_; }

private:
    uint8_t *base_ = nullptr;
    uint64_t addresses_ = 0;
    uint32_t size_ = 0;
};

} // namespace AscendC

#endif

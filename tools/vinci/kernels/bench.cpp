/* The kernels that `vinci bench` compiles, loads and launches. */
#include "kernel_operator.h"

using namespace AscendC;

extern "C" __global__ __aicore__ void empty(__gm__ uint8_t *) {}

/* z = x + y, a tile at a time, with two buffers of each. */
class Adder {
public:
    __aicore__ Adder(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total)
    {
        length_ = total / GetBlockNum();
        const uint32_t at = length_ * GetBlockIdx();
        x_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(x) + at, length_);
        y_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(y) + at, length_);
        z_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(z) + at, length_);
        pipe_.InitBuffer(inX_, 2, kTile * sizeof(half));
        pipe_.InitBuffer(inY_, 2, kTile * sizeof(half));
        pipe_.InitBuffer(out_, 2, kTile * sizeof(half));
    }
    __aicore__ void Process()
    {
        for (uint32_t at = 0; at < length_; at += kTile) {
            const uint32_t count = length_ - at < kTile ? length_ - at : kTile;
            CopyIn(at, count);
            Compute(count);
            CopyOut(at, count);
        }
    }

private:
    __aicore__ void CopyIn(uint32_t at, uint32_t count)
    {
        LocalTensor<half> x = inX_.AllocTensor<half>(), y = inY_.AllocTensor<half>();
        DataCopy(x, x_[at], count);
        DataCopy(y, y_[at], count);
        inX_.EnQue(x);
        inY_.EnQue(y);
    }
    __aicore__ void Compute(uint32_t count)
    {
        LocalTensor<half> x = inX_.DeQue<half>(), y = inY_.DeQue<half>(), z = out_.AllocTensor<half>();
        Add(z, x, y, static_cast<int32_t>(count));
        out_.EnQue(z);
        inX_.FreeTensor(x);
        inY_.FreeTensor(y);
    }
    __aicore__ void CopyOut(uint32_t at, uint32_t count)
    {
        LocalTensor<half> z = out_.DeQue<half>();
        DataCopy(z_[at], z, count);
        out_.FreeTensor(z);
    }

    static constexpr uint32_t kTile = 8192;
    TPipe pipe_;
    TQue<TPosition::VECIN, 2> inX_, inY_;
    TQue<TPosition::VECOUT, 2> out_;
    GlobalTensor<half> x_, y_, z_;
    uint32_t length_;
};

extern "C" __global__ __aicore__ void add(GM_ADDR x, GM_ADDR y, GM_ADDR z, uint32_t total)
{
    Adder(x, y, z, total).Process();
}

/* Softmax of each row of a matrix of float. */
class Softmax {
public:
    __aicore__ Softmax(GM_ADDR x, GM_ADDR y, uint32_t rows, uint32_t columns) : columns_(columns)
    {
        const uint32_t share = (rows + GetBlockNum() - 1) / GetBlockNum();
        first_ = share * GetBlockIdx();
        last_ = first_ + share < rows ? first_ + share : rows;
        x_.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(x), rows * columns);
        y_.SetGlobalBuffer(reinterpret_cast<__gm__ float *>(y), rows * columns);
        pipe_.InitBuffer(in_, 2, columns * sizeof(float));
        pipe_.InitBuffer(out_, 2, columns * sizeof(float));
        pipe_.InitBuffer(work_, columns * sizeof(float));
        pipe_.InitBuffer(one_, 32);
    }
    __aicore__ void Process()
    {
        for (uint32_t row = first_; row < last_; ++row) {
            LocalTensor<float> x = in_.AllocTensor<float>();
            DataCopy(x, x_[row * columns_], columns_);
            in_.EnQue(x);
            Compute();
            LocalTensor<float> y = out_.DeQue<float>();
            DataCopy(y_[row * columns_], y, columns_);
            out_.FreeTensor(y);
        }
    }

private:
    __aicore__ void Compute()
    {
        LocalTensor<float> x = in_.DeQue<float>(), y = out_.AllocTensor<float>();
        LocalTensor<float> work = work_.Get<float>(), one = one_.Get<float>();
        const auto count = static_cast<int32_t>(columns_);
        ReduceMax(one, x, work, count);
        Adds(y, x, -Scalar(one), count);
        Exp(y, y, count);
        ReduceSum(one, y, work, count);
        Muls(y, y, 1.0f / Scalar(one), count);
        out_.EnQue(y);
        in_.FreeTensor(x);
    }
    /* What the vector unit has left in a tensor of one element. */
    __aicore__ float Scalar(const LocalTensor<float> &one)
    {
        SetFlag<HardEvent::V_S>(EVENT_ID0);
        WaitFlag<HardEvent::V_S>(EVENT_ID0);
        return one.GetValue(0);
    }

    TPipe pipe_;
    TQue<TPosition::VECIN, 2> in_;
    TQue<TPosition::VECOUT, 2> out_;
    TBuf<TPosition::VECCALC> work_, one_;
    GlobalTensor<float> x_, y_;
    uint32_t columns_, first_, last_;
};

extern "C" __global__ __aicore__ void softmax(GM_ADDR x, GM_ADDR y, uint32_t rows, uint32_t columns)
{
    Softmax(x, y, rows, columns).Process();
}

/* C = A B of square matrices of float16 in rows. A block makes a part of C of 128 by 256; L1 takes 256 of the depth at a
 * time and L0A and L0B 64, each twice, so that the next is loaded while the cube works on the last. */
class Product {
public:
    __aicore__ Product(GM_ADDR a, GM_ADDR b, GM_ADDR c, uint32_t side) : side_(side)
    {
        const uint32_t parts = side / kColumns;
        row_ = static_cast<uint32_t>(GetBlockIdx()) / parts * kRows;
        column_ = static_cast<uint32_t>(GetBlockIdx()) % parts * kColumns;
        a_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(a) + row_ * side);
        b_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(b) + column_);
        c_.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(c) + row_ * side + column_);
    }
    __aicore__ void Process()
    {
        for (int i = 0; i < 2; ++i) {
            SetFlag<HardEvent::MTE1_MTE2>(i);
            SetFlag<HardEvent::M_MTE1>(i);
        }
        for (uint32_t deep = 0, turn = 0; deep < side_; deep += kDeep, turn ^= 1) {
            LocalTensor<half> a1(TPosition::A1, turn * kRows * kDeep * 2, kRows * kDeep);
            LocalTensor<half> b1(TPosition::B1, kHalfOfL1 + turn * kDeep * kColumns * 2, kDeep * kColumns);
            WaitFlag<HardEvent::MTE1_MTE2>(turn);
            DataCopy(a1, a_[deep], Nd2NzParams(1, kRows, kDeep, 0, side_, kRows, 1, 0));
            DataCopy(b1, b_[deep * side_], Nd2NzParams(1, kDeep, kColumns, 0, side_, kDeep, 1, 0));
            SetFlag<HardEvent::MTE2_MTE1>(turn);
            WaitFlag<HardEvent::MTE2_MTE1>(turn);
            for (uint32_t at = 0; at < kDeep; at += kStep) {
                Step(a1[at * kRows], b1[at * 16], deep + at);
            }
            SetFlag<HardEvent::MTE1_MTE2>(turn);
        }
        SetFlag<HardEvent::M_FIX>(0);
        WaitFlag<HardEvent::M_FIX>(0);
        FixpipeParamsV220 fix(kColumns, kRows, kRows, side_, false);
        fix.quantPre = QuantMode_t::F322F16;
        Fixpipe(c_, LocalTensor<float>(TPosition::CO1, 0, kRows * kColumns), fix);
        for (int i = 0; i < 2; ++i) {
            WaitFlag<HardEvent::MTE1_MTE2>(i);
            WaitFlag<HardEvent::M_MTE1>(i);
        }
    }

private:
    __aicore__ void Step(const LocalTensor<half> &a1, const LocalTensor<half> &b1, uint32_t deep)
    {
        const uint32_t turn = deep / kStep % 2;
        LocalTensor<half> a2(TPosition::A2, turn * kRows * kStep * 2, kRows * kStep);
        LocalTensor<half> b2(TPosition::B2, turn * kColumns * kStep * 2, kColumns * kStep);
        WaitFlag<HardEvent::M_MTE1>(turn);
        for (uint32_t i = 0; i < kRows / 16; ++i) {
            LoadData(a2[i * kStep * 16], a1[i * 256], LoadData2DParams(0, kStep / 16, kRows / 16, 0, 0, false, 0));
        }
        for (uint32_t i = 0; i < kStep / 16; ++i) {
            LoadData(b2[i * kColumns * 16], b1[i * 256], LoadData2DParams(0, kColumns / 16, kDeep / 16, 0, 0, true, 0));
        }
        SetFlag<HardEvent::MTE1_M>(turn);
        WaitFlag<HardEvent::MTE1_M>(turn);
        Mmad(LocalTensor<float>(TPosition::CO1, 0, kRows * kColumns), a2, b2, MmadParams(kRows, kColumns, kStep, 0, false, deep == 0));
        SetFlag<HardEvent::M_MTE1>(turn);
    }

    static constexpr uint32_t kRows = 128, kColumns = 256, kDeep = 256, kStep = 64;
    static constexpr uint32_t kHalfOfL1 = 262144;
    GlobalTensor<half> a_, b_, c_;
    uint32_t side_, row_, column_;
};

extern "C" __global__ __cube__ void product(GM_ADDR a, GM_ADDR b, GM_ADDR c, uint32_t side)
{
    Product(a, b, c, side).Process();
}

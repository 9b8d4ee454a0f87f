/* The host's half of Matmul: how a product is divided over cores, and on a core into blocks. */
#ifndef VINCI_ASCENDC_TILING_API_H
#define VINCI_ASCENDC_TILING_API_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <iostream>
#include <string>
#include <vector>

#include "../kernel_tiling/kernel_tiling.h"
#include "platform/platform_ascendc.h"

namespace optiling {

/* The same fields, for programs that put them into a buffer. */
class TCubeTiling : public AscendC::tiling::TCubeTiling {
public:
    size_t GetDataSize() const { return sizeof(AscendC::tiling::TCubeTiling); }
    void SaveToBuffer(void *data, size_t capacity) const
    {
        if (data != nullptr && capacity >= GetDataSize()) {
            memcpy(data, static_cast<const AscendC::tiling::TCubeTiling *>(this), GetDataSize());
        }
    }
#define VINCI_FIELD(NAME) \
    void set_##NAME(int32_t value) { NAME = value; } \
    int32_t get_##NAME() const { return NAME; }
    VINCI_FIELD(usedCoreNum)
    VINCI_FIELD(M)
    VINCI_FIELD(N)
    VINCI_FIELD(Ka)
    VINCI_FIELD(Kb)
    VINCI_FIELD(singleCoreM)
    VINCI_FIELD(singleCoreN)
    VINCI_FIELD(singleCoreK)
    VINCI_FIELD(baseM)
    VINCI_FIELD(baseN)
    VINCI_FIELD(baseK)
    VINCI_FIELD(depthA1)
    VINCI_FIELD(depthB1)
    VINCI_FIELD(stepM)
    VINCI_FIELD(stepN)
    VINCI_FIELD(stepKa)
    VINCI_FIELD(stepKb)
    VINCI_FIELD(isBias)
    VINCI_FIELD(transLength)
    VINCI_FIELD(iterateOrder)
    VINCI_FIELD(shareMode)
    VINCI_FIELD(shareL1Size)
    VINCI_FIELD(shareL0CSize)
    VINCI_FIELD(shareUbSize)
    VINCI_FIELD(batchM)
    VINCI_FIELD(batchN)
    VINCI_FIELD(singleBatchM)
    VINCI_FIELD(singleBatchN)
    VINCI_FIELD(dbL0A)
    VINCI_FIELD(dbL0B)
    VINCI_FIELD(dbL0C)
#undef VINCI_FIELD
};

} // namespace optiling

namespace matmul_tiling {

enum class TPosition : int32_t { GM = 0, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM = VECCALC, SPM, SHM = SPM, TSCM, MAX };
enum class CubeFormat { ND = 0, NZ, ZN, ZZ, NN, VECTOR, SCALAR, ND_ALIGN, COLUMN_MAJOR };
enum class DataType {
    DT_FLOAT = 0,
    DT_FLOAT16 = 1,
    DT_INT8 = 2,
    DT_INT32 = 3,
    DT_UINT8 = 4,
    DT_INT16 = 6,
    DT_UINT16 = 7,
    DT_UINT32 = 8,
    DT_INT64 = 9,
    DT_BF16 = 27,
    DT_BFLOAT16 = DT_BF16,
    DT_INT4 = 29,
};
enum class MatrixTraverse { NOSET = 0, FIRSTM = 1, FIRSTN = 2 };
enum class MatrixMadType { NORMAL = 0, HF32 = 1, MXMODE = 2 };
enum class DequantType { SCALAR = 0, TENSOR = 1 };
enum class ScheduleType { INNER_PRODUCT = 0, OUTER_PRODUCT = 1, N_BUFFER_33 = 2 };

struct MatmulConfigParams {
    int32_t mmConfigType = 1;
    bool enableL1CacheUB = false;
    ScheduleType scheduleType = ScheduleType::INNER_PRODUCT;
    MatrixTraverse traverse = MatrixTraverse::NOSET;
    bool enVecND2NZ = false;
};

struct PlatformInfo {
    platform_ascendc::SocVersion socVersion;
    uint64_t l1Size = 0;
    uint64_t l0CSize = 0;
    uint64_t ubSize = 0;
    uint64_t l0ASize = 0;
    uint64_t l0BSize = 0;
};

/* What both kinds of tiling are told. Functions answer 0, or -1 for what cannot be. */
class MatmulApiTilingBase {
public:
    MatmulApiTilingBase() = default;
    explicit MatmulApiTilingBase(const platform_ascendc::PlatformAscendC &platform)
    {
        platform.GetCoreMemSize(platform_ascendc::CoreMemType::L0_A, l0a_);
        platform.GetCoreMemSize(platform_ascendc::CoreMemType::L0_C, l0c_);
        platform.GetCoreMemSize(platform_ascendc::CoreMemType::L1, l1_);
    }
    explicit MatmulApiTilingBase(const PlatformInfo &platform) : l0a_(platform.l0ASize), l0c_(platform.l0CSize), l1_(platform.l1Size) {}
    virtual ~MatmulApiTilingBase() = default;

    int32_t SetAType(TPosition position, CubeFormat format, DataType type, bool transposed = false)
    {
        (void)position;
        (void)format;
        a_ = type;
        transA_ = transposed;
        return 0;
    }
    int32_t SetBType(TPosition position, CubeFormat format, DataType type, bool transposed = false)
    {
        (void)position;
        (void)format;
        b_ = type;
        transB_ = transposed;
        return 0;
    }
    int32_t SetCType(TPosition, CubeFormat, DataType) { return 0; }
    int32_t SetBiasType(TPosition, CubeFormat, DataType) { return 0; }
    int32_t SetBias(bool is = false) { return EnableBias(is); }
    int32_t EnableBias(bool is = false)
    {
        bias_ = is;
        return 0;
    }
    int32_t SetDequantType(DequantType) { return 0; }
    int32_t SetMadType(MatrixMadType) { return 0; }
    int32_t SetSplitRange(int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1) { return 0; }
    int32_t SetDoubleBuffer(bool, bool, bool, bool, bool = true, bool = true) { return 0; }
    int32_t SetMatmulConfigParams(int32_t, bool = false, ScheduleType = ScheduleType::INNER_PRODUCT, MatrixTraverse = MatrixTraverse::NOSET, bool = false) { return 0; }
    int32_t SetMatmulConfigParams(const MatmulConfigParams &params)
    {
        return SetTraverse(params.traverse);
    }
    int32_t SetBufferSpace(int32_t l1 = -1, int32_t l0c = -1, int32_t ub = -1, int32_t bt = -1)
    {
        (void)ub;
        (void)bt;
        l1_ = l1 > 0 ? static_cast<uint64_t>(l1) : l1_;
        l0c_ = l0c > 0 ? static_cast<uint64_t>(l0c) : l0c_;
        return 0;
    }
    int32_t SetOrgShape(int32_t m, int32_t n, int32_t k) { return SetOrgShape(m, n, k, k); }
    int32_t SetOrgShape(int32_t m, int32_t n, int32_t ka, int32_t kb)
    {
        orgM_ = m;
        orgN_ = n;
        orgKa_ = ka;
        orgKb_ = kb;
        return m > 0 && n > 0 && ka > 0 && kb > 0 ? 0 : -1;
    }
    /* -1: as the original. */
    int32_t SetShape(int32_t m, int32_t n, int32_t k)
    {
        m_ = m;
        n_ = n;
        k_ = k;
        return 0;
    }
    /* -1: to be chosen. */
    int32_t SetFixSplit(int32_t m = -1, int32_t n = -1, int32_t k = -1)
    {
        fixM_ = m;
        fixN_ = n;
        fixK_ = k;
        return 0;
    }
    int32_t SetTraverse(MatrixTraverse order)
    {
        order_ = order;
        return 0;
    }
    int32_t SetALayout(int32_t b, int32_t s, int32_t n, int32_t g, int32_t d)
    {
        layout_.ALayoutInfoB = b;
        layout_.ALayoutInfoS = s;
        layout_.ALayoutInfoN = n;
        layout_.ALayoutInfoG = g;
        layout_.ALayoutInfoD = d;
        return 0;
    }
    int32_t SetBLayout(int32_t b, int32_t s, int32_t n, int32_t g, int32_t d)
    {
        layout_.BLayoutInfoB = b;
        layout_.BLayoutInfoS = s;
        layout_.BLayoutInfoN = n;
        layout_.BLayoutInfoG = g;
        layout_.BLayoutInfoD = d;
        return 0;
    }
    int32_t SetCLayout(int32_t b, int32_t s, int32_t n, int32_t g, int32_t d)
    {
        layout_.CLayoutInfoB = b;
        layout_.CLayoutInfoS1 = s;
        layout_.CLayoutInfoN = n;
        layout_.CLayoutInfoG = g;
        layout_.CLayoutInfoS2 = d;
        return 0;
    }
    int32_t SetBatchNum(int32_t batch)
    {
        layout_.BatchNum = batch;
        return 0;
    }
    int32_t GetBaseM() const { return baseM_; }
    int32_t GetBaseN() const { return baseN_; }
    int32_t GetBaseK() const { return baseK_; }

    int64_t GetTiling(AscendC::tiling::TCubeTiling &to)
    {
        to = layout_;
        if (!divide(to)) {
            return -1;
        }
        fill(to);
        return 0;
    }
    int64_t GetTiling(optiling::TCubeTiling &to) { return GetTiling(static_cast<AscendC::tiling::TCubeTiling &>(to)); }

protected:
    static int32_t up(int32_t a, int32_t b) { return (a + b - 1) / b; }
    static int32_t bytes(DataType type)
    {
        switch (type) {
            case DataType::DT_FLOAT:
            case DataType::DT_INT32:
            case DataType::DT_UINT32: return 4;
            case DataType::DT_INT8:
            case DataType::DT_UINT8:
            case DataType::DT_INT4: return 1;
            default: return 2;
        }
    }
    int32_t m() const { return m_ > 0 ? m_ : orgM_; }
    int32_t n() const { return n_ > 0 ? n_ : orgN_; }
    int32_t k() const { return k_ > 0 ? k_ : orgKa_; }
    /* Largest block of C: what L0C holds, with 16 elements at a time. */
    void base(int32_t m, int32_t n, bool tall, int32_t &bm, int32_t &bn) const
    {
        bm = fixM_ > 0 ? fixM_ : (tall ? 256 : 128);
        bn = fixN_ > 0 ? fixN_ : (tall ? 128 : 256);
        bm = bm < up(m, 16) * 16 ? bm : up(m, 16) * 16;
        bn = bn < up(n, 16) * 16 ? bn : up(n, 16) * 16;
        while (static_cast<uint64_t>(bm) * bn * 4 > l0c_ && (fixM_ <= 0 || fixN_ <= 0)) {
            int32_t &larger = fixN_ > 0 || (fixM_ <= 0 && bm > bn) ? bm : bn;
            larger = up(larger / 2, 16) * 16;
        }
    }
    /* Bytes that a core with (m, n) elements of C reads, if it goes along M first. */
    uint64_t traffic(int32_t m, int32_t n, int32_t bm, int32_t bn) const
    {
        const uint64_t ms = up(m, bm), ns = up(n, bn), depth = k();
        return depth * (static_cast<uint64_t>(m) * (ms == 1 ? 1 : ns) * bytes(a_) + static_cast<uint64_t>(n) * bytes(b_));
    }
    virtual bool divide(AscendC::tiling::TCubeTiling &to) = 0;
    void choose(int32_t m, int32_t n)
    {
        int32_t tm, tn, wm, wn;
        base(m, n, true, tm, tn);
        base(m, n, false, wm, wn);
        const bool tall = traffic(m, n, tm, tn) <= traffic(m, n, wm, wn);
        baseM_ = tall ? tm : wm;
        baseN_ = tall ? tn : wn;
    }
    void fill(AscendC::tiling::TCubeTiling &to)
    {
        const int32_t c0 = 32 / bytes(a_);
        int32_t depth = static_cast<int32_t>(l0a_ / 2) / ((baseM_ > baseN_ ? baseM_ : baseN_) * bytes(a_)) / c0 * c0;
        depth = depth < c0 ? c0 : depth;
        const int32_t all = up(to.singleCoreK, c0) * c0;
        baseK_ = fixK_ > 0 ? fixK_ : (depth < all ? depth : all);
        to.M = orgM_;
        to.N = orgN_;
        to.Ka = orgKa_;
        to.Kb = orgKb_;
        to.baseM = baseM_;
        to.baseN = baseN_;
        to.baseK = baseK_;
        to.stepM = to.stepN = to.stepKa = to.stepKb = 1;
        to.depthA1 = to.depthB1 = 2;
        to.isBias = bias_;
        to.iterateOrder = order_ == MatrixTraverse::FIRSTN ? 1 : 0;
        to.dbL0A = to.dbL0B = 2;
        to.dbL0C = 1;
        to.transLength = 0;
        to.shareL1Size = static_cast<int32_t>(l1_);
        to.shareL0CSize = baseM_ * baseN_ * 4;
        to.batchM = to.batchN = to.singleBatchM = to.singleBatchN = 1;
    }

    DataType a_ = DataType::DT_FLOAT16, b_ = DataType::DT_FLOAT16;
    bool transA_ = false, transB_ = false, bias_ = false;
    uint64_t l0a_ = 64 << 10, l0c_ = 128 << 10, l1_ = 512 << 10;
    int32_t orgM_ = 0, orgN_ = 0, orgKa_ = 0, orgKb_ = 0, m_ = -1, n_ = -1, k_ = -1;
    int32_t fixM_ = -1, fixN_ = -1, fixK_ = -1;
    int32_t baseM_ = 0, baseN_ = 0, baseK_ = 0;
    MatrixTraverse order_ = MatrixTraverse::NOSET;
    AscendC::tiling::TCubeTiling layout_;
};

/* One core does it all. */
class MatmulApiTiling : public MatmulApiTilingBase {
public:
    using MatmulApiTilingBase::MatmulApiTilingBase;

protected:
    bool divide(AscendC::tiling::TCubeTiling &to) override
    {
        if (m() <= 0 || n() <= 0 || k() <= 0) {
            return false;
        }
        to.usedCoreNum = 1;
        to.singleCoreM = m();
        to.singleCoreN = n();
        to.singleCoreK = k();
        choose(m(), n());
        return true;
    }
};

/* Several do: each has a rectangle of C, such that the cores together read the least. */
class MultiCoreMatmulTiling : public MatmulApiTilingBase {
public:
    using MatmulApiTilingBase::MatmulApiTilingBase;
    int32_t SetDim(int32_t cores)
    {
        cores_ = cores;
        return cores > 0 ? 0 : -1;
    }
    int32_t SetSingleShape(int32_t m = -1, int32_t n = -1, int32_t k = -1)
    {
        singleM_ = m;
        singleN_ = n;
        singleK_ = k;
        return 0;
    }
    int32_t SetSingleRange(int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1, int32_t = -1) { return 0; }
    int32_t SetAlignSplit(int32_t m, int32_t n, int32_t)
    {
        alignM_ = m > 0 ? m : 16;
        alignN_ = n > 0 ? n : 16;
        return 0;
    }
    int32_t EnableMultiCoreSplitK(bool split)
    {
        splitK_ = split;
        return 0;
    }
    int32_t GetSingleShape(int32_t &m, int32_t &n, int32_t &k)
    {
        m = usedM_;
        n = usedN_;
        k = usedK_;
        return 0;
    }
    int32_t GetCoreNum(int32_t &dim, int32_t &mDim, int32_t &nDim)
    {
        mDim = up(m(), usedM_);
        nDim = up(n(), usedN_);
        dim = mDim * nDim;
        return 0;
    }

protected:
    bool divide(AscendC::tiling::TCubeTiling &to) override
    {
        if (m() <= 0 || n() <= 0 || k() <= 0) {
            return false;
        }
        usedK_ = singleK_ > 0 && singleK_ < k() ? singleK_ : k();
        if (singleM_ > 0 || singleN_ > 0) {
            usedM_ = singleM_ > 0 && singleM_ < m() ? singleM_ : m();
            usedN_ = singleN_ > 0 && singleN_ < n() ? singleN_ : n();
        } else {
            uint64_t least = ~0ull, blocks = ~0ull;
            for (int32_t ms = cores_; ms >= 1; --ms) {
                const int32_t ns = cores_ / ms;
                const int32_t sm = portion(m(), ms, alignM_), sn = portion(n(), ns, alignN_);
                choose(sm, sn);
                /* The most that one core has to do, in its blocks, then what all read. */
                const uint64_t work = static_cast<uint64_t>(up(sm, 16)) * up(sn, 16);
                const uint64_t reads = traffic(sm, sn, baseM_, baseN_) * up(m(), sm) * up(n(), sn);
                if (work < blocks || (work == blocks && reads < least)) {
                    blocks = work;
                    least = reads;
                    usedM_ = sm;
                    usedN_ = sn;
                }
            }
        }
        if (splitK_ && up(m(), usedM_) * up(n(), usedN_) * 2 <= cores_) {
            const int32_t parts = cores_ / (up(m(), usedM_) * up(n(), usedN_));
            usedK_ = portion(k(), parts, 64);
        }
        to.usedCoreNum = up(m(), usedM_) * up(n(), usedN_) * up(k(), usedK_);
        to.singleCoreM = usedM_;
        to.singleCoreN = usedN_;
        to.singleCoreK = usedK_;
        choose(usedM_, usedN_);
        return true;
    }

private:
    static int32_t portion(int32_t all, int32_t parts, int32_t align)
    {
        const int32_t one = up(up(all, parts), align) * align;
        return one < all ? one : all;
    }
    int32_t cores_ = 1, singleM_ = -1, singleN_ = -1, singleK_ = -1, alignM_ = 16, alignN_ = 16;
    int32_t usedM_ = 0, usedN_ = 0, usedK_ = 0;
    bool splitK_ = false;
};

} // namespace matmul_tiling

#endif

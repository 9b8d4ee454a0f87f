/* Matmul: C = A * B + bias for whole matrices, block by block as a tiling says. A core does with its own cube what the
 * chip's vector cores ask of theirs, so a cube core of a mixed kernel has nothing to do. */
#ifndef VINCI_ASCENDC_MATMUL_H
#define VINCI_ASCENDC_MATMUL_H

#include "../kernel_tiling/kernel_tiling.h"
#include "cube.h"
#include "pipe.h"

#define __kfc_workspace__

namespace AscendC {

enum class LayoutMode { NONE = 0, BSNGD, SBNGD, BNGS1S2, NORMAL };
enum class IterateOrder { ORDER_M = 0, ORDER_N, UNDEF };
enum class IterateMode : uint8_t { ITERATE_MODE_NORMAL = 1, ITERATE_MODE_ALL = 2, ITERATE_MODE_BATCH = 4, ITERATE_MODE_N_BATCH = 8, ITERATE_MODE_DEFAULT = 255 };
enum class ScheduleType { INNER_PRODUCT = 0, OUTER_PRODUCT, N_BUFFER_33 };
enum class BatchMode { BATCH_LESS_THAN_L1 = 0, BATCH_LARGE_THAN_L1, SINGLE_LARGE_THAN_L1, NONE };

template <TPosition position, CubeFormat matrixFormat, typename Type, bool transposed = false, LayoutMode layoutMode = LayoutMode::NONE,
    bool share = false, TPosition source = TPosition::GM>
struct MatmulType {
    static constexpr TPosition pos = position;
    static constexpr CubeFormat format = matrixFormat;
    using T = Type;
    static constexpr bool isTrans = transposed;
    static constexpr LayoutMode layout = layoutMode;
    static constexpr bool ibShare = share;
    static constexpr TPosition srcPos = source;
};

/* How the chip hides its transfers: of these only the order of blocks changes what a program sees. */
struct MatmulConfig {
    bool doNorm = true;
    bool doBasicBlock = false;
    bool doMultiDataLoad = false;
    uint32_t basicM = 0;
    uint32_t basicN = 0;
    uint32_t basicK = 0;
    bool intrinsicsCheck = false;
    bool isNBatch = false;
    bool enVecND2NZ = false;
    bool doSpecialBasicBlock = false;
    uint32_t doMTE2Preload = 0;
    uint32_t singleCoreM = 0;
    uint32_t singleCoreN = 0;
    uint32_t singleCoreK = 0;
    uint32_t stepM = 0;
    uint32_t stepN = 0;
    uint32_t baseMN = 0;
    uint32_t singleCoreMN = 0;
    bool enUnitFlag = true;
    bool isPerTensor = false;
    bool hasAntiQuantOffset = false;
    bool doIBShareNorm = false;
    bool doSpecialMDL = false;
    bool enableInit = true;
    BatchMode batchMode = BatchMode::NONE;
    bool enableEnd = true;
    bool enableGetTensorC = true;
    bool enableSetOrgShape = true;
    bool enableSetBias = true;
    bool enableSetTail = true;
    bool enableQuantVector = true;
    bool enableSetDefineData = true;
    IterateMode iterateMode = IterateMode::ITERATE_MODE_DEFAULT;
    bool enableReuse = true;
    bool enableUBReuse = true;
    bool enableL1CacheUB = false;
    bool intraBlockPartSum = false;
    IterateOrder iterateOrder = IterateOrder::UNDEF;
    ScheduleType scheduleType = ScheduleType::INNER_PRODUCT;
    bool enableDoubleCache = false;
    bool isBiasBatch = true;
    bool enableStaticPadZeros = false;
    bool isPartialOutput = false;
    bool enableMixDualMaster = false;
    bool isA2B2Shared = false;
    bool isEnableChannelSplit = false;
    bool enableKdimReorderLoad = false;
};
constexpr MatmulConfig CFG_NORM = {};
constexpr MatmulConfig MM_CFG_DEFAULT = CFG_NORM;
constexpr MatmulConfig CFG_MDL = {false, false, true};
constexpr MatmulConfig CFG_IBSHARE_NORM = CFG_NORM;
constexpr MatmulConfig GetNormalConfig(const bool = false, const bool = false, const bool = false, const BatchMode = BatchMode::NONE,
    const bool = true, const IterateMode = IterateMode::ITERATE_MODE_DEFAULT, const bool = true, const bool = true)
{
    return CFG_NORM;
}
constexpr MatmulConfig GetMDLConfig(const bool = false, const bool = false, const uint32_t = 0, const bool = false, const bool = false,
    const bool = false, const bool = true, const bool = true)
{
    return CFG_MDL;
}
constexpr MatmulConfig GetIBShareNormConfig(const bool = false, const bool = false, const bool = false, const BatchMode = BatchMode::NONE, const bool = false) { return CFG_NORM; }

template <class A, class B, class C, class Bias = C, const auto &config = CFG_NORM, class... Rest> class Matmul {
    using AT = typename A::T;
    using BT = typename B::T;
    using CT = typename C::T;
    /* What a block of C is summed in. */
    using Sum = typename Choose<kSame<AT, int8_t>, int32_t, float>::type;

public:
    using AType = A;
    using BType = B;
    using CType = C;
    using BiasType = Bias;

    void Init(const TCubeTiling *tiling, TPipe * = nullptr)
    {
        tiling_ = *tiling;
        orgM_ = tiling_.M;
        orgN_ = tiling_.N;
        orgKa_ = tiling_.Ka;
        orgKb_ = tiling_.Kb;
        orgKc_ = tiling_.N;
        m_ = tiling_.singleCoreM;
        n_ = tiling_.singleCoreN;
        k_ = tiling_.singleCoreK;
        if (tiling_.baseM <= 0 || tiling_.baseN <= 0 || tiling_.baseM > 256 || tiling_.baseN > 256) {
            vinci::fail(vinci::kShape, 3, tiling_.baseM > tiling_.baseN ? tiling_.baseM : tiling_.baseN, 256, 0, "Matmul: a block of C");
        }
        restart();
    }
    template <class... Args> void SetSubBlockIdx(Args...) {}
    void SetUserDefInfo(uint64_t) {}
    void SetSelfDefineData(uint64_t) {}
    void SetWorkspace(GlobalTensor<CT> &) {}
    void SetWorkspace(__gm__ const CT *, int) {}
    template <class T> void SetLocalWorkspace(const LocalTensor<T> &) {}
    void SetHF32(bool, int32_t = 0) {}
    void SetOrgShape(int m, int n, int k) { SetOrgShape(m, n, k, k); }
    void SetOrgShape(int m, int n, int ka, int kb, int kc = 0)
    {
        orgM_ = m;
        orgN_ = n;
        orgKa_ = ka;
        orgKb_ = kb;
        orgKc_ = kc > 0 ? kc : n;
    }
    void SetSingleShape(int m, int n, int k) { SetTail(m, n, k); }
    /* What this core has, where it is less than the tiling says. */
    void SetTail(int m = -1, int n = -1, int k = -1)
    {
        m_ = m > 0 ? m : m_;
        n_ = n > 0 ? n : n_;
        k_ = k > 0 ? k : k_;
        restart();
    }
    void SetTensorA(const GlobalTensor<AT> &a, bool transposed = false) { set(a_, a.GetPhyAddr(), transposed, false); }
    void SetTensorB(const GlobalTensor<BT> &b, bool transposed = false) { set(b_, b.GetPhyAddr(), transposed, false); }
    void SetTensorA(const LocalTensor<AT> &a, bool transposed = false) { set(a_, a.GetPhyAddr(), transposed, true); }
    void SetTensorB(const LocalTensor<BT> &b, bool transposed = false) { set(b_, b.GetPhyAddr(), transposed, true); }
    void SetBias(const GlobalTensor<typename Bias::T> &bias) { bias_ = bias.GetPhyAddr(); }
    void SetBias(const LocalTensor<typename Bias::T> &bias) { bias_ = bias.GetPhyAddr(); }
    void DisableBias() { bias_ = nullptr; }
    void ClearBias() { bias_ = nullptr; }

    /* The next block of C; false behind the last. */
    template <bool sync = true> bool Iterate(bool enPartialSum = false)
    {
        const int ms = blocks(m_, tiling_.baseM), ns = blocks(n_, tiling_.baseN);
        if (next_ >= ms * ns) {
            restart();
            return false;
        }
        const bool along_n = tiling_.iterateOrder == 1;
        row_ = (along_n ? next_ / ns : next_ % ms) * tiling_.baseM;
        column_ = (along_n ? next_ % ns : next_ / ms) * tiling_.baseN;
        ++next_;
        compute(enPartialSum);
        return true;
    }
    template <bool sync = true>
    void IterateAll(const GlobalTensor<CT> &c, uint8_t enAtomic = 0, bool enSequentialWrite = false, bool = false, bool = false)
    {
        while (Iterate<sync>()) {
            GetTensorC<sync>(c, enAtomic, enSequentialWrite);
        }
    }
    template <bool sync = true> void IterateAll(const LocalTensor<CT> &c, uint8_t = 0)
    {
        while (Iterate<sync>()) {
            GetTensorC<sync>(c);
        }
    }
    void WaitIterateAll() {}
    void WaitGetTensorC() {}

    /* The block that Iterate made: to its place in C, or (sequential) as a matrix of its own. */
    template <bool sync = true> void GetTensorC(const GlobalTensor<CT> &c, uint8_t enAtomic = 0, bool enSequentialWrite = false)
    {
        CT *to = const_cast<CT *>(c.GetPhyAddr());
        const uint64_t before = vinci::core()->scratch[vinci::kAtomic];
        if (enAtomic != 0) {
            vinci::core()->scratch[vinci::kAtomic] = enAtomic == 1 ? kAtomicAdd : (enAtomic == 2 ? kAtomicMax : kAtomicMin);
        }
        put(to, enSequentialWrite, orgKc_, orgM_, [](CT *at, const CT *row, uint32_t n) { store_global(at, row, n); });
        vinci::core()->scratch[vinci::kAtomic] = before;
        const uint64_t elements = static_cast<uint64_t>(rows()) * columns();
        vinci::charge_global(vinci::kFix, elements * sizeof(CT), rows(), to, (enSequentialWrite ? columns() : orgKc_) * sizeof(CT), false,
            static_cast<double>(elements * sizeof(Sum)) / vinci::core()->rates[vinci::kL0CToOut]);
    }
    template <bool sync = true> void GetTensorC(const LocalTensor<CT> &c, uint8_t = 0, bool enSequentialWrite = false)
    {
        const auto memory = local_of(c.GetPosition());
        const int width = C::format == CubeFormat::ND ? (enSequentialWrite ? columns() : n_) : 0;
        vinci::check_local(memory, c.GetPhyAddr(), static_cast<uint64_t>(enSequentialWrite ? rows() : m_) * (enSequentialWrite ? columns() : n_) * sizeof(CT), 32, "GetTensorC");
        put(c.GetPhyAddr(), enSequentialWrite, width, enSequentialWrite ? rows() : m_, [](CT *at, const CT *row, uint32_t n) { __builtin_memcpy(at, row, n * sizeof(CT)); });
        vinci::charge(vinci::kFix, static_cast<double>(rows()) * columns() * sizeof(Sum) / vinci::core()->rates[vinci::kL0CToOut]);
    }
    void End() { restart(); }

    /* For REGIST_MATMUL_OBJ. */
    template <class Tiling> void regist(const Tiling *tiling)
    {
        if (tiling != nullptr) {
            Init(reinterpret_cast<const TCubeTiling *>(tiling));
        }
    }

private:
    struct Source {
        const void *data = nullptr;
        bool transposed = false;
        bool local = false;
    };
    static int blocks(int all, int one) { return (all + one - 1) / one; }
    template <typename T> static void set(Source &s, const T *data, bool transposed, bool local)
    {
        s.data = data;
        s.transposed = transposed;
        s.local = local;
    }
    void restart() { next_ = 0; }
    int rows() const { return m_ - row_ < tiling_.baseM ? m_ - row_ : tiling_.baseM; }
    int columns() const { return n_ - column_ < tiling_.baseN ? n_ - column_ : tiling_.baseN; }
    Sum *block() const { return reinterpret_cast<Sum *>(vinci::core()->local[vinci::kL0C]); }

    /* Element (r, c) of a matrix of `height` rows and `width` columns, as it lies in memory. */
    template <typename T, CubeFormat format> static uint64_t place(uint64_t r, uint64_t c, uint64_t height, uint64_t width)
    {
        if constexpr (format == CubeFormat::NZ) {
            constexpr uint64_t c0 = vinci::kC0<T>;
            return c / c0 * ((height + 15) / 16 * 16) * c0 + r * c0 + c % c0;
        } else if constexpr (format == CubeFormat::ND_ALIGN) {
            constexpr uint64_t c0 = vinci::kC0<T>;
            return r * ((width + c0 - 1) / c0 * c0) + c;
        } else {
            return r * width + c;
        }
    }

    void compute(bool add)
    {
        alignas(64) Sum left[vinci::kTileRows * vinci::kTileDepth];
        alignas(64) Sum right[vinci::kTileDepth * vinci::kTileColumns];
        if (a_.data == nullptr || b_.data == nullptr) {
            vinci::fail(vinci::kUnsupported, 0, 0, 0, 0, "Matmul without SetTensorA and SetTensorB");
        }
        const uint32_t ms = rows(), ns = columns(), m16 = (ms + 15) / 16 * 16, n16 = (ns + 15) / 16 * 16;
        Sum *sum = block();
        vinci::check_local(vinci::kL0C, sum, static_cast<uint64_t>(m16) * n16 * 4, 64, "Matmul");
        if (!add) {
            begin(sum, m16, ns, n16);
        }
        const auto *a = static_cast<const AT *>(a_.data);
        const auto *b = static_cast<const BT *>(b_.data);
        /* The shapes that the matrices lie in. */
        const uint64_t aHeight = a_.local ? m_ : orgM_, aWidth = a_.local ? k_ : orgKa_;
        const uint64_t bHeight = b_.local ? k_ : orgKb_, bWidth = b_.local ? n_ : orgN_;
        for (int k0 = 0; k0 < k_; k0 += vinci::kTileDepth) {
            const uint32_t depth = k_ - k0 < static_cast<int>(vinci::kTileDepth) ? k_ - k0 : vinci::kTileDepth;
            for (uint32_t i = 0; i < m16; ++i) {
                for (uint32_t d = 0; d < depth; ++d) {
                    const uint64_t at = a_.transposed ? place<AT, A::format>(k0 + d, row_ + i, aWidth, aHeight)
                                                      : place<AT, A::format>(row_ + i, k0 + d, aHeight, aWidth);
                    left[i * vinci::kTileDepth + d] = i < ms ? static_cast<Sum>(a[at]) : Sum(0);
                }
            }
            for (uint32_t d = 0; d < depth; ++d) {
                for (uint32_t j = 0; j < n16; ++j) {
                    const uint64_t at = b_.transposed ? place<BT, B::format>(column_ + j, k0 + d, bWidth, bHeight)
                                                      : place<BT, B::format>(k0 + d, column_ + j, bHeight, bWidth);
                    right[d * vinci::kTileColumns + j] = j < ns ? static_cast<Sum>(b[at]) : Sum(0);
                }
            }
            for (uint32_t j = 0; j < n16; j += 16) {
                for (uint32_t i = 0; i < m16; i += 16) {
                    vinci::fractal_product<Sum>(sum + (j / 16 * (m16 / 16) + i / 16) * 256ull, left + i * vinci::kTileDepth, right + j, depth);
                }
            }
        }
        vinci::charge_global(vinci::kMte2, static_cast<uint64_t>(ms + ns) * k_ * sizeof(AT), blocks(k_, tiling_.baseK > 0 ? tiling_.baseK : 64));
        vinci::charge(vinci::kM, vinci::core()->rates[vinci::kCubeStart] + static_cast<double>(m16) * n16 * k_ / vinci::cube_rate<AT>());
    }

    void begin(Sum *sum, uint32_t m16, uint32_t ns, uint32_t n16)
    {
        for (uint32_t j = 0; j < n16; ++j) {
            Sum first = 0;
            if (bias_ != nullptr && j < ns) {
                first = static_cast<Sum>(static_cast<const typename Bias::T *>(bias_)[column_ + j]);
            }
            for (uint32_t i = 0; i < m16; ++i) {
                sum[(j / 16 * (m16 / 16) + i / 16) * 256ull + i % 16 * 16 + j % 16] = first;
            }
        }
    }

    /* Rows of the block to rows of a matrix of `width` columns, or to fractals of one with `height` rows. */
    template <class Store> void put(CT *to, bool sequential, int width, int height, const Store &store)
    {
        const uint32_t ms = rows(), ns = columns(), m16 = (ms + 15) / 16 * 16;
        const Sum *sum = block();
        const uint64_t row = sequential ? 0 : row_, column = sequential ? 0 : column_;
        const uint64_t across = sequential && C::format != CubeFormat::NZ ? ns : width;
        for (uint32_t i = 0; i < ms; ++i) {
            for (uint32_t j = 0; j < ns; j += 16) {
                const uint32_t n = ns - j < 16 ? ns - j : 16;
                CT line[16];
                for (uint32_t x = 0; x < n; ++x) {
                    line[x] = static_cast<CT>(sum[(j / 16 * (m16 / 16) + i / 16) * 256ull + i % 16 * 16 + x]);
                }
                if constexpr (C::format == CubeFormat::NZ) {
                    const uint64_t h = sequential ? m16 : (height + 15) / 16 * 16;
                    store(to + (column + j) / 16 * h * 16 + (row + i) * 16, line, n);
                } else if constexpr (C::format == CubeFormat::ND_ALIGN) {
                    constexpr uint64_t per = 32 / sizeof(CT);
                    store(to + (row + i) * ((across + per - 1) / per * per) + column + j, line, n);
                } else {
                    store(to + (row + i) * across + column + j, line, n);
                }
            }
        }
    }

    TCubeTiling tiling_;
    Source a_, b_;
    const void *bias_ = nullptr;
    int orgM_ = 0, orgN_ = 0, orgKa_ = 0, orgKb_ = 0, orgKc_ = 0;
    int m_ = 0, n_ = 0, k_ = 0;
    int next_ = 0, row_ = 0, column_ = 0;
};

/* Object and tiling in turn. */
inline void regist_all() {}
template <class Object, class Tiling, class... Rest> inline void regist_all(Object &object, Tiling *tiling, Rest &&...rest)
{
    object.regist(tiling);
    regist_all(static_cast<Rest &&>(rest)...);
}

template <class A, class B, class C, class Bias = C, const auto &config = CFG_NORM, class... Rest>
using MatmulImpl = Matmul<A, B, C, Bias, config, Rest...>;

} // namespace AscendC

/* The cube core of a mixed kernel serves the vector cores' requests on the chip. */
#if defined(ASCENDC_CUBE_ONLY)
#define REGIST_MATMUL_OBJ(pipe, workspace, ...) \
    (void)(workspace); \
    if (::vinci::core()->role == ::vinci::kAiv) { \
        return; \
    } \
    ::AscendC::regist_all(__VA_ARGS__)
#else
#define REGIST_MATMUL_OBJ(pipe, workspace, ...) \
    (void)(workspace); \
    if (::vinci::core()->role == ::vinci::kAic) { \
        return; \
    } \
    ::AscendC::regist_all(__VA_ARGS__)
#endif

namespace matmul {
using namespace AscendC;
}
namespace matmulImpl = AscendC;

#endif

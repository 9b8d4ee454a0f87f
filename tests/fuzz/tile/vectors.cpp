/* Vector instructions. */
#include "programs.h"

using namespace AscendC;

namespace tile {
namespace {

/* The three forms of an instruction. */
#define FORMS(NAME, COUNT, PARAMETERS, ...) \
    switch (in.below(3)) { \
        case 0: return NAME(__VA_ARGS__, COUNT); \
        case 1: return NAME(__VA_ARGS__, in.number<uint64_t>(), in.number<uint8_t>(), PARAMETERS); \
        default: { \
            auto mask = in.bits(); \
            return NAME(__VA_ARGS__, mask.words, in.number<uint8_t>(), PARAMETERS); \
        } \
    }

template <typename T> void arithmetic(Input &in)
{
    const auto d = in.ub<T>(), a = in.ub<T>(), b = in.ub<T>();
    const T scalar = T(3);
    switch (in.below(8)) {
        case 0: FORMS(Add, in.number<int32_t>(), in.binary(), d, a, b)
        case 1: FORMS(Mul, in.number<int32_t>(), in.binary(), d, a, b)
        case 2: FORMS(Max, in.number<int32_t>(), in.binary(), d, a, b)
        case 3: FORMS(Relu, in.number<int32_t>(), in.unary(), d, a)
        case 4: FORMS(Adds, in.number<int32_t>(), in.unary(), d, a, scalar)
        case 5: FORMS(Maxs, in.number<int32_t>(), in.unary(), d, a, scalar)
        case 6:
            if constexpr (IsReal<T>::value) {
                FORMS(Exp, in.number<int32_t>(), in.unary(), d, a)
            } else {
                FORMS(Not, in.number<int32_t>(), in.unary(), d, a)
            }
        default:
            if constexpr (IsReal<T>::value) {
                return in.coin() ? Axpy(d, a, scalar, in.number<int32_t>()) : Axpy(d, a, scalar, in.number<uint64_t>(), in.number<uint8_t>(), in.unary());
            }
    }
}

template <typename T> void make(Input &in)
{
    const auto d = in.ub<T>(), a = in.ub<T>();
    const T value = T(1);
    switch (in.below(7)) {
        case 0: return Duplicate(d, value, in.number<int32_t>());
        case 1: return Duplicate(d, value, in.number<uint64_t>(), in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint8_t>());
        case 2: return CreateVecIndex(d, value, in.number<uint32_t>());
        case 3: return ArithProgression(d, value, value, in.number<int32_t>());
        case 4: return Brcb(d, a, in.number<uint8_t>(), BrcbRepeatParams(in.number<uint16_t>(), in.number<uint16_t>()));
        case 5: return Copy(d, a, in.number<uint64_t>(), in.number<uint8_t>(), CopyRepeatParams(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>()));
        default: {
            const auto at = in.number<uint32_t>();
            return in.coin() ? d.SetValue(at, value) : a.SetValue(at, d.GetValue(in.number<uint32_t>()));
        }
    }
}

template <typename D, typename S> void cast(Input &in)
{
    const auto d = in.ub<D>();
    const auto s = in.ub<S>();
    FORMS(Cast, in.number<uint32_t>(), in.unary(), d, s, static_cast<RoundMode>(in.below(7)))
}

template <typename T> void reduce(Input &in)
{
    const auto d = in.ub<T>(), s = in.ub<T>(), work = in.ub<T>();
    const auto order = static_cast<ReduceOrder>(in.below(4));
    auto bits = in.bits();
    const int32_t mask = in.number<int32_t>(), repeats = in.number<int32_t>(), to = in.number<int32_t>(), block = in.number<int32_t>(), from = in.number<int32_t>();
    const bool index = in.coin();
    switch (in.below(12)) {
        case 0: return WholeReduceSum(d, s, mask, repeats, to, block, from);
        case 1: return WholeReduceSum(d, s, bits.words, repeats, to, block, from);
        case 2: return WholeReduceMax(d, s, mask, repeats, to, block, from, order);
        case 3: return WholeReduceMin(d, s, bits.words, repeats, to, block, from, order);
        case 4: return BlockReduceSum(d, s, mask, repeats, to, block, from);
        case 5: return BlockReduceMax(d, s, bits.words, repeats, to, block, from);
        case 6: return PairReduceSum(d, s, mask, repeats, to, block, from);
        case 7: return ReduceMax(d, s, work, mask, index);
        case 8: return ReduceMin(d, s, work, mask, repeats, from, index);
        case 9: return ReduceSum(d, s, work, mask);
        case 10: return ReduceSum(d, s, work, mask, repeats, from);
        default: return ReduceMax(d, s, work, bits.words, repeats, from, index);
    }
}

template <typename T> void choose(Input &in)
{
    const auto d = in.ub<T>(), a = in.ub<T>(), b = in.ub<T>();
    const auto bits = in.ub<uint8_t>();
    const auto mode = static_cast<CMPMODE>(in.below(6));
    const auto how = static_cast<SELMODE>(in.below(3));
    auto mask = in.bits();
    switch (in.below(10)) {
        case 0: return Compare(bits, a, b, mode, in.number<uint32_t>());
        case 1: return Compare(bits, a, b, mode, in.number<uint64_t>(), in.number<uint8_t>(), in.binary());
        case 2: return Compare(a, b, mode, in.number<uint64_t>(), in.binary());
        case 3: return CompareScalar(bits, a, T(1), mode, in.number<uint32_t>());
        case 4: return CompareScalar(bits, a, T(1), mode, mask.words, in.number<uint8_t>(), in.unary());
        case 5: return Select(d, bits, a, b, how, in.number<uint32_t>());
        case 6: return Select(d, bits, a, b, how, in.number<uint64_t>(), in.number<uint8_t>(), in.binary());
        case 7: return Select(d, bits, a, T(1), how, mask.words, in.number<uint8_t>(), in.binary());
        case 8: return in.coin() ? SetCmpMask(a) : GetCmpMask(a);
        default:
            return in.coin() ? Select<T, SELMODE::VSEL_CMPMASK_SPR>(d, a, b, in.number<uint8_t>(), in.binary())
                             : Select<T, SELMODE::VSEL_TENSOR_TENSOR_MODE>(d, a, b, in.number<uint8_t>(), in.binary());
    }
}

template <typename T> void rearrange(Input &in)
{
    const auto d = in.ub<T>(), s = in.ub<T>();
    const auto offsets = in.ub<uint32_t>();
    auto mask = in.bits();
    uint64_t count = 0;
    const GatherMaskParams p(in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint8_t>());
    switch (in.below(11)) {
        case 0: return Gather(d, s, offsets, in.number<uint32_t>(), in.number<uint32_t>());
        case 1: return Gather(d, s, offsets, in.number<uint32_t>(), in.number<uint64_t>(), in.number<uint8_t>(), in.number<uint16_t>());
        case 2: return Scatter(d, s, offsets, in.number<uint32_t>(), mask.words, in.number<uint8_t>(), in.number<uint8_t>());
        case 3: return Scatter(d, s, offsets, in.number<uint32_t>(), in.number<uint32_t>());
        case 4: return Gatherb(d, s, offsets, in.number<uint8_t>(), GatherRepeatParams(in.number<uint8_t>(), in.number<uint8_t>()));
        case 5: return GatherMask(d, s, in.number<uint8_t>(), in.coin(), in.number<uint32_t>(), p, count);
        case 6: return GatherMask(d, s, in.ub<uint16_t>(), in.coin(), in.number<uint32_t>(), p, count);
        case 7: {
            const TransposeParamsExt t(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), static_cast<TransposeType>(in.below(13)));
            return Transpose(d, s, in.ub<uint8_t>(), t);
        }
        case 8: {
            uint64_t to[16], from[16];
            for (int i = 0; i < 16; ++i) {
                to[i] = reinterpret_cast<uint64_t>(d.GetPhyAddr()) + i * in.raw<uint8_t>() * 32ull;
                from[i] = reinterpret_cast<uint64_t>(s.GetPhyAddr()) + i * 64ull;
            }
            return TransDataTo5HD<T>(to, from, TransDataTo5HDParams(in.coin(), in.coin(), in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint16_t>()));
        }
        default: break;
    }
    if constexpr (IsReal<T>::value && sizeof(T) != 1) {
        auto work = in.ub<T>();
        const uint16_t lengths[4] = {in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>()};
        switch (in.below(4)) {
            case 0: return Sort<T, true>(d, s, offsets, work, in.number<int32_t>());
            case 1: return Sort<T, false>(d, s, offsets, work, in.number<int32_t>());
            case 2: return Extract(d, offsets, s, in.number<int32_t>());
            default: return MrgSort(d, MrgSortSrcList<T>(s, in.ub<T>(), in.ub<T>(), in.ub<T>()), MrgSort4Info(lengths, in.coin(), in.number<uint8_t>(), in.number<uint8_t>()));
        }
    }
}

/* Masks, queues, flags: what instructions find when they begin. */
void state(Input &in)
{
    switch (in.below(8)) {
        case 0: return SetMaskCount();
        case 1: return SetMaskNorm();
        case 2: return SetVectorMask<half>(in.raw<uint64_t>(), in.number<uint64_t>());
        case 3: return SetVectorMask<half>(in.number<int32_t>());
        case 4: return SetFlag<HardEvent::MTE2_V>(in.number<int32_t>());
        case 5: return WaitFlag<HardEvent::MTE2_V>(in.number<int32_t>());
        case 6: return PipeBarrier<PIPE_ALL>();
        default: {
            TPipe pipe;
            TQue<TPosition::VECIN, 2> queue;
            TBuf<TPosition::VECCALC> buffer;
            pipe.InitBuffer(queue, in.number<uint32_t>(), in.number<uint32_t>());
            pipe.InitBuffer(buffer, in.number<uint32_t>());
            for (uint32_t n = in.below(6); n > 0; --n) {
                auto tensor = in.coin() ? queue.AllocTensor<half>() : queue.DeQue<half>();
                tensor.SetValue(in.number<uint32_t>(), half(1));
                Duplicate(tensor, half(1), static_cast<int32_t>(tensor.GetSize()));
                in.coin() ? (void)queue.EnQue(tensor) : queue.FreeTensor(tensor);
            }
            return Duplicate(buffer.Get<half>(), half(1), static_cast<int32_t>(buffer.Get<half>().GetSize()));
        }
    }
}

} // namespace

void vector(Input &in)
{
    switch (in.below(18)) {
        case 0: return arithmetic<half>(in);
        case 1: return arithmetic<float>(in);
        case 2: return arithmetic<int16_t>(in);
        case 3: return make<half>(in);
        case 4: return make<int32_t>(in);
        case 5: return cast<half, float>(in);
        case 6: return cast<int8_t, half>(in);
        case 7: return cast<int4b_t, half>(in);
        case 8: return cast<half, int4b_t>(in);
        case 9: return reduce<half>(in);
        case 10: return reduce<float>(in);
        case 11: return choose<half>(in);
        case 12: return choose<float>(in);
        case 13: return rearrange<half>(in);
        case 14: return rearrange<float>(in);
        case 15: return rearrange<int16_t>(in);
        default: return state(in);
    }
}

} // namespace tile

/* Copies, and what goes through the cube. */
#include "programs.h"

using namespace AscendC;

namespace tile {
namespace {

template <typename T> void copy(Input &in)
{
    const TPosition where = in.position();
    LocalTensor<T> local = in.local<T>(where);
    GlobalTensor<T> far = in.far<T>();
    const bool load = in.coin();
    switch (in.below(5)) {
        case 0: {
            const auto n = in.number<uint32_t>();
            load ? DataCopy(local, far, n) : DataCopy(far, local, n);
            break;
        }
        case 1: {
            const DataCopyParams p(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>());
            load ? DataCopy(local, far, p) : DataCopy(far, local, p);
            break;
        }
        case 2: {
            /* Only the strides of local memory may be anything. */
            const int64_t near = in.number<int64_t>(), there = in.shift(1 << 22);
            const DataCopyExtParams p(in.number<uint16_t>(), in.number<uint32_t>(), load ? there : near, load ? near : there, 0);
            const DataCopyPadExtParams<T> pad(in.coin(), in.number<uint8_t>(), in.number<uint8_t>(), T(1));
            load ? DataCopyPad(local, far, p, pad) : DataCopyPad(far, local, p);
            break;
        }
        case 3: {
            const Nd2NzParams p(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.shift(1 << 20), in.shift(1 << 20),
                in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint64_t>());
            DataCopy(local, far, p);
            break;
        }
        default: {
            const uint32_t dimensions = in.number<uint8_t>() % 12;
            SliceInfo a[12], b[12];
            for (uint32_t d = 0; d < dimensions && d < 12; ++d) {
                a[d] = SliceInfo(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint8_t>(), in.number<uint16_t>());
                b[d] = SliceInfo(in.number<uint8_t>(), in.number<uint8_t>(), in.number<uint8_t>(), a[d].burstLen, in.number<uint8_t>());
            }
            load ? DataCopy(local, far, a, b, dimensions) : DataCopy(far, local, b, a, dimensions);
        }
    }
}

/* Within the core; some pairs convert. */
void copy_inside(Input &in)
{
    const TPosition to = in.position(), from = in.position();
    const DataCopyParams p(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>());
    switch (in.below(4)) {
        case 0: return DataCopy(in.local<half>(to), in.local<half>(from), p);
        case 1: return DataCopy(in.local<float>(to), in.local<half>(from), p);
        case 2: return DataCopy(in.local<float>(to), in.local<float>(from), p);
        default: return DataCopy(in.local<int8_t>(to), in.local<int8_t>(from), in.number<uint32_t>());
    }
}

template <typename T> void load(Input &in)
{
    const LocalTensor<T> to = in.local<T>(in.below(4) == 0 ? in.position() : (in.coin() ? TPosition::A2 : TPosition::B2));
    const LocalTensor<T> from = in.local<T>(in.below(4) == 0 ? in.position() : TPosition::A1);
    switch (in.below(5)) {
        case 0: {
            const LoadData2DParams p(in.number<uint16_t>(), in.number<uint8_t>(), in.number<uint16_t>(), 0, in.number<uint16_t>(), in.coin(), in.coin());
            return in.coin() ? LoadData(to, from, p) : LoadData(to, in.far<T>(), p);
        }
        case 1:
            return LoadDataWithTranspose(to, from,
                LoadData2dTransposeParams(in.number<uint16_t>(), in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.coin()));
        case 2: {
            if constexpr (!kSame<T, int4b_t>) {
                return Fill(in.local<T>(in.position()), InitConstValueParams<T>(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), T(2)));
            }
            return;
        }
        default: {
            const uint8_t pads[4] = {in.number<uint8_t>(), in.number<uint8_t>(), in.number<uint8_t>(), in.number<uint8_t>()};
            LoadData3DParamsV2<T> p(pads, in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(),
                in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint8_t>(), in.number<uint8_t>(),
                in.number<uint8_t>(), in.number<uint8_t>(), in.number<uint8_t>(), in.number<uint8_t>(), in.coin(), false, T(), in.coin(), in.coin(), false);
            return LoadData(to, from, p);
        }
    }
}

template <typename T, typename C> void multiply(Input &in)
{
    const auto a = in.local<T>(in.below(8) == 0 ? in.position() : TPosition::A2);
    const auto b = in.local<T>(in.below(8) == 0 ? in.position() : TPosition::B2);
    const auto c = in.local<C>(in.below(8) == 0 ? in.position() : TPosition::CO1);
    MmadParams p(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), 0, in.coin(), in.coin());
    p.kDirectionAlign = in.coin();
    p.disableGemv = in.coin();
    p.isBias = in.coin();
    /* A large product is no other than a small one, and takes its time. */
    if (static_cast<uint64_t>(p.m) * p.n * p.k > 1 << 22) {
        p.k = p.k % 64;
        p.m = p.m % 256;
        p.n = p.n % 256;
    }
    if constexpr (kSame<T, int8_t>) {
        if (in.below(4) == 0) {
            const LoadData2DParams q(in.number<uint16_t>(), in.number<uint8_t>(), 0, 0, 0, false, 0);
            LoadDataWithSparse(b, in.local<T>(TPosition::B1), in.local<uint8_t>(TPosition::B1), q);
            p.k = p.k / 64 * 64;
            return MmadWithSparse(c, a, b, p);
        }
    }
    in.coin() ? Mmad(c, a, b, p) : Mmad(c, a, b, in.local<C>(TPosition::C2), p);
}

template <typename D, typename S> void fix(Input &in)
{
    constexpr QuantMode_t modes[] = {NoQuant, F322F16, F322BF16, REQ8, VREQ8, DEQF16, VDEQF16, QF322B8_PRE, VQF322B8_PRE};
    const auto from = in.local<S>(in.below(8) == 0 ? in.position() : TPosition::CO1);
    const QuantMode_t mode = modes[in.below(9)];
    FixpipeParamsV220 p(in.number<uint16_t>(), in.number<uint16_t>(), in.number<uint16_t>(), static_cast<uint32_t>(in.shift(1 << 18)), in.coin(), mode,
        in.raw<int64_t>(), in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint16_t>(), 0);
    p.isChannelSplit = in.coin();
    const auto scales = in.local<uint64_t>(in.position());
    const auto to = in.local<D>(in.below(4) == 0 ? in.position() : TPosition::A1);
    if (in.coin()) {
        p.dstStride = in.number<uint32_t>();
        return in.coin() ? Fixpipe(to, from, p) : Fixpipe(to, from, scales, p);
    }
    switch (in.below(4)) {
        case 0: return Fixpipe(in.far<D>(), from, p);
        case 1: return Fixpipe(in.far<D>(), from, scales, p);
        case 2: return Fixpipe<D, S, CFG_NZ>(in.far<D>(), from, p);
        default: {
            SetFixpipeNz2ndFlag(in.number<uint8_t>(), in.number<uint16_t>(), in.number<uint16_t>());
            SetFixPipeConfig<uint64_t>(scales);
            const DataCopyCO12DstParams q(p.nSize, p.mSize, p.dstStride, p.srcStride, mode, in.coin(), in.coin(), in.coin());
            return in.coin() ? DataCopy(in.far<D>(), from, q) : DataCopy(to, from, q);
        }
    }
}

} // namespace

void move(Input &in)
{
    switch (in.below(16)) {
        case 0: return copy<half>(in);
        case 1: return copy<float>(in);
        case 2: return copy<int8_t>(in);
        case 3: return copy_inside(in);
        case 4: return load<half>(in);
        case 5: return load<float>(in);
        case 6: return load<int8_t>(in);
        case 7: return load<int4b_t>(in);
        case 8: return multiply<half, float>(in);
        case 9: return multiply<float, float>(in);
        case 10: return multiply<int8_t, int32_t>(in);
        case 11: return multiply<int4b_t, int32_t>(in);
        case 12: return fix<half, float>(in);
        case 13: return fix<float, float>(in);
        case 14: return fix<int8_t, int32_t>(in);
        default: return in.coin() ? SetAtomicAdd<float>() : SetAtomicNone();
    }
}

} // namespace tile

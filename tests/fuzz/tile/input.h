/* What a program of the fuzzer is made of: numbers that are small, round, near a limit, or anything. */
#ifndef VINCI_FUZZ_TILE_INPUT_H
#define VINCI_FUZZ_TILE_INPUT_H

#include <cstring>

#include "core.h"

namespace tile {

struct Input {
    const uint8_t *at, *end;

    bool empty() const { return at >= end; }
    template <typename T> T raw()
    {
        T value = {};
        const size_t left = static_cast<size_t>(end - at), n = sizeof(T) < left ? sizeof(T) : left;
        memcpy(&value, at, n);
        at += n;
        return value;
    }
    uint32_t below(uint32_t n) { return raw<uint8_t>() % n; }
    bool coin() { return (raw<uint8_t>() & 1) != 0; }

    /* A count, a stride, a length. */
    template <typename T> T number()
    {
        switch (below(6)) {
            case 0: return static_cast<T>(1);
            case 1: return static_cast<T>(raw<uint8_t>() % 17);
            case 2: return static_cast<T>(raw<uint8_t>());
            case 3: return static_cast<T>(raw<uint8_t>() * 16);
            case 4: return static_cast<T>(raw<uint16_t>());
            default: return raw<T>();
        }
    }
    /* The same for what moves an address of global memory: not further than what is set aside. */
    int64_t shift(int64_t most)
    {
        const auto n = number<int64_t>();
        return n % (most + 1);
    }
    AscendC::TPosition position()
    {
        using P = AscendC::TPosition;
        constexpr P all[] = {P::VECCALC, P::VECCALC, P::VECCALC, P::VECIN, P::A1, P::B1, P::A2, P::B2, P::C1, P::C2, P::CO1, P::C2PIPE2GM, P::VECOUT};
        return all[below(sizeof(all) / sizeof(all[0]))];
    }
    /* A tensor at the beginning, in the middle, near the end, or anywhere. */
    template <typename T> AscendC::LocalTensor<T> local(AscendC::TPosition position)
    {
        const uint32_t bytes = vinci::core()->local_bytes[AscendC::local_of(position)];
        uint32_t at;
        switch (below(5)) {
            case 0: at = 0; break;
            case 1: at = raw<uint8_t>() * 512u % bytes; break;
            case 2: at = raw<uint16_t>() * 32u % bytes; break;
            case 3: at = bytes - raw<uint8_t>() * 32u; break;
            default: at = raw<uint32_t>() % (2 * bytes); break;
        }
        return AscendC::LocalTensor<T>(position, at, bytes);
    }
    template <typename T> AscendC::LocalTensor<T> ub() { return local<T>(AscendC::TPosition::VECCALC); }
    template <typename T> AscendC::GlobalTensor<T> far()
    {
        AscendC::GlobalTensor<T> tensor;
        tensor.SetGlobalBuffer(reinterpret_cast<T *>(global() + shift(1ll << 22)), 1 << 20);
        return tensor;
    }
    /* A mask of bits. */
    struct Bits {
        uint64_t words[2];
        operator uint64_t *() { return words; }
    };
    Bits bits() { return below(3) == 0 ? Bits{{~0ull, ~0ull}} : Bits{{raw<uint64_t>(), raw<uint64_t>()}}; }

    AscendC::UnaryRepeatParams unary()
    {
        return coin() ? AscendC::UnaryRepeatParams() : AscendC::UnaryRepeatParams(number<uint16_t>(), number<uint16_t>(), number<uint8_t>(), number<uint8_t>());
    }
    AscendC::BinaryRepeatParams binary()
    {
        return coin() ? AscendC::BinaryRepeatParams()
                      : AscendC::BinaryRepeatParams(number<uint8_t>(), number<uint8_t>(), number<uint8_t>(), number<uint8_t>(), number<uint8_t>(), number<uint8_t>());
    }
};

} // namespace tile

#endif

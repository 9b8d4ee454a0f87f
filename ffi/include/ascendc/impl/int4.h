/* Integers of four bits: two in a byte, the first in its low half. */
#ifndef VINCI_ASCENDC_INT4_H
#define VINCI_ASCENDC_INT4_H

#include "lanes.h"

namespace vinci {

inline uint8_t *nibble_at(AscendC::int4b_t *base, uint32_t block, uint32_t repeat, uint32_t r, uint32_t l)
{
    return reinterpret_cast<uint8_t *>(base) + r * repeat * 32ull + l / 64 * block * 32ull + l % 64 / 2;
}

/* Bytes from the first to the last that so many repeats of `lanes` reach. */
inline uint64_t nibble_bytes(const Extent &e, uint32_t block, uint32_t repeat)
{
    return e.repeats == 0 ? 0 : (e.repeats - 1) * repeat * 32ull + (e.lanes - 1) / 64 * block * 32ull + ((e.lanes - 1) % 64 / 2 + 1);
}

/* To four bits: what does not fit becomes the nearest that does. */
template <typename S, class F>
inline void to_nibbles(AscendC::int4b_t *d, uint32_t block, uint32_t repeat, const Operand<const S> &s, const Mask &mask, uint32_t repeats, const F &convert)
{
    constexpr uint32_t lanes = 256 / sizeof(S);
    const Extent e = extent(mask, repeats, lanes);
    s.check(e.repeats, e.lanes, "Cast");
    check_ub(d, nibble_bytes(e, block, repeat), "Cast");
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        const int8_t v = convert(*s.at(r, l));
        const auto bits = static_cast<uint8_t>((v < -8 ? -8 : (v > 7 ? 7 : v)) & 15);
        uint8_t *to = nibble_at(d, block, repeat, r, l);
        *to = l % 2 == 0 ? static_cast<uint8_t>((*to & 0xf0) | bits) : static_cast<uint8_t>((*to & 0x0f) | bits << 4);
    });
    charge_vector(e.repeats * 256ull);
}

template <typename D>
inline void from_nibbles(const Operand<D> &d, AscendC::int4b_t *s, uint32_t block, uint32_t repeat, const Mask &mask, uint32_t repeats)
{
    constexpr uint32_t lanes = 256 / sizeof(D);
    const Extent e = extent(mask, repeats, lanes);
    d.check(e.repeats, e.lanes, "Cast");
    check_ub(s, nibble_bytes(e, block, repeat), "Cast");
    walk(mask, repeats, lanes, [&](uint32_t r, uint32_t l) {
        const uint8_t byte = *nibble_at(s, block, repeat, r, l);
        *d.at(r, l) = static_cast<D>(static_cast<float>(static_cast<int8_t>(l % 2 == 0 ? byte << 4 : byte) >> 4));
    });
    charge_vector(e.repeats * 256ull);
}

} // namespace vinci

#endif

/* What the compiler calls and a core has no library for. */
#ifndef VINCI_ASCENDC_SUPPORT_H
#define VINCI_ASCENDC_SUPPORT_H

#include <stddef.h>

#if defined(__VINCI_DEVICE__)
#define VINCI_SUPPORT extern "C" __attribute__((device, weak, visibility("hidden"), no_builtin))

VINCI_SUPPORT void *memcpy(void *to, const void *from, size_t bytes)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

VINCI_SUPPORT void *memmove(void *to, const void *from, size_t bytes)
{
    auto *d = static_cast<unsigned char *>(to);
    auto *s = static_cast<const unsigned char *>(from);
    if (d <= s || d >= s + bytes) {
        return memcpy(to, from, bytes);
    }
    while (bytes-- != 0) {
        d[bytes] = s[bytes];
    }
    return to;
}

VINCI_SUPPORT void *memset(void *to, int value, size_t bytes)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

VINCI_SUPPORT int memcmp(const void *a, const void *b, size_t bytes)
{
    auto *x = static_cast<const unsigned char *>(a);
    auto *y = static_cast<const unsigned char *>(b);
    for (size_t i = 0; i < bytes; ++i) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Conversions of floats that the host may have no instruction for. Halves go to even. */
VINCI_SUPPORT __bf16 __truncsfbf2(float x)
{
    const unsigned bits = __builtin_bit_cast(unsigned, x);
    const auto rounded = static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    const auto quiet = static_cast<unsigned short>(bits >> 16 | 0x40);
    return __builtin_bit_cast(__bf16, x != x ? quiet : rounded);
}

/* To float first, with the last bit set if anything was lost, which keeps halves what they are. */
VINCI_SUPPORT float vinci_narrow(double x)
{
    auto y = static_cast<float>(x);
    if (static_cast<double>(y) != x && x == x) {
        auto bits = __builtin_bit_cast(unsigned, y);
        if (__builtin_fabs(static_cast<double>(y)) > __builtin_fabs(x)) {
            --bits;
        }
        y = __builtin_bit_cast(float, bits | 1);
    }
    return y;
}
VINCI_SUPPORT __bf16 __truncdfbf2(double x) { return __truncsfbf2(vinci_narrow(x)); }
#if defined(__F16C__)
VINCI_SUPPORT _Float16 __truncdfhf2(double x) { return static_cast<_Float16>(vinci_narrow(x)); }
#endif

#undef VINCI_SUPPORT
#endif

#endif

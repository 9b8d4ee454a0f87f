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

#undef VINCI_SUPPORT
#endif

#endif

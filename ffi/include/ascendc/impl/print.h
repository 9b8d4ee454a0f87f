/* printf, assert, and dumps, from a kernel. The text goes to memory that the host reads when it waits for the stream:
 * a 64-bit word with the bytes used, one with the bytes there are, then the text. */
#ifndef VINCI_ASCENDC_PRINT_H
#define VINCI_ASCENDC_PRINT_H

#include <stdarg.h>

#include "tensor.h"

namespace vinci {

struct Text {
    char bytes[1024];
    uint32_t length = 0;
    void put(char c)
    {
        if (length < sizeof(bytes)) {
            bytes[length++] = c;
        }
    }
    void put(const char *s)
    {
        while (*s) {
            put(*s++);
        }
    }
};

struct Format {
    bool left = false, zero = false, plus = false, space = false, alternate = false;
    int width = 0, precision = -1;
};

inline void pad(Text &t, const char *digits, int length, const Format &f, const char *sign)
{
    int signs = 0;
    while (sign[signs]) {
        ++signs;
    }
    const int fill = f.width - length - signs;
    if (!f.left && !f.zero) {
        for (int i = 0; i < fill; ++i) {
            t.put(' ');
        }
    }
    t.put(sign);
    if (!f.left && f.zero) {
        for (int i = 0; i < fill; ++i) {
            t.put('0');
        }
    }
    for (int i = 0; i < length; ++i) {
        t.put(digits[i]);
    }
    if (f.left) {
        for (int i = 0; i < fill; ++i) {
            t.put(' ');
        }
    }
}

inline void put_integer(Text &t, uint64_t value, unsigned base, bool upper, const Format &f, const char *sign)
{
    char digits[24];
    int n = 0;
    do {
        const unsigned d = static_cast<unsigned>(value % base);
        digits[23 - n++] = static_cast<char>(d < 10 ? '0' + d : (upper ? 'A' : 'a') + d - 10);
        value /= base;
    } while (value != 0);
    pad(t, digits + 24 - n, n, f, sign);
}

inline void put_float(Text &t, double value, const Format &f)
{
    const bool minus = __builtin_signbit(value);
    const char *sign = minus ? "-" : (f.plus ? "+" : (f.space ? " " : ""));
    value = minus ? -value : value;
    if (value != value || value > 1.7e308) {
        pad(t, value != value ? "nan" : "inf", 3, f, sign);
        return;
    }
    const int precision = f.precision < 0 ? 6 : (f.precision > 15 ? 15 : f.precision);
    char digits[400];
    int n = 0;
    double scale = 1;
    for (int i = 0; i < precision; ++i) {
        scale *= 10;
    }
    double whole = __builtin_trunc(value);
    double rest = __builtin_rint((value - whole) * scale);
    if (rest >= scale) {
        rest -= scale;
        whole += 1;
    }
    do {
        const double next = __builtin_trunc(whole / 10);
        digits[399 - n++] = static_cast<char>('0' + static_cast<int>(whole - next * 10));
        whole = next;
    } while (whole >= 1 && n < 320);
    char all[400];
    int length = 0;
    for (int i = 0; i < n; ++i) {
        all[length++] = digits[400 - n + i];
    }
    if (precision > 0) {
        all[length++] = '.';
        for (int i = precision - 1; i >= 0; --i) {
            const double next = __builtin_trunc(rest / 10);
            all[length + i] = static_cast<char>('0' + static_cast<int>(rest - next * 10));
            rest = next;
        }
        length += precision;
    }
    pad(t, all, length, f, sign);
}

inline void format(Text &t, const char *text, va_list args)
{
    for (; *text; ++text) {
        if (*text != '%') {
            t.put(*text);
            continue;
        }
        Format f;
        ++text;
        for (;; ++text) {
            if (*text == '-') {
                f.left = true;
            } else if (*text == '0') {
                f.zero = true;
            } else if (*text == '+') {
                f.plus = true;
            } else if (*text == ' ') {
                f.space = true;
            } else if (*text == '#') {
                f.alternate = true;
            } else {
                break;
            }
        }
        for (; *text >= '0' && *text <= '9'; ++text) {
            f.width = f.width * 10 + *text - '0';
        }
        if (*text == '.') {
            f.precision = 0;
            for (++text; *text >= '0' && *text <= '9'; ++text) {
                f.precision = f.precision * 10 + *text - '0';
            }
        }
        int longs = 0;
        for (; *text == 'l' || *text == 'h' || *text == 'z'; ++text) {
            longs += *text == 'z' ? 2 : (*text == 'l');
        }
        switch (*text) {
            case 'd':
            case 'i': {
                const int64_t v = longs ? va_arg(args, int64_t) : va_arg(args, int32_t);
                const char *sign = v < 0 ? "-" : (f.plus ? "+" : (f.space ? " " : ""));
                put_integer(t, v < 0 ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v), 10, false, f, sign);
                break;
            }
            case 'u':
                put_integer(t, longs ? va_arg(args, uint64_t) : va_arg(args, uint32_t), 10, false, f, "");
                break;
            case 'x':
            case 'X':
                put_integer(t, longs ? va_arg(args, uint64_t) : va_arg(args, uint32_t), 16, *text == 'X', f, f.alternate ? "0x" : "");
                break;
            case 'o':
                put_integer(t, longs ? va_arg(args, uint64_t) : va_arg(args, uint32_t), 8, false, f, "");
                break;
            case 'p':
                put_integer(t, reinterpret_cast<uint64_t>(va_arg(args, void *)), 16, false, f, "0x");
                break;
            case 'c':
                t.put(static_cast<char>(va_arg(args, int)));
                break;
            case 's':
                t.put(va_arg(args, const char *));
                break;
            case 'f':
            case 'F':
            case 'e':
            case 'g':
                put_float(t, va_arg(args, double), f);
                break;
            case '%':
                t.put('%');
                break;
            case 0:
                return;
            default:
                t.put('%');
                t.put(*text);
        }
    }
}

inline __attribute__((noinline)) void emit(const Text &t)
{
#if defined(__VINCI_DEVICE__)
    /* A note: launches must bring memory for text. */
    __asm__ volatile(".pushsection .note.vinci,\"a\",@note\n.balign 4\n.long 6,0,3\n.asciz \"Vinci\"\n.balign 4\n.popsection");
#endif
    auto *words = reinterpret_cast<uint64_t *>(core()->print);
    if (words == nullptr || t.length == 0) {
        return;
    }
    const uint64_t at = __atomic_fetch_add(&words[0], t.length, __ATOMIC_ACQ_REL);
    if (at + t.length > words[1]) {
        return;
    }
    __builtin_memcpy(reinterpret_cast<char *>(words + 2) + at, t.bytes, t.length);
}

} // namespace vinci

namespace AscendC {

inline __attribute__((noinline, format(printf, 1, 2))) void print_text(const char *text, ...)
{
    vinci::Text t;
    va_list args;
    va_start(args, text);
    vinci::format(t, text, args);
    va_end(args);
    vinci::emit(t);
    vinci::charge_scalar(vinci::core(), 1000);
}

/* What an argument becomes on its way to a function with any arguments. */
template <typename T> inline auto promoted(T value)
{
    if constexpr (kSame<T, half> || kSame<T, bfloat16_t>) {
        return static_cast<double>(static_cast<float>(value));
    } else {
        return value;
    }
}

template <typename... Args> inline void PRINTF(const char *text, Args... args)
{
#if defined(__VINCI_DEVICE__)
    print_text(text, promoted(args)...);
#else
    __builtin_printf(text, promoted(args)...);
#endif
}

} // namespace AscendC

namespace vinci::out {

/* As the C library's. With arguments it is the better match where both are visible; without, the other one is, which
 * is below. */
template <typename... Args> inline int printf(const char *text, Args... args)
{
    AscendC::PRINTF(text, args...);
    return 0;
}

} // namespace vinci::out

using vinci::out::printf;
#if defined(__VINCI_DEVICE__)
extern "C" __attribute__((weak, visibility("hidden"))) int printf(const char *text, ...)
{
    vinci::Text t;
    va_list args;
    va_start(args, text);
    vinci::format(t, text, args);
    va_end(args);
    vinci::emit(t);
    return 0;
}
#endif

namespace AscendC {

using vinci::out::printf;

template <typename T> inline void print_element(vinci::Text &t, T value)
{
    vinci::Format f;
    if constexpr (IsReal<T>::value) {
        vinci::put_float(t, static_cast<double>(static_cast<float>(value)), f);
    } else {
        const auto v = static_cast<int64_t>(value);
        vinci::put_integer(t, v < 0 ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v), 10, false, f, v < 0 ? "-" : "");
    }
}

template <typename T> inline void dump(const T *data, uint32_t desc, uint32_t count, const char *where)
{
    PRINTF("DumpTensor: desc=%u, block %u, %s, %u elements: [", desc, vinci::core()->block, where, count);
    for (uint32_t i = 0; i < count;) {
        vinci::Text t;
        for (; i < count && t.length < 900; ++i) {
            print_element(t, data[i]);
            t.put(i + 1 < count ? ", " : "");
        }
        vinci::emit(t);
    }
    PRINTF("]\n");
}
template <typename T> inline void DumpTensor(const LocalTensor<T> &tensor, uint32_t desc, uint32_t count)
{
    vinci::check_range(local_of(tensor.GetPosition()), tensor.GetPhyAddr(), count * sizeof(T), 32, "DumpTensor");
    dump(tensor.GetPhyAddr(), desc, count, "local");
}
template <typename T> inline void DumpTensor(const GlobalTensor<T> &tensor, uint32_t desc, uint32_t count)
{
    dump(tensor.GetPhyAddr(), desc, count, "global");
}

} // namespace AscendC

#define ascendc_assert(condition, ...) \
    ((condition) ? static_cast<void>(0) : ::vinci::fail(::vinci::kAssert, __LINE__, 0, 0, 0, #condition))
#ifndef assert
#define assert(condition, ...) ascendc_assert(condition)
#endif

#endif

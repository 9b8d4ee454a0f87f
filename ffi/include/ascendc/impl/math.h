/* Functions of a float, such that a loop over them becomes vector instructions of the host. Errors are below two units
 * in the last place. */
#ifndef VINCI_ASCENDC_MATH_H
#define VINCI_ASCENDC_MATH_H

#include <stdint.h>

namespace vinci {

inline __attribute__((always_inline)) float as_float(uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline __attribute__((always_inline)) uint32_t as_bits(float x) { return __builtin_bit_cast(uint32_t, x); }

inline __attribute__((always_inline)) float exp(float x)
{
    /* e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that results below the normal range come out right. */
    const float clamped = x < -104.0f ? -104.0f : (x > 89.0f ? 89.0f : x);
    const float n = __builtin_rintf(clamped * 1.44269504f);
    float r = __builtin_fmaf(n, -0.693145752f, clamped);
    r = __builtin_fmaf(n, -1.42860677e-6f, r);
    float p = 1.9875691500e-4f;
    p = __builtin_fmaf(p, r, 1.3981999507e-3f);
    p = __builtin_fmaf(p, r, 8.3334519073e-3f);
    p = __builtin_fmaf(p, r, 4.1665795894e-2f);
    p = __builtin_fmaf(p, r, 1.6666665459e-1f);
    p = __builtin_fmaf(p, r, 5.0000001201e-1f);
    p = __builtin_fmaf(p, r * r, r) + 1.0f;
    const int32_t k = static_cast<int32_t>(n), half = k >> 1;
    const float y = p * as_float(static_cast<uint32_t>(half + 127) << 23) * as_float(static_cast<uint32_t>(k - half + 127) << 23);
    return x != x ? x : y;
}

inline __attribute__((always_inline)) float log(float x)
{
    const bool tiny = x < 1.17549435e-38f;
    const uint32_t bits = as_bits(tiny ? x * 8388608.0f : x);
    int32_t e = static_cast<int32_t>(bits >> 23) - 126 - (tiny ? 23 : 0);
    float m = as_float((bits & 0x7fffff) | 0x3f000000);
    const bool low = m < 0.707106781f;
    e -= low;
    m = (low ? m + m : m) - 1.0f;
    const float z = m * m;
    float p = 7.0376836292e-2f;
    p = __builtin_fmaf(p, m, -1.1514610310e-1f);
    p = __builtin_fmaf(p, m, 1.1676998740e-1f);
    p = __builtin_fmaf(p, m, -1.2420140846e-1f);
    p = __builtin_fmaf(p, m, 1.4249322787e-1f);
    p = __builtin_fmaf(p, m, -1.6668057665e-1f);
    p = __builtin_fmaf(p, m, 2.0000714765e-1f);
    p = __builtin_fmaf(p, m, -2.4999993993e-1f);
    p = __builtin_fmaf(p, m, 3.3333331174e-1f);
    float y = p * m * z;
    const float f = static_cast<float>(e);
    y = __builtin_fmaf(f, -2.12194440e-4f, y);
    y = __builtin_fmaf(z, -0.5f, y);
    y = m + y;
    y = __builtin_fmaf(f, 0.693359375f, y);
    const float infinity = as_float(0x7f800000);
    y = x == infinity ? x : y;
    y = x == 0.0f ? -infinity : y;
    return x < 0.0f || x != x ? as_float(0x7fc00000) : y;
}

inline __attribute__((always_inline)) float tanh(float x)
{
    const float a = __builtin_fabsf(x);
    const float z = x * x;
    float p = -5.70498872745e-3f;
    p = __builtin_fmaf(p, z, 2.06390887954e-2f);
    p = __builtin_fmaf(p, z, -5.37397155531e-2f);
    p = __builtin_fmaf(p, z, 1.33314422036e-1f);
    p = __builtin_fmaf(p, z, -3.33332819422e-1f);
    const float small = __builtin_fmaf(p * z, x, x);
    const float large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
    return a < 0.625f ? small : __builtin_copysignf(large, x);
}

inline __attribute__((always_inline)) float erf(float x)
{
    /* Abramowitz and Stegun 7.1.26 does not do for float32: a series below 1, else exp of a fitted polynomial. */
    const float a = __builtin_fabsf(x), z = x * x;
    float s = -7.85386146e-4f;
    s = __builtin_fmaf(s, z, 5.01991818e-3f);
    s = __builtin_fmaf(s, z, -2.68268493e-2f);
    s = __builtin_fmaf(s, z, 1.12822421e-1f);
    s = __builtin_fmaf(s, z, -3.76124889e-1f);
    s = __builtin_fmaf(s, z, 1.28379151e-1f);
    const float small = __builtin_fmaf(s, x, x);
    const float t = a > 4.0f ? 4.0f : a;
    float p = -1.72853470e-5f;
    p = __builtin_fmaf(p, t, 3.83197126e-4f);
    p = __builtin_fmaf(p, t, -3.88396438e-3f);
    p = __builtin_fmaf(p, t, 2.42546219e-2f);
    p = __builtin_fmaf(p, t, -1.06777877e-1f);
    p = __builtin_fmaf(p, t, -6.34846687e-1f);
    p = __builtin_fmaf(p, t, -1.28717512e-1f);
    p = __builtin_fmaf(p, t, -t);
    const float large = 1.0f - exp(p);
    return a < 0.921875f ? small : __builtin_copysignf(large, x);
}

/* sin of x plus a quarter turn times `quarters`. */
inline __attribute__((always_inline)) float sine(float x, int quarters)
{
    const float n = __builtin_rintf(x * 0.636619772f);
    float r = __builtin_fmaf(n, -1.57079601e+0f, x);
    r = __builtin_fmaf(n, -3.13916473e-7f, r);
    r = __builtin_fmaf(n, -5.39030253e-15f, r);
    const int32_t q = static_cast<int32_t>(n) + quarters;
    const float z = r * r;
    float s = 2.86567956e-6f;
    s = __builtin_fmaf(s, z, -1.98559923e-4f);
    s = __builtin_fmaf(s, z, 8.33338592e-3f);
    s = __builtin_fmaf(s, z, -1.66666672e-1f);
    s = __builtin_fmaf(s * z, r, r);
    float c = 2.44677067e-5f;
    c = __builtin_fmaf(c, z, -1.38877297e-3f);
    c = __builtin_fmaf(c, z, 4.16666567e-2f);
    c = __builtin_fmaf(c, z, -0.5f);
    c = __builtin_fmaf(c, z, 1.0f);
    const float y = (q & 1) ? c : s;
    return (q & 2) ? -y : y;
}

} // namespace vinci

#endif

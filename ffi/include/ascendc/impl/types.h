/* Types and words of the language. */
#ifndef VINCI_ASCENDC_TYPES_H
#define VINCI_ASCENDC_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "core.h"

#define __aicore__
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__
#define __fbuf__
#define __ssbuf__
#define __sync_noalias__
#define __sync_alias__
#define __check_sync_alias__
#define __inout_pipe__(...)
#define __in__
#define __out__
#define __inline__ inline
#define GM_ADDR __gm__ uint8_t *
#define K_MAX_SHAPE_DIM 8

#ifndef __NPU_ARCH__
#define __NPU_ARCH__ 2201
#endif
#define __CCE_AICORE__ 220
#define __DAV_C220__ 1

using half = _Float16;
#if defined(__clang__)
using bfloat16_t = __bf16;
#else
struct bfloat16_t {
    uint16_t bits;
};
#endif

namespace AscendC {

struct int4b_t {
    uint8_t bits;
};

template <typename T> struct IsReal {
    static constexpr bool value = false;
};
template <> struct IsReal<half> {
    static constexpr bool value = true;
};
template <> struct IsReal<bfloat16_t> {
    static constexpr bool value = true;
};
template <> struct IsReal<float> {
    static constexpr bool value = true;
};

template <bool Condition, typename A, typename B> struct Choose {
    using type = A;
};
template <typename A, typename B> struct Choose<false, A, B> {
    using type = B;
};

template <typename A, typename B> constexpr bool kSame = false;
template <typename A> constexpr bool kSame<A, A> = true;

constexpr uint32_t ONE_BLK_SIZE = 32;
constexpr uint32_t ONE_REPEAT_BYTE_SIZE = 256;
constexpr uint32_t DEFAULT_C0_SIZE = 32;
constexpr uint32_t BLOCK_CUBE = 16;
constexpr uint32_t CUBE_MAX_SIZE = 256;
constexpr uint32_t DEFAULT_BLK_NUM = 8;
constexpr uint8_t DEFAULT_BLK_STRIDE = 1;
constexpr uint8_t DEFAULT_REPEAT_STRIDE = 8;
constexpr uint8_t HALF_DEFAULT_REPEAT_STRIDE = 4;
constexpr int32_t MAX_REPEAT_TIMES = 255;
constexpr uint64_t MASK_PLACEHOLDER = 0;

enum class TPosition : uint8_t {
    GM,
    A1,
    A2,
    B1,
    B2,
    C1,
    C2,
    CO1,
    CO2,
    VECIN,
    VECOUT,
    VECCALC,
    LCM = VECCALC,
    SPM,
    SHM = SPM,
    TSCM,
    C2PIPE2GM,
    C2PIPE2LOCAL,
    MAX
};
using QuePosition = TPosition;

enum class Hardware : uint8_t { GM, UB, L1, L0A, L0B, L0C, BIAS, FIXBUF, MAX };

enum class CubeFormat {
    ND = 0,
    NZ,
    ZN,
    ZZ,
    NN,
    ND_ALIGN,
    SCALAR,
    VECTOR,
    COLUMN_MAJOR
};

constexpr vinci::Local local_of(TPosition position)
{
    switch (position) {
        case TPosition::A1:
        case TPosition::B1:
        case TPosition::C1:
        case TPosition::TSCM:
        case TPosition::SPM: return vinci::kL1;
        case TPosition::A2: return vinci::kL0A;
        case TPosition::B2: return vinci::kL0B;
        case TPosition::CO1: return vinci::kL0C;
        case TPosition::C2: return vinci::kBt;
        case TPosition::C2PIPE2GM: return vinci::kFb;
        default: return vinci::kUb;
    }
}

} // namespace AscendC

typedef enum {
    PIPE_S = 0,
    PIPE_V,
    PIPE_M,
    PIPE_MTE1,
    PIPE_MTE2,
    PIPE_MTE3,
    PIPE_ALL,
    PIPE_MTE4 = 7,
    PIPE_MTE5 = 8,
    PIPE_V2 = 9,
    PIPE_FIX = 10,
} pipe_t;

typedef enum {
    EVENT_ID0 = 0,
    EVENT_ID1,
    EVENT_ID2,
    EVENT_ID3,
    EVENT_ID4,
    EVENT_ID5,
    EVENT_ID6,
    EVENT_ID7,
} event_t;

enum class cache_line_t { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE = 1 };
enum class dcci_dst_t { CACHELINE_ALL = 0, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
enum class mem_dsb_t { DSB_ALL = 0, DSB_DDR, DSB_UB, DSB_SEQ };

#endif

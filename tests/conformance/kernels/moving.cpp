/* A matrix of 12288 by 12288 float16 on its way to UB and L1, in tiles of several shapes, with rows that begin at odd
 * places, and several times over: the model clock must tell these apart as a 910B does. The figures are those that the
 * makers' documentation of asc-devkit publishes for the same moves. */

#include "acl/acl.h"
#include "kernel_operator.h"
#include "model.h"

using namespace AscendC;

namespace {
constexpr uint32_t kSide = 12288;

struct Move {
    uint32_t columns;      /* of the matrix */
    uint32_t tileM, tileN; /* of a tile */
    uint32_t parts;        /* of the columns, one after the other */
    uint32_t times;        /* that each part is moved */
};

/* Calls `move(row, column, width)` for the tiles of a block's rows. */
template <class F> __aicore__ inline void tiles(const Move &m, const F &move)
{
    const uint32_t rows = kSide / GetBlockNum(), first = rows * GetBlockIdx(), part = m.columns / m.parts;
    for (uint32_t p = 0; p < m.parts; ++p) {
        const uint32_t last = p + 1 == m.parts ? m.columns : (p + 1) * part;
        for (uint32_t time = 0; time < m.times; ++time) {
            for (uint32_t row = first; row < first + rows; row += m.tileM) {
                for (uint32_t column = p * part; column < last; column += m.tileN) {
                    move(row, column, last - column < m.tileN ? last - column : m.tileN);
                }
            }
        }
    }
}
} // namespace

extern "C" __global__ __vector__ void to_ub(GM_ADDR from, Move m)
{
    GlobalTensor<half> x;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(from));
    LocalTensor<half> tile(TPosition::VECIN, 0, m.tileM * m.tileN);
    tiles(m, [&](uint32_t row, uint32_t column, uint32_t width) {
        const DataCopyExtParams p(static_cast<uint16_t>(m.tileM), width * 2, (m.columns - width) * 2, 0, 0);
        DataCopyPad(tile, x[uint64_t(row) * m.columns + column], p, DataCopyPadExtParams<half>());
    });
}

extern "C" __global__ __cube__ void to_l1(GM_ADDR from, Move m)
{
    GlobalTensor<half> x;
    x.SetGlobalBuffer(reinterpret_cast<__gm__ half *>(from));
    LocalTensor<half> tile(TPosition::A1, 0, m.tileM * m.tileN);
    tiles(m, [&](uint32_t row, uint32_t column, uint32_t width) {
        DataCopy(tile, x[uint64_t(row) * m.columns + column],
            Nd2NzParams(1, static_cast<uint16_t>(m.tileM), static_cast<uint16_t>(width), 0, m.columns, static_cast<uint16_t>(m.tileM), 1, 0));
    });
}

struct Case {
    const char *name;
    bool l1;
    Move move;
    double task; /* published, microseconds */
};

static const Case kCases[] = {
    {"UB,   1 x 64", false, {kSide, 1, 64, 1, 1}, 564.84},
    {"UB,  64 x 64", false, {kSide, 64, 64, 1, 1}, 233.54},
    {"UB,  64 x 1024", false, {kSide, 64, 1024, 1, 1}, 215.82},
    {"UB,  64 x 1024, odd rows", false, {kSide - 1, 64, 1024, 1, 1}, 275.3},
    {"UB,  four times", false, {kSide, 64, 1024, 1, 4}, 828.06},
    {"UB,  each quarter four times", false, {kSide, 64, 1024, 4, 4}, 365.74},
    {"L1,  64 x 64", true, {kSide, 64, 64, 1, 1}, 300.7},
    {"L1,  64 x 256", true, {kSide, 64, 256, 1, 1}, 230.24},
    {"L1,  64 x 256, odd rows", true, {kSide - 1, 64, 256, 1, 1}, 438.76},
    {"L1,  four times", true, {kSide, 64, 1024, 1, 4}, 899.34},
    {"L1,  each quarter four times", true, {kSide, 64, 1024, 4, 4}, 414.96},
};

int main()
{
    ModelClock clock("910b1");
    const aclrtStream stream = clock.stream;
    /* The second is what L2 is full of before each move. */
    constexpr size_t bytes = size_t(kSide) * kSide * 2;
    void *x, *other;
    OK(aclrtMalloc(&x, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&other, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
    bool good = true;
    for (const Case &c : kCases) {
        to_ub<<<48, nullptr, stream>>>(static_cast<uint8_t *>(other), Move{kSide, 8, 8192, 1, 1});
        const double us = clock.us([&] {
            if (c.l1) {
                to_l1<<<24, nullptr, stream>>>(static_cast<uint8_t *>(x), c.move);
            } else {
                to_ub<<<48, nullptr, stream>>>(static_cast<uint8_t *>(x), c.move);
            }
        });
        good = as_published(c.name, us, c.task) && good;
    }
    CHECK(good);
    return 0;
}

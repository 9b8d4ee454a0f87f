/* The banks of UB in model time: additions and copies whose operands fall upon the same ones, and others. The figures are
 * those that the makers' documentation of asc-devkit publishes for a 910B: of a thousand additions of 4096 floats, and of
 * the vector unit where 8192 by 8192 float16 become fractals on 48 cores. */
#include "acl/acl.h"
#include "kernel_operator.h"
#include "model.h"

using namespace AscendC;

constexpr uint32_t kFloats = 4096, kTimes = 1000, kRows = 144, kTiles = 76;

struct Places {
    uint32_t x, y, z;
    uint8_t block, repeat; /* strides of x */
};

extern "C" __global__ __vector__ void adds(Places p)
{
    const LocalTensor<float> x(TPosition::VECCALC, p.x, kFloats), y(TPosition::VECCALC, p.y, kFloats), z(TPosition::VECCALC, p.z, kFloats);
    for (uint32_t i = 0; i < kTimes; ++i) {
        Add(z, x, y, 64, kFloats / 64, BinaryRepeatParams(1, p.block, 1, 8, p.repeat, 8));
    }
}

/* Rows of 256 bytes become columns of blocks, so many blocks from one to the next. */
extern "C" __global__ __vector__ void columns(uint32_t apart)
{
    const LocalTensor<half> from(TPosition::VECCALC, 0, kRows * 128), to(TPosition::VECCALC, kRows * 256, (kRows + 1) * 128);
    for (uint32_t i = 0; i < kTiles; ++i) {
        Copy(to, from, 128, kRows, CopyRepeatParams(static_cast<uint16_t>(apart), 1, 1, 8));
    }
}

struct Case {
    const char *name;
    Places places;
    uint32_t apart;
    double us; /* published; of additions as ticks of 20 ns */
};

static const Case kCases[] = {
    {"nothing in common", {0, 0x10100, 0x20000, 1, 8}, 0, 2390 * 0.02},
    {"two loads, one bank", {0, 0x4000, 0x10000, 1, 8}, 0, 4167 * 0.02},
    {"two loads, one bank group", {0, 0x10000, 0x14100, 1, 8}, 0, 4167 * 0.02},
    {"load and store begin in one bank", {0, 0x10100, 0x4000, 1, 8}, 0, 2389 * 0.02},
    {"load and store meet in a bank", {0, 0x10100, 0x4020, 1, 8}, 0, 3751 * 0.02},
    {"in place", {0, 0x10100, 0x10100, 1, 8}, 0, 2390 * 0.02},
    {"one block at a time", {0, 0x10100, 0x10100, 0, 1}, 0, 3584 * 0.02},
    {"the same block of each row", {0, 0x10100, 0x10100, 0, 8}, 0, 2389 * 0.02},
    {"columns in one bank group", {}, kRows, 47.79},
    {"columns spread over all", {}, kRows + 1, 7.133},
};

int main()
{
    ModelClock clock("910b1");
    const aclrtStream stream = clock.stream;
    bool good = true;
    for (const Case &c : kCases) {
        const double us = clock.us([&] {
            if (c.apart != 0) {
                columns<<<48, nullptr, stream>>>(c.apart);
            } else {
                adds<<<1, nullptr, stream>>>(c.places);
            }
        });
        good = as_published(c.name, us, c.us) && good;
    }
    CHECK(good);
    return 0;
}

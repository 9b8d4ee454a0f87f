/* The core that a block runs on: what the device tells a kernel, and what the kernel tells the device. Mirrors
 * `Core` of driver/jail/src/layout.rs. */
#ifndef VINCI_ASCENDC_CORE_H
#define VINCI_ASCENDC_CORE_H

#include <stddef.h>
#include <stdint.h>

namespace vinci {

constexpr uint32_t kAbi = 1;

enum Local : int { kUb, kL1, kL0A, kL0B, kL0C, kBt, kFb, kLocals };
enum Pipe : int { kS, kV, kM, kMte1, kMte2, kMte3, kFix, kPipes };
enum Role : uint32_t { kAny = 0, kAic = 1, kAiv = 2 };

/* Rates of the chip, per cycle of a core. */
enum Rate : int {
    kHbmRead,     /* bytes */
    kHbmWrite,    /* bytes */
    kHbmLatency,  /* cycles until the first byte of a transfer */
    kVector,      /* bytes of operands that a vector unit takes */
    kVectorStart, /* cycles until the first result */
    kL1ToL0A,     /* bytes */
    kL1ToL0B,     /* bytes */
    kL1Latency,   /* cycles */
    kL0CToOut,    /* bytes */
    kCubeHalf,    /* multiply-adds */
    kCubeFloat,   /* multiply-adds */
    kCubeInt8,    /* multiply-adds */
    kCubeStart,   /* cycles */
    kIssue,       /* cycles of the scalar unit for an instruction to another pipe */
    kTransfer,    /* cycles of a move pipe for each transfer besides its bytes */
    kRates = 16
};

struct Core {
    uint32_t abi;
    uint32_t block;
    uint32_t blocks;
    uint32_t sub_block;
    uint32_t sub_blocks;
    uint32_t role;
    uint32_t core;
    uint32_t arch;
    uint32_t aic;
    uint32_t aiv;
    uint64_t local[kLocals];
    uint32_t local_bytes[kLocals];
    uint32_t uses_shared;
    uint64_t print;
    uint64_t workspace;
    uint64_t *shared;
    void (*wait)(Core *, const uint64_t *word, uint64_t value);
    uint64_t check[7];
    float rates[kRates];
    double time[kPipes];
    double busy[kPipes];
    uint64_t bytes;
    uint64_t scratch[1024];
};

static_assert(sizeof(Core) <= 0x4000, "the context of a core has 16 KiB");

/* Words of Core::scratch. The device zeroes the first 64 for each block. */
enum Scratch : int {
    kPipe = 0,      /* the block's TPipe */
    kControl = 1,   /* CTRL register */
    kMaskLow = 2,   /* the mask of vector instructions that bring none */
    kMaskHigh = 3,
    kMaskCount = 4, /* 1: the mask is a count */
    kAtomic = 5,    /* what a copy to global memory does: none, add, max, min */
    kAtomicType = 6,
    kPadValue = 7,
    kCompareLow = 8, /* result of a comparison without destination */
    kCompareHigh = 9,
    kEvents = 10,    /* event ids that are in use, by pair of pipes, to 51 */
    kImage = 52,     /* height, width and padding of the image in L1 */
    kImagePad = 53,  /* what is around it */
    kFixNd = 54,     /* matrices that a copy of L0C makes rows of */
    kFixScales = 55, /* where a scale for each column is */
    kMerged = 57,    /* how many elements of each queue the last merge took, 16 bits each */
    kFixQuant = 59,
    kReduceLow = 60, /* result of a reduction that a register holds */
    kReduceIndex = 61,
    kSawCount = 62,  /* vector instructions so far */
    kWaitsAt = 63,   /* where it waits for another core */
    kFlags = 64      /* when each flag was set, as doubles: pair of pipes * 16 + event; to 64 + 7 * 7 * 16 */
};

/* A core's stack is aligned to its size, and the context lies at its low end. */
inline __attribute__((always_inline)) Core *core()
{
    uint64_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp));
    return reinterpret_cast<Core *>(sp & ~0xfffffull);
}

} // namespace vinci

#endif

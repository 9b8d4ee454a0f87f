/* The core that a block runs on: what the device tells a kernel, and what the kernel tells the device. Mirrors
 * `Core` of driver/jail/src/layout.rs. */
#ifndef VINCI_ASCENDC_CORE_H
#define VINCI_ASCENDC_CORE_H

#include <stddef.h>
#include <stdint.h>

namespace vinci {

constexpr uint32_t kAbi = 3;

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
    kCoreHbm,     /* bytes that a core alone gets from HBM */
    kCoreL2,      /* bytes that a core alone gets from L2, by role */
    kCoreWrite,   /* bytes that a core alone stores */
    kAllHbm,      /* bytes of HBM for all cores */
    kAllL2,       /* bytes of L2 for all cores */
    kRow,         /* cycles for each row of a transfer, at least */
    kScalarLoad,  /* cycles of the scalar unit to load an element of local memory */
    kScalarStore, /* cycles to store one */
    kSources,     /* 1: each source of a vector instruction takes a cycle of its own */
    kWriteBack,   /* what a byte that is written to HBM costs, beside one that is loaded */
    kLine,        /* bytes of which a row that does not begin at a multiple takes all that it touches */
    kRates = 32
};

/* One number for each of three assumptions about global memory, between which the device chooses when it knows what
 * the caches did: all of it is in L2; loads come from HBM; stores go there, too. */
typedef double lanes_t __attribute__((vector_size(32)));
enum Lane : int { kHit, kMiss, kBack };

/* A flag between pipes: when it was set, and what had been issued to each pipe by then. */
struct Flag {
    lanes_t time;
    uint32_t seen[8];
};

/* An access to local memory that others may not be ordered with. */
struct Touch {
    uint64_t low, high;
    /* Behind the instruction, and where its function was called from, and that one. */
    uint64_t places[4];
    uint32_t number;
    uint8_t pipe;
    uint8_t write;
    uint8_t spare[2];
    uint64_t pad;
};
constexpr int kTouches = 64;

/* Two accesses that nothing orders. */
struct Race {
    uint64_t low[2], high[2];
    uint64_t places[2][4];
    uint8_t pipe[2], write[2];
    uint32_t pad;
};
constexpr int kRaces = 4;

/* What a pipe did from when to when, in each lane, cycles. */
struct Slice {
    float from[3], to[3];
    uint32_t pipe;
    uint32_t pad;
};
constexpr int kSlices = 1024;

/* Bytes of the indices that go with L0B. */
constexpr int kChosen = 16384;

/* Bits of Core::mode. */
constexpr uint32_t kFindRaces = 1, kRecord = 2;

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
    uint32_t mode;
    uint32_t slices;
    uint32_t touches;
    uint32_t races;
    /* Cores of this role that work at the same time. */
    double sharers;
    uint64_t cache;
    /* When each pipe can take its next instruction, and when what it has done so far has arrived. */
    lanes_t time[kPipes];
    lanes_t tail[kPipes];
    lanes_t busy[kPipes];
    /* How long global memory was in use for this core. */
    lanes_t flow;
    /* When the vector unit began what it does. */
    lanes_t vector;
    /* Bytes loaded, of these from HBM, stored, and written back to HBM to make room. */
    uint64_t bytes[4];
    /* Instructions issued to each pipe, and of those of the others which each pipe knows to be complete. */
    uint32_t issued[8];
    uint32_t seen[kPipes][8];
    /* Operands of the instruction that is being checked. */
    uint64_t operands;
    uint64_t operand[8][2];
    Race race[kRaces];
    uint64_t scratch[1024];
    Touch touch[kTouches];
    Flag flags[kPipes * kPipes * 8];
    Slice slice[kSlices];
    /* Of each four bytes of L0B, which of eight elements they are: see sparse.h. */
    uint8_t chosen[kChosen];
    /* Number of the launch. */
    uint32_t kernel;
    uint32_t pad;
};

static_assert(sizeof(Core) <= 0x20000, "the context of a core has 128 KiB");
static_assert(__builtin_offsetof(Core, slice) == 0x99c0, "as in driver/jail/src/layout.rs");

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
    kWaitsAt = 63    /* where it waits for another core */
};

#if defined(__VINCI_HARNESS__)
/* Instructions that are tested in a process of their own: whoever tests them is the device. */
Core *core();
[[noreturn]] void harness_failed();
#else
/* A core's stack is aligned to its size, and the context lies at its low end. */
inline __attribute__((always_inline)) Core *core()
{
    uint64_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp));
    return reinterpret_cast<Core *>(sp & ~0xfffffull);
}
#endif

} // namespace vinci

#endif

/* What L2 holds, for the model clock: which bytes of a transfer come from it, and what must be written back to make
 * room. All cores share one table in the jail; who works at the same time may lose an update, which costs nothing
 * but a little of the model's accuracy.
 *
 * Blocks that are side by side on the chip come one after the other here. Each takes the others to move as much as itself
 * meanwhile: what a block of this kernel touched so long ago that all of them together have filled L2 since is gone. */
#ifndef VINCI_ASCENDC_CACHE_H
#define VINCI_ASCENDC_CACHE_H

#include "core.h"

namespace vinci {

/* 4 KiB of memory, of which sectors of 128 bytes are there. */
struct Line {
    uint32_t tag;
    uint32_t valid;
    uint32_t dirty;
    uint32_t used;
    /* The kernel that touched it last, and how many granules its block had moved by then. */
    uint32_t kernel;
    uint32_t moved;
};
constexpr uint32_t kWays = 8;

struct Cache {
    uint32_t sets;
    uint32_t clock;
    uint64_t unused;
    Line line[];
};

inline __attribute__((always_inline)) void touch(const Core *c, Cache *cache, Line *line, uint32_t moved)
{
    line->used = ++cache->clock;
    line->kernel = c->kernel;
    line->moved = moved;
}

/* One piece that lies in a granule of 4 KiB. */
inline void look_up_granule(Core *c, Cache *cache, uint64_t granule, uint32_t sectors, uint64_t bytes, bool store, bool bypass)
{
    const auto tag = static_cast<uint32_t>(granule) | 0x80000000u;
    Line *set = cache->line + static_cast<uint32_t>(granule) % cache->sets * kWays;
    Line *found = nullptr, *oldest = set;
    for (uint32_t i = 0; i < kWays; ++i) {
        if (set[i].tag == tag) {
            found = set + i;
            break;
        }
        if (set[i].used < oldest->used) {
            oldest = set + i;
        }
    }
    const auto moved = static_cast<uint32_t>((c->bytes[0] + c->bytes[2]) / 4096);
    if (found && found->kernel == c->kernel) {
        const uint32_t since = moved > found->moved ? moved - found->moved : found->moved - moved;
        if (since * c->sharers > static_cast<double>(cache->sets) * kWays) {
            c->bytes[3] += static_cast<uint64_t>(__builtin_popcount(found->dirty)) * 128;
            found->valid = found->dirty = 0;
        }
    }
    const uint32_t there = found ? found->valid & sectors : 0;
    if (!store) {
        const auto all = static_cast<uint32_t>(__builtin_popcount(sectors));
        c->bytes[1] += bytes * (all - static_cast<uint32_t>(__builtin_popcount(there))) / all;
        if (there == sectors) {
            touch(c, cache, found, moved);
            return;
        }
        if (bypass) {
            return;
        }
    }
    if (!found) {
        c->bytes[3] += static_cast<uint64_t>(__builtin_popcount(oldest->dirty)) * 128;
        found = oldest;
        found->tag = tag;
        found->valid = found->dirty = 0;
    }
    found->valid |= sectors;
    found->dirty |= store ? sectors : 0;
    touch(c, cache, found, moved);
}

inline __attribute__((noinline)) void look_up(
    Core *c, uint64_t at, uint64_t bytes, uint64_t rows, uint64_t pitch, bool store, bool bypass)
{
    c->bytes[store ? 2 : 0] += bytes;
    auto *cache = reinterpret_cast<Cache *>(c->cache);
    if (at == 0 || cache == nullptr || cache->sets == 0 || rows == 0) {
        c->bytes[store ? 3 : 1] += bytes;
        return;
    }
    uint64_t row = bytes / rows;
    if (pitch == row) {
        row = bytes;
        rows = 1;
    }
    for (uint64_t r = 0; r < rows; ++r, at += pitch) {
        for (uint64_t p = at, end = at + row; p < end;) {
            const uint64_t next = (p | 4095) + 1, stop = next < end ? next : end;
            const auto first = static_cast<uint32_t>(p % 4096 / 128), last = static_cast<uint32_t>((stop - 1) % 4096 / 128);
            const uint32_t sectors = (~0u >> (31 - last + first)) << first;
            look_up_granule(c, cache, p / 4096, sectors, stop - p, store, bypass);
            p = stop;
        }
    }
}

} // namespace vinci

#endif

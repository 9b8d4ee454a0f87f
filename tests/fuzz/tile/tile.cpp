/* A block of a kernel that the fuzzer has made: some instructions one after the other. */
#include "programs.h"

namespace {

void block(void *of)
{
    auto &in = *static_cast<tile::Input *>(of);
    if (in.coin()) {
        vinci::core()->mode = vinci::kFindRaces | vinci::kRecord;
    }
    for (int steps = 0; steps < 16 && !in.empty(); ++steps) {
        in.coin() ? tile::move(in) : tile::vector(in);
    }
}

} // namespace

/* What the fuzz target calls. */
extern "C" void vinci_fuzz_tile(const uint8_t *data, size_t size)
{
    tile::begin();
    tile::Input in{data, data + size};
    tile::run(block, &in);
    tile::inspect();
}

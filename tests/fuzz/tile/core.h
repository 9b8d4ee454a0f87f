/* A core for tile instructions that run in the fuzzer's own process: its local memories lie between poisoned bytes,
 * so that AddressSanitizer sees whatever the checks of an instruction let through. */
#ifndef VINCI_FUZZ_TILE_CORE_H
#define VINCI_FUZZ_TILE_CORE_H

#include <cstdint>

#include "kernel_operator.h"

namespace tile {

/* Makes the core as it is when a block begins. */
void begin();
/* Global memory: what lies around these bytes faults, as memory that is not mapped does. */
constexpr uint64_t kGlobalBytes = 4ull << 20;
uint8_t *global();
/* Runs `program`; what ends it early comes back here. False if it faulted. */
bool run(void (*program)(void *), void *of);
/* Ends the process with a finding if the core's own words are not what they were. */
void inspect();

} // namespace tile

#endif

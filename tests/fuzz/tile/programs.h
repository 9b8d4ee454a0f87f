/* Instructions with operands from an input. */
#ifndef VINCI_FUZZ_TILE_PROGRAMS_H
#define VINCI_FUZZ_TILE_PROGRAMS_H

#include "input.h"

namespace tile {

void move(Input &in);
void vector(Input &in);

} // namespace tile

#endif

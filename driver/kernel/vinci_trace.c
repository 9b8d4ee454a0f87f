// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Tracepoints. In C because Rust can call those only that the kernel crate was compiled with. */
#include "vinci.h"

#define CREATE_TRACE_POINTS
#include "vinci_trace.h"

void vinci_trace_hung(struct device *dev, u32 queue, u32 die, u64 entry)
{
	trace_vinci_hung(dev, queue, die, entry);
}

/* @what: NUL-terminated. */
void vinci_trace_state(struct device *dev, const char *what)
{
	trace_vinci_state(dev, what);
}

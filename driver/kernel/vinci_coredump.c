// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The report of a hang, in /sys/class/devcoredump. In C because Rust has no abstraction of
 * devcoredump.
 */
#include <linux/devcoredump.h>
#include <linux/vmalloc.h>

#include "vinci.h"

/* Does nothing if there is no memory for a copy of @data. */
void vinci_coredump(struct device *dev, const void *data, size_t bytes)
{
	void *copy = vmalloc(bytes);

	if (!copy)
		return;
	memcpy(copy, data, bytes);
	dev_coredumpv(dev, copy, bytes, GFP_KERNEL);
}

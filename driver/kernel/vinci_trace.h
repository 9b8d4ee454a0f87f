/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vinci

#if !defined(VINCI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VINCI_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

/* A request of an open file has ended. */
TRACE_EVENT(vinci_ioctl,
	    TP_PROTO(struct device *dev, u32 file, u32 cmd, int ret),
	    TP_ARGS(dev, file, cmd, ret),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u32, file)
			     __field(u32, cmd)
			     __field(int, ret)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->file = file;
			   __entry->cmd = cmd;
			   __entry->ret = ret;),
	    TP_printk("%s file=%u nr=%#x size=%u ret=%d", __get_str(dev), __entry->file,
		      __entry->cmd & 0xff, __entry->cmd >> 16 & 0x3fff, __entry->ret)
);

/* The watchdog found a queue whose entry does not end. */
TRACE_EVENT(vinci_hung,
	    TP_PROTO(struct device *dev, u32 queue, u32 die, u64 index),
	    TP_ARGS(dev, queue, die, index),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __field(u32, queue)
			     __field(u32, die)
			     __field(u64, index)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->queue = queue;
			   __entry->die = die;
			   __entry->index = index;),
	    TP_printk("%s queue=%u die=%u entry=%llu", __get_str(dev), __entry->queue,
		      __entry->die, __entry->index)
);

/* The function goes, comes back, or is in trouble. */
TRACE_EVENT(vinci_state,
	    TP_PROTO(struct device *dev, const char *what),
	    TP_ARGS(dev, what),
	    TP_STRUCT__entry(__string(dev, dev_name(dev))
			     __string(what, what)),
	    TP_fast_assign(__assign_str(dev);
			   __assign_str(what);),
	    TP_printk("%s %s", __get_str(dev), __get_str(what))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vinci_trace
#include <trace/define_trace.h>

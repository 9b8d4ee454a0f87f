/* The runtime: devices, memory, streams, events, launches. One file per subject under rt/. */
#ifndef VINCI_ACL_ACL_RT_H
#define VINCI_ACL_ACL_RT_H

#include "acl_base.h"
#include "acl_rt_allocator.h"
#include "rt/system.h"
#include "rt/device.h"
#include "rt/context.h"
#include "rt/stream.h"
#include "rt/event.h"
#include "rt/notify.h"
#include "rt/memory.h"
#include "rt/host_memory.h"
#include "rt/vmm.h"
#include "rt/callback.h"
#include "rt/kernel.h"
#include "rt/task.h"
#include "rt/model.h"
#include "rt/mbuf.h"
#include "rt/snapshot.h"

#endif

/* What clients of the profiler (frameworks, executors of models) tell it. Answers are 0 for success. */
#ifndef VINCI_PROFILING_APROF_PUB_H
#define VINCI_PROFILING_APROF_PUB_H

#include "acl/acl_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Says on which device a model runs: aclprofModelSubscribe knows it from then on. */
ACL_FUNC_VISIBILITY int32_t MsprofSetDeviceIdByGeModelIdx(const uint32_t geModelIdx, const uint32_t deviceId);
ACL_FUNC_VISIBILITY int32_t MsprofUnsetDeviceIdByGeModelIdx(const uint32_t geModelIdx, const uint32_t deviceId);

#ifdef __cplusplus
}
#endif

#endif

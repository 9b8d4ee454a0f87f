/* Marks and ranges that a program gives to the profiler, in domains. With a stream, the device stamps them too. They
 * cost next to nothing while nobody profiles. Link with libms_tools_ext.so or libmsprofiler.so. */
#ifndef VINCI_MSTX_MS_TOOLS_EXT_H
#define VINCI_MSTX_MS_TOOLS_EXT_H

#include "acl/acl_base.h"

#define MSTX_INVALID_RANGE_ID 0

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t mstxRangeId;
struct mstxDomainRegistration_st;
typedef struct mstxDomainRegistration_st mstxDomainRegistration_t;
typedef mstxDomainRegistration_t *mstxDomainHandle_t;

ACL_FUNC_VISIBILITY void mstxMarkA(const char *message, aclrtStream stream);
/* MSTX_INVALID_RANGE_ID without a message. */
ACL_FUNC_VISIBILITY mstxRangeId mstxRangeStartA(const char *message, aclrtStream stream);
ACL_FUNC_VISIBILITY void mstxRangeEnd(mstxRangeId id);

/* NULL without a name. */
ACL_FUNC_VISIBILITY mstxDomainHandle_t mstxDomainCreateA(const char *name);
ACL_FUNC_VISIBILITY void mstxDomainDestroy(mstxDomainHandle_t handle);
ACL_FUNC_VISIBILITY void mstxDomainMarkA(mstxDomainHandle_t handle, const char *message, aclrtStream stream);
ACL_FUNC_VISIBILITY mstxRangeId mstxDomainRangeStartA(
    mstxDomainHandle_t handle, const char *message, aclrtStream stream);
ACL_FUNC_VISIBILITY void mstxDomainRangeEnd(mstxDomainHandle_t handle, mstxRangeId id);

#ifdef __cplusplus
}
#endif

#endif

/* Contexts: a device with a default stream of its own. Each device has a primary context, made by
 * aclrtSetDevice. */
#ifndef VINCI_ACL_RT_CONTEXT_H
#define VINCI_ACL_RT_CONTEXT_H

#include "../acl_base.h"
#include "device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a context on a device and makes it current for the thread. */
ACL_FUNC_VISIBILITY aclError aclrtCreateContext(aclrtContext *context, int32_t deviceId);

/* Destroys a context of aclrtCreateContext, with its default stream. */
ACL_FUNC_VISIBILITY aclError aclrtDestroyContext(aclrtContext context);

/* Makes a context, and its device, current for the thread. */
ACL_FUNC_VISIBILITY aclError aclrtSetCurrentContext(aclrtContext context);

/* The thread's current context; ACL_ERROR_RT_CONTEXT_NULL if it has none. */
ACL_FUNC_VISIBILITY aclError aclrtGetCurrentContext(aclrtContext *context);

/* A parameter of the current context; ACL_ERROR_RT_SYSPARAMOPT_NOT_SET before it was set. */
ACL_FUNC_VISIBILITY aclError aclrtCtxGetSysParamOpt(aclSysParamOpt opt, int64_t *value);

/* Sets a parameter of the current context. */
ACL_FUNC_VISIBILITY aclError aclrtCtxSetSysParamOpt(aclSysParamOpt opt, int64_t value);

/* A parameter of the process; ACL_ERROR_RT_SYSPARAMOPT_NOT_SET before it was set. */
ACL_FUNC_VISIBILITY aclError aclrtGetSysParamOpt(aclSysParamOpt opt, int64_t *value);

/* Sets a parameter of the process. */
ACL_FUNC_VISIBILITY aclError aclrtSetSysParamOpt(aclSysParamOpt opt, int64_t value);

/* The default stream of the current context, as a handle. */
ACL_FUNC_VISIBILITY aclError aclrtCtxGetCurrentDefaultStream(aclrtStream *stream);

/* Whether the primary context of a device exists (1) or not (0). */
ACL_FUNC_VISIBILITY aclError aclrtGetPrimaryCtxState(int32_t deviceId, uint32_t *flags, int32_t *active);

ACL_FUNC_VISIBILITY aclError aclrtCtxGetFloatOverflowAddr(void **overflowAddr);

/* Cores that launches of this thread use. */
ACL_FUNC_VISIBILITY aclError aclrtGetResInCurrentThread(aclrtDevResLimitType type, uint32_t *value);

#ifdef __cplusplus
}
#endif

#endif

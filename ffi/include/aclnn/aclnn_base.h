/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every operator header needs, and the start and end of the operator library. */
#ifndef VINCI_ACLNN_BASE_H
#define VINCI_ACLNN_BASE_H

#include "acl/acl_rt.h"
#include "aclnn/acl_meta.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Success and the families of errors; each comes with a sentence from aclGetRecentErrMsg(). */
#define OK 0
#define ACLNN_SUCCESS 0
#define ACLNN_ERR_PARAM_NULLPTR 161001
#define ACLNN_ERR_PARAM_INVALID 161002
#define ACLNN_ERR_RUNTIME_ERROR 361001
#define ACLNN_ERR_INNER 561000

aclnnStatus aclnnInit(const char *configPath);
aclnnStatus aclnnFinalize(void);

#ifdef __cplusplus
}
#endif

#endif

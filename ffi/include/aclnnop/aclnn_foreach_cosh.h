/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_FOREACH_COSH_H
#define VINCI_ACLNN_FOREACH_COSH_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = hyperbolic cosine of x, for each. */
aclnnStatus aclnnForeachCoshGetWorkspaceSize(const aclTensorList *x, aclTensorList *out, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnForeachCosh(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

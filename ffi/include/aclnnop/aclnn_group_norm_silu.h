/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_GROUP_NORM_SILU_H
#define VINCI_ACLNN_GROUP_NORM_SILU_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = silu of what aclnnGroupNorm gives for self. */
aclnnStatus aclnnGroupNormSiluGetWorkspaceSize(const aclTensor *self, const aclTensor *gamma, const aclTensor *beta, int64_t group, double eps, const aclTensor *out, const aclTensor *meanOut, const aclTensor *rstdOut, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnGroupNormSilu(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

/* As aclnnGroupNormSilu; without silu unless activateSilu. */
aclnnStatus aclnnGroupNormSiluV2GetWorkspaceSize(const aclTensor *self, const aclTensor *gamma, const aclTensor *beta, int64_t group, double eps, bool activateSilu, const aclTensor *out, const aclTensor *meanOut, const aclTensor *rstdOut, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnGroupNormSiluV2(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

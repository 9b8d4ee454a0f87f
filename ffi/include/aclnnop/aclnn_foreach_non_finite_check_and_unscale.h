/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_FOREACH_NON_FINITE_CHECK_AND_UNSCALE_H
#define VINCI_ACLNN_FOREACH_NON_FINITE_CHECK_AND_UNSCALE_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* foundInf = 1 if there is an infinity or NaN in scaledGrads, else what it was; they are multiplied with invScale. */
aclnnStatus aclnnForeachNonFiniteCheckAndUnscaleGetWorkspaceSize(aclTensorList *scaledGrads, aclTensor *foundInf, const aclTensor *invScale, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnForeachNonFiniteCheckAndUnscale(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

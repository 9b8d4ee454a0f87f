/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_SWISH_BACKWARD_H
#define VINCI_ACLNN_SWISH_BACKWARD_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* gradInput = gradient of self * sigmoid(beta * self). */
aclnnStatus aclnnSwishBackwardGetWorkspaceSize(const aclTensor *gradOutput, const aclTensor *self, const aclScalar *betaOptional, aclTensor *gradInput, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnSwishBackward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_GELU_QUANT_H
#define VINCI_ACLNN_GELU_QUANT_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = gelu of self (approximate none or tanh), times inputScale plus inputOffset (static), or times inputScale by a scale for each row (dynamic), as int8. */
aclnnStatus aclnnGeluQuantGetWorkspaceSize(const aclTensor *self, const aclTensor *inputScaleOptional, const aclTensor *inputOffsetOptional, char *approximate, char *quantMode, char *roundMode, int64_t dstType, const aclTensor *y, const aclTensor *outScaleOptional, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnGeluQuant(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

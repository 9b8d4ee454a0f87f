/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_ASCEND_QUANT_V3_H
#define VINCI_ACLNN_ASCEND_QUANT_V3_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As aclnnAscendQuant, scale and offset along an axis of x. */
aclnnStatus aclnnAscendQuantV3GetWorkspaceSize(const aclTensor *x, const aclTensor *scale, const aclTensor *offset, bool sqrtMode, char *roundMode, int dstType, int axis, const aclTensor *y, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnAscendQuantV3(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

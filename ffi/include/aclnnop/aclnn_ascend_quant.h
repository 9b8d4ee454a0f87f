/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_ASCEND_QUANT_H
#define VINCI_ACLNN_ASCEND_QUANT_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = x * scale + offset (scale twice in sqrtMode), rounded, as int8 (2), or as int4, one in half a byte (29) or eight in an int32 (3). */
aclnnStatus aclnnAscendQuantGetWorkspaceSize(const aclTensor *x, const aclTensor *scale, const aclTensor *offset, bool sqrtMode, char *roundMode, int dstType, const aclTensor *y, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnAscendQuant(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

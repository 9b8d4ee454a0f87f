/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_QUANT_MATMUL_H
#define VINCI_ACLNN_QUANT_MATMUL_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = (x1 @ x2 + bias) * deqScale of int8 matrices, deqScale as aclnnTransQuantParam makes it. */
aclnnStatus aclnnQuantMatmulV2GetWorkspaceSize(const aclTensor *x1, const aclTensor *x2, const aclTensor *bias, const aclTensor *deqScale, bool adjX1, bool adjX2, aclTensor *out, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnQuantMatmulV2(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_MOE_GATING_TOP_K_SOFTMAX_V2_H
#define VINCI_ACLNN_MOE_GATING_TOP_K_SOFTMAX_V2_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = the k largest of softmax(x), or softmax of the k largest of x if renorm is 1; expertIdx as aclnnMoeGatingTopKSoftmax has it. */
aclnnStatus aclnnMoeGatingTopKSoftmaxV2GetWorkspaceSize(const aclTensor *x, const aclTensor *finishedOptional, int64_t k, int64_t renorm, bool outputSoftmaxResultFlag, aclTensor *yOut, aclTensor *expertIdxOut, aclTensor *softmaxResultOutOptional, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnMoeGatingTopKSoftmaxV2(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

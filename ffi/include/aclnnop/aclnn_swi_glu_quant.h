/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_SWI_GLU_QUANT_H
#define VINCI_ACLNN_SWI_GLU_QUANT_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* yOut = silu of one half of x times the other, times smoothScales plus offsets (static), or by a scale for each row (dynamic), 127 by its largest value, as int8; groupIndex holds the ends of the rows that have smoothScales of their own. */
aclnnStatus aclnnSwiGluQuantGetWorkspaceSize(const aclTensor *x, const aclTensor *smoothScalesOptional, const aclTensor *offsetsOptional, const aclTensor *groupIndexOptional, bool activateLeft, char *quantModeOptional, const aclTensor *yOut, const aclTensor *scaleOut, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnSwiGluQuant(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

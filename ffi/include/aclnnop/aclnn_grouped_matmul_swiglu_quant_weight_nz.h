/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_GROUPED_MATMUL_SWIGLU_QUANT_WEIGHT_NZ_H
#define VINCI_ACLNN_GROUPED_MATMUL_SWIGLU_QUANT_WEIGHT_NZ_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As aclnnGroupedMatmulSwigluQuant, of weights in FRACTAL_NZ; this device keeps that format as it keeps ND. */
aclnnStatus aclnnGroupedMatmulSwigluQuantWeightNZGetWorkspaceSize(const aclTensor *x, const aclTensor *weight, const aclTensor *bias, const aclTensor *offset, const aclTensor *weightScale, const aclTensor *xScale, const aclTensor *groupList, aclTensor *output, aclTensor *outputScale, aclTensor *outputOffset, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnGroupedMatmulSwigluQuantWeightNZ(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

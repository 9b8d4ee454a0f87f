/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Generated from ffi/opapi/src/ops; see the test headers_are_current. */
#ifndef VINCI_ACLNN_FOREACH_ZERO_INPLACE_H
#define VINCI_ACLNN_FOREACH_ZERO_INPLACE_H

#include "aclnn/aclnn_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x = 0, for each. */
aclnnStatus aclnnForeachZeroInplaceGetWorkspaceSize(aclTensorList *x, uint64_t *workspaceSize,
	aclOpExecutor **executor);
aclnnStatus aclnnForeachZeroInplace(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

#ifdef __cplusplus
}
#endif

#endif

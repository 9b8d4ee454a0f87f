/* Ascend C: everything that a kernel includes. */
#ifndef VINCI_ASCENDC_KERNEL_OPERATOR_H
#define VINCI_ASCENDC_KERNEL_OPERATOR_H

#if !defined(__VINCI_CC__)
#error "files with Ascend C kernels are compiled with `vinci cc`"
#endif

#define __global__ __attribute__((global))
/* Cores of a kernel, where it says so at its head or in its body: found by the compiler driver. */
#define __vector__ __attribute__((annotate("vinci.kind.2")))
#define __cube__ __attribute__((annotate("vinci.kind.1")))
#define __mix__(aic, aiv) __attribute__((annotate("vinci.kind.mix." #aic "." #aiv)))

#include "impl/types.h"

#if defined(__VINCI_DEVICE__)
#include "impl/entry.h"
#else
#include "impl/launch.h"
#endif

#include "impl/convert.h"
#include "impl/copy.h"
#include "impl/cube.h"
#include "impl/fixpipe.h"
#include "impl/gather.h"
#include "impl/load.h"
#include "impl/memory.h"
#include "impl/order.h"
#include "impl/pipe.h"
#include "impl/print.h"
#include "impl/reduce.h"
#include "impl/select.h"
#include "impl/slice.h"
#include "impl/sort.h"
#include "impl/sparse.h"
#include "impl/support.h"
#include "impl/sync.h"
#include "impl/transpose.h"
#include "impl/vector.h"

enum KernelMetaType {
    KERNEL_TYPE_AIV_ONLY,
    KERNEL_TYPE_AIC_ONLY,
    KERNEL_TYPE_MIX_AIV_HARD_SYNC,
    KERNEL_TYPE_MIX_AIC_HARD_SYNC,
    KERNEL_TYPE_MIX_AIV_1_0,
    KERNEL_TYPE_MIX_AIC_1_0,
    KERNEL_TYPE_MIX_AIC_1_1,
    KERNEL_TYPE_MIX_AIC_1_2,
    KERNEL_TYPE_AICORE,
    KERNEL_TYPE_VECTORCORE,
    KERNEL_TYPE_MIX_AICORE,
    KERNEL_TYPE_MIX_VECTOR_CORE,
    KERNEL_TYPE_MAX
};
template <KernelMetaType> constexpr void __vinci_kernel_type() {}
#define KERNEL_TASK_TYPE_DEFAULT(value) __vinci_kernel_type<value>()
#define KERNEL_TASK_TYPE(key, value) __vinci_kernel_type<value>()

#define ASCEND_IS_AIV (::vinci::core()->role != ::vinci::kAic)
#define ASCEND_IS_NOT_AIV (::vinci::core()->role == ::vinci::kAic)
#define ASCEND_IS_AIC (::vinci::core()->role != ::vinci::kAiv)
#define ASCEND_IS_NOT_AIC (::vinci::core()->role == ::vinci::kAiv)
namespace AscendC {
inline __gm__ uint8_t *GetSysWorkSpacePtr() { return reinterpret_cast<uint8_t *>(::vinci::core()->workspace); }
inline __gm__ uint8_t *GetUserWorkspace(__gm__ uint8_t *workspace) { return workspace; }
inline void SetSysWorkspace(__gm__ uint8_t *workspace) { ::vinci::core()->workspace = reinterpret_cast<uint64_t>(workspace); }
inline void SetSysWorkspaceForce(__gm__ uint8_t *workspace) { SetSysWorkspace(workspace); }
} // namespace AscendC

/* Names that programs use without their namespace. */
using AscendC::CubeFormat;
using AscendC::GetSysWorkSpacePtr;
using AscendC::GetTPipePtr;
using AscendC::TPosition;

#endif

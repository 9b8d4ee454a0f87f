/* What a file with kernels that `vinci cc` has compiled calls: no part of AscendCL. */
#ifndef VINCI_ACL_RT_CODE_H
#define VINCI_ACL_RT_CODE_H

#include "../acl_base_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a code object known, before main. Its kernels are loaded with the first launch. */
ACL_FUNC_VISIBILITY int vinci_code_register(const void *object, size_t size, void **code);
/* Says which function of the program stands for kernel `name` of the object. */
ACL_FUNC_VISIBILITY int vinci_code_symbol(void *code, const void *symbol, const char *name);
/* Forgets the object. */
ACL_FUNC_VISIBILITY int vinci_code_unregister(void *code);
/* Launches the kernel that a function stands for; `args` leads to each argument. A null stream is the default one. */
ACL_FUNC_VISIBILITY int vinci_code_launch(const void *symbol, uint32_t blocks, void *stream, void **args);

#ifdef __cplusplus
}
#endif

#endif

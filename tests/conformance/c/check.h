/* Checks of a conformance program: each prints a line when it fails; `finish` prints the count. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl/acl.h"
#include "acl/acl_rt_memory_soma.h"

static int checks, failures;

/* The call answers `code`; a failure that is expected leaves a sentence. */
#define EXPECT(call, code)                                                                                   \
    do {                                                                                                     \
        int got_ = (int)(call), want_ = (int)(code);                                                         \
        const char *text_ = aclGetRecentErrMsg();                                                            \
        checks++;                                                                                            \
        if (got_ != want_) {                                                                                 \
            failures++;                                                                                      \
            printf("%s:%d: %s answers %d, not %d: %s\n", __FILE__, __LINE__, #call, got_, want_,             \
                   text_ ? text_ : "no sentence");                                                           \
        } else if (want_ != 0 && want_ != 100002 && (!text_ || strlen(text_) < 20)) {                        \
            failures++;                                                                                      \
            printf("%s:%d: %s answers %d without a sentence\n", __FILE__, __LINE__, #call, got_);            \
        }                                                                                                    \
    } while (0)

#define OK(call) EXPECT(call, 0)

#define TRUE(condition)                                                                                      \
    do {                                                                                                     \
        checks++;                                                                                            \
        if (!(condition)) {                                                                                  \
            failures++;                                                                                      \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                   \
        }                                                                                                    \
    } while (0)

static inline void start(void)
{
    OK(aclInit(NULL));
    OK(aclrtSetDevice(0));
}

static inline int finish(void)
{
    printf("checks %d failed %d\n", checks, failures);
    return failures != 0;
}

static inline int stop(void)
{
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return finish();
}

enum { PARAM = 100000, RT_PARAM = 107000, HANDLE = 107017, NO_CONTEXT = 107002, NOT_SUPPORTED = 207000 };

#endif

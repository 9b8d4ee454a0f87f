/* Checks of a program with kernels: the first that fails ends it. */
#ifndef CHECK_H
#define CHECK_H

#include <cstdio>
#include <cstdlib>

#include "acl/acl.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

#define OK(call) \
    do { \
        const int code_ = static_cast<int>(call); \
        if (code_ != 0) { \
            const char *text_ = aclGetRecentErrMsg(); \
            std::printf("%s:%d: %s answers %d: %s\n", __FILE__, __LINE__, #call, code_, text_ ? text_ : ""); \
            exit(1); \
        } \
    } while (0)

#endif

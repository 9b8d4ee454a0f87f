/* A kernel that tries to get out of its jail: every attempt fails, and is reported. */
#include <cstring>

#include "acl/acl.h"
#include "kernel_operator.h"
#include "check.h"

inline long call(long n, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = 0;
    long result = n;
    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

extern "C" __global__ __aicore__ void escape(int how, __gm__ char *data)
{
    switch (how) {
        case 0: call(257, -100, (long)"/etc/passwd", 0); break;                /* openat */
        case 1: call(2, (long)"/proc/self/maps", 0); break;                    /* open */
        case 2: call(101, 16, 1, 0, 0); break;                                 /* ptrace attach */
        case 3: call(9, 0, 1l << 34, 3, 0x22, -1); break;                      /* mmap of 16 GiB */
        case 4: call(12, 1l << 40); break;                                     /* brk */
        case 5: for (;;) { call(57); } break;                                  /* fork */
        case 6: call(56, 0x11, 0, 0, 0, 0); break;                             /* clone */
        case 7: call(59, (long)"/bin/sh", 0, 0); break;                        /* execve */
        case 8: call(41, 2, 1, 0); break;                                      /* socket */
        case 9: call(62, 1, 9); break;                                         /* kill */
        case 10: call(319, (long)"x", 0); break;                               /* memfd_create */
        case 11: call(310, 1, 0, 0, 0, 0); break;                              /* process_vm_readv */
        case 12: call(0, 0, (long)data, 100); break;                           /* read of the first file */
        case 13: call(1, 1, (long)"x", 1); break;                              /* write to the socket */
        case 14: call(47, 2, (long)data, 0); break;                            /* recvmsg of another file */
        case 15: call(435, (long)data, 88); break;                             /* clone3 */
        case 16: call(231, 0); break;                                          /* exit_group: ends the jail alone */
        case 17: __asm__ volatile("int $0x80" : : "a"(5), "b"(data)); break;   /* open, as 32-bit programs do */
    }
    data[0] = 1;
}

int main()
{
    OK(aclInit(nullptr));
    OK(aclrtSetDevice(0));
    aclrtStream stream;
    OK(aclrtCreateStream(&stream));
    char *data;
    OK(aclrtMalloc((void **)&data, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    for (int how = 0; how <= 18; ++how) {
        OK(aclrtMemset(data, 4096, 0, 4096));
        escape<<<1, nullptr, stream>>>(how, data);
        const int code = aclrtSynchronizeStream(stream);
        char reached = 0;
        OK(aclrtMemcpy(&reached, 1, data, 1, ACL_MEMCPY_DEVICE_TO_HOST));
        if (how == 18) {
            CHECK(code == 0 && reached == 1);
            break;
        }
        const char *text = aclGetRecentErrMsg();
        printf("%2d: %s\n", how, text ? text : "");
        CHECK(code == 507015 && reached == 0 && text != nullptr);
        CHECK(how >= 16 || strstr(text, "system call") != nullptr);
        OK(aclrtStreamAbort(stream));
    }
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    return 0;
}

/* A child of a process that uses a device is refused in every call; the parent goes on. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
    aclrtStream stream = NULL;
    void *memory = NULL, *more = NULL;
    int status = 0;
    pid_t child;

    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        const char *text;
        int before = failures;
        EXPECT(aclrtMalloc(&more, 4096, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        EXPECT(aclrtFree(memory), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        EXPECT(aclrtMemset(memory, 4096, 0, 4096), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        EXPECT(aclrtSynchronizeStream(stream), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        EXPECT(aclrtSetDevice(0), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        EXPECT(aclrtDestroyStream(stream), ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        TRUE(aclrtSetDevice(0) == ACL_ERROR_RT_DRV_INTERNAL_ERROR);
        text = aclGetRecentErrMsg();
        TRUE(text && strstr(text, "fork"));
        fflush(stdout);
        _exit(failures != before);
    }
    waitpid(child, &status, 0);
    TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(aclrtMemset(memory, 4096, 1, 4096));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtFree(memory));
    OK(aclrtDestroyStream(stream));
    return stop();
}

/* The last error and the recent sentences: per thread, and cleared when they are read. */
#include <pthread.h>

#include "check.h"

static void *clean_thread(void *unused)
{
    (void)unused;
    TRUE(aclGetRecentErrMsg() == NULL);
    TRUE(aclrtPeekAtLastError(ACL_RT_THREAD_LEVEL) == ACL_SUCCESS);
    return NULL;
}

int main(void)
{
    aclrtErrorInfo info;
    pthread_t thread;
    const char *text;

    start();
    TRUE(aclGetRecentErrMsg() == NULL);
    TRUE(aclrtGetRunMode(NULL) == PARAM);
    TRUE(aclrtPeekAtLastError(ACL_RT_THREAD_LEVEL) == PARAM);
    TRUE(aclrtPeekAtLastError(ACL_RT_THREAD_LEVEL) == PARAM);
    pthread_create(&thread, NULL, clean_thread, NULL);
    pthread_join(thread, NULL);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == PARAM);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == ACL_SUCCESS);

    /* The sentence names the function, the code and the argument. */
    text = aclGetRecentErrMsg();
    TRUE(text && strstr(text, "aclrtGetRunMode") && strstr(text, "100000") && strstr(text, "runMode"));
    TRUE(aclGetRecentErrMsg() == NULL);

    /* Several failures, several sentences. */
    TRUE(aclrtSetDevice(-5) == ACL_ERROR_RT_INVALID_DEVICEID);
    TRUE(aclrtFree(NULL) == PARAM);
    text = aclGetRecentErrMsg();
    TRUE(text && strstr(text, "aclrtSetDevice") && strstr(text, "-5") && strstr(text, "aclrtFree"));
    for (int i = 0; i < 1000; i++)
        aclrtFree(NULL);
    text = aclGetRecentErrMsg();
    TRUE(text && strlen(text) < 10000);

    /* A success does not clear it. */
    TRUE(aclrtFree(NULL) == PARAM);
    TRUE(aclrtSynchronizeDevice() == ACL_SUCCESS);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == PARAM);
    aclGetRecentErrMsg();
    EXPECT(aclrtGetLastError((aclrtLastErrLevel)5), PARAM);

    memset(&info, 0xff, sizeof(info));
    OK(aclrtGetErrorVerbose(0, &info));
    TRUE(info.errorType == ACL_RT_NO_ERROR && info.tryRepair == 0);
    EXPECT(aclrtGetErrorVerbose(55, &info), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtGetErrorVerbose(0, NULL), PARAM);
    return stop();
}

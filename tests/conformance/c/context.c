/* Contexts: which one is current, per thread; default streams; destroyed contexts. */
#include <pthread.h>

#include "check.h"

static void *other_thread(void *context)
{
    aclrtContext current = NULL;
    EXPECT(aclrtGetCurrentContext(&current), NO_CONTEXT);
    OK(aclrtSetCurrentContext(context));
    OK(aclrtGetCurrentContext(&current));
    TRUE(current == context);
    OK(aclrtSynchronizeStream(NULL));
    return NULL;
}

int main(void)
{
    aclrtContext primary = NULL, a = NULL, b = NULL, current = NULL;
    aclrtStream default_a = NULL, default_b = NULL, stream = NULL;
    int64_t option = -1;
    uint32_t flags = 9;
    int32_t active = -1;
    pthread_t thread;

    OK(aclInit(NULL));
    EXPECT(aclrtGetCurrentContext(&current), NO_CONTEXT);
    EXPECT(aclrtCtxGetCurrentDefaultStream(&stream), NO_CONTEXT);
    EXPECT(aclrtSynchronizeStream(NULL), NO_CONTEXT);
    OK(aclrtGetPrimaryCtxState(0, &flags, &active));
    TRUE(active == 0);
    OK(aclrtSetDevice(0));
    OK(aclrtGetPrimaryCtxState(0, NULL, &active));
    TRUE(active == 1);
    OK(aclrtGetCurrentContext(&primary));
    EXPECT(aclrtDestroyContext(primary), RT_PARAM);
    EXPECT(aclrtGetCurrentContext(NULL), PARAM);

    OK(aclrtCreateContext(&a, 0));
    OK(aclrtGetCurrentContext(&current));
    TRUE(current == a && a != primary);
    OK(aclrtCreateContext(&b, 0));
    EXPECT(aclrtCreateContext(&b, 1000), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtCreateContext(NULL, 0), PARAM);
    OK(aclrtCtxGetCurrentDefaultStream(&default_b));
    OK(aclrtSetCurrentContext(a));
    OK(aclrtCtxGetCurrentDefaultStream(&default_a));
    TRUE(default_a != default_b && default_a != NULL);
    OK(aclrtSynchronizeStream(default_a));
    EXPECT(aclrtDestroyStream(default_a), RT_PARAM);

    /* A stream belongs to the context it was made in. */
    EXPECT(aclrtSynchronizeStream(default_b), ACL_ERROR_RT_STREAM_CONTEXT);
    OK(aclrtCreateStream(&stream));
    OK(aclrtSetCurrentContext(b));
    EXPECT(aclrtDestroyStream(stream), ACL_ERROR_RT_STREAM_CONTEXT);
    OK(aclrtSetCurrentContext(a));
    OK(aclrtSynchronizeStream(stream));

    EXPECT(aclrtCtxGetSysParamOpt(ACL_OPT_DETERMINISTIC, &option), ACL_ERROR_RT_SYSPARAMOPT_NOT_SET);
    OK(aclrtCtxSetSysParamOpt(ACL_OPT_DETERMINISTIC, 1));
    OK(aclrtCtxGetSysParamOpt(ACL_OPT_DETERMINISTIC, &option));
    TRUE(option == 1);
    EXPECT(aclrtGetSysParamOpt(ACL_OPT_DETERMINISTIC, &option), ACL_ERROR_RT_SYSPARAMOPT_NOT_SET);
    OK(aclrtSetSysParamOpt(ACL_OPT_DETERMINISTIC, 2));
    OK(aclrtGetSysParamOpt(ACL_OPT_DETERMINISTIC, &option));
    TRUE(option == 2);
    EXPECT(aclrtSetSysParamOpt((aclSysParamOpt)50, 2), PARAM);

    pthread_create(&thread, NULL, other_thread, b);
    pthread_join(thread, NULL);
    OK(aclrtGetCurrentContext(&current));
    TRUE(current == a);

    /* What was made in a context goes with it; an old handle is recognised. */
    OK(aclrtDestroyContext(a));
    EXPECT(aclrtSynchronizeStream(stream), HANDLE);
    EXPECT(aclrtSetCurrentContext(a), HANDLE);
    EXPECT(aclrtDestroyContext(a), HANDLE);
    EXPECT(aclrtGetCurrentContext(&current), NO_CONTEXT);
    EXPECT(aclrtSetCurrentContext(NULL), PARAM);
    EXPECT(aclrtDestroyContext(NULL), PARAM);
    EXPECT(aclrtSetCurrentContext(default_b), HANDLE);
    OK(aclrtSetCurrentContext(b));
    OK(aclrtDestroyContext(b));
    OK(aclrtSetCurrentContext(primary));
    return stop();
}

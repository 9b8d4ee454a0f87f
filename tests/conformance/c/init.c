/* Initialisation, counting, configuration files. */
#include "check.h"

static int init_calls, finalize_calls;

static aclError on_init(const char *config, size_t length, void *data)
{
    (void)config, (void)length;
    init_calls += *(int *)data;
    return ACL_SUCCESS;
}

static aclError on_finalize(void *data)
{
    finalize_calls += *(int *)data;
    return ACL_SUCCESS;
}

static const char *config(const char *text)
{
    static char path[64];
    FILE *file;
    snprintf(path, sizeof(path), "/tmp/vinci-conformance-%06u.json", (unsigned)rand() % 1000000U);
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

int main(void)
{
    uint64_t left = 99;
    int32_t device = -1;
    int one = 1;
    const char *path;

    srand((unsigned)(size_t)&one);
    EXPECT(aclFinalize(), ACL_ERROR_REPEAT_FINALIZE);
    OK(aclInit(NULL));
    EXPECT(aclInit(NULL), ACL_ERROR_REPEAT_INITIALIZE);
    OK(aclFinalize());
    EXPECT(aclFinalize(), ACL_ERROR_REPEAT_FINALIZE);

    OK(aclInit(NULL));
    EXPECT(aclInit(NULL), ACL_ERROR_REPEAT_INITIALIZE);
    OK(aclFinalizeReference(&left));
    TRUE(left == 1);
    OK(aclFinalizeReference(NULL));
    EXPECT(aclFinalizeReference(&left), ACL_ERROR_REPEAT_FINALIZE);

    EXPECT(aclInit("/no/such/file.json"), ACL_ERROR_INVALID_FILE);
    path = config("{ \"not json\"");
    EXPECT(aclInit(path), ACL_ERROR_PARSE_FILE);
    remove(path);
    path = config("{\"defaultDevice\":{\"default_device\":\"77\"}}");
    EXPECT(aclInit(path), ACL_ERROR_RT_INVALID_DEVICEID);
    remove(path);

    /* With a default device no aclrtSetDevice is needed. */
    path = config("{\"defaultDevice\":{\"default_device\":\"0\"}}");
    OK(aclInit(path));
    remove(path);
    OK(aclrtGetDevice(&device));
    TRUE(device == 0);
    OK(aclFinalize());

    OK(aclInitCallbackRegister(ACL_REG_TYPE_OTHER, on_init, &one));
    OK(aclFinalizeCallbackRegister(ACL_REG_TYPE_OTHER, on_finalize, &one));
    EXPECT(aclInitCallbackRegister(ACL_REG_TYPE_OTHER, NULL, NULL), PARAM);
    OK(aclInit(""));
    OK(aclFinalize());
    TRUE(init_calls == 1 && finalize_calls == 1);
    OK(aclInitCallbackUnRegister(ACL_REG_TYPE_OTHER, on_init));
    EXPECT(aclInitCallbackUnRegister(ACL_REG_TYPE_OTHER, on_init), RT_PARAM);
    OK(aclFinalizeCallbackUnRegister(ACL_REG_TYPE_OTHER, on_finalize));
    EXPECT(aclFinalizeCallbackUnRegister(ACL_REG_TYPE_OTHER, on_finalize), RT_PARAM);
    OK(aclInit(NULL));
    OK(aclFinalize());
    TRUE(init_calls == 1 && finalize_calls == 1);
    return finish();
}

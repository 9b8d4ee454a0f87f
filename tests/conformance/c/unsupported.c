/* What is not implemented says so with its own code and name. */
#include "check.h"

int main(void)
{
    aclrtLabel label = NULL;
    aclmdlRI model = NULL;
    aclmdlRICaptureStatus status = ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE;
    const char *text;

    start();
    EXPECT(aclrtCreateLabel(&label), ACL_ERROR_FEATURE_UNSUPPORTED);
    TRUE(aclmdlRIBuildBegin(&model, 0) == ACL_ERROR_FEATURE_UNSUPPORTED);
    text = aclGetRecentErrMsg();
    TRUE(text && strstr(text, "aclmdlRIBuildBegin"));
    TRUE(aclrtCreateBinary("", 0) == NULL);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == ACL_ERROR_FEATURE_UNSUPPORTED);
    aclGetRecentErrMsg();
    /* Frameworks ask this before every other call. */
    OK(aclmdlRICaptureGetInfo(NULL, &status, &model));
    TRUE(status == ACL_MODEL_RI_CAPTURE_STATUS_NONE && model == NULL);
    return stop();
}

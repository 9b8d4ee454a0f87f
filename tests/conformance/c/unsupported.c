/* What is not implemented says so with its own code and name. */
#include "check.h"

int main(void)
{
    uint64_t *condition = NULL;
    const char *text;

    start();
    EXPECT(aclrtNpuGetFloatOverFlowStatus(NULL, 0, 0, NULL), ACL_ERROR_FEATURE_UNSUPPORTED);
    TRUE(aclmdlRICondHandleGetCondPtr(NULL, &condition) == ACL_ERROR_FEATURE_UNSUPPORTED);
    text = aclGetRecentErrMsg();
    TRUE(text && strstr(text, "aclmdlRICondHandleGetCondPtr"));
    TRUE(aclrtCreateGroupInfo() == NULL);
    TRUE(aclrtGetLastError(ACL_RT_THREAD_LEVEL) == ACL_ERROR_FEATURE_UNSUPPORTED);
    aclGetRecentErrMsg();
    return stop();
}

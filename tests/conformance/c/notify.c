/* Notifies: one stream raises, another waits and lowers. */
#include "check.h"

int main(void)
{
    aclrtStream a = NULL, b = NULL;
    aclrtNotify notify = NULL, other = NULL;
    uint32_t id = 0, second = 0;

    OK(aclInit(NULL));
    EXPECT(aclrtCreateNotify(&notify, ACL_NOTIFY_DEFAULT), NO_CONTEXT);
    OK(aclrtSetDevice(0));
    EXPECT(aclrtCreateNotify(NULL, ACL_NOTIFY_DEFAULT), PARAM);
    EXPECT(aclrtCreateNotify(&notify, 2), RT_PARAM);
    OK(aclrtCreateStream(&a));
    OK(aclrtCreateStream(&b));
    OK(aclrtCreateNotify(&notify, ACL_NOTIFY_DEFAULT));
    OK(aclrtCreateNotify(&other, ACL_NOTIFY_DEFAULT));
    OK(aclrtGetNotifyId(notify, &id));
    OK(aclrtGetNotifyId(other, &second));
    TRUE(id != second);
    EXPECT(aclrtGetNotifyId(notify, NULL), PARAM);

    for (int i = 0; i < 100; i++) {
        OK(aclrtWaitAndResetNotify(notify, b, 0));
        if (i == 0)
            EXPECT(aclrtSynchronizeStreamWithTimeout(b, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
        OK(aclrtRecordNotify(notify, a));
        OK(aclrtSynchronizeStream(b));
    }
    /* It is lowered again: the next wait waits. */
    OK(aclrtWaitAndResetNotify(notify, b, 0));
    EXPECT(aclrtSynchronizeStreamWithTimeout(b, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
    OK(aclrtRecordNotify(notify, NULL));
    OK(aclrtSynchronizeStream(b));

    EXPECT(aclrtRecordNotify(NULL, a), PARAM);
    EXPECT(aclrtRecordNotify(a, a), HANDLE);
    EXPECT(aclrtRecordNotify(notify, notify), HANDLE);
    OK(aclrtDestroyNotify(notify));
    EXPECT(aclrtRecordNotify(notify, a), HANDLE);
    EXPECT(aclrtDestroyNotify(notify), HANDLE);
    EXPECT(aclrtDestroyNotify(NULL), PARAM);
    OK(aclrtDestroyNotify(other));
    OK(aclrtDestroyStream(a));
    OK(aclrtDestroyStream(b));
    return stop();
}

/* Channels of tensors and queues of buffers: each function's rule, each error. */
#include "check.h"

#include "acl/acl_tdt.h"
#include "acl/acl_tdt_queue.h"

#include <pthread.h>

static acltdtDataset *dataset_of(float *values, size_t count, acltdtDataItem **item)
{
    int64_t dims[] = {1, (int64_t)count};
    acltdtDataset *set = acltdtCreateDataset();

    *item = acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims, 2, ACL_FLOAT, values, count * sizeof *values);
    TRUE(*item && set);
    OK(acltdtAddDataItem(set, *item));
    return set;
}

static void items(void)
{
    int64_t dims[2] = {2, 3}, got[3] = {0, 0, 7};
    float data[6] = {0};
    size_t number = 9, part = 9;
    acltdtDataItem *item = acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims, 2, ACL_FLOAT, data, sizeof data);

    TRUE(item != NULL);
    TRUE(acltdtGetTensorTypeFromItem(item) == ACL_TENSOR_DATA_TENSOR);
    TRUE(acltdtGetDataTypeFromItem(item) == ACL_FLOAT);
    TRUE(acltdtGetDataAddrFromItem(item) == data && acltdtGetDataSizeFromItem(item) == sizeof data);
    TRUE(acltdtGetDimNumFromItem(item) == 2);
    EXPECT(acltdtGetDimsFromItem(item, got, 1), PARAM);
    EXPECT(acltdtGetDimsFromItem(item, NULL, 2), PARAM);
    OK(acltdtGetDimsFromItem(item, got, 3));
    TRUE(got[0] == 2 && got[1] == 3 && got[2] == 7);
    OK(acltdtGetSliceInfoFromItem(item, &number, &part));
    TRUE(number == 0 && part == 0);
    EXPECT(acltdtGetSliceInfoFromItem(item, NULL, &part), PARAM);
    OK(acltdtDestroyDataItem(item));
    EXPECT(acltdtDestroyDataItem(item), PARAM);
    TRUE(acltdtGetTensorTypeFromItem(item) == ACL_TENSOR_DATA_UNDEFINED);
    TRUE(acltdtGetDataAddrFromItem(item) == NULL && acltdtGetDimNumFromItem(NULL) == 0);

    TRUE(!acltdtCreateDataItem(9, dims, 2, ACL_FLOAT, data, sizeof data));
    TRUE(!acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, NULL, 2, ACL_FLOAT, data, sizeof data));
    TRUE(!acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims, 129, ACL_FLOAT, data, sizeof data));
    TRUE(!acltdtCreateDataItem(ACL_TENSOR_DATA_TENSOR, dims, 2, ACL_FLOAT, NULL, sizeof data));
    TRUE(!acltdtCreateDataItem(ACL_TENSOR_DATA_END_OF_SEQUENCE, NULL, 0, ACL_FLOAT, data, sizeof data));
    item = acltdtCreateDataItem(ACL_TENSOR_DATA_END_OF_SEQUENCE, NULL, 0, ACL_FLOAT, NULL, 0);
    TRUE(item != NULL);
    OK(acltdtDestroyDataItem(item));
    (void)aclGetRecentErrMsg();
}

static void *receiver(void *channel)
{
    acltdtDataset *set = acltdtCreateDataset();
    aclError code = acltdtReceiveTensor(channel, set, -1);

    acltdtDestroyDataset(set);
    return (void *)(intptr_t)code;
}

static void channels(void)
{
    float values[2] = {1, 2};
    acltdtDataItem *item = NULL, *other = NULL;
    acltdtDataset *set = dataset_of(values, 2, &item), *got = acltdtCreateDataset();
    acltdtChannelHandle *channel;
    size_t size = 9;
    pthread_t thread;
    void *code = NULL;

    TRUE(!acltdtCreateChannel(0, NULL) && !acltdtCreateChannel(0, "") && !acltdtCreateChannel(99, "x"));
    TRUE(!acltdtCreateChannelWithCapacity(0, "x", 1) && !acltdtCreateChannelWithCapacity(0, "x", 8193));
    channel = acltdtCreateChannelWithCapacity(0, "x", 2);
    TRUE(channel != NULL);
    TRUE(!acltdtCreateChannel(0, "x"));
    (void)aclGetRecentErrMsg();

    EXPECT(acltdtReceiveTensor(channel, got, 0), ACL_ERROR_RT_QUEUE_EMPTY);
    EXPECT(acltdtReceiveTensor(channel, got, 20), ACL_ERROR_RT_QUEUE_EMPTY);
    EXPECT(acltdtSendTensor(channel, got, 0), PARAM);
    EXPECT(acltdtSendTensor(channel, NULL, 0), PARAM);
    EXPECT(acltdtSendTensor(NULL, set, 0), PARAM);
    OK(acltdtSendTensor(channel, set, 0));
    OK(acltdtSendTensor(channel, set, 0));
    EXPECT(acltdtSendTensor(channel, set, 20), ACL_ERROR_RT_QUEUE_FULL);
    OK(acltdtQueryChannelSize(channel, &size));
    TRUE(size == 2);
    EXPECT(acltdtQueryChannelSize(channel, NULL), PARAM);
    values[0] = 5;
    EXPECT(acltdtReceiveTensor(channel, set, 0), PARAM);
    OK(acltdtReceiveTensor(channel, got, 0));
    TRUE(acltdtGetDatasetSize(got) == 1 && !strcmp(acltdtGetDatasetName(got), "x"));
    TRUE(!strcmp(acltdtGetDatasetName(set), ""));
    other = acltdtGetDataItem(got, 0);
    TRUE(*(float *)acltdtGetDataAddrFromItem(other) == 1.0F);
    EXPECT(acltdtDestroyDataItem(other), PARAM);
    EXPECT(acltdtAddDataItem(got, item), PARAM);
    TRUE(!acltdtGetDataItem(got, 1));
    OK(acltdtDestroyDataset(got));
    EXPECT(acltdtDestroyDataset(got), PARAM);
    TRUE(acltdtGetDataSizeFromItem(other) == 0);
    OK(acltdtCleanChannel(channel));
    OK(acltdtQueryChannelSize(channel, &size));
    TRUE(size == 0);

    pthread_create(&thread, NULL, receiver, channel);
    OK(acltdtStopChannel(channel));
    pthread_join(thread, &code);
    TRUE((intptr_t)code == ACL_ERROR_FAILURE);
    EXPECT(acltdtSendTensor(channel, set, -1), ACL_ERROR_FAILURE);
    OK(acltdtDestroyChannel(channel));
    EXPECT(acltdtDestroyChannel(channel), PARAM);
    EXPECT(acltdtStopChannel(channel), PARAM);
    OK(acltdtDestroyDataItem(item));
    OK(acltdtDestroyDataset(set));
}

static uint32_t queue_of(const char *name, uint32_t depth)
{
    acltdtQueueAttr *attr = acltdtCreateQueueAttr();
    uint32_t queue = 0;

    if (name)
        OK(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_NAME_PTR, sizeof name, &name));
    OK(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof depth, &depth));
    OK(acltdtCreateQueue(attr, &queue));
    TRUE(queue != 0);
    OK(acltdtDestroyQueueAttr(attr));
    return queue;
}

static void queues(void)
{
    acltdtQueueAttr *attr = acltdtCreateQueueAttr();
    uint32_t depth = 1, queue = queue_of("one", 2), again = 0, rights = 0;
    const char *name = "one";
    size_t size = 0;
    char data[8] = "1234567", small[4], user[96] = "with it", back[96] = "";
    acltdtBuf buffer = NULL, other = NULL;
    void *at = NULL;

    EXPECT(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof depth, &depth), PARAM);
    EXPECT(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, 2, &depth), PARAM);
    EXPECT(acltdtSetQueueAttr(attr, 7, sizeof depth, &depth), PARAM);
    EXPECT(acltdtSetQueueAttr(NULL, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof depth, &depth), PARAM);
    OK(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_NAME_PTR, sizeof name, &name));
    name = NULL;
    OK(acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_NAME_PTR, sizeof name, &size, &name));
    TRUE(size == sizeof name && name && !strcmp(name, "one"));
    EXPECT(acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_NAME_PTR, 4, &size, &name), PARAM);
    EXPECT(acltdtCreateQueue(attr, &again), PARAM);
    EXPECT(acltdtCreateQueue(attr, NULL), PARAM);
    EXPECT(acltdtCreateQueue(NULL, &again), PARAM);
    OK(acltdtDestroyQueueAttr(attr));
    EXPECT(acltdtDestroyQueueAttr(attr), PARAM);

    OK(acltdtEnqueueData(queue, data, sizeof data, user, sizeof user, 0, 0));
    EXPECT(acltdtEnqueueData(queue, data, sizeof data, user, 97, 0, 0), PARAM);
    EXPECT(acltdtEnqueueData(queue, data, 0, NULL, 0, 0, 0), PARAM);
    EXPECT(acltdtEnqueueData(queue, NULL, 4, NULL, 0, 0, 0), PARAM);
    EXPECT(acltdtEnqueueData(99, data, sizeof data, NULL, 0, 0, 0), ACL_ERROR_INVALID_QUEUE_ID);
    EXPECT(acltdtDequeueData(queue, small, sizeof small, &size, NULL, 0, 0), PARAM);
    TRUE(size == sizeof data);
    memset(data, 0, sizeof data);
    OK(acltdtDequeueData(queue, data, sizeof data, &size, back, sizeof back, 0));
    TRUE(!strcmp(data, "1234567") && !strcmp(back, "with it"));
    EXPECT(acltdtDequeueData(queue, data, sizeof data, &size, NULL, 0, 10), ACL_ERROR_RT_QUEUE_EMPTY);

    EXPECT(acltdtAllocBuf(0, ACL_TDT_NORMAL_MEM, &buffer), PARAM);
    EXPECT(acltdtAllocBuf(8, ACL_TDT_DVPP_MEM, &buffer), ACL_ERROR_FEATURE_UNSUPPORTED);
    EXPECT(acltdtAllocBuf(8, 5, &buffer), PARAM);
    OK(acltdtAllocBuf(8, ACL_TDT_NORMAL_MEM, &buffer));
    OK(acltdtGetBufData(buffer, &at, &size));
    TRUE(at && size == 8);
    memcpy(at, "buffer", 7);
    OK(acltdtSetBufDataLen(buffer, 7));
    EXPECT(acltdtSetBufUserData(buffer, user, 8, 90), PARAM);
    OK(acltdtSetBufUserData(buffer, "ab", 3, 93));
    OK(acltdtGetBufUserData(buffer, back, 3, 93));
    TRUE(!strcmp(back, "ab"));
    OK(acltdtCopyBufRef(buffer, &other));
    OK(acltdtEnqueue(queue, buffer, 0));
    EXPECT(acltdtEnqueue(queue, buffer, 0), PARAM);
    EXPECT(acltdtFreeBuf(buffer), PARAM);
    OK(acltdtDequeue(queue, &buffer, -1));
    OK(acltdtFreeBuf(buffer));
    EXPECT(acltdtFreeBuf(buffer), PARAM);
    /* The memory lives on in the other buffer. */
    OK(acltdtGetBufData(other, &at, &size));
    TRUE(!strcmp(at, "buffer"));
    OK(acltdtFreeBuf(other));

    OK(acltdtAttachQueue(queue, 0, &rights));
    TRUE(rights == 7);
    EXPECT(acltdtGrantQueue(queue, 1, 4, 0), ACL_ERROR_FEATURE_UNSUPPORTED);
    EXPECT(acltdtGrantQueue(queue, 1, 8, 0), PARAM);
    OK(acltdtDestroyQueue(queue));
    EXPECT(acltdtDestroyQueue(queue), ACL_ERROR_INVALID_QUEUE_ID);
}

static void routes(void)
{
    uint32_t from = queue_of(NULL, 2), one = queue_of(NULL, 2), two = queue_of(NULL, 4), id = 0;
    acltdtQueueRoute *first = acltdtCreateQueueRoute(from, one), *second = acltdtCreateQueueRoute(from, two);
    acltdtQueueRoute *circle = acltdtCreateQueueRoute(one, from);
    acltdtQueueRouteList *list = acltdtCreateQueueRouteList(), *wrong = acltdtCreateQueueRouteList();
    acltdtQueueRouteQueryInfo *query = acltdtCreateQueueRouteQueryInfo();
    acltdtQueueRouteQueryMode mode = ACL_TDT_QUEUE_ROUTE_QUERY_SRC;
    int32_t status = -1;
    size_t size = 0;
    char data[4];
    int i;

    EXPECT(acltdtBindQueueRoutes(list), PARAM);
    OK(acltdtAddQueueRoute(list, first));
    OK(acltdtAddQueueRoute(list, second));
    OK(acltdtBindQueueRoutes(list));
    OK(acltdtAddQueueRoute(wrong, circle));
    EXPECT(acltdtBindQueueRoutes(wrong), PARAM);
    EXPECT(acltdtUnbindQueueRoutes(wrong), PARAM);
    EXPECT(acltdtDestroyQueue(one), PARAM);

    /* Two go through to both, two stay until there is room, and one more finds none. */
    for (i = 0; i < 4; i++) {
        data[0] = (char)('a' + i);
        OK(acltdtEnqueueData(from, data, sizeof data, NULL, 0, 0, 0));
    }
    EXPECT(acltdtEnqueueData(from, data, sizeof data, NULL, 0, 0, 0), ACL_ERROR_RT_QUEUE_FULL);
    for (i = 0; i < 4; i++) {
        OK(acltdtDequeueData(one, data, sizeof data, &size, NULL, 0, 0));
        TRUE(data[0] == 'a' + i);
        OK(acltdtDequeueData(two, data, sizeof data, &size, NULL, 0, 0));
        TRUE(data[0] == 'a' + i);
    }
    EXPECT(acltdtDequeueData(from, data, sizeof data, &size, NULL, 0, 0), ACL_ERROR_RT_QUEUE_EMPTY);

    EXPECT(acltdtQueryQueueRoutes(query, wrong), PARAM);
    OK(acltdtDestroyQueueRouteList(wrong));
    wrong = acltdtCreateQueueRouteList();
    OK(acltdtSetQueueRouteQueryInfo(query, ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM, sizeof mode, &mode));
    EXPECT(acltdtQueryQueueRoutes(query, wrong), PARAM);
    OK(acltdtSetQueueRouteQueryInfo(query, ACL_TDT_QUEUE_ROUTE_QUERY_SRC_ID_UINT32, sizeof from, &from));
    OK(acltdtQueryQueueRoutes(query, wrong));
    TRUE(acltdtGetQueueRouteNum(wrong) == 2);
    OK(acltdtGetQueueRoute(wrong, 1, circle));
    OK(acltdtGetQueueRouteParam(circle, ACL_TDT_QUEUE_ROUTE_DST_UINT32, sizeof id, &size, &id));
    OK(acltdtGetQueueRouteParam(circle, ACL_TDT_QUEUE_ROUTE_STATUS_INT32, sizeof status, &size, &status));
    TRUE(id == two && status == ACL_TDT_QUEUE_ROUTE_BIND && size == 4);
    EXPECT(acltdtGetQueueRouteParam(circle, 9, sizeof id, &size, &id), PARAM);
    EXPECT(acltdtGetQueueRoute(wrong, 2, circle), PARAM);

    OK(acltdtUnbindQueueRoutes(list));
    OK(acltdtEnqueueData(from, data, sizeof data, NULL, 0, 0, 0));
    EXPECT(acltdtDequeueData(one, data, sizeof data, &size, NULL, 0, 0), ACL_ERROR_RT_QUEUE_EMPTY);
    OK(acltdtDestroyQueueRoute(first));
    EXPECT(acltdtDestroyQueueRoute(first), PARAM);
    OK(acltdtDestroyQueueRoute(second));
    OK(acltdtDestroyQueueRoute(circle));
    OK(acltdtDestroyQueueRouteList(list));
    OK(acltdtDestroyQueueRouteList(wrong));
    OK(acltdtDestroyQueueRouteQueryInfo(query));
    OK(acltdtDestroyQueue(from));
    OK(acltdtDestroyQueue(one));
    OK(acltdtDestroyQueue(two));
}

int main(void)
{
    start();
    items();
    channels();
    queues();
    routes();
    return stop();
}

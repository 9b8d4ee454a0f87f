/* The profiler: what it refuses, and that the files hold what ran. */
#include "aclnnop/aclnn_add.h"
/* It has an OK of its own. */
#undef OK
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include "acl/acl_prof.h"
#include "mstx/ms_tools_ext.h"
#include "profiling/aprof_pub.h"

static char folder[] = "/tmp/vinci-prof-XXXXXX";

enum { PROF_FAILED = 500005 };

/* The text of a file below the one PROF_ folder whose name begins with `start`; a file is looked for in `sub`. */
static char *text_of(const char *prof, const char *sub, const char *start)
{
    static char text[1 << 20];
    char path[1024];
    struct dirent *entry;
    size_t length = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s/%s", folder, prof, sub);
    text[0] = 0;
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, start, strlen(start)) == 0) {
            FILE *file;

            snprintf(path, sizeof(path), "%s/%s/%s/%s", folder, prof, sub, entry->d_name);
            file = fopen(path, "r");
            length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
            if (file)
                fclose(file);
        }
    }
    if (dir)
        closedir(dir);
    text[length] = 0;
    return text;
}

/* Name of the PROF_ folder with this number. */
static char *prof_folder(int number)
{
    static char name[256];
    char start[32];
    struct dirent *entry;
    DIR *dir = opendir(folder);

    name[0] = 0;
    snprintf(start, sizeof(start), "PROF_%06d_", number);
    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, start, strlen(start)) == 0)
            snprintf(name, sizeof(name), "%s", entry->d_name);
    if (dir)
        closedir(dir);
    return name;
}

static int lines(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void add(aclrtStream stream, float *memory)
{
    int64_t dims[] = {64}, strides[] = {1};
    float one = 1;
    aclTensor *a = aclCreateTensor(dims, 1, ACL_FLOAT, strides, 0, ACL_FORMAT_ND, dims, 1, memory);
    aclTensor *b = aclCreateTensor(dims, 1, ACL_FLOAT, strides, 0, ACL_FORMAT_ND, dims, 1, memory + 64);
    aclScalar *alpha = aclCreateScalar(&one, ACL_FLOAT);
    aclOpExecutor *executor = NULL;
    uint64_t size = 0;

    OK(aclnnAddGetWorkspaceSize(a, a, alpha, b, &size, &executor));
    OK(aclnnAdd(NULL, size, executor, stream));
    OK(aclrtSynchronizeStream(stream));
    aclDestroyTensor(a);
    aclDestroyTensor(b);
    aclDestroyScalar(alpha);
}

static void refusals(void)
{
    uint32_t twice[] = {0, 0}, none[] = {99}, zero = 0;
    aclprofConfig *config;
    size_t size;

    EXPECT(aclprofFinalize(), ACL_ERROR_PROF_NOT_RUN);
    EXPECT(aclprofInit(NULL, 4), PARAM);
    EXPECT(aclprofInit(folder, 0), PARAM);
    EXPECT(aclprofInit(folder, 5000), PARAM);
    EXPECT(aclprofInit("/proc/nowhere", 13), ACL_ERROR_INVALID_FILE);
    TRUE(!aclprofCreateConfig(twice, 2, ACL_AICORE_NONE, NULL, ACL_PROF_TASK_TIME));
    TRUE(!aclprofCreateConfig(none, 1, ACL_AICORE_NONE, NULL, ACL_PROF_TASK_TIME));
    TRUE(!aclprofCreateConfig(NULL, 1, ACL_AICORE_NONE, NULL, ACL_PROF_TASK_TIME));
    TRUE(!aclprofCreateConfig(&zero, 1, ACL_AICORE_NONE, NULL, 0));
    TRUE(!aclprofCreateConfig(&zero, 1, ACL_AICORE_NONE, NULL, 1ULL << 60));
    aclGetRecentErrMsg();
    config = aclprofCreateConfig(&zero, 1, ACL_AICORE_NONE, NULL, ACL_PROF_TASK_TIME);
    TRUE(config != NULL);
    EXPECT(aclprofStart(config), ACL_ERROR_PROF_NOT_RUN);
    EXPECT(aclprofStart(NULL), PARAM);
    EXPECT(aclprofStart((aclprofConfig *)&zero), PARAM);
    EXPECT(aclprofStop(config), ACL_ERROR_PROF_NOT_RUN);
    EXPECT(aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, "200MB", 5), ACL_ERROR_PROF_NOT_RUN);
    OK(aclprofInit(folder, strlen(folder)));
    EXPECT(aclprofInit(folder, strlen(folder)), ACL_ERROR_PROF_ALREADY_RUN);
    EXPECT(aclprofSetConfig(2, "1", 1), PARAM);
    EXPECT(aclprofSetConfig(ACL_PROF_ARGS_MAX, "1", 1), PARAM);
    EXPECT(aclprofSetConfig(ACL_PROF_STORAGE_LIMIT, NULL, 1), PARAM);
    OK(aclprofSetConfig(ACL_PROF_SYS_HARDWARE_MEM_FREQ, "15", 2));
    EXPECT(aclprofStop(config), ACL_ERROR_PROF_NOT_RUN);
    EXPECT(aclprofWarmup(NULL), PARAM);
    OK(aclprofWarmup(config));
    EXPECT(aclprofStop(config), ACL_ERROR_PROF_NOT_RUN);
    OK(aclprofStart(config));
    EXPECT(aclprofWarmup(config), ACL_ERROR_PROF_ALREADY_RUN);
    EXPECT(aclprofStart(config), ACL_ERROR_PROF_ALREADY_RUN);
    TRUE(!aclprofCreateStamp());
    aclGetRecentErrMsg();
    EXPECT(aclprofPop(), PROF_FAILED);
    EXPECT(aclprofRangeStop(12345), PROF_FAILED);
    EXPECT(aclprofMark(NULL), PARAM);
    EXPECT(aclprofMark(config), PARAM);
    OK(aclprofStop(config));
    OK(aclprofFinalize());
    OK(aclprofDestroyConfig(config));
    EXPECT(aclprofDestroyConfig(config), PARAM);
    EXPECT(aclprofGetOpDescSize(NULL), PARAM);
    OK(aclprofGetOpDescSize(&size));
    EXPECT(aclprofGetOpNum(&size, size - 1, twice), PARAM);
}

static void a_session(aclrtStream stream, float *memory)
{
    uint32_t device = 0, range = 0;
    uint64_t types = ACL_PROF_ACL_API | ACL_PROF_TASK_TIME | ACL_PROF_MSPROFTX | ACL_PROF_L2CACHE;
    aclprofConfig *config = aclprofCreateConfig(&device, 1, ACL_AICORE_NONE, NULL, types);
    aclprofStepInfo *step = aclprofCreateStepInfo();
    mstxDomainHandle_t domain = mstxDomainCreateA("mine");
    mstxRangeId id;
    char host[64], *text, *prof;
    void *stamp;

    OK(aclprofInit(folder, strlen(folder)));
    OK(aclprofStart(config));
    OK(aclprofGetStepTimestamp(step, ACL_STEP_START, stream));
    EXPECT(aclprofGetStepTimestamp(step, 7, stream), PARAM);
    EXPECT(aclprofGetStepTimestamp(NULL, ACL_STEP_START, stream), PARAM);
    stamp = aclprofCreateStamp();
    TRUE(stamp != NULL);
    EXPECT(aclprofSetStampTraceMessage(stamp, NULL, 3), PARAM);
    EXPECT(aclprofSetStampTraceMessage(stamp, "x", 4096), PARAM);
    OK(aclprofSetStampTraceMessage(stamp, "a stamp, with a comma", 21));
    OK(aclprofMark(stamp));
    OK(aclprofPush(stamp));
    OK(aclprofRangeStart(stamp, &range));
    EXPECT(aclprofRangeStart(stamp, NULL), PARAM);
    id = mstxDomainRangeStartA(domain, "around the operator", stream);
    TRUE(id != MSTX_INVALID_RANGE_ID);
    OK(aclrtMemcpyAsync(memory, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    for (int i = 0; i < 5; i++)
        add(stream, memory);
    mstxDomainRangeEnd(domain, id);
    OK(aclprofMarkEx("in the stream", 13, stream));
    mstxMarkA("on the host", NULL);
    OK(aclprofRangeStop(range));
    OK(aclprofPop());
    OK(aclprofGetStepTimestamp(step, ACL_STEP_END, stream));
    OK(aclprofStop(config));
    aclprofDestroyStamp(stamp);
    EXPECT(aclprofMark(stamp), PARAM);
    aclprofDestroyStepInfo(step);
    mstxDomainDestroy(domain);
    OK(aclprofDestroyConfig(config));
    OK(aclprofFinalize());

    prof = prof_folder(2);
    TRUE(prof[0]);
    text = text_of(prof, "host", "start_info");
    TRUE(strstr(text, "\"clockMonotonicRaw\"") != NULL);
    text = text_of(prof, "mindstudio_profiler_output", "op_summary_");
    TRUE(lines(text) == 6 && strstr(text, "aclnnAdd_Add,Add,") && strstr(text, "AI_VECTOR_CORE"));
    text = text_of(prof, "mindstudio_profiler_output", "op_statistic_");
    TRUE(lines(text) == 2 && strstr(text, "0,Add,AI_VECTOR_CORE,5,"));
    text = text_of(prof, "mindstudio_profiler_output", "task_time_");
    TRUE(lines(text) == 7 && strstr(text, "MEMCPY_ASYNC") && strstr(text, "KERNEL_AIVEC"));
    text = text_of(prof, "mindstudio_profiler_output", "api_statistic_");
    TRUE(strstr(text, "host,acl,aclnnAdd,") && strstr(text, "host,acl,aclrtSynchronizeStream,"));
    TRUE(!strstr(text, "vinci_"));
    text = text_of(prof, "mindstudio_profiler_output", "msprof_tx_");
    TRUE(lines(text) == 7);
    TRUE(strstr(text, "push/pop") && strstr(text, "\"a stamp, with a comma\",default,N/A,N/A"));
    TRUE(strstr(text, "around the operator,mine,") && strstr(text, "in the stream,default,1"));
    text = text_of(prof, "mindstudio_profiler_output", "step_trace_");
    TRUE(lines(text) == 2 && strstr(text, "\n0,1,N/A,N/A,"));
    text = text_of(prof, "mindstudio_profiler_output", "msprof_");
    text = text_of(prof, "mindstudio_profiler_output", "README");
    TRUE(strstr(text, "not collected:\n  ACL_PROF_L2CACHE") != NULL);
}

static int ends[2];
static char records[1 << 16];
static size_t got;

static void *reader(void *unused)
{
    ssize_t n;

    while ((n = read(ends[0], records + got, sizeof(records) - got)) > 0)
        got += (size_t)n;
    return unused;
}

static void a_subscription(aclrtStream stream, float *memory)
{
    uint32_t count = 0, closed = 77;
    size_t size = 0, length = 0;
    char text[64];
    aclprofSubscribeConfig *config;
    pthread_t thread;

    TRUE(pipe(ends) == 0);
    TRUE(!aclprofCreateSubscribeConfig(1, ACL_AICORE_NONE, NULL));
    TRUE(!aclprofCreateSubscribeConfig(1, ACL_AICORE_NONE, &(int){9999}));
    aclGetRecentErrMsg();
    config = aclprofCreateSubscribeConfig(1, ACL_AICORE_NONE, &ends[1]);
    TRUE(config != NULL);
    EXPECT(aclprofModelSubscribe(5, config), PARAM);
    EXPECT(MsprofSetDeviceIdByGeModelIdx(5, 99), ACL_ERROR_RT_INVALID_DEVICEID);
    TRUE(MsprofSetDeviceIdByGeModelIdx(5, 0) == 0);
    EXPECT(aclprofModelSubscribe(5, NULL), PARAM);
    EXPECT(aclprofModelUnSubscribe(5), PROF_FAILED);
    OK(aclprofModelSubscribe(5, config));
    EXPECT(aclprofModelSubscribe(5, config), ACL_ERROR_PROF_REPEAT_SUBSCRIBE);
    EXPECT(aclprofInit(folder, strlen(folder)), ACL_ERROR_PROF_API_CONFLICT);
    TRUE(pthread_create(&thread, NULL, reader, NULL) == 0);
    for (int i = 0; i < 3; i++)
        add(stream, memory);
    OK(aclprofModelUnSubscribe(5));
    TRUE(pthread_join(thread, NULL) == 0);
    close(ends[0]);
    OK(aclprofDestroySubscribeConfig(config));
    TRUE(MsprofUnsetDeviceIdByGeModelIdx(5, 0) == 0);
    EXPECT(MsprofUnsetDeviceIdByGeModelIdx(5, closed), PARAM);

    OK(aclprofGetOpDescSize(&size));
    OK(aclprofGetOpNum(records, got, &count));
    TRUE(count == 3);
    for (uint32_t i = 0; i < count; i++) {
        OK(aclprofGetOpTypeLen(records, got, i, &length));
        TRUE(length == 4);
        OK(aclprofGetOpType(records, got, i, text, length));
        TRUE(strcmp(text, "Add") == 0);
        EXPECT(aclprofGetOpType(records, got, i, text, 3), PARAM);
        OK(aclprofGetOpNameLen(records, got, i, &length));
        OK(aclprofGetOpName(records, got, i, text, length));
        TRUE(strcmp(text, "aclnnAdd_Add") == 0);
        TRUE(aclprofGetOpStart(records, got, i) <= aclprofGetOpEnd(records, got, i));
        TRUE(aclprofGetModelId(records, got, i) == 5);
        TRUE(aclprofGetOpFlag(records, got, i) == ACL_SUBSCRIBE_OP);
        TRUE(atoi(aclprofGetOpAttriValue(records, got, i, ACL_SUBSCRIBE_ATTRI_THREADID)) > 0);
    }
    EXPECT(aclprofGetOpType(records, got, count, text, 64), PARAM);
    TRUE(aclprofGetOpStart(records, size - 1, 0) == 0);
    aclGetRecentErrMsg();
}

int main(void)
{
    aclrtStream stream = NULL;
    float *memory = NULL;

    TRUE(mkdtemp(folder) != NULL);
    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc((void **)&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    refusals();
    a_session(stream, memory);
    a_subscription(stream, memory);
    TRUE(aclprofStr2Id(NULL) == UINT64_MAX);
    TRUE(aclprofStr2Id("a") == aclprofStr2Id("a") && aclprofStr2Id("a") != aclprofStr2Id("b"));
    TRUE(mstxRangeStartA(NULL, stream) == MSTX_INVALID_RANGE_ID);
    TRUE(mstxDomainCreateA(NULL) == NULL);
    aclGetRecentErrMsg();
    OK(aclrtFree(memory));
    OK(aclrtDestroyStream(stream));

    /* What is not stopped is written at the end. */
    uint32_t device = 0;
    aclprofConfig *config = aclprofCreateConfig(&device, 1, ACL_AICORE_NONE, NULL, ACL_PROF_TASK_TIME);
    OK(aclprofInit(folder, strlen(folder)));
    OK(aclprofStart(config));
    OK(aclrtResetDeviceForce(0));
    OK(aclFinalize());
    TRUE(prof_folder(3)[0]);
    EXPECT(aclprofFinalize(), ACL_ERROR_PROF_NOT_RUN);
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    TRUE(system(command) == 0);
    return finish();
}

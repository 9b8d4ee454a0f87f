/* Dumps: of operators' tensors, of what they were called with, of those that fail, and of the program's own. */
#include "aclnnop/aclnn_add.h"
/* It has an OK of its own. */
#undef OK
#include "check.h"

#include <dirent.h>
#include <stddef.h>
#include <unistd.h>

#include "acl/acl_dump.h"

static char folder[] = "/tmp/vinci-dump-XXXXXX";
static int chunks, files;
static char last_name[ACL_DUMP_MAX_FILE_PATH_LENGTH];
static unsigned char last[65536];
static uint32_t last_len;

static int32_t on_chunk(const acldumpChunk *chunk, int32_t len)
{
    chunks++;
    files += chunk->isLastChunk != 0;
    last_len = chunk->bufLen;
    memcpy(last, chunk->dataBuf, chunk->bufLen < sizeof(last) ? chunk->bufLen : sizeof(last));
    memcpy(last_name, chunk->fileName, sizeof(last_name));
    return (size_t)len == sizeof(acldumpChunk) + chunk->bufLen ? 0 : -1;
}

static int32_t refuses(const acldumpChunk *chunk, int32_t len)
{
    (void)chunk;
    return len > 0;
}

static int add(aclrtStream stream, float *memory)
{
    int64_t dims[] = {4, 2}, transposed[] = {1, 4}, strides[] = {2, 1};
    float one = 1;
    aclTensor *a = aclCreateTensor(dims, 2, ACL_FLOAT, strides, 0, ACL_FORMAT_ND, dims, 2, memory);
    aclTensor *b = aclCreateTensor(dims, 2, ACL_FLOAT, transposed, 0, ACL_FORMAT_ND, dims, 2, memory + 64);
    aclTensor *out = aclCreateTensor(dims, 2, ACL_FLOAT, strides, 0, ACL_FORMAT_ND, dims, 2, memory + 128);
    aclScalar *alpha = aclCreateScalar(&one, ACL_FLOAT);
    aclOpExecutor *executor = NULL;
    uint64_t size = 0;
    int code;

    OK(aclnnAddGetWorkspaceSize(a, b, alpha, out, &size, &executor));
    code = aclnnAdd(NULL, size, executor, stream);
    aclDestroyTensor(a);
    aclDestroyTensor(b);
    aclDestroyTensor(out);
    aclDestroyScalar(alpha);
    return code;
}

/* Writes a configuration; answers its path. */
static const char *configuration(const char *json)
{
    static char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/acl.json", folder);
    file = fopen(path, "w");
    fprintf(file, json, folder);
    fclose(file);
    return path;
}

/* Files at any depth below `path` whose name holds `part`; the last one's path is left in `found`. */
static int count(const char *path, const char *part, char *found)
{
    int n = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        char below[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR) {
            n += count(below, part, found);
        } else if (strstr(entry->d_name, part)) {
            strcpy(found, below);
            n++;
        }
    }
    if (dir)
        closedir(dir);
    return n;
}

/* The bytes of the tensors in a dump file. */
static const float *tensors(const unsigned char *file, size_t length, size_t floats)
{
    uint64_t header;

    memcpy(&header, file, 8);
    return 8 + header + 4 * floats == length ? (const float *)(file + 8 + header) : NULL;
}

static void data(aclrtStream stream, float *memory)
{
    const char *json = "{\"dump\": {\"dump_path\": \"%s\", \"dump_list\": [{}], \"dump_op_switch\": \"on\", "
                       "\"dump_mode\": \"all\"}}";
    float in[192], values[24];
    const float *got;
    char found[4096];
    unsigned char file[4096];
    size_t length;
    FILE *opened;

    EXPECT(aclmdlSetDump(configuration(json)), ACL_ERROR_DUMP_NOT_RUN);
    EXPECT(aclmdlFinalizeDump(), ACL_ERROR_DUMP_NOT_RUN);
    OK(aclmdlInitDump());
    EXPECT(aclmdlInitDump(), ACL_ERROR_REPEAT_INITIALIZE);
    EXPECT(aclmdlSetDump(NULL), PARAM);
    EXPECT(aclmdlSetDump("/no/such/file"), ACL_ERROR_INVALID_FILE);
    EXPECT(aclmdlSetDump(configuration("{\"dump\": {\"dump_op_switch\": \"%s\"}}")), ACL_ERROR_INVALID_DUMP_CONFIG);
    EXPECT(aclmdlSetDump(configuration("{\"dump\": %s}")), ACL_ERROR_PARSE_FILE);
    EXPECT(aclmdlSetDump(configuration("{\"dump\": {\"dump_path\": \"%s\", \"dump_debug\": \"on\"}}")),
           ACL_ERROR_FEATURE_UNSUPPORTED);
    TRUE(!acldumpGetPath(DATA_DUMP));
    OK(aclmdlSetDump(configuration(json)));
    TRUE(acldumpGetPath(DATA_DUMP) && strcmp(acldumpGetPath(DATA_DUMP), folder) == 0);
    TRUE(!acldumpGetPath(AIC_ERR_BRIEF_DUMP) && !acldumpGetPath((acldumpType)99));

    for (int i = 0; i < 192; i++)
        in[i] = (float)i;
    OK(aclrtMemcpy(memory, sizeof(in), in, sizeof(in), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(add(stream, memory));
    TRUE(count(folder, "add.add.", found) == 1);
    opened = fopen(found, "r");
    length = opened ? fread(file, 1, sizeof(file), opened) : 0;
    if (opened)
        fclose(opened);
    got = tensors(file, length, 24);
    TRUE(got != NULL);
    if (got) {
        memcpy(values, got, sizeof(values));
        /* The second input is transposed: its elements come in the order of its indices. */
        TRUE(values[1] == 1 && values[8] == 64 && values[9] == 68 && values[10] == 65);
        TRUE(values[16] == 64 && values[17] == 69 && values[23] == 7 + 71);
    }

    /* A callback takes the place of the files. */
    EXPECT(acldumpRegCallback(NULL, 0), PARAM);
    EXPECT(acldumpRegCallback(on_chunk, 1), PARAM);
    OK(acldumpRegCallback(on_chunk, 0));
    OK(add(stream, memory));
    TRUE(chunks == 1 && files == 1 && tensors(last, last_len, 24) != NULL);
    TRUE(strncmp(last_name, folder, strlen(folder)) == 0);
    TRUE(count(folder, "add.add.", found) == 1);
    OK(acldumpRegCallback(refuses, 0));
    TRUE(add(stream, memory) != 0);
    aclGetRecentErrMsg();
    acldumpUnregCallback();
    OK(aclmdlFinalizeDump());
    OK(add(stream, memory));
    TRUE(count(folder, "add.add.", found) == 1);
    TRUE(!acldumpGetPath(DATA_DUMP));
}

static void calls(aclrtStream stream, float *memory)
{
    char found[4096];

    EXPECT(aclopStopDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS), ACL_ERROR_DUMP_NOT_RUN);
    EXPECT(aclopStartDumpArgs(2, folder), PARAM);
    EXPECT(aclopStartDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS, NULL), PARAM);
    EXPECT(aclopStartDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS, "/proc/nowhere"), ACL_ERROR_INVALID_FILE);
    OK(aclopStartDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS, folder));
    EXPECT(aclopStartDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS, folder), ACL_ERROR_REPEAT_INITIALIZE);
    OK(add(stream, memory));
    OK(add(stream, memory));
    OK(aclopStopDumpArgs(ACL_OP_DUMP_OP_AICORE_ARGS));
    TRUE(count(folder, "add.", found) == 2); /* with the one of `data` */
}

static void failed(aclrtStream stream, float *memory)
{
    acldumpTensorInfo tensor = {ACL_DUMP_TENSOR_INPUT, 64, ACL_FORMAT_ND, ACL_FLOAT, (int64_t *)memory,
                                ACL_DUMP_ADDR_RAW, ACL_DUMP_PLACEMENT_DEVICE, 0, 1, 1, {16}, {16}};
    acldumpTensorInfo wrong;
    char path[ACL_DUMP_MAX_FILE_PATH_LENGTH], expected[256], found[4096];

    EXPECT(acldumpGetExceptionInfoPath(path, sizeof(path)), ACL_ERROR_DUMP_NOT_RUN);
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &tensor, 1), ACL_ERROR_DUMP_NOT_RUN);
    OK(aclmdlInitDump());
    OK(aclmdlSetDump(configuration("{\"dump\": {\"dump_path\": \"%s\", \"dump_scene\": \"aic_err_brief_dump\"}}")));
    TRUE(acldumpGetPath(AIC_ERR_BRIEF_DUMP) && !acldumpGetPath(DATA_DUMP));
    EXPECT(acldumpGetExceptionInfoPath(NULL, 10), PARAM);
    EXPECT(acldumpGetExceptionInfoPath(path, 5), PARAM);
    OK(acldumpGetExceptionInfoPath(path, sizeof(path)));
    snprintf(expected, sizeof(expected), "%s/extra-info/data-dump/0/", folder);
    TRUE(strcmp(path, expected) == 0);

    EXPECT(acldumpSaveExceptionInfo(NULL, NULL, &tensor, 1), PARAM);
    EXPECT(acldumpSaveExceptionInfo("", NULL, &tensor, 1), PARAM);
    EXPECT(acldumpSaveExceptionInfo("../a", NULL, &tensor, 1), PARAM);
    EXPECT(acldumpSaveExceptionInfo("/a", NULL, &tensor, 1), PARAM);
    EXPECT(acldumpSaveExceptionInfo("a", NULL, NULL, 1), PARAM);
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &tensor, 0), PARAM);
    wrong = tensor, wrong.tensorAddr = NULL;
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &wrong, 1), PARAM);
    wrong = tensor, wrong.tensorSize = 0;
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &wrong, 1), PARAM);
    wrong = tensor, wrong.shapeNum = 26;
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &wrong, 1), PARAM);
    wrong = tensor, wrong.addrType = ACL_DUMP_ADDR_PTR;
    EXPECT(acldumpSaveExceptionInfo("a", NULL, &wrong, 1), PARAM);
    wrong = tensor, wrong.tensorSize = SIZE_MAX / 2;
    TRUE(acldumpSaveExceptionInfo("a", NULL, &wrong, 1) != 0);
    aclGetRecentErrMsg();
    OK(acldumpSaveExceptionInfo("sub/mine", "a tag", &tensor, 1));
    TRUE(count(folder, "mine.custom.20", found) == 1);

    /* An operator with tensors where there is no memory: only what can be read is in its dump. */
    OK(add(stream, memory + ((size_t)1 << 38)));
    EXPECT(aclrtSynchronizeStream(stream), ACL_ERROR_RT_AICORE_EXCEPTION);
    TRUE(count(path, "add.add.", found) == 1);
    TRUE(aclrtSynchronizeStream(stream) != 0);
    aclGetRecentErrMsg();
    TRUE(count(path, "add.add.", found) == 1);
    OK(aclmdlFinalizeDump());
}

int main(void)
{
    aclrtStream stream = NULL;
    float *memory = NULL;
    char command[128];

    TRUE(mkdtemp(folder) != NULL);
    EXPECT(aclmdlInitDump(), ACL_ERROR_UNINITIALIZE);
    start();
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc((void **)&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
    data(stream, memory);
    calls(stream, memory);
    failed(stream, memory);
    OK(aclrtDestroyStreamForce(stream));
    OK(aclrtFree(memory));
    snprintf(command, sizeof(command), "rm -r %s", folder);
    TRUE(system(command) == 0);
    return stop();
}

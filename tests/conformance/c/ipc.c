/* Two processes on one device: memory, events, notifies and physical memory that one exports and the other imports.
   Where the device is part of a process, nothing can be shared, and every export says so. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { MIB = 1 << 20, NO_PERMISSION = 207006, INTERNAL = 507899, TIMEOUT = ACL_ERROR_RT_STREAM_SYNC_TIMEOUT };

extern char **environ;
static int from_other = 3, to_other = 4;

/* Messages between the two: texts of one size. */
static void tell(const char *text)
{
    char message[128] = { 0 };
    snprintf(message, sizeof message, "%s", text);
    TRUE(write(to_other, message, sizeof message) == (ssize_t)sizeof message);
}

static const char *hear(void)
{
    static char message[128];
    TRUE(read(from_other, message, sizeof message) == (ssize_t)sizeof message);
    return message;
}

static int holds(void *device, size_t size, int value)
{
    unsigned char *host = malloc(size);
    size_t wrong = 0;
    OK(aclrtMemcpy(host, size, device, size, ACL_MEMCPY_DEVICE_TO_HOST));
    for (size_t i = 0; i < size; i++)
        wrong += host[i] != value;
    free(host);
    return wrong == 0;
}

static void bad_arguments(void *memory)
{
    char key[65] = "";
    int32_t pid = 1, none = 0;
    uint64_t shareable = 0;
    void *address = NULL;
    aclrtEvent event = NULL;
    aclrtNotify notify = NULL;
    aclrtDrvMemHandle physical = NULL;
    aclrtIpcEventHandle handle = { "nonsense" };

    EXPECT(aclrtIpcMemGetExportKey(NULL, 100, key, 65, 0), PARAM);
    EXPECT(aclrtIpcMemGetExportKey(memory, 0, key, 65, 0), PARAM);
    EXPECT(aclrtIpcMemGetExportKey(memory, 100, NULL, 65, 0), PARAM);
    EXPECT(aclrtIpcMemGetExportKey(memory, 100, key, 64, 0), PARAM);
    EXPECT(aclrtIpcMemGetExportKey(memory, 100, key, 65, 2), RT_PARAM);
    EXPECT(aclrtIpcMemGetExportKey(memory, 1ull << 40, key, 65, 0), RT_PARAM);
    EXPECT(aclrtIpcMemGetExportKey((char *)memory + (1ll << 40), 100, key, 65, 0), RT_PARAM);
    EXPECT(aclrtIpcMemSetImportPid("vinci-00000000-0000000000000000", &pid, 1), RT_PARAM);
    EXPECT(aclrtIpcMemSetImportPid(NULL, &pid, 1), PARAM);
    EXPECT(aclrtIpcMemSetImportPid("x", NULL, 1), PARAM);
    EXPECT(aclrtIpcMemSetImportPid("x", &pid, 0), PARAM);
    EXPECT(aclrtIpcMemSetImportPid("x", &none, 1), RT_PARAM);
    EXPECT(aclrtIpcMemImportByKey(NULL, "x", 0), PARAM);
    EXPECT(aclrtIpcMemImportByKey(&address, NULL, 0), PARAM);
    EXPECT(aclrtIpcMemImportByKey(&address, "x", 0), RT_PARAM);
    EXPECT(aclrtIpcMemImportByKey(&address, "x", 2), RT_PARAM);
    EXPECT(aclrtIpcMemImportByKey(&address, "vinci-00000000-0000000000000000", 0), INTERNAL);
    EXPECT(aclrtIpcMemClose(NULL), PARAM);
    EXPECT(aclrtIpcMemClose("x"), RT_PARAM);
    EXPECT(aclrtIpcGetEventHandle(NULL, &handle), PARAM);
    EXPECT(aclrtIpcOpenEventHandle(handle, NULL), PARAM);
    EXPECT(aclrtIpcOpenEventHandle(handle, &event), RT_PARAM);
    OK(aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    EXPECT(aclrtIpcGetEventHandle(event, &handle), RT_PARAM);
    OK(aclrtDestroyEvent(event));
    EXPECT(aclrtIpcGetEventHandle(event, &handle), HANDLE);
    EXPECT(aclrtCreateEventWithFlag(&event, ACL_EVENT_IPC), PARAM);
    OK(aclrtCreateNotify(&notify, 0));
    EXPECT(aclrtNotifyGetExportKey(notify, key, 64, 0), PARAM);
    EXPECT(aclrtNotifyGetExportKey(notify, key, 65, 1), RT_PARAM);
    EXPECT(aclrtNotifyGetExportKey(NULL, key, 65, 0), PARAM);
    EXPECT(aclrtNotifySetImportPid(notify, &pid, 1), RT_PARAM);
    EXPECT(aclrtNotifyImportByKey(NULL, "x", 0), PARAM);
    EXPECT(aclrtNotifyImportByKey(&notify, "x", 0), RT_PARAM);
    EXPECT(aclrtNotifyImportByKey(&notify, "x", 1), RT_PARAM);
    OK(aclrtDestroyNotify(notify));
    EXPECT(aclrtMemExportToShareableHandle(NULL, 0, 0, &shareable), PARAM);
    EXPECT(aclrtMemExportToShareableHandle(memory, ACL_MEM_HANDLE_TYPE_POSIX, 0, &shareable), RT_PARAM);
    EXPECT(aclrtMemExportToShareableHandle(memory, 0, 2, &shareable), RT_PARAM);
    EXPECT(aclrtMemExportToShareableHandle(memory, 0, 0, &shareable), HANDLE);
    EXPECT(aclrtMemExportToShareableHandleV2(memory, 0, ACL_MEM_SHARE_HANDLE_TYPE_FABRIC, key), NOT_SUPPORTED);
    EXPECT(aclrtMemImportFromShareableHandle(1, 99, &physical), ACL_ERROR_RT_INVALID_DEVICEID);
    EXPECT(aclrtMemImportFromShareableHandle(1, 0, &physical), INTERNAL);
    EXPECT(aclrtMemSetPidToShareableHandle(1, &pid, 1), RT_PARAM);
}

static aclrtPhysicalMemProp on_device(uint32_t device)
{
    aclrtPhysicalMemProp properties = { 0 };
    properties.location.id = device;
    properties.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    return properties;
}

/* What an event of several processes is asked and does not answer. */
static void only_for_processes(aclrtEvent event, aclrtStream stream)
{
    aclrtEventStatus status;
    aclrtEventWaitStatus wait_status;
    uint64_t time = 0;
    uint32_t id = 0;
    float ms = 0;
    EXPECT(aclrtResetEvent(event, stream), NOT_SUPPORTED);
    EXPECT(aclrtQueryEvent(event, &status), NOT_SUPPORTED);
    EXPECT(aclrtQueryEventWaitStatus(event, &wait_status), NOT_SUPPORTED);
    EXPECT(aclrtEventElapsedTime(&ms, event, event), NOT_SUPPORTED);
    EXPECT(aclrtEventGetTimestamp(event, &time), NOT_SUPPORTED);
    EXPECT(aclrtGetEventId(event, &id), NOT_SUPPORTED);
}

static void nothing_is_shared(void *memory)
{
    char key[65] = "";
    uint64_t shareable = 0;
    aclrtEvent event = NULL;
    aclrtNotify notify = NULL;
    aclrtDrvMemHandle physical = NULL;
    aclrtIpcEventHandle handle;
    aclrtPhysicalMemProp properties = on_device(0);

    EXPECT(aclrtIpcMemGetExportKey(memory, 100, key, 65, 0), NOT_SUPPORTED);
    OK(aclrtCreateEventExWithFlag(&event, ACL_EVENT_IPC));
    EXPECT(aclrtIpcGetEventHandle(event, &handle), NOT_SUPPORTED);
    OK(aclrtDestroyEvent(event));
    OK(aclrtCreateNotify(&notify, 0));
    EXPECT(aclrtNotifyGetExportKey(notify, key, 65, 0), NOT_SUPPORTED);
    OK(aclrtDestroyNotify(notify));
    OK(aclrtMallocPhysical(&physical, 2 * MIB, &properties, 0));
    EXPECT(aclrtMemExportToShareableHandle(physical, 0, 0, &shareable), NOT_SUPPORTED);
    OK(aclrtFreePhysical(physical));
}

/* The process that was started first. */
static void exporter(int32_t other)
{
    char key[65] = "", second[65] = "";
    void *memory = NULL, *large = NULL, *far = NULL, *address = NULL;
    uint64_t shareable = 0, again = 0;
    int32_t nobody = 1;
    aclrtStream stream = NULL;
    aclrtEvent event = NULL;
    aclrtEventRecordedStatus status;
    aclrtNotify notify = NULL, gate = NULL;
    aclrtDrvMemHandle physical = NULL;
    aclrtIpcEventHandle handle;
    aclrtPhysicalMemProp properties = on_device(0);

    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&memory, 3 * MIB, ACL_MEM_MALLOC_NORMAL_ONLY));
    OK(aclrtMemset(memory, 3 * MIB, 1, 3 * MIB));

    /* Not a whole page, not at a page's start, and not for everybody. */
    OK(aclrtMemset((char *)memory + 1536, 1000, 2, 1000));
    OK(aclrtIpcMemGetExportKey((char *)memory + 1536, 1000, key, 65, ACL_RT_IPC_MEM_EXPORT_FLAG_DEFAULT));
    EXPECT(aclrtIpcMemImportByKey(&address, key, 0), RT_PARAM);
    OK(aclrtIpcMemSetImportPid(key, &nobody, 1));
    tell(key);
    hear();
    OK(aclrtIpcMemSetImportPid(key, &other, 1));
    tell("now");
    hear();
    TRUE(holds((char *)memory + 1536, 1000, 3));
    TRUE(holds((char *)memory + 2536, 100, 1));
    OK(aclrtIpcMemClose(key));
    EXPECT(aclrtIpcMemClose(key), RT_PARAM);
    tell("closed");

    /* In several pieces, on the other die, and used after it was freed here. */
    OK(aclrtSetDevice(1));
    OK(aclrtMalloc(&large, 41 * MIB, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(large, 41 * MIB, 4, 41 * MIB));
    OK(aclrtMalloc(&far, MIB, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(far, MIB, 5, MIB));
    OK(aclrtIpcMemGetExportKey(large, 41 * MIB, key, 65, ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION));
    OK(aclrtIpcMemGetExportKey(far, MIB, second, 65, ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION));
    tell(key);
    tell(second);
    hear();
    OK(aclrtIpcMemClose(key));
    OK(aclrtIpcMemClose(second));
    OK(aclrtFree(large));
    OK(aclrtFree(far));
    tell("freed");
    hear();
    OK(aclrtSetDevice(0));

    /* An event that this process's stream reaches later. */
    OK(aclrtCreateEventExWithFlag(&event, ACL_EVENT_IPC));
    OK(aclrtCreateNotify(&gate, 0));
    only_for_processes(event, stream);
    OK(aclrtQueryEventStatus(event, &status));
    TRUE(status == ACL_EVENT_RECORDED_STATUS_COMPLETE);
    OK(aclrtIpcGetEventHandle(event, &handle));
    OK(aclrtWaitAndResetNotify(gate, stream, 0));
    OK(aclrtRecordEvent(event, stream));
    OK(aclrtQueryEventStatus(event, &status));
    TRUE(status == ACL_EVENT_RECORDED_STATUS_NOT_READY);
    EXPECT(aclrtSynchronizeEventWithTimeout(event, 20), ACL_ERROR_RT_EVENT_SYNC_TIMEOUT);
    tell(handle.reserved);
    hear();
    OK(aclrtRecordNotify(gate, NULL));
    hear();
    /* And one that the other's stream reaches: 200 times, more often than the event has words. */
    for (int i = 0; i < 200; i++) {
        tell("record");
        hear();
        OK(aclrtStreamWaitEvent(stream, event));
        OK(aclrtSynchronizeStream(stream));
        OK(aclrtSynchronizeEvent(event));
    }
    for (int i = 0; i < 200; i++)
        OK(aclrtRecordEvent(event, stream));
    OK(aclrtSynchronizeEvent(event));
    OK(aclrtDestroyEvent(event));
    tell("destroyed");
    hear();

    /* A notify that the other raises. */
    OK(aclrtCreateNotify(&notify, 0));
    OK(aclrtNotifyGetExportKey(notify, key, 65, ACL_RT_NOTIFY_EXPORT_FLAG_DEFAULT));
    OK(aclrtNotifyGetExportKey(notify, second, 65, ACL_RT_NOTIFY_EXPORT_FLAG_DEFAULT));
    TRUE(strcmp(key, second) == 0);
    OK(aclrtNotifySetImportPid(notify, &other, 1));
    OK(aclrtWaitAndResetNotify(notify, stream, 0));
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 20), TIMEOUT);
    tell(key);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtDestroyNotify(notify));
    hear();

    /* Physical memory. */
    OK(aclrtMallocPhysical(&physical, 2 * MIB, &properties, 0));
    OK(aclrtReserveMemAddress(&address, 2 * MIB, 0, NULL, 0));
    OK(aclrtMapMem(address, 2 * MIB, 0, physical, 0));
    OK(aclrtMemset(address, 2 * MIB, 6, 2 * MIB));
    OK(aclrtMemExportToShareableHandle(physical, ACL_MEM_HANDLE_TYPE_NONE, 0, &shareable));
    EXPECT(aclrtMemExportToShareableHandle(physical, ACL_MEM_HANDLE_TYPE_NONE, 0, &again), RT_PARAM);
    OK(aclrtMemSetPidToShareableHandle(shareable, &other, 1));
    snprintf(key, sizeof key, "%llu", (unsigned long long)shareable);
    tell(key);
    hear();
    TRUE(holds(address, 2 * MIB, 7));
    OK(aclrtUnmapMem(address));
    OK(aclrtReleaseMemAddress(address));
    OK(aclrtFreePhysical(physical));
    tell("freed");

    /* The other exports something and ends: its key is good for nothing then. */
    snprintf(key, sizeof key, "%s", hear());
    OK(waitpid(other, &nobody, 0) != other);
    TRUE(WIFEXITED(nobody) && WEXITSTATUS(nobody) == 0);
    EXPECT(aclrtIpcMemImportByKey(&address, key, 0), INTERNAL);
    OK(aclrtDestroyNotify(gate));
    OK(aclrtFree(memory));
    OK(aclrtDestroyStream(stream));
}

/* The process that the first one started. */
static int importer(void)
{
    char key[65] = "", second[65] = "";
    void *memory = NULL, *other = NULL, *address = NULL;
    size_t free_before = 0, free_after = 0, total = 0;
    int32_t pid = 0;
    aclrtStream stream = NULL;
    aclrtEvent event = NULL;
    aclrtEventRecordedStatus status;
    aclrtNotify notify = NULL;
    aclrtDrvMemHandle physical = NULL, twice = NULL;
    aclrtIpcEventHandle handle;
    uint64_t shareable;

    start();
    OK(aclrtDeviceGetBareTgid(&pid));
    TRUE(pid == getpid());
    OK(aclrtCreateStream(&stream));

    snprintf(key, sizeof key, "%s", hear());
    EXPECT(aclrtIpcMemImportByKey(&memory, key, 0), NO_PERMISSION);
    tell("refused");
    hear();
    OK(aclrtIpcMemImportByKey(&memory, key, 0));
    EXPECT(aclrtIpcMemImportByKey(&other, key, 0), RT_PARAM);
    TRUE(holds(memory, 1000, 2));
    OK(aclrtMemset(memory, 1000, 3, 1000));
    EXPECT(aclrtMemset(memory, 5000, 3, 5000), RT_PARAM);
    EXPECT(aclrtFree(memory), RT_PARAM);
    OK(aclrtIpcMemClose(key));
    EXPECT(aclrtMemset(memory, 1000, 9, 1000), RT_PARAM);
    tell("written");
    hear();
    EXPECT(aclrtIpcMemImportByKey(&memory, key, 0), RT_PARAM);

    snprintf(key, sizeof key, "%s", hear());
    snprintf(second, sizeof second, "%s", hear());
    OK(aclrtIpcMemImportByKey(&memory, key, ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS));
    OK(aclrtIpcMemImportByKey(&other, second, ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS));
    tell("imported");
    hear();
    TRUE(holds(memory, 41 * MIB, 4));
    TRUE(holds(other, MIB, 5));
    OK(aclrtMemcpyAsync(memory, MIB, other, MIB, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(holds(memory, MIB, 5));
    OK(aclrtIpcMemClose(second));
    TRUE(holds(memory, MIB, 5));
    OK(aclrtSetDevice(1));
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_before, &total));
    OK(aclrtIpcMemClose(key));
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
    TRUE(free_after >= free_before + 41 * MIB);
    OK(aclrtSetDevice(0));
    tell("closed");

    memset(&handle, 0, sizeof handle);
    snprintf(handle.reserved, sizeof handle.reserved, "%s", hear());
    OK(aclrtIpcOpenEventHandle(handle, &event));
    only_for_processes(event, stream);
    EXPECT(aclrtIpcGetEventHandle(event, &handle), RT_PARAM);
    OK(aclrtStreamWaitEvent(stream, event));
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 20), TIMEOUT);
    OK(aclrtQueryEventStatus(event, &status));
    TRUE(status == ACL_EVENT_RECORDED_STATUS_NOT_READY);
    tell("waiting");
    OK(aclrtSynchronizeEvent(event));
    OK(aclrtSynchronizeStream(stream));
    tell("passed");
    for (int i = 0; i < 200; i++) {
        hear();
        OK(aclrtRecordEvent(event, stream));
        tell("recorded");
    }
    hear();
    /* It stays, though who made it has destroyed it. */
    OK(aclrtRecordEvent(event, stream));
    OK(aclrtSynchronizeEvent(event));
    OK(aclrtDestroyEvent(event));
    tell("done");

    snprintf(key, sizeof key, "%s", hear());
    OK(aclrtNotifyImportByKey(&notify, key, ACL_RT_NOTIFY_IMPORT_FLAG_ENABLE_PEER_ACCESS));
    OK(aclrtRecordNotify(notify, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtDestroyNotify(notify));
    tell("raised");

    shareable = strtoull(hear(), NULL, 10);
    OK(aclrtMemImportFromShareableHandle(shareable, 0, &physical));
    OK(aclrtMemImportFromShareableHandle(shareable, 0, &twice));
    OK(aclrtFreePhysical(twice));
    EXPECT(aclrtMemExportToShareableHandle(physical, 0, 0, &shareable), RT_PARAM);
    OK(aclrtReserveMemAddress(&address, 2 * MIB, 0, NULL, 0));
    OK(aclrtMapMem(address, 2 * MIB, 0, physical, 0));
    TRUE(holds(address, 2 * MIB, 6));
    OK(aclrtMemset(address, 2 * MIB, 7, 2 * MIB));
    tell("written");
    hear();
    TRUE(holds(address, 2 * MIB, 7));
    OK(aclrtUnmapMem(address));
    OK(aclrtReleaseMemAddress(address));
    OK(aclrtFreePhysical(physical));

    OK(aclrtMalloc(&memory, MIB, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtIpcMemGetExportKey(memory, MIB, key, 65, ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION));
    tell(key);
    return finish();
}

/* Starts this program again, with pipes at descriptors 3 and 4; before the device is used. */
static pid_t start_other(void)
{
    int down[2], up[2];
    pid_t pid = 0;
    char *arguments[] = { "ipc", "importer", NULL };
    posix_spawn_file_actions_t actions;

    TRUE(pipe(down) == 0 && pipe(up) == 0);
    /* Out of the way of 3 and 4. */
    for (int i = 0; i < 2; i++) {
        down[i] = fcntl(down[i], F_DUPFD_CLOEXEC, 100);
        up[i] = fcntl(up[i], F_DUPFD_CLOEXEC, 100);
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, down[0], 3);
    posix_spawn_file_actions_adddup2(&actions, up[1], 4);
    TRUE(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(down[0]);
    close(up[1]);
    from_other = up[0];
    to_other = down[1];
    return pid;
}

int main(int argc, char **argv)
{
    const char *device = getenv("VINCI_DEVICE");
    int shared = device && strcmp(device, "") != 0 && strcmp(device, "embedded") != 0;
    void *memory = NULL;
    pid_t other = 0;

    (void)argv;
    if (argc > 1)
        return importer();
    if (shared)
        other = start_other();
    start();
    OK(aclrtMalloc(&memory, MIB, ACL_MEM_MALLOC_HUGE_FIRST));
    if (shared) {
        bad_arguments(memory);
        exporter(other);
    } else {
        nothing_is_shared(memory);
    }
    OK(aclrtFree(memory));
    return stop();
}

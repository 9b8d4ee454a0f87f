/* Allocators of the program, attached to streams. */
#include "acl/acl_rt_allocator.h"
#include "check.h"

static void *allocate(aclrtAllocator object, size_t size)
{
    (void)object;
    return malloc(size);
}

static void release(aclrtAllocator object, aclrtAllocatorBlock block)
{
    (void)object;
    free(block);
}

static void *address_of(aclrtAllocatorBlock block)
{
    return block;
}

int main(void)
{
    aclrtAllocatorDesc description = NULL, answered = NULL;
    aclrtAllocator object = NULL;
    aclrtAllocatorAllocFunc alloc = NULL;
    aclrtAllocatorFreeFunc release_answered = NULL;
    aclrtAllocatorAllocAdviseFunc advise = NULL;
    aclrtAllocatorGetAddrFromBlockFunc address = NULL;
    aclrtStream stream = NULL;
    int self = 0;

    start();
    OK(aclrtCreateStream(&stream));
    description = aclrtAllocatorCreateDesc();
    TRUE(description != NULL);
    EXPECT(aclrtAllocatorRegister(stream, description), PARAM);
    EXPECT(aclrtAllocatorSetAllocAdviseFuncToDesc(NULL, NULL), PARAM);
    OK(aclrtAllocatorSetObjToDesc(description, &self));
    OK(aclrtAllocatorSetAllocFuncToDesc(description, allocate));
    OK(aclrtAllocatorSetFreeFuncToDesc(description, release));
    OK(aclrtAllocatorSetGetAddrFromBlockFuncToDesc(description, address_of));
    EXPECT(aclrtAllocatorSetFreeFuncToDesc(description, NULL), PARAM);
    EXPECT(aclrtAllocatorRegister(NULL, description), PARAM);
    OK(aclrtAllocatorRegister(stream, description));
    OK(aclrtAllocatorDestroyDesc(description));
    EXPECT(aclrtAllocatorDestroyDesc(description), HANDLE);
    EXPECT(aclrtAllocatorRegister(stream, description), HANDLE);
    OK(aclrtAllocatorGetByStream(stream, &answered, &object, &alloc, &release_answered, &advise, &address));
    TRUE(object == &self && alloc == allocate && release_answered == release && address == address_of);
    TRUE(advise == NULL);
    OK(aclrtAllocatorUnregister(stream));
    EXPECT(aclrtAllocatorGetByStream(stream, &answered, &object, &alloc, &release_answered, &advise, &address),
           PARAM);
    OK(aclrtDestroyStream(stream));
    EXPECT(aclrtAllocatorUnregister(stream), HANDLE);
    return stop();
}

/* The host's half of a file with kernels: what `kernel<<<blocks, l2ctrl, stream>>>(...)` becomes. The functions have
 * the names that clang calls for HIP, and stay inside the object. */
#ifndef VINCI_ASCENDC_LAUNCH_H
#define VINCI_ASCENDC_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

extern "C" {
int vinci_code_register(const void *object, size_t size, void **code);
int vinci_code_symbol(void *code, const void *symbol, const char *name);
int vinci_code_unregister(void *code);
int vinci_code_launch(const void *symbol, uint32_t blocks, void *stream, void **args);
}

namespace vinci {

struct Grid {
    uint32_t x;
    uint32_t y;
    uint32_t z;
};

struct Pending {
    uint32_t blocks;
    void *stream;
    int result;
};
inline __attribute__((visibility("hidden"))) Pending &pending()
{
    static thread_local Pending p;
    return p;
}

/* Result of the thread's last launch: the value of the launch expression. */
inline int launched() { return pending().result; }

/* What clang wraps an embedded object in. */
struct Wrapper {
    uint32_t magic;
    uint32_t version;
    const void *object;
    const void *unused;
};

/* Bytes of an ELF file whose section headers come last. */
inline size_t elf_size(const void *object)
{
    const auto *bytes = static_cast<const unsigned char *>(object);
    uint64_t sections;
    uint16_t entry, count;
    __builtin_memcpy(&sections, bytes + 40, 8);
    __builtin_memcpy(&entry, bytes + 58, 2);
    __builtin_memcpy(&count, bytes + 60, 2);
    return sections + static_cast<size_t>(entry) * count;
}

} // namespace vinci

#define VINCI_HIDDEN extern "C" __attribute__((weak, visibility("hidden")))

VINCI_HIDDEN int __hipPushCallConfiguration(uint32_t blocks, void *l2ctrl, void *stream)
{
    (void)l2ctrl;
    ::vinci::pending() = {blocks, stream, 0};
    return 0;
}

VINCI_HIDDEN int __hipPopCallConfiguration(::vinci::Grid *grid, ::vinci::Grid *block, size_t *shared, void **stream)
{
    *grid = {::vinci::pending().blocks, 1, 1};
    *block = {1, 1, 1};
    *shared = 0;
    *stream = ::vinci::pending().stream;
    return 0;
}

VINCI_HIDDEN int hipLaunchKernel(
    const void *symbol, ::vinci::Grid grid, ::vinci::Grid block, void **args, size_t shared, void *stream)
{
    (void)block;
    (void)shared;
    return ::vinci::pending().result = vinci_code_launch(symbol, grid.x, stream, args);
}

VINCI_HIDDEN void **__hipRegisterFatBinary(const void *wrapper)
{
    const void *object = static_cast<const ::vinci::Wrapper *>(wrapper)->object;
    void *code = nullptr;
    vinci_code_register(object, ::vinci::elf_size(object), &code);
    return static_cast<void **>(code);
}

VINCI_HIDDEN int __hipRegisterFunction(
    void **code, const void *symbol, char *, const char *name, int, void *, void *, void *, void *, int *)
{
    return vinci_code_symbol(code, symbol, name);
}

VINCI_HIDDEN void __hipRegisterVar(void **, void *, char *, const char *, int, size_t, int, int) {}
VINCI_HIDDEN void __hipUnregisterFatBinary(void **code) { vinci_code_unregister(code); }

#undef VINCI_HIDDEN

#endif

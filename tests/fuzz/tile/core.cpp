#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <sys/time.h>

#include "core.h"

#if __has_feature(address_sanitizer)
extern "C" void __asan_poison_memory_region(const volatile void *at, size_t bytes);
extern "C" void __asan_unpoison_memory_region(const volatile void *at, size_t bytes);
#else
static void __asan_poison_memory_region(const volatile void *, size_t) {}
static void __asan_unpoison_memory_region(const volatile void *, size_t) {}
#endif

namespace {

alignas(64) vinci::Core the_core, as_made;
sigjmp_buf back;
volatile bool running;
uint8_t *locals, *reserved;
constexpr uint64_t kApart = 1ull << 20;
constexpr uint64_t kReserved = 1ull << 40;
/* Of a 910B: UB, L1, L0A, L0B, L0C, the bias table, the fixpipe's table. */
constexpr uint32_t kBytes[vinci::kLocals] = {196608, 524288, 65536, 65536, 131072, 4096, 8192};
alignas(64) uint64_t shared_words[65536];
struct {
    uint32_t sets, clock;
    uint64_t unused;
    vinci::Line lines[64 * vinci::kWays];
} cache;

void *map(uint64_t bytes, int protection)
{
    void *p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        std::perror("mmap");
        std::abort();
    }
    return p;
}

/* Global memory that is not there: a fault of the kernel's. Anything else is a finding. */
void fault(int signal, siginfo_t *info, void *)
{
    const uint64_t at = reinterpret_cast<uint64_t>(info->si_addr) - reinterpret_cast<uint64_t>(reserved);
    if (running && signal == SIGSEGV && at < kReserved) {
        siglongjmp(back, 1);
    }
    std::fprintf(stderr, "tile: signal %d at %p, which is no global memory\n", signal, info->si_addr);
    std::abort();
}

/* The time that the device lets a kernel have. */
constexpr suseconds_t kLimit = 200000;
void late(int)
{
    if (running) {
        siglongjmp(back, 1);
    }
}
void limit(suseconds_t microseconds)
{
    const itimerval time = {{0, 0}, {0, microseconds}};
    setitimer(ITIMER_VIRTUAL, &time, nullptr);
}

/* On the chip's core a wait for another core gives this one up; here there is no other. */
void wait_for_others(vinci::Core *, const uint64_t *, uint64_t) { siglongjmp(back, 1); }

void make()
{
    locals = static_cast<uint8_t *>(map((vinci::kLocals * 2 + 1) * kApart, PROT_READ | PROT_WRITE));
    __asan_poison_memory_region(locals, (vinci::kLocals * 2 + 1) * kApart);
    reserved = static_cast<uint8_t *>(map(kReserved, PROT_NONE));
    if (mprotect(tile::global(), tile::kGlobalBytes, PROT_READ | PROT_WRITE) != 0) {
        std::abort();
    }
    for (int i = 0; i < vinci::kLocals; ++i) {
        uint8_t *at = locals + (2 * i + 1) * kApart;
        __asan_unpoison_memory_region(at, kBytes[i]);
        as_made.local[i] = reinterpret_cast<uint64_t>(at);
        as_made.local_bytes[i] = kBytes[i];
    }
    vinci::Core &c = as_made;
    c.abi = vinci::kAbi;
    c.blocks = c.aic = c.sub_blocks = 1;
    c.aiv = 2;
    c.arch = 2201;
    c.shared = shared_words;
    c.wait = wait_for_others;
    c.sharers = 1;
    c.cache = reinterpret_cast<uint64_t>(&cache);
    for (float &rate : c.rates) {
        rate = 32;
    }
    struct sigaction action = {};
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    struct sigaction alarm = {};
    alarm.sa_handler = late;
    sigaction(SIGVTALRM, &alarm, nullptr);
    cache.sets = 64;
}

} // namespace

namespace vinci {

Core *core() { return &the_core; }
void harness_failed() { siglongjmp(back, 1); }

} // namespace vinci

namespace tile {

uint8_t *global() { return reserved + kReserved / 2; }

void begin()
{
    if (locals == nullptr) {
        make();
    }
    memcpy(&the_core, &as_made, sizeof(as_made));
}

bool run(void (*program)(void *), void *of)
{
    if (sigsetjmp(back, 1) != 0) {
        running = false;
        return false;
    }
    running = true;
    limit(kLimit);
    program(of);
    running = false;
    return true;
}

void inspect()
{
    if (memcmp(the_core.local, as_made.local, sizeof(as_made.local)) != 0 ||
        memcmp(the_core.local_bytes, as_made.local_bytes, sizeof(as_made.local_bytes)) != 0 ||
        memcmp(the_core.rates, as_made.rates, sizeof(as_made.rates)) != 0 || the_core.wait != as_made.wait ||
        the_core.races > vinci::kRaces || the_core.touches > vinci::kTouches || the_core.slices > vinci::kSlices) {
        std::fprintf(stderr, "tile: the core's own words have changed\n");
        std::abort();
    }
}

} // namespace tile

/* What the tests of the kernel module share: requests, a session with memory and a queue, sysfs. */
#ifndef VM_H
#define VM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drm/vinci_accel.h"

#define PAGE 4096ul
#define RW (DRM_VINCI_MAP_READ | DRM_VINCI_MAP_WRITE)
#define SECOND 1000000000ll

static inline void __attribute__((noreturn, format(printf, 3, 4))) fail(const char *file, int line,
									 const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) do { if (!(condition)) FAIL("%s (errno %d)", #condition, errno); } while (0)
/* Compares what a request answered, 0 or a negative errno. */
#define EXPECT(call, wanted) do { \
	long got_ = (call), wanted_ = (wanted); \
	if (got_ != wanted_) \
		FAIL("%s is %ld (%s), not %ld", #call, got_, strerror(-got_), wanted_); \
} while (0)
#define OK(call) EXPECT(call, 0)

/* 0 or a negative errno. */
static inline int request(int fd, unsigned long number, void *payload)
{
	return ioctl(fd, number, payload) < 0 ? -errno : 0;
}

/* The node of the first function that the driver is bound to, or NULL. A function that comes back has another. */
static inline const char *node_path(void)
{
	static char path[64];
	char link[96], *driver;
	bool ours;

	for (int i = 0; i < 64; i++) {
		snprintf(link, sizeof(link), "/sys/class/accel/accel%d/device/driver", i);
		driver = realpath(link, NULL);
		ours = driver && !strcmp(strrchr(driver, '/'), "/vinci");
		free(driver);
		snprintf(path, sizeof(path), "/dev/accel/accel%d", i);
		if (ours && access(path, F_OK) == 0)
			return path;
	}
	return NULL;
}

static inline int node_open(void)
{
	const char *path = node_path();
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		FAIL("%s: %s", path ?: "no function with this driver", strerror(errno));
	return fd;
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static inline void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Waits for a condition that comes by itself. */
#define UNTIL(seconds, condition) do { \
	int64_t end_ = now_ns() + (seconds) * SECOND; \
	while (!(condition)) { \
		if (now_ns() > end_) \
			FAIL("not within %d s: %s", (int)(seconds), #condition); \
		pause_ms(5); \
	} \
} while (0)

static inline struct drm_vinci_bo_create bo_create(int fd, uint64_t size, uint32_t placement)
{
	struct drm_vinci_bo_create a = { .size = size, .placement = placement };

	OK(request(fd, DRM_IOCTL_VINCI_BO_CREATE, &a));
	return a;
}

static inline int bo_close(int fd, uint32_t handle)
{
	struct drm_gem_close a = { .handle = handle };

	return request(fd, DRM_IOCTL_GEM_CLOSE, &a);
}

static inline void *map(int fd, uint64_t offset, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (p == MAP_FAILED)
		FAIL("mmap of %zu bytes at %#llx: %s", size, (unsigned long long)offset, strerror(errno));
	return p;
}

static inline uint32_t vm_create(int fd)
{
	struct drm_vinci_vm_create a = {};

	OK(request(fd, DRM_IOCTL_VINCI_VM_CREATE, &a));
	return a.vm_id;
}

static inline int vm_map(int fd, uint32_t vm_id, uint32_t handle, uint64_t va, uint64_t size)
{
	struct drm_vinci_vm_map a = { .vm_id = vm_id, .handle = handle, .flags = RW, .va = va, .size = size };

	return request(fd, DRM_IOCTL_VINCI_VM_MAP, &a);
}

static inline uint64_t va_base(int fd)
{
	struct drm_vinci_device_info info;
	struct drm_vinci_dev_query a = { .topic = DRM_VINCI_QUERY_DEVICE, .size = sizeof(info),
					 .data = (uintptr_t)&info };

	OK(request(fd, DRM_IOCTL_VINCI_DEV_QUERY, &a));
	return info.va_base;
}

struct queue {
	int fd;
	uint32_t id;
	uint32_t entries;
	uint64_t tail;
	struct drm_vinci_sqe *ring;
	volatile struct drm_vinci_queue_doorbell *doorbell;
	volatile struct drm_vinci_queue_fence *fence;
	struct drm_vinci_queue_create made;
};

static inline struct queue queue_create(int fd, uint32_t vm_id, uint32_t die)
{
	struct drm_vinci_queue_create a = { .vm_id = vm_id, .die = die, .priority = 3, .entries = 64 };
	struct queue q = { .fd = fd, .entries = 64 };

	OK(request(fd, DRM_IOCTL_VINCI_QUEUE_CREATE, &a));
	q.id = a.queue_id;
	q.made = a;
	q.ring = map(fd, a.ring_offset, 64 * sizeof(*q.ring));
	q.doorbell = map(fd, a.doorbell_offset, PAGE);
	q.fence = map(fd, a.fence_offset, PAGE);
	return q;
}

static inline int queue_destroy(struct queue *q)
{
	struct drm_vinci_queue_id a = { .queue_id = q->id };

	return request(q->fd, DRM_IOCTL_VINCI_QUEUE_DESTROY, &a);
}

/* The number of the entry. */
static inline uint64_t submit(struct queue *q, struct drm_vinci_sqe e)
{
	struct drm_vinci_queue_id a = { .queue_id = q->id };

	q->ring[q->tail % q->entries] = e;
	q->tail++;
	__atomic_store_n(&q->doorbell->tail, q->tail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->doorbell->need_kick)
		OK(request(q->fd, DRM_IOCTL_VINCI_QUEUE_KICK, &a));
	return q->tail;
}

static inline int wait_for(struct queue *q, uint64_t value, int64_t timeout_ns)
{
	struct drm_vinci_wait a = { .queue_id = q->id, .value = value, .timeout_ns = timeout_ns };

	return request(q->fd, DRM_IOCTL_VINCI_WAIT, &a);
}

static inline struct drm_vinci_sqe fill(uint64_t va, uint64_t size, uint8_t value)
{
	return (struct drm_vinci_sqe){ .opcode = DRM_VINCI_OP_FILL, .fill = { va, size, value, {} } };
}

static inline struct drm_vinci_sqe copy(uint64_t to, uint64_t from, uint64_t size)
{
	return (struct drm_vinci_sqe){ .opcode = DRM_VINCI_OP_COPY,
				       .copy = { to, from, size, 1, size, size, 0 } };
}

static inline struct drm_vinci_sqe event_wait(uint64_t va, uint64_t value)
{
	return (struct drm_vinci_sqe){ .opcode = DRM_VINCI_OP_EVENT_WAIT, .sync = { va, value, 0, {} } };
}

static inline struct drm_vinci_sqe host_call(uint64_t cookie)
{
	return (struct drm_vinci_sqe){ .opcode = DRM_VINCI_OP_HOST_CALL, .call = { cookie, {} } };
}

/* The kernel that does nothing. */
static inline struct drm_vinci_sqe nop(int fd)
{
	struct drm_vinci_kernel_info info = { .name = "nop" };
	struct drm_vinci_dev_query a = { .topic = DRM_VINCI_QUERY_KERNEL, .size = sizeof(info),
					 .data = (uintptr_t)&info };
	struct drm_vinci_sqe e = { .opcode = DRM_VINCI_OP_KERNEL, .blocks = 1 };

	OK(request(fd, DRM_IOCTL_VINCI_DEV_QUERY, &a));
	e.kernel.id = info.kernel;
	return e;
}

/* An open file with 1 MiB of host memory and of HBM, mapped for host and device, and a queue. */
struct session {
	int fd;
	uint32_t vm;
	uint64_t host_va, hbm_va;
	struct drm_vinci_bo_create host, hbm;
	volatile uint8_t *host_ptr, *hbm_ptr;
	struct queue q;
};

#define SESSION_BYTES (1ul << 20)

static inline struct session session_open(void)
{
	struct session s = { .fd = node_open() };

	s.vm = vm_create(s.fd);
	s.host_va = va_base(s.fd);
	s.hbm_va = s.host_va + SESSION_BYTES;
	s.host = bo_create(s.fd, SESSION_BYTES, DRM_VINCI_PLACE_HOST);
	s.hbm = bo_create(s.fd, SESSION_BYTES, DRM_VINCI_PLACE_HBM);
	OK(vm_map(s.fd, s.vm, s.host.handle, s.host_va, SESSION_BYTES));
	OK(vm_map(s.fd, s.vm, s.hbm.handle, s.hbm_va, SESSION_BYTES));
	s.host_ptr = map(s.fd, s.host.mmap_offset, SESSION_BYTES);
	s.hbm_ptr = map(s.fd, s.hbm.mmap_offset, SESSION_BYTES);
	s.q = queue_create(s.fd, s.vm, 0);
	return s;
}

/* Whether the device fills and copies, and the host sees it. */
static inline void session_works(struct session *s, uint8_t value)
{
	uint64_t n;

	submit(&s->q, fill(s->hbm_va, SESSION_BYTES, value));
	n = submit(&s->q, copy(s->host_va, s->hbm_va, SESSION_BYTES));
	OK(wait_for(&s->q, n, 30 * SECOND));
	for (size_t i = 0; i < SESSION_BYTES; i += 511) {
		if (s->host_ptr[i] != value || s->hbm_ptr[i] != value)
			FAIL("byte %zu is %#x in host memory, %#x in HBM, not %#x", i, s->host_ptr[i],
			     s->hbm_ptr[i], value);
	}
}

/* Stores the word at the start of host memory, for which a queue waits. */
static inline void host_store(struct session *s, struct queue *q, uint64_t value)
{
	struct drm_vinci_queue_id a = { .queue_id = q->id };

	__atomic_store_n((uint64_t *)s->host_ptr, value, __ATOMIC_RELEASE);
	OK(request(s->fd, DRM_IOCTL_VINCI_QUEUE_KICK, &a));
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		FAIL("%s: write \"%s\": %s", path, text, strerror(errno));
	close(fd);
}

/* NUL-terminated; -1 if it cannot be read. */
static inline ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, all = 0;

	if (fd < 0)
		return -1;
	while ((n = read(fd, text + all, size - 1 - all)) > 0)
		all += n;
	close(fd);
	text[all] = 0;
	return n < 0 ? -1 : all;
}

/* The folder of the PCI function in sysfs. */
static inline const char *function(void)
{
	static char path[256];
	char link[96], *real;
	const char *node = node_path();

	CHECK(node);
	snprintf(link, sizeof(link), "/sys/class/accel/%s/device", strrchr(node, '/') + 1);
	real = realpath(link, NULL);
	CHECK(real);
	snprintf(path, sizeof(path), "%s", real);
	free(real);
	return path;
}

static inline const char *function_file(const char *name)
{
	static char path[320];

	snprintf(path, sizeof(path), "%s/%s", function(), name);
	return path;
}

static inline const char *function_name(void)
{
	return strrchr(function(), '/') + 1;
}

/* Whether reading `p` faults. */
static sigjmp_buf touched;

static inline void on_fault(int number)
{
	siglongjmp(touched, number);
}

/* The signal that an access raised, or 0. */
static inline int touch(volatile void *p, bool store)
{
	struct sigaction act = { .sa_handler = on_fault }, bus, segv;
	int raised;

	sigaction(SIGBUS, &act, &bus);
	sigaction(SIGSEGV, &act, &segv);
	raised = sigsetjmp(touched, 1);
	if (!raised) {
		if (store)
			*(volatile uint8_t *)p = 1;
		else
			(void)*(volatile uint8_t *)p;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return raised;
}

/* Runs statements in a child; its exit status is the answer of join(). */
#define SPAWN(...) ({ \
	pid_t pid_ = fork(); \
	CHECK(pid_ >= 0); \
	if (!pid_) { \
		__VA_ARGS__; \
		exit(0); \
	} \
	pid_; \
})

static inline void join(pid_t pid, int seconds)
{
	int status = -1;

	UNTIL(seconds, waitpid(pid, &status, WNOHANG) == pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		FAIL("a child ended with status %#x", status);
}

/* Nothing to test here: says so, and counts as passed with a remark. */
static inline void __attribute__((noreturn, format(printf, 1, 2))) skip(const char *format, ...)
{
	va_list args;

	printf("skipped: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(77);
}

#endif

/*
 * Every allocation and copy that a request makes fails in turn (the debug kernel's fault injection): the request answers
 * an error or does without, and afterwards everything works. What leaks is found by the scan at the end of the run.
 */
#include "vm.h"

#include <linux/udmabuf.h>

static struct session s;
static uint8_t *pages;
static int32_t buf = -1, foreign = -1;
static uint32_t made;
static uint64_t va;

/*
 * What is to be undone after a success is in `made`, or nothing is. Who takes something away needs it made before, and
 * it must still be there after a failure.
 */
struct step {
	const char *name;
	int (*run)(void);
	void (*undo)(void);
	int (*prepare)(void);
	void (*after_failure)(void);
	/* What it answers if nothing fails. */
	int answer;
};

static int do_open(void)
{
	int fd = open(node_path(), O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int vm_make(void)
{
	struct drm_vinci_vm_create a = {};
	int ret = request(s.fd, DRM_IOCTL_VINCI_VM_CREATE, &a);

	made = a.vm_id;
	return ret;
}

static void vm_end(void)
{
	OK(request(s.fd, DRM_IOCTL_VINCI_VM_DESTROY, &(struct drm_vinci_vm_destroy){ .vm_id = made }));
}

static int bo_make(uint64_t size, uint32_t placement)
{
	struct drm_vinci_bo_create a = { .size = size, .placement = placement };
	int ret = request(s.fd, DRM_IOCTL_VINCI_BO_CREATE, &a);

	made = a.handle;
	return ret;
}

static int hbm_make(void)
{
	return bo_make(3 << 20, DRM_VINCI_PLACE_HBM);
}

static int host_make(void)
{
	return bo_make(64 * PAGE, DRM_VINCI_PLACE_HOST);
}

static int pin(void)
{
	struct drm_vinci_bo_userptr a = { .addr = (uintptr_t)pages, .size = 64 * PAGE };
	int ret = request(s.fd, DRM_IOCTL_VINCI_BO_USERPTR, &a);

	made = a.handle;
	return ret;
}

static void bo_end(void)
{
	OK(bo_close(s.fd, made));
}

static int map_vm(void)
{
	return vm_map(s.fd, s.vm, s.host.handle, va, SESSION_BYTES);
}

static int unmap_vm(void)
{
	struct drm_vinci_vm_unmap a = { .vm_id = s.vm, .va = va, .size = SESSION_BYTES };

	return request(s.fd, DRM_IOCTL_VINCI_VM_UNMAP, &a);
}

static void map_end(void)
{
	OK(unmap_vm());
}

static int queue_make(void)
{
	struct drm_vinci_queue_create a = { .vm_id = s.vm, .entries = 256 };
	int ret = request(s.fd, DRM_IOCTL_VINCI_QUEUE_CREATE, &a);

	made = a.queue_id;
	return ret;
}

static void queue_end(void)
{
	OK(request(s.fd, DRM_IOCTL_VINCI_QUEUE_DESTROY, &(struct drm_vinci_queue_id){ .queue_id = made }));
}

static int map_host(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s.fd, s.hbm.mmap_offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, PAGE);
	return 0;
}

static int give(void)
{
	struct drm_prime_handle a = { .handle = s.host.handle, .flags = DRM_CLOEXEC };
	int ret = request(s.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &a);

	if (!ret)
		close(a.fd);
	return ret;
}

static int take(int32_t fd)
{
	struct drm_prime_handle a = { .fd = fd };
	int ret = request(s.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &a);

	made = a.handle;
	return ret;
}

static int take_own(void)
{
	return take(buf);
}

static int take_foreign(void)
{
	return take(foreign);
}

static int query(void)
{
	struct drm_vinci_kernel_info info = { .name = "nop" };
	struct drm_vinci_dev_query a = { .topic = DRM_VINCI_QUERY_KERNEL, .size = sizeof(info),
					 .data = (uintptr_t)&info };

	return request(s.fd, DRM_IOCTL_VINCI_DEV_QUERY, &a);
}

static int sensors(void)
{
	struct drm_vinci_telemetry a = {};

	return request(s.fd, DRM_IOCTL_VINCI_TELEMETRY, &a);
}

static int info(void)
{
	struct drm_vinci_bo_info a = { .handle = s.hbm.handle };

	return request(s.fd, DRM_IOCTL_VINCI_BO_INFO, &a);
}

static int peer(void)
{
	struct drm_vinci_vm_peer a = { .vm_id = s.vm, .from_die = 0, .to_die = 1, .enable = 1 };

	return request(s.fd, DRM_IOCTL_VINCI_VM_PEER, &a);
}

static int wait_now(void)
{
	return wait_for(&s.q, 0, 0);
}

static int kick(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_QUEUE_KICK, &(struct drm_vinci_queue_id){ .queue_id = s.q.id });
}

static int ask_queue(void)
{
	struct drm_vinci_queue_query a = { .queue_id = s.q.id };

	return request(s.fd, DRM_IOCTL_VINCI_QUEUE_QUERY, &a);
}

static int reset_queue(void)
{
	struct drm_vinci_queue_reset a = { .queue_id = s.q.id };

	return request(s.fd, DRM_IOCTL_VINCI_QUEUE_RESET, &a);
}

static int read_event(void)
{
	struct drm_vinci_event_read a = {};
	int ret = request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &a);

	return ret == -ETIME ? 0 : ret;
}

static int vm_take(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_VM_DESTROY, &(struct drm_vinci_vm_destroy){ .vm_id = made });
}

static int queue_take(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_QUEUE_DESTROY, &(struct drm_vinci_queue_id){ .queue_id = made });
}

static int bo_take(void)
{
	return bo_close(s.fd, made);
}

/* No queue waits for an answer, no memory holds a code object. */
static int resume(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_QUEUE_RESUME, &(struct drm_vinci_queue_resume){ .queue_id = s.q.id });
}

static int code_load(void)
{
	struct drm_vinci_code_load a = { .vm_id = s.vm, .va = s.hbm_va, .size = PAGE };

	return request(s.fd, DRM_IOCTL_VINCI_CODE_LOAD, &a);
}

static int code_unload(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_CODE_UNLOAD, &(struct drm_vinci_code_unload){ .vm_id = s.vm });
}

static int inject(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_INJECT, &(struct drm_vinci_inject){ .kind = DRM_VINCI_INJECT_ECC_SINGLE });
}

static int reset_die(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_RESET, &(struct drm_vinci_reset){ .scope = DRM_VINCI_RESET_DIE, .die = 1 });
}

static int reset_function(void)
{
	return request(s.fd, DRM_IOCTL_VINCI_RESET, &(struct drm_vinci_reset){ .scope = DRM_VINCI_RESET_FUNCTION });
}

static void nothing(void)
{
}

/* A reset that failed half-way is done again. */
static void whole(void)
{
	OK(reset_function());
}

static const struct step steps[] = {
	{ "open", do_open, nothing },
	{ "DEV_QUERY", query, nothing },
	{ "VM_CREATE", vm_make, vm_end },
	{ "BO_CREATE, HBM", hbm_make, bo_end },
	{ "BO_CREATE, host", host_make, bo_end },
	{ "BO_USERPTR", pin, bo_end },
	{ "BO_INFO", info, nothing },
	{ "VM_DESTROY", vm_take, nothing, vm_make, vm_end },
	{ "GEM_CLOSE", bo_take, nothing, hbm_make, bo_end },
	{ "GEM_CLOSE, pinned", bo_take, nothing, pin, bo_end },
	{ "VM_MAP", map_vm, map_end },
	{ "VM_UNMAP", unmap_vm, nothing, map_vm, map_end },
	{ "VM_PEER", peer, nothing },
	{ "QUEUE_CREATE", queue_make, queue_end },
	{ "QUEUE_DESTROY", queue_take, nothing, queue_make, queue_end },
	{ "QUEUE_RESUME", resume, nothing, .answer = -ENOENT },
	{ "CODE_LOAD", code_load, nothing, .answer = -EINVAL },
	{ "CODE_UNLOAD", code_unload, nothing, .answer = -ENOENT },
	{ "INJECT", inject, nothing },
	{ "QUEUE_KICK", kick, nothing },
	{ "QUEUE_QUERY", ask_queue, nothing },
	{ "QUEUE_RESET", reset_queue, nothing },
	{ "WAIT", wait_now, nothing },
	{ "EVENT_READ", read_event, nothing },
	{ "TELEMETRY", sensors, nothing },
	{ "mmap", map_host, nothing },
	{ "PRIME_HANDLE_TO_FD", give, nothing },
	{ "PRIME_FD_TO_HANDLE", take_own, nothing },
	{ "PRIME_FD_TO_HANDLE, foreign", take_foreign, bo_end },
	{ "RESET, die", reset_die, nothing },
	{ "RESET, function", reset_function, whole },
};

static void set(const char *file, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	if (access(path, W_OK) == 0)
		write_file(path, text);
}

static void nth(int fd, unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	CHECK(pwrite(fd, text, strlen(text), 0) > 0);
}

/*
 * Whether the failure that was ordered has happened; orders none. Asking makes copies, too, which the failure may hit:
 * then it has not happened before, and none is ordered any more.
 */
static bool failed(int fd)
{
	char text[16] = {};

	if (pread(fd, text, sizeof(text) - 1, 0) < 0) {
		CHECK(errno == EFAULT);
		return false;
	}
	if (atoi(text) == 0)
		return true;
	if (pwrite(fd, "0", 1, 0) < 0)
		CHECK(errno == EFAULT);
	return false;
}

static void make_foreign(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = 16 * PAGE };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	create.memfd = memfd_create("test", MFD_ALLOW_SEALING);
	CHECK(ftruncate(create.memfd, create.size) == 0);
	CHECK(fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	foreign = ioctl(fd, UDMABUF_CREATE, &create);
	CHECK(foreign >= 0);
	close(fd);
}

int main(void)
{
	int control = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	struct drm_prime_handle a = { .flags = DRM_CLOEXEC };
	unsigned errors = 0, survived = 0;

	if (control < 0)
		skip("this kernel injects no failures: no /proc/self/fail-nth");
	set("failslab/ignore-gfp-wait", "N");
	set("fail_page_alloc/ignore-gfp-wait", "N");
	set("fail_page_alloc/min-order", "0");
	set("failslab/verbose", "0");
	set("fail_page_alloc/verbose", "0");
	set("fail_usercopy/verbose", "0");
	s = session_open();
	va = s.host_va + (256ul << 20);
	pages = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	a.handle = s.host.handle;
	OK(request(s.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &a));
	buf = a.fd;
	make_foreign();
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		const struct step *step = &steps[i];
		unsigned n = 1, here = 0;

		if (step->run == take_foreign && foreign < 0)
			continue;
		for (bool hit = true; hit; n++) {
			int ret;

			if (n > 2000)
				FAIL("%s: no end of failures", step->name);
			if (step->prepare)
				OK(step->prepare());
			nth(control, n);
			ret = step->run();
			hit = failed(control);
			if (!hit && ret != step->answer)
				FAIL("%s: %d without a failure", step->name, ret);
			if (!ret)
				step->undo();
			else if (step->after_failure)
				step->after_failure();
			if (ret == step->answer) {
				survived += hit;
				continue;
			}
			if (ret != -ENOMEM && ret != -EFAULT)
				FAIL("%s: failure %u gives %s", step->name, n, strerror(-ret));
			errors++;
			here++;
		}
		printf("%-28s %3u failures, %u errors\n", step->name, n - 2, here);
	}
	/* The resets took the queue. */
	OK(reset_function());
	OK(queue_destroy(&s.q));
	s.q = queue_create(s.fd, s.vm, 0);
	session_works(&s, 0x3c);
	printf("%u errors, %u failures done without\n", errors, survived);
	CHECK(errors > 20);
	return 0;
}

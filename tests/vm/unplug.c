/*
 * The function goes while files are open, memory is mapped and processes sleep: sleepers wake up, every request is
 * ENODEV, mappings fault cleanly, and when the function comes back, everything works.
 */
#include "vm.h"

/* Every request that this driver knows, with a payload that would be fine. */
static const unsigned long requests[] = {
	DRM_IOCTL_VINCI_DEV_QUERY, DRM_IOCTL_VINCI_VM_CREATE, DRM_IOCTL_VINCI_VM_DESTROY,
	DRM_IOCTL_VINCI_VM_MAP, DRM_IOCTL_VINCI_VM_UNMAP, DRM_IOCTL_VINCI_VM_PEER,
	DRM_IOCTL_VINCI_BO_CREATE, DRM_IOCTL_VINCI_BO_USERPTR, DRM_IOCTL_VINCI_BO_INFO,
	DRM_IOCTL_VINCI_QUEUE_CREATE, DRM_IOCTL_VINCI_QUEUE_DESTROY, DRM_IOCTL_VINCI_QUEUE_RESET,
	DRM_IOCTL_VINCI_QUEUE_KICK, DRM_IOCTL_VINCI_QUEUE_RESUME, DRM_IOCTL_VINCI_QUEUE_QUERY,
	DRM_IOCTL_VINCI_WAIT, DRM_IOCTL_VINCI_EVENT_READ, DRM_IOCTL_VINCI_TELEMETRY,
	DRM_IOCTL_VINCI_RESET, DRM_IOCTL_VINCI_INJECT, DRM_IOCTL_GEM_CLOSE,
	DRM_IOCTL_VINCI_CODE_LOAD, DRM_IOCTL_VINCI_CODE_UNLOAD,
	DRM_IOCTL_PRIME_HANDLE_TO_FD, DRM_IOCTL_PRIME_FD_TO_HANDLE, DRM_IOCTL_VERSION,
};

static void gone(struct session *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	uint8_t payload[512];

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		memset(payload, 0, sizeof(payload));
		int ret = request(s->fd, requests[i], payload);

		if (ret != -ENODEV)
			FAIL("request %#lx is %d, not ENODEV", requests[i], ret);
	}
	EXPECT(poll(&p, 1, 0), 1);
	CHECK(p.revents & (POLLERR | POLLHUP));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s->fd, s->host.mmap_offset) == MAP_FAILED);
	EXPECT(touch(s->host_ptr, false), SIGBUS);
	EXPECT(touch(s->hbm_ptr, true), SIGBUS);
	EXPECT(touch(s->q.doorbell, true), SIGBUS);
	EXPECT(touch(s->q.fence, false), SIGBUS);
	EXPECT(touch(s->q.ring, true), SIGBUS);
}

static void once(const char *how, const char *name)
{
	struct session s = session_open(), t = session_open();
	struct drm_prime_handle export = { .handle = s.host.handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	volatile uint8_t *shared;
	uint64_t n;
	pid_t waiter, reader, poller;

	session_works(&s, 0x11);
	OK(request(s.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
	shared = map(export.fd, 0, SESSION_BYTES);
	CHECK(shared[5] == 0x11);
	/* Pinned pages are let go too. */
	OK(request(s.fd, DRM_IOCTL_VINCI_BO_USERPTR,
		   &(struct drm_vinci_bo_userptr){
			.addr = (uintptr_t)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			.size = 1 << 20 }));
	n = submit(&s.q, event_wait(s.host_va, ~0ull >> 1));
	waiter = SPAWN(EXPECT(wait_for(&s.q, n, -1), -ENODEV));
	reader = SPAWN({
		struct drm_vinci_event_read read = { .timeout_ns = -1 };
		EXPECT(request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &read), -ENODEV);
	});
	poller = SPAWN({
		struct pollfd p = { .fd = s.fd, .events = POLLIN };
		EXPECT(poll(&p, 1, -1), 1);
		CHECK(p.revents & POLLERR);
	});
	pause_ms(300);
	write_file(how, name);
	join(waiter, 10);
	join(reader, 10);
	join(poller, 10);
	gone(&s);
	gone(&t);
	/* What another driver may have stays: pages of the host. */
	CHECK(shared[5] == 0x11);
	munmap((void *)shared, SESSION_BYTES);
	close(export.fd);
	munmap((void *)s.hbm_ptr, SESSION_BYTES);
	close(s.fd);
	EXPECT(touch(s.host_ptr, false), SIGBUS);
	/* The other one stays open until the end of the test. */
}

static void back(const char *how, const char *name)
{
	struct session s;

	write_file(how, name);
	UNTIL(20, node_path());
	s = session_open();
	session_works(&s, 0x22);
	close(s.fd);
}

int main(void)
{
	char name[64], remove[320];

	snprintf(name, sizeof(name), "%s", function_name());
	snprintf(remove, sizeof(remove), "%s", function_file("remove"));
	for (int i = 0; i < 3; i++) {
		once("/sys/bus/pci/drivers/vinci/unbind", name);
		back("/sys/bus/pci/drivers/vinci/bind", name);
	}
	once(remove, "1");
	CHECK(access(remove, F_OK) != 0);
	back("/sys/bus/pci/rescan", "1");
	return 0;
}

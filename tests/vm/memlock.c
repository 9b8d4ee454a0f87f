/* Pinned pages are counted against RLIMIT_MEMLOCK and given back; what cannot be pinned is refused. */
#include "vm.h"

#include <sys/resource.h>

static int pin(int fd, void *p, uint64_t size, uint32_t flags, uint32_t *handle)
{
	struct drm_vinci_bo_userptr a = { .addr = (uintptr_t)p, .size = size, .flags = flags };
	int ret = request(fd, DRM_IOCTL_VINCI_BO_USERPTR, &a);

	*handle = a.handle;
	return ret;
}

static long pinned_kib(void)
{
	char text[8192], *at;

	CHECK(read_file("/proc/self/status", text, sizeof(text)) > 0);
	at = strstr(text, "VmPin:");
	CHECK(at);
	return atol(at + 6);
}

int main(void)
{
	struct rlimit limit = { 64 * 1024, 64 * 1024 };
	struct session s = session_open();
	uint8_t *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t a, b;

	CHECK(p != MAP_FAILED);
	/* The device stores into pages of the process. */
	OK(pin(s.fd, p, 1 << 20, 0, &a));
	CHECK(pinned_kib() == 1024);
	OK(vm_map(s.fd, s.vm, a, s.host_va + (16ul << 20), 1 << 20));
	OK(wait_for(&s.q, submit(&s.q, fill(s.host_va + (16ul << 20), 1 << 20, 0x77)), 30 * SECOND));
	for (size_t i = 0; i < 1 << 20; i++)
		CHECK(p[i] == 0x77);
	OK(bo_close(s.fd, a));
	CHECK(pinned_kib() == 1024);	/* the mapping of the device keeps it */
	OK(request(s.fd, DRM_IOCTL_VINCI_VM_UNMAP,
		   &(struct drm_vinci_vm_unmap){ .vm_id = s.vm, .va = s.host_va + (16ul << 20), .size = 1 << 20 }));
	CHECK(pinned_kib() == 0);

	EXPECT(pin(s.fd, (void *)PAGE, PAGE, 0, &a), -EFAULT);
	EXPECT(pin(s.fd, (void *)-(1ul << 20), PAGE, 0, &a), -EFAULT);
	CHECK(mprotect(p, PAGE, PROT_READ) == 0);
	EXPECT(pin(s.fd, p, PAGE, 0, &a), -EFAULT);
	OK(pin(s.fd, p, PAGE, DRM_VINCI_USERPTR_READONLY, &a));
	EXPECT(vm_map(s.fd, s.vm, a, s.host_va + (32ul << 20), PAGE), -EINVAL);
	OK(bo_close(s.fd, a));
	CHECK(munmap(p + PAGE, PAGE) == 0);
	EXPECT(pin(s.fd, p, 4 * PAGE, DRM_VINCI_USERPTR_READONLY, &a), -EFAULT);
	CHECK(pinned_kib() == 0);

	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setuid(65534) == 0);
	p += 4 * PAGE;
	EXPECT(pin(s.fd, p, 128 * 1024, 0, &a), -ENOMEM);
	OK(pin(s.fd, p, 48 * 1024, 0, &a));
	EXPECT(pin(s.fd, p, 32 * 1024, 0, &b), -ENOMEM);
	OK(bo_close(s.fd, a));
	OK(pin(s.fd, p, 64 * 1024, 0, &a));
	CHECK(pinned_kib() == 64);
	close(s.fd);
	return 0;
}

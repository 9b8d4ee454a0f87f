/* The node works: memory of both kinds is seen by host and device, requests have rights, libdrm knows the driver. */
#include "vm.h"

#include <dlfcn.h>

/* What libdrm's drmVersion begins with. */
struct version {
	int major, minor, patch, name_len;
	char *name;
	int date_len;
	char *date;
	int desc_len;
	char *desc;
};

static void memory(void)
{
	struct session s = session_open();
	struct drm_vinci_bo_create large;
	volatile uint8_t *p;

	session_works(&s, 0x5a);
	session_works(&s, 0xa5);
	/* Far more than lies together. */
	large = bo_create(s.fd, 64ul << 20, DRM_VINCI_PLACE_HOST);
	p = map(s.fd, large.mmap_offset, large.size);
	OK(vm_map(s.fd, s.vm, large.handle, s.host_va + (64ul << 20), large.size));
	OK(wait_for(&s.q, submit(&s.q, fill(s.host_va + (64ul << 20), large.size, 7)), 30 * SECOND));
	for (size_t i = 0; i < large.size; i += PAGE - 1)
		if (p[i] != 7)
			FAIL("byte %zu of the large object is %d", i, p[i]);
	/* A part of a mapping goes, the other stays what it was; moved, it is still that. */
	munmap((void *)p, 32ul << 20);
	p[large.size - 1] = 9;
	p = mremap((void *)(p + (48ul << 20)), 16ul << 20, 16ul << 20, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && p[(16ul << 20) - 1] == 9);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, s.fd, s.host.mmap_offset) == MAP_FAILED);
	CHECK(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, s.fd, s.q.made.fence_offset) == MAP_FAILED);
	/* What is mapped outlives its handle and the file. */
	OK(bo_close(s.fd, large.handle));
	close(s.fd);
	CHECK(p[(16ul << 20) - 1] == 9 && s.host_ptr[0] == 0xa5 && s.hbm_ptr[0] == 0xa5);
}

static void rights(void)
{
	struct drm_vinci_reset reset = { .scope = DRM_VINCI_RESET_FUNCTION };
	struct drm_vinci_inject inject = { .kind = DRM_VINCI_INJECT_HANG };
	int fd = node_open();

	join(SPAWN({
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		EXPECT(request(fd, DRM_IOCTL_VINCI_RESET, &reset), -EPERM);
		EXPECT(request(fd, DRM_IOCTL_VINCI_INJECT, &inject), -EPERM);
		vm_create(fd);
	}), 10);
	close(fd);
}

static void nonsense(void)
{
	int fd = node_open();
	char payload[1024] = {};

	for (unsigned nr = 0; nr < 256; nr++)
		for (unsigned size = 0; size < 600; size += nr % 7 + 1)
			request(fd, _IOC(_IOC_READ | _IOC_WRITE, DRM_IOCTL_BASE, nr, size), payload);
	EXPECT(request(fd, DRM_IOCTL_VINCI_VM_CREATE, NULL), -EFAULT);
	EXPECT(request(fd, DRM_IOCTL_VINCI_VM_CREATE, (void *)-PAGE), -EFAULT);
	EXPECT(request(fd, _IO(DRM_IOCTL_BASE, DRM_COMMAND_BASE + 0x5f), payload), -ENOTTY);
	close(fd);
}

static void libdrm(void)
{
	void *library = dlopen("libdrm.so.2", RTLD_NOW);
	struct version *(*get)(int), *v;
	int fd = node_open();

	if (!library) {
		printf("without libdrm: %s\n", dlerror());
		return;
	}
	get = (struct version *(*)(int))dlsym(library, "drmGetVersion");
	CHECK(get);
	v = get(fd);
	CHECK(v);
	if (strcmp(v->name, "vinci") || v->major != DRM_VINCI_DRIVER_MAJOR || v->minor != DRM_VINCI_DRIVER_MINOR)
		FAIL("drmGetVersion says %s %d.%d", v->name, v->major, v->minor);
	printf("drmGetVersion: %s %d.%d, %s\n", v->name, v->major, v->minor, v->desc);
	close(fd);
}

int main(void)
{
	memory();
	rights();
	nonsense();
	libdrm();
	return 0;
}

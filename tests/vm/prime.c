/* Buffer objects as dma-bufs: to another file, through vgem and back, and from udmabuf. */
#include "vm.h"

#include <linux/udmabuf.h>

static int to_fd(int fd, uint32_t handle, int32_t *buf)
{
	struct drm_prime_handle a = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = request(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &a);

	*buf = a.fd;
	return ret;
}

static int to_handle(int fd, int32_t buf, uint32_t *handle)
{
	struct drm_prime_handle a = { .fd = buf };
	int ret = request(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &a);

	*handle = a.handle;
	return ret;
}

/* Another file, as another process would have it, maps both objects and sees their content. */
static void own(struct session *s)
{
	int other = node_open();
	int32_t host, hbm;
	uint32_t handle, again;
	struct drm_vinci_bo_info info = {};
	volatile uint8_t *p;

	session_works(s, 0x61);
	OK(to_fd(s->fd, s->host.handle, &host));
	OK(to_fd(s->fd, s->hbm.handle, &hbm));
	OK(to_handle(other, hbm, &handle));
	OK(to_handle(other, hbm, &again));
	CHECK(handle == again);
	info.handle = handle;
	OK(request(other, DRM_IOCTL_VINCI_BO_INFO, &info));
	CHECK(info.size == SESSION_BYTES && info.placement == DRM_VINCI_PLACE_HBM);
	p = map(other, info.mmap_offset, SESSION_BYTES);
	CHECK(p[77] == 0x61);
	p[77] = 0x62;
	CHECK(s->hbm_ptr[77] == 0x62);
	OK(to_handle(other, host, &info.handle));
	OK(request(other, DRM_IOCTL_VINCI_BO_INFO, &info));
	CHECK(info.placement == DRM_VINCI_PLACE_HOST);
	CHECK(((volatile uint8_t *)map(other, info.mmap_offset, SESSION_BYTES))[5] == 0x61);
	CHECK(((volatile uint8_t *)map(host, 0, SESSION_BYTES))[5] == 0x61);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, hbm, 0) == MAP_FAILED);
	OK(bo_close(other, handle));
	EXPECT(bo_close(other, handle), -ENOENT);
	CHECK(p[77] == 0x62);
	close(host);
	close(hbm);
	close(other);
}

static void refusals(struct session *s)
{
	struct drm_prime_handle a = { .handle = s->host.handle, .flags = 1u << 30 };
	int pipes[2];
	int32_t buf;
	uint32_t handle;

	EXPECT(request(s->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &a), -EINVAL);
	EXPECT(to_fd(s->fd, 0x12345, &buf), -ENOENT);
	EXPECT(to_handle(s->fd, -1, &handle), -EBADF);
	CHECK(pipe(pipes) == 0);
	EXPECT(to_handle(s->fd, pipes[0], &handle), -EINVAL);
}

/* The DRM node of vgem, a driver that has memory and nothing else; -1 if there is none. */
static int vgem_open(void)
{
	char path[64], name[64];

	for (int i = 0; i < 16; i++) {
		struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		memset(name, 0, sizeof(name));
		if (fd >= 0 && !request(fd, DRM_IOCTL_VERSION, &v) && !strcmp(name, "vgem"))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

struct dumb {
	uint32_t height, width, bpp, flags, handle, pitch;
	uint64_t size;
};

struct dumb_map {
	uint32_t handle, pad;
	uint64_t offset;
};

/* vgem maps our pages, and we get our own object back from it; the device stores into vgem's. */
static void vgem(struct session *s)
{
	struct dumb dumb = { .height = 256, .width = 1024, .bpp = 32 };
	struct dumb_map at = {};
	int fd = vgem_open();
	uint64_t va = s->host_va + (32ul << 20);
	int32_t buf, theirs;
	uint32_t handle, back;
	volatile uint8_t *p;

	if (fd < 0) {
		printf("without vgem: there is none\n");
		return;
	}
	OK(to_fd(s->fd, s->hbm.handle, &buf));
	EXPECT(to_handle(fd, buf, &handle), -EOPNOTSUPP);	/* HBM stays with this driver */
	close(buf);
	OK(to_fd(s->fd, s->host.handle, &buf));
	OK(to_handle(fd, buf, &handle));
	OK(to_fd(fd, handle, &theirs));
	OK(to_handle(s->fd, theirs, &back));
	CHECK(back == s->host.handle);
	close(theirs);
	close(buf);

	OK(request(fd, DRM_IOWR(0xb2, struct dumb), &dumb));
	at.handle = dumb.handle;
	OK(request(fd, DRM_IOWR(0xb3, struct dumb_map), &at));
	p = map(fd, at.offset, dumb.size);
	OK(to_fd(fd, dumb.handle, &theirs));
	OK(to_handle(s->fd, theirs, &handle));
	close(theirs);
	OK(vm_map(s->fd, s->vm, handle, va, dumb.size));
	OK(wait_for(&s->q, submit(&s->q, fill(va, dumb.size, 0x71)), 30 * SECOND));
	for (size_t i = 0; i < dumb.size; i += 1023)
		CHECK(p[i] == 0x71);
	/* The memory stays while the device may reach it. */
	munmap((void *)p, dumb.size);
	close(fd);
	OK(wait_for(&s->q, submit(&s->q, copy(s->hbm_va, va, dumb.size)), 30 * SECOND));
	CHECK(s->hbm_ptr[999] == 0x71);
	printf("vgem: both ways\n");
}

/* The device stores into a memfd that udmabuf made a dma-buf of. */
static void udmabuf(struct session *s)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = SESSION_BYTES };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	uint64_t va = s->host_va + (64ul << 20);
	volatile uint8_t *p;
	uint32_t handle;
	int32_t buf;

	if (fd < 0) {
		printf("without udmabuf: %s\n", strerror(errno));
		return;
	}
	create.memfd = memfd_create("test", MFD_ALLOW_SEALING);
	CHECK(ftruncate(create.memfd, SESSION_BYTES) == 0);
	CHECK(fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	p = map(create.memfd, 0, SESSION_BYTES);
	buf = ioctl(fd, UDMABUF_CREATE, &create);
	CHECK(buf >= 0);
	OK(to_handle(s->fd, buf, &handle));
	close(buf);
	OK(vm_map(s->fd, s->vm, handle, va, SESSION_BYTES));
	OK(wait_for(&s->q, submit(&s->q, fill(va, SESSION_BYTES, 0x55)), 30 * SECOND));
	for (size_t i = 0; i < SESSION_BYTES; i += 1023)
		CHECK(p[i] == 0x55);
	EXPECT(to_fd(s->fd, handle, &buf), -EPERM);
	OK(bo_close(s->fd, handle));
	OK(wait_for(&s->q, submit(&s->q, copy(s->hbm_va, va, SESSION_BYTES)), 30 * SECOND));
	CHECK(s->hbm_ptr[4321] == 0x55);
	close(fd);
	printf("udmabuf's memory was used\n");
}

int main(void)
{
	struct session s = session_open();

	own(&s);
	refusals(&s);
	vgem(&s);
	udmabuf(&s);
	session_works(&s, 0x0f);
	return 0;
}

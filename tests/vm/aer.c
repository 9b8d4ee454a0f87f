/* Errors on the bus: what the AER core is told (aer_inject) reaches the driver, which comes back; files survive. */
#include "vm.h"

#define UNCORRECTABLE_NON_FATAL 0x00001000	/* poisoned TLP */
#define UNCORRECTABLE_FATAL	0x00040000	/* malformed TLP */
#define CORRECTABLE		0x00000001	/* receiver error */

/* struct aer_error_inj of drivers/pci/pcie/aer_inject.c */
struct error {
	uint8_t bus, dev, fn;
	uint32_t uncorrectable, correctable;
	uint32_t header[4];
	uint32_t domain;
};

static bool inject(uint32_t uncorrectable, uint32_t correctable)
{
	struct error e = { .uncorrectable = uncorrectable, .correctable = correctable };
	unsigned domain, bus, dev, fn;
	int fd = open("/dev/aer_inject", O_WRONLY | O_CLOEXEC);
	bool done;

	CHECK(sscanf(function_name(), "%x:%x:%x.%x", &domain, &bus, &dev, &fn) == 4);
	e.bus = bus;
	e.dev = dev;
	e.fn = fn;
	e.domain = domain;
	if (fd < 0)
		skip("no /dev/aer_inject");
	done = write(fd, &e, sizeof(e)) == sizeof(e);
	if (!done)
		printf("aer_inject: %s\n", strerror(errno));
	close(fd);
	return done;
}

static void recovers(struct session *s, uint32_t error)
{
	struct drm_vinci_event_read read = { .timeout_ns = 20 * SECOND };
	uint64_t n = submit(&s->q, event_wait(s->host_va, ~0ull >> 1));
	pid_t waiter = SPAWN(EXPECT(wait_for(&s->q, n, -1), -ENODEV));

	pause_ms(200);
	if (!inject(error, 0)) {
		kill(waiter, SIGKILL);
		skip("the function's port reports no errors");
	}
	OK(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	CHECK(read.event.type == DRM_VINCI_EVENT_RESET && read.event.queue_id == ~0u);
	join(waiter, 20);
	/* The core may still be telling others. */
	pause_ms(500);
	OK(queue_destroy(&s->q));
	s->q = queue_create(s->fd, s->vm, 0);
	session_works(s, 0x29);
}

int main(void)
{
	struct session s = session_open();
	struct drm_vinci_event_read read = { .timeout_ns = SECOND };

	session_works(&s, 0x28);
	inject(0, CORRECTABLE);
	EXPECT(request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &read), -ETIME);
	session_works(&s, 0x27);
	recovers(&s, UNCORRECTABLE_NON_FATAL);
	recovers(&s, UNCORRECTABLE_FATAL);
	return 0;
}

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

/* Nobody sleeps on while it is not decided how the error ends. */
static void happens(struct session *s, uint32_t error)
{
	uint64_t n = submit(&s->q, event_wait(s->host_va, ~0ull >> 1));
	pid_t waiter = SPAWN(EXPECT(wait_for(&s->q, n, -1), -ENODEV));

	pause_ms(200);
	if (!inject(error, 0)) {
		kill(waiter, SIGKILL);
		skip("the function's port reports no errors");
	}
	join(waiter, 20);
}

static int hears_of_reset(struct session *s, int seconds)
{
	struct drm_vinci_event_read read = { .timeout_ns = seconds * SECOND };
	int ret = request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read);

	if (!ret)
		CHECK(read.event.type == DRM_VINCI_EVENT_RESET && read.event.queue_id == ~0u);
	return ret;
}

static void works_again(struct session *s)
{
	OK(queue_destroy(&s->q));
	s->q = queue_create(s->fd, s->vm, 0);
	session_works(s, 0x29);
}

int main(void)
{
	struct session s = session_open();
	struct drm_vinci_vm_create create = {};

	session_works(&s, 0x28);
	inject(0, CORRECTABLE);
	EXPECT(hears_of_reset(&s, 1), -ETIME);
	session_works(&s, 0x27);

	happens(&s, UNCORRECTABLE_NON_FATAL);
	OK(hears_of_reset(&s, 20));
	works_again(&s);

	/* The core resets the link. Where the port's does not come up again, it gives up: the function is dead until it
	 * is found anew.
	 */
	happens(&s, UNCORRECTABLE_FATAL);
	if (hears_of_reset(&s, 10)) {
		char remove[320];

		printf("the port did not bring its link back\n");
		CHECK(request(s.fd, DRM_IOCTL_VINCI_VM_CREATE, &create) < 0);
		snprintf(remove, sizeof(remove), "%s", function_file("remove"));
		write_file(remove, "1");
		EXPECT(request(s.fd, DRM_IOCTL_VINCI_VM_CREATE, &create), -ENODEV);
		write_file("/sys/bus/pci/rescan", "1");
		UNTIL(20, node_path());
		s = session_open();
		session_works(&s, 0x2a);
		return 0;
	}
	works_again(&s);
	return 0;
}

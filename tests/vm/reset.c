/* Resets: of a die and the function by request, and of the function by the PCI core, which files survive. */
#include "vm.h"

static void hears_of(struct session *s, uint32_t which)
{
	struct drm_vinci_event_read read = { .timeout_ns = 10 * SECOND };

	OK(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	if (read.event.type != DRM_VINCI_EVENT_RESET || read.event.queue_id != which)
		FAIL("event %u of %#x, not a reset of %#x", read.event.type, read.event.queue_id, which);
}

static void again(struct session *s)
{
	OK(queue_destroy(&s->q));
	s->q = queue_create(s->fd, s->vm, 0);
	session_works(s, 0x31);
}

int main(void)
{
	struct session s = session_open();
	struct queue other = queue_create(s.fd, s.vm, 1);
	struct drm_vinci_reset reset = { .scope = DRM_VINCI_RESET_DIE, .die = 0 };
	uint64_t n = submit(&s.q, event_wait(s.host_va, 1));
	pid_t waiter = SPAWN(EXPECT(wait_for(&s.q, n, -1), -ENODEV));

	s.hbm_ptr[0] = 77;
	pause_ms(200);
	OK(request(s.fd, DRM_IOCTL_VINCI_RESET, &reset));
	join(waiter, 10);
	hears_of(&s, 0);
	CHECK(s.hbm_ptr[0] == 0 && s.q.fence->state == DRM_VINCI_QUEUE_LOST);
	OK(wait_for(&other, submit(&other, fill(s.host_va, 64, 1)), 10 * SECOND));
	again(&s);

	reset.scope = DRM_VINCI_RESET_FUNCTION;
	OK(request(s.fd, DRM_IOCTL_VINCI_RESET, &reset));
	hears_of(&s, ~0u);
	EXPECT(wait_for(&s.q, ~0ull, -1), -ENODEV);
	EXPECT(wait_for(&other, ~0ull, -1), -ENODEV);
	again(&s);

	for (int i = 0; i < 3; i++) {
		n = submit(&s.q, event_wait(s.host_va, ~0ull >> 1));
		waiter = SPAWN(EXPECT(wait_for(&s.q, n, -1), -ENODEV));
		pause_ms(200);
		write_file(function_file("reset"), "1");
		join(waiter, 10);
		hears_of(&s, ~0u);
		again(&s);
	}
	return 0;
}

/*
 * Sleep of the machine: a queue that waits goes on, HBM keeps its content, nobody hears of it. With "core" as its
 * argument the sleep ends only after the devices' last steps.
 */
#include "vm.h"

static void sleep_once(const char *level)
{
	write_file("/sys/power/pm_test", level);
	write_file("/sys/power/state", "freeze");
	write_file("/sys/power/pm_test", "none");
}

int main(void)
{
	struct session s;
	struct queue idle, call;
	struct drm_vinci_event_read read = { .timeout_ns = 10 * SECOND };
	struct drm_vinci_queue_resume resume;
	uint64_t n, m;

	if (access("/sys/power/pm_test", W_OK))
		skip("this kernel has no /sys/power/pm_test");
	s = session_open();
	idle = queue_create(s.fd, s.vm, 1);
	call = queue_create(s.fd, s.vm, 0);
	session_works(&s, 0x42);
	*(uint64_t *)s.host_ptr = 0;
	n = submit(&s.q, event_wait(s.host_va, 5));
	submit(&s.q, fill(s.host_va + PAGE, PAGE, 0x99));
	m = submit(&call, host_call(1));
	OK(request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	CHECK(read.event.type == DRM_VINCI_EVENT_HOST_CALL);
	for (int i = 0; i < 2; i++) {
		sleep_once("devices");
		EXPECT(wait_for(&s.q, n, SECOND / 10), -ETIME);
		CHECK(s.q.fence->state == DRM_VINCI_QUEUE_RUNNING && s.hbm_ptr[9] == 0x42);
		OK(wait_for(&idle, submit(&idle, fill(s.host_va + 2 * PAGE, PAGE, i)), 10 * SECOND));
	}
	host_store(&s, &s.q, 5);
	OK(wait_for(&s.q, n + 1, 10 * SECOND));
	CHECK(s.host_ptr[PAGE] == 0x99 && s.host_ptr[2 * PAGE] == 1);
	/* The call that was made before the sleeps is heard once, and can be answered. */
	resume = (struct drm_vinci_queue_resume){ .queue_id = call.id, .entry = m };
	OK(request(s.fd, DRM_IOCTL_VINCI_QUEUE_RESUME, &resume));
	OK(wait_for(&call, m, 10 * SECOND));
	read.timeout_ns = 0;
	EXPECT(request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &read), -ETIME);
	session_works(&s, 0x43);
	return 0;
}

/* Waiting: timeouts, signals, kill -9, poll(2) and events, and a doorbell whose queue is gone. */
#include "vm.h"

static void on_alarm(int number)
{
	(void)number;
}

static void timeouts(struct session *s)
{
	uint64_t n = submit(&s->q, event_wait(s->host_va, 1));
	int64_t start = now_ns(), took;

	EXPECT(wait_for(&s->q, n, 0), -ETIME);
	EXPECT(wait_for(&s->q, n, SECOND / 5), -ETIME);
	took = now_ns() - start;
	if (took < SECOND / 5 || took > 5 * SECOND)
		FAIL("a timeout of 200 ms took %lld ms", (long long)took / 1000000);
	host_store(s, &s->q, 1);
	OK(wait_for(&s->q, n, 10 * SECOND));
}

static void signals(struct session *s)
{
	struct sigaction act = { .sa_handler = on_alarm };
	uint64_t n = submit(&s->q, event_wait(s->host_va, 2));
	struct drm_vinci_event_read read = { .timeout_ns = -1 };
	pid_t pid;

	sigaction(SIGALRM, &act, NULL);
	alarm(1);
	EXPECT(wait_for(&s->q, n, -1), -EINTR);
	alarm(1);
	EXPECT(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read), -EINTR);
	pid = SPAWN(wait_for(&s->q, n, -1));
	pause_ms(200);
	kill(pid, SIGKILL);
	UNTIL(5, waitpid(pid, NULL, WNOHANG) == pid);
	host_store(s, &s->q, 2);
	OK(wait_for(&s->q, n, 10 * SECOND));
}

static void events(struct session *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	struct drm_vinci_event_read read = { .timeout_ns = 0 };
	struct drm_vinci_queue_resume resume = { .queue_id = s->q.id };
	uint64_t n;
	pid_t pid;

	EXPECT(poll(&p, 1, 0), 0);
	EXPECT(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read), -ETIME);
	/* One sleeps in poll(2) before there is anything. */
	pid = SPAWN(EXPECT(poll(&p, 1, 20000), 1));
	pause_ms(200);
	n = submit(&s->q, host_call(77));
	join(pid, 20);
	EXPECT(poll(&p, 1, 10000), 1);
	CHECK(p.revents == POLLIN);
	OK(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	CHECK(read.event.type == DRM_VINCI_EVENT_HOST_CALL && read.event.cookie == 77 && read.event.entry == n);
	EXPECT(poll(&p, 1, 0), 0);
	EXPECT(wait_for(&s->q, n, SECOND / 20), -ETIME);
	resume.entry = n;
	OK(request(s->fd, DRM_IOCTL_VINCI_QUEUE_RESUME, &resume));
	OK(wait_for(&s->q, n, 10 * SECOND));
}

static void faults(struct session *s)
{
	struct drm_vinci_event_read read = { .timeout_ns = 10 * SECOND };
	struct drm_vinci_queue_query query = { .queue_id = s->q.id };
	struct drm_vinci_queue_reset reset = { .queue_id = s->q.id };
	uint64_t n = submit(&s->q, fill(0x1000, 8, 1));

	EXPECT(wait_for(&s->q, n, 10 * SECOND), -EIO);
	OK(request(s->fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	CHECK(read.event.type == DRM_VINCI_EVENT_FAULT && read.event.fault.cause == DRM_VINCI_FAULT_ADDRESS);
	OK(request(s->fd, DRM_IOCTL_VINCI_QUEUE_QUERY, &query));
	CHECK(query.state == DRM_VINCI_QUEUE_FAULTED && query.fault.address == 0x1000);
	OK(request(s->fd, DRM_IOCTL_VINCI_QUEUE_RESET, &reset));
	CHECK(reset.dropped == 1);
	session_works(s, 3);
}

/* Whoever keeps the doorbell of a queue that is gone cannot ring the next queue of its number. */
static void doorbells(struct session *s)
{
	struct queue old = queue_create(s->fd, s->vm, 0), next;
	int other = node_open();

	CHECK(touch(old.doorbell, false) == 0);
	OK(queue_destroy(&old));
	EXPECT(touch(old.doorbell, true), SIGBUS);
	next = queue_create(other, vm_create(other), 0);
	CHECK(next.id == old.id);
	EXPECT(touch(old.doorbell, true), SIGBUS);
	CHECK(next.doorbell->tail == 0 && touch(next.doorbell, false) == 0);
	/* Ring and fence page stay what they were, and are nobody else's. */
	old.fence->completed = 99;
	CHECK(next.fence->completed == 0);
	close(other);
}

int main(void)
{
	struct session s = session_open();

	timeouts(&s);
	signals(&s);
	events(&s);
	faults(&s);
	doorbells(&s);
	session_works(&s, 1);
	return 0;
}

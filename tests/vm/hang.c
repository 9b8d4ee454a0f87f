/*
 * A kernel that does not end: the watchdog reports it in devcoredump and takes the queue, whose owner hears of it; the
 * others work on. The module was loaded with a hang_timeout_ms of a second or so.
 */
#include "vm.h"

#include <dirent.h>

/* The report, if there is one. */
static bool report(char *text, size_t size)
{
	struct dirent *entry;
	char path[384];
	bool found = false;
	DIR *dir = opendir("/sys/class/devcoredump");

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/devcoredump/%s/data", entry->d_name);
		found = read_file(path, text, size) > 0;
		if (found)
			write_file(path, "0");	/* takes it away */
	}
	if (dir)
		closedir(dir);
	return found;
}

int main(void)
{
	static char text[1 << 16];
	struct session s = session_open(), other = session_open();
	struct drm_vinci_inject inject = { .kind = DRM_VINCI_INJECT_HANG, .die = 0 };
	struct drm_vinci_event_read read = { .timeout_ns = 20 * SECOND };
	struct queue waiting = queue_create(s.fd, s.vm, 0);
	char line[64];
	uint64_t n, m;

	while (report(text, sizeof(text)))
		;
	m = submit(&waiting, event_wait(s.host_va, 1));
	OK(request(s.fd, DRM_IOCTL_VINCI_INJECT, &inject));
	n = submit(&s.q, nop(s.fd));
	EXPECT(wait_for(&s.q, n, 60 * SECOND), -ENODEV);
	OK(request(s.fd, DRM_IOCTL_VINCI_EVENT_READ, &read));
	CHECK(read.event.type == DRM_VINCI_EVENT_FAULT && read.event.fault.cause == DRM_VINCI_FAULT_TIMEOUT);
	CHECK(read.event.fault.queue_id == s.q.id && read.event.fault.entry == n);
	UNTIL(5, report(text, sizeof(text)));
	snprintf(line, sizeof(line), "queue %u hangs", s.q.id);
	CHECK(strstr(text, line) && strstr(text, "opcode 1 "));
	printf("%.300s\n", text);
	/* A queue that waits for its event does not hang, and others are not concerned. */
	EXPECT(wait_for(&waiting, m, 3 * SECOND), -ETIME);
	host_store(&s, &waiting, 1);
	OK(wait_for(&waiting, m, 10 * SECOND));
	session_works(&other, 0x0d);
	OK(queue_destroy(&s.q));
	s.q = queue_create(s.fd, s.vm, 0);
	session_works(&s, 0x0e);
	CHECK(!report(text, sizeof(text)));
	return 0;
}

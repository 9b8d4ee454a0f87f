/* What the driver shows: fdinfo, hwmon, debugfs, tracepoints. */
#include "vm.h"

#include <dirent.h>

static long long value_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	char unit[8] = "";
	long long value;

	if (!at || sscanf(at + strlen(key), ":%lld %7s", &value, unit) < 1)
		FAIL("no %s in:\n%s", key, text);
	return value * (!strcmp(unit, "KiB") ? 1024 : !strcmp(unit, "MiB") ? 1 << 20 : 1);
}

static long long engine_ns(const char *path, const char *engine)
{
	char text[4096], key[64];

	CHECK(read_file(path, text, sizeof(text)) > 0);
	snprintf(key, sizeof(key), "drm-engine-capacity-%s", engine);
	CHECK(value_of(text, key) == 2);
	snprintf(key, sizeof(key), "drm-engine-%s", engine);
	return value_of(text, key);
}

/* Time of engines in drm-usage-stats form. It does not go back when a queue goes. */
static void engines(struct session *s, const char *path)
{
	struct queue q = queue_create(s->fd, s->vm, 1);
	long long copied, computed;

	CHECK(engine_ns(path, "aic") == 0 && engine_ns(path, "aiv") == 0 && engine_ns(path, "sdma") == 0);
	session_works(s, 0x5a);
	copied = engine_ns(path, "sdma");
	CHECK(copied > 0 && engine_ns(path, "aiv") == 0);
	OK(wait_for(&q, submit(&q, nop(s->fd)), 30 * SECOND));
	computed = engine_ns(path, "aiv");
	CHECK(computed > 0 && engine_ns(path, "sdma") == copied);
	OK(queue_destroy(&q));
	CHECK(engine_ns(path, "aiv") == computed && engine_ns(path, "sdma") == copied);
}

static void fdinfo(struct session *s)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->fd);
	CHECK(read_file(path, text, sizeof(text)) > 0);
	CHECK(strstr(text, "drm-driver:\tvinci\n") && strstr(text, "drm-client-id:") && strstr(text, "drm-pdev:\t"));
	CHECK(strstr(text, function_name()));
	CHECK(value_of(text, "drm-total-hbm0") == SESSION_BYTES && value_of(text, "drm-total-hbm1") == 0);
	CHECK(value_of(text, "drm-resident-hbm0") == SESSION_BYTES);
	CHECK(value_of(text, "drm-total-system") == SESSION_BYTES);
	CHECK(value_of(text, "vinci-queues") == 1);
	engines(s, path);
	OK(bo_close(s->fd, bo_create(s->fd, 5 << 20, DRM_VINCI_PLACE_HBM).handle));
	CHECK(read_file(path, text, sizeof(text)) > 0 && value_of(text, "drm-total-hbm0") == SESSION_BYTES);
}

static long sensor(const char *hwmon, const char *name)
{
	char path[384], text[64];

	snprintf(path, sizeof(path), "%s/%s", hwmon, name);
	if (read_file(path, text, sizeof(text)) <= 0)
		FAIL("%s: %s", path, strerror(errno));
	return atol(text);
}

static void hwmon(struct session *s)
{
	char folder[320], hwmon[340] = "", path[384], text[64];
	struct drm_vinci_telemetry t = { .die = 1 };
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/hwmon", function());
	dir = opendir(folder);
	CHECK(dir);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "hwmon", 5))
			snprintf(hwmon, sizeof(hwmon), "%s/%.16s", folder, entry->d_name);
	closedir(dir);
	CHECK(*hwmon);
	snprintf(path, sizeof(path), "%s/name", hwmon);
	CHECK(read_file(path, text, sizeof(text)) > 0 && !strcmp(text, "vinci\n"));
	snprintf(path, sizeof(path), "%s/temp2_label", hwmon);
	CHECK(read_file(path, text, sizeof(text)) > 0 && !strcmp(text, "die1\n"));
	OK(request(s->fd, DRM_IOCTL_VINCI_TELEMETRY, &t));
	/* Both are of the same moment but for a little. */
	CHECK(labs(sensor(hwmon, "temp2_input") - (long)t.temperature_mc) <= 5000);
	CHECK(labs(sensor(hwmon, "power1_input") - (long)t.power_mw * 1000) <= 50000000);
	printf("die 0: %ld m°C, %ld uW\n", sensor(hwmon, "temp1_input"), sensor(hwmon, "power1_input"));
}

static void debugfs(struct session *s)
{
	char path[160], text[8192], line[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s", function_name());
	if (access(path, F_OK)) {
		printf("without debugfs: no %s\n", path);
		return;
	}
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/device", function_name());
	CHECK(read_file(path, text, sizeof(text)) > 0 && strstr(text, "chip: ") && strstr(text, "die 1: health 0"));
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/queues", function_name());
	CHECK(read_file(path, text, sizeof(text)) > 0);
	snprintf(line, sizeof(line), "\n%u ", s->q.id);
	CHECK(strstr(text, line) && strstr(text, " running "));
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/files", function_name());
	CHECK(read_file(path, text, sizeof(text)) > 0);
	snprintf(line, sizeof(line), " %d show 1 1 1048576 1048576\n", getpid());
	CHECK(strstr(text, line));
}

static void trace(struct session *s)
{
	static char text[1 << 20];

	if (access("/sys/kernel/tracing/events/vinci/enable", W_OK)) {
		printf("without tracepoints: no /sys/kernel/tracing/events/vinci\n");
		return;
	}
	write_file("/sys/kernel/tracing/events/vinci/enable", "1");
	vm_create(s->fd);
	EXPECT(bo_close(s->fd, 0x4242), -ENOENT);
	write_file("/sys/kernel/tracing/events/vinci/enable", "0");
	CHECK(read_file("/sys/kernel/tracing/trace", text, sizeof(text)) > 0);
	CHECK(strstr(text, "vinci_ioctl: ") && strstr(text, "ret=0") && strstr(text, "nr=0x9 size=8 ret=-2"));
}

int main(void)
{
	struct session s = session_open();

	fdinfo(&s);
	hwmon(&s);
	debugfs(&s);
	trace(&s);
	return 0;
}

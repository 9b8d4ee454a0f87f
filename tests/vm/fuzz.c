/*
 * Random requests, mappings, stores into rings, closes and kills from several processes at once:
 *   fuzz CALLS [SEED [PROCESSES]]
 * What a request takes is described below, field by field; values are mostly ones that make sense. Each process keeps a
 * pattern in memory of its own, which nobody else may reach.
 */
#include "vm.h"

enum kind {
	END, ZERO, FLAGS, VM, HANDLE, QUEUE, DIE, VA, SIZE, OFFSET, PLACEMENT, PRIORITY, ENTRIES, TOPIC, INDEX, USER,
	TIMEOUT, VALUE, BOOL, SCOPE, INJECT, FD, PRIME_FLAGS, OUT32, OUT64,
};

/* A request: its number, how often it comes, and its fields with their bytes. */
struct description {
	unsigned long number;
	unsigned weight;
	struct { uint8_t kind, bytes; } fields[10];
};

#define F4(k) { k, 4 }
#define F8(k) { k, 8 }

static const struct description descriptions[] = {
	{ DRM_IOCTL_VINCI_DEV_QUERY, 10, { F4(TOPIC), F4(INDEX), F4(SIZE), F4(ZERO), F8(USER) } },
	{ DRM_IOCTL_VINCI_VM_CREATE, 10, { F4(FLAGS), F4(OUT32) } },
	{ DRM_IOCTL_VINCI_VM_DESTROY, 6, { F4(VM), F4(ZERO) } },
	{ DRM_IOCTL_VINCI_VM_MAP, 30, { F4(VM), F4(HANDLE), F4(BOOL), F4(ZERO), F8(OFFSET), F8(VA), F8(SIZE) } },
	{ DRM_IOCTL_VINCI_VM_UNMAP, 20, { F4(VM), F4(ZERO), F8(VA), F8(SIZE) } },
	{ DRM_IOCTL_VINCI_VM_PEER, 4, { F4(VM), F4(DIE), F4(DIE), F4(BOOL) } },
	{ DRM_IOCTL_VINCI_BO_CREATE, 30, { F8(SIZE), F4(PLACEMENT), F4(DIE), F4(FLAGS), F4(OUT32), F8(OUT64) } },
	{ DRM_IOCTL_VINCI_BO_USERPTR, 15, { F8(USER), F8(SIZE), F4(BOOL), F4(OUT32) } },
	{ DRM_IOCTL_VINCI_BO_INFO, 5, { F4(HANDLE), F4(OUT32), F4(OUT32), F4(ZERO), F8(OUT64), F8(OUT64) } },
	{ DRM_IOCTL_GEM_CLOSE, 25, { F4(HANDLE), F4(ZERO) } },
	{ DRM_IOCTL_VINCI_QUEUE_CREATE, 15,
	  { F4(VM), F4(DIE), F4(PRIORITY), F4(ENTRIES), F4(FLAGS), F4(OUT32), F8(OUT64), F8(OUT64), F8(OUT64) } },
	{ DRM_IOCTL_VINCI_QUEUE_DESTROY, 10, { F4(QUEUE), F4(ZERO) } },
	{ DRM_IOCTL_VINCI_QUEUE_RESET, 10, { F4(QUEUE), F4(FLAGS), F8(OUT64) } },
	{ DRM_IOCTL_VINCI_QUEUE_KICK, 15, { F4(QUEUE), F4(ZERO) } },
	{ DRM_IOCTL_VINCI_QUEUE_RESUME, 5, { F4(QUEUE), F4(ZERO), F8(VALUE) } },
	{ DRM_IOCTL_VINCI_QUEUE_QUERY, 5, { F4(QUEUE), F4(OUT32), F8(OUT64) } },
	{ DRM_IOCTL_VINCI_WAIT, 15, { F4(QUEUE), F4(FLAGS), F8(VALUE), F8(TIMEOUT) } },
	{ DRM_IOCTL_VINCI_EVENT_READ, 5, { F8(TIMEOUT), F8(OUT64) } },
	{ DRM_IOCTL_VINCI_TELEMETRY, 3, { F4(DIE), F4(OUT32) } },
	{ DRM_IOCTL_PRIME_HANDLE_TO_FD, 8, { F4(HANDLE), F4(PRIME_FLAGS), F4(OUT32) } },
	{ DRM_IOCTL_PRIME_FD_TO_HANDLE, 8, { F4(OUT32), F4(ZERO), F4(FD) } },
	{ DRM_IOCTL_VINCI_CODE_LOAD, 3, { F4(VM), F4(DIE), F8(VA), F8(SIZE), F4(OUT32), F4(OUT32) } },
	{ DRM_IOCTL_VINCI_CODE_UNLOAD, 2, { F4(VM), F4(INDEX) } },
	{ DRM_IOCTL_VERSION, 1, { F8(ZERO) } },
};

#define DESCRIPTIONS (sizeof(descriptions) / sizeof(*descriptions))
#define POOL 32

static uint64_t seed;

static uint64_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

/* Values that were right once. */
struct pool {
	uint64_t of[POOL];
};

static uint64_t from(struct pool *p)
{
	return p->of[below(POOL)];
}

static void add(struct pool *p, uint64_t value)
{
	p->of[below(POOL)] = value;
}

struct mapping {
	void *at;
	size_t bytes;
	bool ring;
};

struct worker {
	int fd;
	struct pool vms, handles, queues, offsets, vas;
	int fds[POOL];
	struct mapping maps[POOL];
	uint8_t *user;
	/* Memory that nobody else has: both ways to see it must agree for ever. */
	volatile uint64_t *host, *hbm;
	uint64_t pattern;
};

#define USER_BYTES (1ul << 20)

static uint64_t value(struct worker *w, enum kind kind)
{
	/* Now and then something that cannot be; whoever sleeps for that long is of no use. */
	if (below(kind == TIMEOUT ? 4096 : 64) == 0)
		return below(2) ? any() : below(2) ? ~0ull - below(8192) : 1ull << below(64);
	switch (kind) {
	case ZERO: case FLAGS: case OUT32: case OUT64: return 0;
	case VM: return from(&w->vms);
	case HANDLE: return from(&w->handles);
	case QUEUE: return from(&w->queues);
	case DIE: return below(2);
	case VA: return below(2) ? from(&w->vas) : 0x120000000000ull + below(256) * PAGE * 16;
	case SIZE: return (1 + below(16)) * PAGE * (below(8) ? 1 : 512);
	case OFFSET: return below(4) ? 0 : below(16) * PAGE;
	case PLACEMENT: return below(2);
	case PRIORITY: return below(8);
	case ENTRIES: return 64u << below(4);
	case TOPIC: return below(5);
	case INDEX: return below(2);
	case USER: return (uintptr_t)w->user + below(256) * PAGE;
	case TIMEOUT: return below(4) ? 0 : below(2000000);
	case VALUE: return below(8);
	case BOOL: return 1 + below(3);
	case SCOPE: return below(2);
	case INJECT: return below(2);
	case FD: return w->fds[below(POOL)];
	case PRIME_FLAGS: return below(2) ? DRM_CLOEXEC | DRM_RDWR : DRM_CLOEXEC;
	case END: break;
	}
	return 0;
}

static void keep_fd(struct worker *w, int fd)
{
	int *slot = &w->fds[below(POOL)];

	if (*slot > 2)
		close(*slot);
	*slot = fd;
}

/* Remembers what a request made. */
static void learn(struct worker *w, unsigned long number, const void *payload)
{
	const struct drm_vinci_bo_create *bo = payload;
	const struct drm_vinci_queue_create *q = payload;

	switch (number) {
	case DRM_IOCTL_VINCI_VM_CREATE:
		add(&w->vms, ((const struct drm_vinci_vm_create *)payload)->vm_id);
		break;
	case DRM_IOCTL_VINCI_VM_MAP:
		add(&w->vas, ((const struct drm_vinci_vm_map *)payload)->va);
		break;
	case DRM_IOCTL_VINCI_BO_CREATE:
		add(&w->handles, bo->handle);
		add(&w->offsets, bo->mmap_offset);
		break;
	case DRM_IOCTL_VINCI_BO_USERPTR:
		add(&w->handles, ((const struct drm_vinci_bo_userptr *)payload)->handle);
		break;
	case DRM_IOCTL_PRIME_FD_TO_HANDLE:
		add(&w->handles, ((const struct drm_prime_handle *)payload)->handle);
		break;
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		keep_fd(w, ((const struct drm_prime_handle *)payload)->fd);
		break;
	case DRM_IOCTL_VINCI_QUEUE_CREATE:
		add(&w->queues, q->queue_id);
		add(&w->offsets, q->ring_offset);
		add(&w->offsets, q->doorbell_offset);
		add(&w->offsets, q->fence_offset);
		break;
	}
}

/* Calls in all, and requests that were granted. */
struct counters {
	uint64_t calls, granted;
};

static struct counters *counters;

static unsigned weights;

static const struct description *pick(void)
{
	unsigned at = below(weights);

	for (size_t i = 0; i < DESCRIPTIONS; i++) {
		if (at < descriptions[i].weight)
			return &descriptions[i];
		at -= descriptions[i].weight;
	}
	return descriptions;
}

static void call(struct worker *w)
{
	const struct description *d = pick();
	uint8_t payload[512] = {};
	unsigned long number = d->number;
	size_t at = 0;

	for (size_t i = 0; d->fields[i].kind != END; i++) {
		uint64_t v = value(w, d->fields[i].kind);

		memcpy(payload + at, &v, d->fields[i].bytes);
		at += d->fields[i].bytes;
	}
	/* A size or direction that is not the request's. */
	if (below(200) == 0)
		number ^= 1ul << (16 + below(14));
	if (ioctl(w->fd, number, payload) < 0)
		return;
	__atomic_fetch_add(&counters->granted, 1, __ATOMIC_RELAXED);
	if (number == d->number)
		learn(w, number, payload);
}

static void map_something(struct worker *w)
{
	struct mapping *m = &w->maps[below(POOL)];
	uint64_t offset = from(&w->offsets);
	void *p;

	if (m->at)
		munmap(m->at, m->bytes);
	m->at = NULL;
	if (below(16) == 0)
		offset = any() & ~(PAGE - 1);
	m->bytes = (1 + below(4)) * PAGE;
	p = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, below(32) ? MAP_SHARED : MAP_PRIVATE, w->fd, offset);
	if (p != MAP_FAILED)
		m->at = p;
}

/* Stores nonsense, or an entry that may be one, into whatever is mapped: rings, doorbells, fences, memory. */
static void scribble(struct worker *w)
{
	struct mapping *m = &w->maps[below(POOL)];
	struct drm_vinci_sqe e = {};
	volatile uint64_t *at;

	if (!m->at)
		return;
	at = (volatile uint64_t *)((uint8_t *)m->at + below(m->bytes / 64) * 64);
	e.opcode = below(12);
	e.words[0] = value(w, VA);
	e.words[1] = below(2) ? value(w, VA) : below(4);
	e.words[2] = below(4096);
	e.words[3] = 1;
	if (touch(at, false))
		return;
	if (below(4) == 0)
		*at += below(3);
	else
		memcpy((void *)at, &e, sizeof(e));
}

static void check_pattern(struct worker *w)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		if (w->host[i] != w->pattern + i || w->hbm[i] != w->pattern + i)
			FAIL("memory of one process was changed by another: word %zu is %#llx and %#llx, not %#llx", i,
			     (unsigned long long)w->host[i], (unsigned long long)w->hbm[i],
			     (unsigned long long)(w->pattern + i));
}

/* Something of each kind to begin with. */
static void prime(struct worker *w)
{
	struct drm_vinci_vm_create vm = {};
	struct drm_vinci_bo_create bo = { .size = 16 * PAGE };
	struct drm_vinci_queue_create q = { .entries = 64 };

	for (int i = 0; i < 2; i++) {
		if (!request(w->fd, DRM_IOCTL_VINCI_VM_CREATE, &vm))
			for (int j = 0; j < POOL / 2; j++)
				learn(w, DRM_IOCTL_VINCI_VM_CREATE, &vm);
		for (bo.placement = 0; bo.placement < 2; bo.placement++)
			if (!request(w->fd, DRM_IOCTL_VINCI_BO_CREATE, &bo))
				for (int j = 0; j < POOL / 4; j++)
					learn(w, DRM_IOCTL_VINCI_BO_CREATE, &bo);
		q.vm_id = vm.vm_id;
		q.die = i;
		if (!request(w->fd, DRM_IOCTL_VINCI_QUEUE_CREATE, &q))
			for (int j = 0; j < POOL / 4; j++)
				learn(w, DRM_IOCTL_VINCI_QUEUE_CREATE, &q);
	}
}

static void start(struct worker *w)
{
	/* Closed by nobody: a file of its own. */
	int safe = node_open();
	struct drm_vinci_bo_create host = bo_create(safe, PAGE, DRM_VINCI_PLACE_HOST);
	struct drm_vinci_bo_create hbm = bo_create(safe, PAGE, DRM_VINCI_PLACE_HBM);

	*w = (struct worker){ .fd = node_open(), .pattern = any() };
	for (int i = 0; i < POOL; i++)
		w->fds[i] = -1;
	w->user = mmap(NULL, USER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->host = map(safe, host.mmap_offset, PAGE);
	w->hbm = map(safe, hbm.mmap_offset, PAGE);
	for (size_t i = 0; i < PAGE / 8; i++)
		w->host[i] = w->hbm[i] = w->pattern + i;
	prime(w);
}

static void __attribute__((noreturn)) work(uint64_t limit)
{
	static struct worker w;

	start(&w);
	while (__atomic_fetch_add(&counters->calls, 1, __ATOMIC_RELAXED) < limit) {
		unsigned what = below(100);

		if (what < 80)
			call(&w);
		else if (what < 90)
			scribble(&w);
		else if (what < 98)
			map_something(&w);
		else if (what < 99)
			check_pattern(&w);
		else if (below(10) == 0) {
			close(w.fd);
			w.fd = node_open();
		}
	}
	check_pattern(&w);
	exit(0);
}

static uint64_t calls(void)
{
	return __atomic_load_n(&counters->calls, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	uint64_t limit = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
	int processes = argc > 3 ? atoi(argv[3]) : 4, kills = 0, fails = 0;
	pid_t pids[64] = {};
	int64_t begin = now_ns(), said = begin;
	struct session s;

	seed = (argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL)) * 2654435769u + 1;
	printf("seed %llu, %d processes\n", (unsigned long long)(argc > 2 ? strtoull(argv[2], NULL, 0) : 0), processes);
	for (size_t i = 0; i < DESCRIPTIONS; i++)
		weights += descriptions[i].weight;
	counters = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counters != MAP_FAILED && processes > 0 && processes <= 64);
	while (calls() < limit && !fails) {
		for (int i = 0; i < processes; i++) {
			int status;

			if (pids[i] && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				pids[i] = 0;
				fails += WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL;
			}
			if (!pids[i] && calls() < limit) {
				any();
				pids[i] = SPAWN(seed += i; work(limit));
			}
		}
		pause_ms(50);
		if (below(4) == 0) {
			int victim = below(processes);

			if (pids[victim] > 0)
				kills += kill(pids[victim], SIGKILL) == 0;
		}
		if (now_ns() - said > 10 * SECOND) {
			said = now_ns();
			printf("%llu calls, %d kills, %.0f calls/s\n", (unsigned long long)calls(), kills,
			       calls() * 1e9 / (said - begin));
			fflush(stdout);
		}
	}
	/* Some sleep for as long as it takes. Whoever is killed must go. */
	pause_ms(2000);
	for (int i = 0; i < processes; i++) {
		int status = 0;

		if (!pids[i])
			continue;
		kill(pids[i], SIGKILL);
		UNTIL(90, waitpid(pids[i], &status, WNOHANG) == pids[i]);
		fails += WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL;
	}
	printf("%llu calls, %llu requests granted, %d kills in %.1f s\n", (unsigned long long)calls(),
	       (unsigned long long)counters->granted, kills, (now_ns() - begin) / 1e9);
	if (fails)
		FAIL("%d processes failed", fails);
	/* Whatever happened, the next one can work. */
	s = session_open();
	session_works(&s, 0x12);
	return 0;
}

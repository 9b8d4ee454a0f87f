// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The DRM accel node. In C because the Rust abstractions of DRM are not compiled where DRM is a
 * module, as in Debian's kernel, and have neither accel minors nor file operations of a driver's
 * own. Every decision is the Rust side's.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "../uapi/include/drm/vinci_accel.h"
#include "vinci.h"
#include "vinci_trace.h"

/* The largest structure of the interface. */
#define VINCI_PAYLOAD 512
static_assert(sizeof(struct drm_vinci_event_read) <= VINCI_PAYLOAD);
static_assert(sizeof(struct drm_vinci_queue_query) <= VINCI_PAYLOAD);

static u32 file_id(struct drm_file *file)
{
	return (u32)(uintptr_t)file->driver_priv;
}

static int vinci_open(struct drm_device *drm, struct drm_file *file)
{
	char name[TASK_COMM_LEN];
	int cookie;
	s64 id;

	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	get_task_comm(name, current);
	id = vinci_rs_open(to_vinci(drm)->npu, task_tgid_vnr(current), name,
			   strnlen(name, sizeof(name)));
	drm_dev_exit(cookie);
	if (id < 0)
		return id;
	file->driver_priv = (void *)(uintptr_t)id;
	return 0;
}

static void vinci_postclose(struct drm_device *drm, struct drm_file *file)
{
	/* Without the function there is nothing left to close; the Rust side knows. */
	vinci_rs_close(to_vinci(drm)->npu, file_id(file));
}

/*
 * Payloads have one size each, which is part of the number: DRM's table would take shorter and
 * longer ones.
 */
static bool is_ours(unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd);

	return (nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END) || cmd == DRM_IOCTL_GEM_CLOSE ||
	       cmd == DRM_IOCTL_PRIME_HANDLE_TO_FD || cmd == DRM_IOCTL_PRIME_FD_TO_HANDLE;
}

/*
 * DRM's own requests that mean something here. The others are of displays, and not all of them
 * expect a file of an accel node: GET_UNIQUE looks for the file's master, which is NULL.
 */
static bool is_of_drm(unsigned int cmd)
{
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(DRM_IOCTL_VERSION):
	case _IOC_NR(DRM_IOCTL_GET_CAP):
	case _IOC_NR(DRM_IOCTL_SET_CLIENT_NAME):
		return true;
	default:
		return false;
	}
}

/* What touches the work of others than the caller. */
static bool needs_right(unsigned int cmd)
{
	return cmd == DRM_IOCTL_VINCI_RESET || cmd == DRM_IOCTL_VINCI_INJECT;
}

static int dispatch(struct drm_device *drm, u32 file, unsigned int cmd, u8 *payload, size_t len)
{
	struct drm_prime_handle *prime = (void *)payload;

	switch (cmd) {
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		return vinci_prime_export(drm, file, prime->handle, prime->flags, &prime->fd);
	case DRM_IOCTL_PRIME_FD_TO_HANDLE:
		return vinci_prime_import(drm, file, prime->fd, &prime->handle);
	default:
		return vinci_rs_ioctl(to_vinci(drm)->npu, file, cmd, payload, len);
	}
}

static bool sleeps(unsigned int cmd)
{
	return cmd == DRM_IOCTL_VINCI_WAIT || cmd == DRM_IOCTL_VINCI_EVENT_READ ||
	       cmd == DRM_IOCTL_VINCI_QUEUE_DESTROY;
}

static long vinci_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct drm_file *file = filp->private_data;
	struct drm_device *drm = file->minor->dev;
	u8 payload[VINCI_PAYLOAD] __aligned(8);
	size_t len = _IOC_SIZE(cmd);
	void __user *user = (void __user *)arg;
	int cookie, ret;

	if (_IOC_TYPE(cmd) != DRM_IOCTL_BASE)
		return -ENOTTY;
	if (!is_ours(cmd))
		return is_of_drm(cmd) ? drm_ioctl(filp, cmd, arg) : -ENOTTY;
	if (len > sizeof(payload))
		return -ENOTTY;
	if (copy_from_user(payload, user, len))
		return -EFAULT;
	if (needs_right(cmd) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	if (sleeps(cmd)) {
		/*
		 * An unplug does not wait for sleepers: it wakes them. The open file keeps the
		 * rest.
		 */
		drm_dev_exit(cookie);
		ret = vinci_rs_ioctl(to_vinci(drm)->npu, file_id(file), cmd, payload, len);
	} else {
		ret = dispatch(drm, file_id(file), cmd, payload, len);
		drm_dev_exit(cookie);
	}
	trace_vinci_ioctl(drm->dev, file_id(file), cmd, ret);
	if (!ret && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, payload, len))
		return -EFAULT;
	return ret;
}

static int vinci_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct drm_file *file = filp->private_data;
	struct drm_device *drm = file->minor->dev;
	struct vinci_range range = {};
	struct vinci_view *view;
	int cookie, ret;

	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	ret = vinci_rs_range(to_vinci(drm)->npu, file_id(file), (u64)vma->vm_pgoff << PAGE_SHIFT,
			     vma->vm_end - vma->vm_start, &range);
	drm_dev_exit(cookie);
	if (ret)
		return ret;
	view = vinci_view_new(drm, &range, vma->vm_pgoff);
	if (!view) {
		vinci_range_put(drm, &range);
		return -ENOMEM;
	}
	ret = vinci_view_mmap(view, vma);
	if (ret)
		vinci_view_put(view);
	return ret;
}

static __poll_t vinci_poll(struct file *filp, struct poll_table_struct *table)
{
	struct drm_file *file = filp->private_data;
	struct drm_device *drm = file->minor->dev;
	int ready = vinci_rs_poll(to_vinci(drm)->npu, file_id(file), filp, table);

	return ready < 0 ? EPOLLERR | EPOLLHUP : ready ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct file_operations vinci_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = vinci_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vinci_mmap,
	.poll = vinci_poll,
	.llseek = noop_llseek,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static void vinci_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	static const char * const engines[] = { "aic", "aiv", "sdma" };
	struct vinci_usage usage = {};
	char region[8];
	u32 die, i;

	if (vinci_rs_usage(to_vinci(file->minor->dev)->npu, file_id(file), &usage))
		return;
	for (die = 0; die < usage.dies; die++) {
		snprintf(region, sizeof(region), "hbm%u", die);
		drm_fdinfo_print_size(p, "drm", "total", region, usage.hbm[die]);
		drm_fdinfo_print_size(p, "drm", "resident", region, usage.hbm[die]);
	}
	drm_fdinfo_print_size(p, "drm", "total", "system", usage.host);
	drm_fdinfo_print_size(p, "drm", "resident", "system", usage.host);
	for (i = 0; i < ARRAY_SIZE(engines); i++) {
		drm_printf(p, "drm-engine-%s:\t%llu ns\n", engines[i], usage.busy_ns[i]);
		drm_printf(p, "drm-engine-capacity-%s:\t%u\n", engines[i], usage.dies);
	}
	drm_printf(p, "vinci-queues:\t%u\n", usage.queues);
}

static int vinci_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;

	return vinci_rs_show(to_vinci(entry->dev)->npu, (uintptr_t)entry->file.data, m);
}

/* The numbers are those of show.rs. */
static const struct drm_debugfs_info vinci_debugfs[] = {
	{ "device", vinci_show, 0, (void *)0 },
	{ "files", vinci_show, 0, (void *)1 },
	{ "queues", vinci_show, 0, (void *)2 },
};

static void vinci_release(struct drm_device *drm)
{
	if (to_vinci(drm)->npu)
		vinci_rs_release(to_vinci(drm)->npu);
}

static const struct drm_driver vinci_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL,
	.open = vinci_open,
	.postclose = vinci_postclose,
	.release = vinci_release,
	.show_fdinfo = vinci_show_fdinfo,
	.fops = &vinci_fops,
	.name = "vinci",
	.desc = "Da Vinci-class AI accelerator",
	.major = DRM_VINCI_DRIVER_MAJOR,
	.minor = DRM_VINCI_DRIVER_MINOR,
};

static void vinci_watchdog(struct work_struct *work)
{
	struct vinci_device *v = container_of(work, struct vinci_device, watchdog.work);
	u32 ms = vinci_rs_watch(v->npu);

	if (ms)
		schedule_delayed_work(&v->watchdog, msecs_to_jiffies(ms));
}

struct drm_device *vinci_drm_alloc(struct pci_dev *pdev, u32 queues)
{
	struct vinci_device *v;
	int ret;

	v = devm_drm_dev_alloc(&pdev->dev, &vinci_driver, struct vinci_device, drm);
	if (IS_ERR(v))
		return ERR_CAST(v);
	INIT_DELAYED_WORK(&v->watchdog, vinci_watchdog);
	ret = drmm_mutex_init(&v->drm, &v->doorbells);
	if (ret)
		return ERR_PTR(ret);
	v->queues = queues;
	v->generation = drmm_kcalloc(&v->drm, queues, sizeof(*v->generation), GFP_KERNEL);
	if (!v->generation)
		return ERR_PTR(-ENOMEM);
	return &v->drm;
}

/* Takes over the reference @npu, whatever it answers. */
int vinci_drm_register(struct drm_device *drm, const void *npu)
{
	struct vinci_device *v = to_vinci(drm);
	struct vinci_usage usage = {};
	int ret;

	v->npu = npu;
	vinci_rs_usage(npu, 0, &usage);
	drm_debugfs_add_files(drm, vinci_debugfs, ARRAY_SIZE(vinci_debugfs));
	ret = drm_dev_register(drm, 0);
	if (ret)
		return ret;
	ret = vinci_hwmon_add(drm, usage.dies);
	if (ret)
		drm_warn(drm, "no sensors: %d\n", ret);
	schedule_delayed_work(&v->watchdog, 0);
	return 0;
}

/* The Rust side lets nobody in any more. */
void vinci_drm_unplug(struct drm_device *drm)
{
	cancel_delayed_work_sync(&to_vinci(drm)->watchdog);
	drm_dev_unplug(drm);
	/* What is still mapped faults from now on. */
	unmap_mapping_range(drm->anon_inode->i_mapping, 0, 0, 1);
}

u32 vinci_doorbell_generation(struct drm_device *drm, u32 queue)
{
	return to_vinci(drm)->generation[queue];
}

/*
 * A queue is gone: who has its doorbell, at @offset, mapped must not ring the next queue of that
 * number.
 */
void vinci_doorbell_revoke(struct drm_device *drm, u32 queue, u64 offset)
{
	struct vinci_device *v = to_vinci(drm);

	mutex_lock(&v->doorbells);
	v->generation[queue]++;
	mutex_unlock(&v->doorbells);
	unmap_mapping_range(drm->anon_inode->i_mapping, offset, PAGE_SIZE, 1);
}

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The DRM accel node. In C because the Rust abstractions of DRM are not compiled where DRM is a module, as in
 * Debian's kernel, and have neither accel minors nor file operations of a driver's own. Every decision is the
 * Rust side's.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>

#include "vinci_drm.h"

/* The largest structure of the interface. */
#define VINCI_PAYLOAD 512

struct vinci_device {
	struct drm_device drm;
	const void *npu;
};

static struct vinci_device *to_vinci(struct drm_device *drm)
{
	return container_of(drm, struct vinci_device, drm);
}

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
	id = vinci_rs_open(to_vinci(drm)->npu, task_tgid_vnr(current), name, strnlen(name, sizeof(name)));
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

/* Payloads have one size each, which is part of the number: DRM's table would take shorter and longer ones. */
static bool is_ours(unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd);

	return (nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END) || cmd == DRM_IOCTL_GEM_CLOSE ||
	       cmd == DRM_IOCTL_PRIME_HANDLE_TO_FD || cmd == DRM_IOCTL_PRIME_FD_TO_HANDLE;
}

static long vinci_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct drm_file *file = filp->private_data;
	struct drm_device *drm = file->minor->dev;
	u8 payload[VINCI_PAYLOAD] __aligned(8);
	size_t len = _IOC_SIZE(cmd);
	void __user *user = (void __user *)arg;
	int cookie, ret;

	if (_IOC_TYPE(cmd) != DRM_IOCTL_BASE || !is_ours(cmd))
		return drm_ioctl(filp, cmd, arg);
	if (len > sizeof(payload))
		return -ENOTTY;
	if (copy_from_user(payload, user, len))
		return -EFAULT;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	ret = vinci_rs_ioctl(to_vinci(drm)->npu, file_id(file), cmd, payload, len);
	drm_dev_exit(cookie);
	if (!ret && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, payload, len))
		return -EFAULT;
	return ret;
}

static void vinci_vma_open(struct vm_area_struct *vma)
{
	vinci_rs_vma_open(vma->vm_private_data);
}

static void vinci_vma_close(struct vm_area_struct *vma)
{
	vinci_rs_vma_close(vma->vm_private_data);
}

/* No fault handler: what is mapped is mapped at once, and after an unplug an access is a SIGBUS. */
static const struct vm_operations_struct vinci_vm_ops = {
	.open = vinci_vma_open,
	.close = vinci_vma_close,
};

static int vinci_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct drm_file *file = filp->private_data;
	struct drm_device *drm = file->minor->dev;
	const void *held = NULL;
	int cookie, ret;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	ret = vinci_rs_mmap(to_vinci(drm)->npu, file_id(file), (u64)vma->vm_pgoff << PAGE_SHIFT,
			    vma->vm_end - vma->vm_start, vma, &held);
	drm_dev_exit(cookie);
	if (ret)
		return ret;
	vma->vm_private_data = (void *)held;
	vma->vm_ops = &vinci_vm_ops;
	return 0;
}

int vinci_map_dma(struct vm_area_struct *vma, struct device *dev, void *memory, u64 bus, u64 bytes, u64 offset)
{
	unsigned long pgoff = vma->vm_pgoff;
	int ret;

	vma->vm_pgoff = offset >> PAGE_SHIFT;
	ret = dma_mmap_coherent(dev, vma, memory, bus, bytes);
	vma->vm_pgoff = pgoff;
	return ret;
}

int vinci_map_bar(struct vm_area_struct *vma, struct device *dev, unsigned int bar, u64 offset)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	unsigned long size = vma->vm_end - vma->vm_start;

	if (offset + size < offset || offset + size > pci_resource_len(pdev, bar))
		return -ENXIO;
	vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	return io_remap_pfn_range(vma, vma->vm_start, (pci_resource_start(pdev, bar) + offset) >> PAGE_SHIFT, size,
				  vma->vm_page_prot);
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
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static void vinci_release(struct drm_device *drm)
{
	vinci_rs_release(to_vinci(drm)->npu);
}

static const struct drm_driver vinci_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL,
	.open = vinci_open,
	.postclose = vinci_postclose,
	.release = vinci_release,
	.fops = &vinci_fops,
	.name = "vinci",
	.desc = "Da Vinci-class AI accelerator",
	.major = 1,
	.minor = 0,
};

/* Takes over the reference @npu, whatever it answers. */
int vinci_drm_add(struct pci_dev *pdev, const void *npu, void **out)
{
	struct vinci_device *v = devm_drm_dev_alloc(&pdev->dev, &vinci_driver, struct vinci_device, drm);
	int ret;

	if (IS_ERR(v)) {
		vinci_rs_release(npu);
		return PTR_ERR(v);
	}
	v->npu = npu;
	ret = drm_dev_register(&v->drm, 0);
	if (!ret)
		*out = &v->drm;
	return ret;
}

void vinci_drm_remove(void *drm)
{
	struct drm_device *d = drm;

	drm_dev_unplug(d);
	/* What is still mapped faults from now on. */
	unmap_mapping_range(d->anon_inode->i_mapping, 0, 0, 1);
}

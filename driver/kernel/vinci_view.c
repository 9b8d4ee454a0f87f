// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * What processes have mapped. In C because Rust has no abstraction of vm_operations_struct. Pages
 * are mapped when they are touched: so what an unplug or the end of a queue took away cannot come
 * back.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>

#include "vinci.h"

/* Takes over what @range owns, unless it fails. */
struct vinci_view *vinci_view_new(struct drm_device *drm, const struct vinci_range *range,
				  unsigned long first)
{
	struct vinci_view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);

	if (!view)
		return NULL;
	kref_init(&view->ref);
	view->range = *range;
	view->first = first;
	view->drm = drm;
	drm_dev_get(drm);
	return view;
}

/* Gives back what @range owns. */
void vinci_range_put(struct drm_device *drm, struct vinci_range *range)
{
	if (range->pages)
		vinci_pages_put(range->pages);
	if (range->buffer)
		vinci_rs_unhold(to_vinci(drm)->npu, range->buffer);
}

static void view_free(struct kref *ref)
{
	struct vinci_view *view = container_of(ref, struct vinci_view, ref);

	vinci_range_put(view->drm, &view->range);
	drm_dev_put(view->drm);
	kfree(view);
}

void vinci_view_put(struct vinci_view *view)
{
	kref_put(&view->ref, view_free);
}

static void view_open(struct vm_area_struct *vma)
{
	struct vinci_view *view = vma->vm_private_data;

	kref_get(&view->ref);
}

static void view_close(struct vm_area_struct *vma)
{
	vinci_view_put(vma->vm_private_data);
}

/* Byte of the view's memory at @addr; a mapping may have been split and moved. */
static u64 position(struct vm_area_struct *vma, unsigned long addr)
{
	struct vinci_view *view = vma->vm_private_data;
	u64 pages = vma->vm_pgoff - view->first;

	return view->range.start + (pages << PAGE_SHIFT) + addr - vma->vm_start;
}

static vm_fault_t map_page(struct vm_area_struct *vma, unsigned long addr)
{
	struct vinci_view *view = vma->vm_private_data;
	struct page *page;
	pgprot_t prot;
	int ret;

	if (!view->range.pages) {
		prot = view->range.queue ? pgprot_noncached(vma->vm_page_prot) :
					   pgprot_writecombine(vma->vm_page_prot);
		return vmf_insert_pfn_prot(vma, addr, position(vma, addr) >> PAGE_SHIFT, prot);
	}
	page = vinci_page(view->range.pages, position(vma, addr) >> PAGE_SHIFT);
	ret = page ? vm_insert_page(vma, addr, page) : -EFAULT;
	/* Another thread may have been here before. */
	return ret && ret != -EBUSY ? vmf_error(ret) : VM_FAULT_NOPAGE;
}

static vm_fault_t map_doorbell(struct vm_area_struct *vma, unsigned long addr)
{
	struct vinci_view *view = vma->vm_private_data;
	struct vinci_device *v = to_vinci(view->drm);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	mutex_lock(&v->doorbells);
	if (v->generation[view->range.queue] == view->range.generation)
		ret = map_page(vma, addr);
	mutex_unlock(&v->doorbells);
	return ret;
}

static vm_fault_t view_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vinci_view *view = vma->vm_private_data;
	unsigned long start = ALIGN_DOWN(vmf->address, PMD_SIZE);
	unsigned long addr = max(vma->vm_start, start), end = min(vma->vm_end, start + PMD_SIZE);
	vm_fault_t ret;
	int cookie;

	if (!drm_dev_enter(view->drm, &cookie))
		return VM_FAULT_SIGBUS;
	if (view->range.queue) {
		ret = map_doorbell(vma, vmf->address);
	} else {
		ret = map_page(vma, vmf->address);
		/*
		 * The neighbours are a favour: what cannot be had now comes with its own fault.
		 */
		for (; ret == VM_FAULT_NOPAGE && addr < end; addr += PAGE_SIZE) {
			if (map_page(vma, addr) != VM_FAULT_NOPAGE)
				break;
		}
	}
	drm_dev_exit(cookie);
	return ret;
}

static const struct vm_operations_struct view_ops = {
	.open = view_open,
	.close = view_close,
	.fault = view_fault,
};

/* Takes over the caller's reference to @view, unless it fails. */
int vinci_view_mmap(struct vinci_view *view, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vm_flags_set(vma, view->range.pages ? VM_MIXEDMAP : VM_IO | VM_PFNMAP);
	vma->vm_private_data = view;
	vma->vm_ops = &view_ops;
	return 0;
}

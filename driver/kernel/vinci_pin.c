// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A process's own pages, pinned and mapped for the device. In C because Rust has no abstraction of pinning. */
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vinci_drm.h"

struct vinci_pinned {
	struct device *dev;
	struct mm_struct *mm;
	struct page **pages;
	unsigned long count;
	struct sg_table table;
	enum dma_data_direction dir;
};

/* Counts pages against RLIMIT_MEMLOCK, without mmap's lock: the caller may hold locks that mmap takes. */
static bool charge(struct mm_struct *mm, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 now = atomic64_add_return(pages, &mm->pinned_vm);

	if (now > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(pages, &mm->pinned_vm);
		return false;
	}
	return true;
}

static void release(struct vinci_pinned *p)
{
	if (p->count)
		unpin_user_pages_dirty_lock(p->pages, p->count, p->dir == DMA_BIDIRECTIONAL);
	kvfree(p->pages);
}

struct vinci_pinned *vinci_pin(struct device *dev, u64 addr, u64 bytes, bool readonly, u32 *segments)
{
	unsigned long pages = bytes >> PAGE_SHIFT;
	unsigned int flags = FOLL_LONGTERM | (readonly ? 0 : FOLL_WRITE);
	struct vinci_pinned *p;
	int ret;

	/* No process has more pages than that, and the functions below count in int. */
	if (pages > INT_MAX || !access_ok((void __user *)addr, bytes))
		return ERR_PTR(-EFAULT);
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->dev = dev;
	p->mm = current->mm;
	p->dir = readonly ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
	p->pages = kvcalloc(pages, sizeof(*p->pages), GFP_KERNEL);
	if (!p->pages) {
		ret = -ENOMEM;
		goto free;
	}
	if (!charge(p->mm, pages)) {
		ret = -ENOMEM;
		goto free;
	}
	while (p->count < pages) {
		ret = pin_user_pages_fast(addr + (p->count << PAGE_SHIFT), pages - p->count, flags,
					  p->pages + p->count);
		if (ret <= 0) {
			ret = ret ?: -EFAULT;
			goto discharge;
		}
		p->count += ret;
	}
	ret = sg_alloc_table_from_pages(&p->table, p->pages, pages, 0, bytes, GFP_KERNEL);
	if (ret)
		goto discharge;
	ret = dma_map_sgtable(dev, &p->table, p->dir, 0);
	if (ret) {
		sg_free_table(&p->table);
		goto discharge;
	}
	mmgrab(p->mm);
	*segments = p->table.nents;
	return p;

discharge:
	atomic64_sub(pages, &p->mm->pinned_vm);
free:
	release(p);
	kfree(p);
	return ERR_PTR(ret);
}

void vinci_pin_segment(struct vinci_pinned *p, u32 index, u64 *addr, u64 *bytes)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&p->table, sg, i) {
		if (i == index) {
			*addr = sg_dma_address(sg);
			*bytes = sg_dma_len(sg);
			return;
		}
	}
}

void vinci_unpin(struct vinci_pinned *p)
{
	dma_unmap_sgtable(p->dev, &p->table, p->dir, 0);
	sg_free_table(&p->table);
	atomic64_sub(p->count, &p->mm->pinned_vm);
	mmdrop(p->mm);
	release(p);
	kfree(p);
}

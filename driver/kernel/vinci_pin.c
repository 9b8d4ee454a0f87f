// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A process's own pages, pinned and mapped for the device. In C because Rust has no abstraction
 * of pinning.
 */
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vinci.h"

struct pinned {
	struct vinci_sg base;
	struct sg_table table;
	struct device *dev;
	struct mm_struct *mm;
	struct page **pages;
	unsigned long count;
	enum dma_data_direction dir;
};

/*
 * Counts pages against RLIMIT_MEMLOCK, without mmap's lock: the caller may hold locks that mmap
 * takes.
 */
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

static void release(struct pinned *p)
{
	if (p->count)
		unpin_user_pages_dirty_lock(p->pages, p->count, p->dir == DMA_BIDIRECTIONAL);
	kvfree(p->pages);
	kfree(p);
}

static void pinned_free(struct vinci_sg *base)
{
	struct pinned *p = container_of(base, struct pinned, base);

	dma_unmap_sgtable(p->dev, &p->table, p->dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(&p->table);
	atomic64_sub(p->count, &p->mm->pinned_vm);
	mmdrop(p->mm);
	release(p);
}

struct vinci_sg *vinci_pin(struct device *dev, u64 addr, u64 bytes, bool readonly)
{
	unsigned long pages = bytes >> PAGE_SHIFT;
	unsigned int flags = FOLL_LONGTERM | (readonly ? 0 : FOLL_WRITE);
	struct pinned *p;
	int ret;

	/* No process has more pages than that, and the functions below count in int. */
	if (pages > INT_MAX || !access_ok((void __user *)addr, bytes))
		return ERR_PTR(-EFAULT);
	p = kzalloc_obj(*p);
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->base = (struct vinci_sg){ &p->table, pinned_free };
	p->dev = dev;
	p->mm = current->mm;
	p->dir = readonly ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
	ret = -ENOMEM;
	if (!charge(p->mm, pages))
		goto free;
	p->pages = kvcalloc(pages, sizeof(*p->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!p->pages)
		goto discharge;
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
	ret = vinci_map_coherent(dev, &p->table, p->dir);
	if (ret) {
		sg_free_table(&p->table);
		goto discharge;
	}
	mmgrab(p->mm);
	return &p->base;

discharge:
	atomic64_sub(pages, &p->mm->pinned_vm);
free:
	release(p);
	return ERR_PTR(ret);
}

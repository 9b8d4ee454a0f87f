// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Host memory of buffer objects, rings and fence pages. In C because Rust has single pages only,
 * and no way to give them to a device and to processes: the pages live as long as somebody maps
 * them, their DMA mapping as long as the function is bound.
 */
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vinci.h"

/* Pieces of 2 MiB where there are any: each is one entry of the device's tables. */
#define LARGEST_ORDER	9

struct vinci_pages {
	struct kref ref;
	unsigned long count;
	struct page *pages[];
};

static void pages_free(struct kref *ref)
{
	struct vinci_pages *p = container_of(ref, struct vinci_pages, ref);

	while (p->count)
		__free_page(p->pages[--p->count]);
	kvfree(p);
}

/* Each page can be mapped and freed for itself. */
static bool add_piece(struct vinci_pages *p, unsigned int order, gfp_t flags)
{
	struct page *page = alloc_pages(flags | GFP_KERNEL_ACCOUNT | __GFP_ZERO, order);
	unsigned long i;

	if (!page)
		return false;
	if (order)
		split_page(page, order);
	for (i = 0; i < 1UL << order; i++)
		p->pages[p->count++] = page + i;
	return true;
}

/* @together: one piece, a power of two of pages at most. */
struct vinci_pages *vinci_pages_alloc(u64 bytes, bool together)
{
	unsigned long count = bytes >> PAGE_SHIFT;
	unsigned int order = LARGEST_ORDER;
	struct vinci_pages *p;

	if (!count || bytes >> PAGE_SHIFT > totalram_pages() || (together && !is_power_of_2(count)))
		return ERR_PTR(-ENOMEM);
	p = kvzalloc(struct_size(p, pages, count), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!p)
		return ERR_PTR(-ENOMEM);
	kref_init(&p->ref);
	if (together) {
		order = get_order(bytes);
		if (order > MAX_PAGE_ORDER || !add_piece(p, order, __GFP_NOWARN))
			goto fail;
		return p;
	}
	while (p->count < count) {
		/*
		 * One process may ask for all memory of the machine; it can be stopped.
		 */
		if (fatal_signal_pending(current))
			goto fail;
		order = min_t(unsigned int, order, ilog2(count - p->count));
		/* Nobody is killed for a buffer object that is too large. */
		if (add_piece(p, order,
			      __GFP_NOWARN | (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL)))
			continue;
		if (!order)
			goto fail;
		order--;
	}
	return p;

fail:
	vinci_pages_put(p);
	return ERR_PTR(-ENOMEM);
}

void vinci_pages_get(struct vinci_pages *pages)
{
	kref_get(&pages->ref);
}

void vinci_pages_put(struct vinci_pages *pages)
{
	kref_put(&pages->ref, pages_free);
}

/* Of pages that lie together. */
void *vinci_pages_address(struct vinci_pages *pages)
{
	return page_address(pages->pages[0]);
}

/* NULL past the end. */
struct page *vinci_page(struct vinci_pages *pages, unsigned long index)
{
	return index < pages->count ? pages->pages[index] : NULL;
}

/* NULL if they are not all there. */
struct page **vinci_page_array(struct vinci_pages *pages, unsigned long index, unsigned long count)
{
	if (index > pages->count || count > pages->count - index)
		return NULL;
	return pages->pages + index;
}

/* Maps memory that device and CPU use at the same time; -EOPNOTSUPP where that needs copies. */
int vinci_map_coherent(struct device *dev, struct sg_table *table, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	unsigned int i;
	int ret = dma_map_sgtable(dev, table, dir, DMA_ATTR_SKIP_CPU_SYNC);

	if (ret)
		return ret;
	for_each_sgtable_dma_sg(table, sg, i) {
		if (dma_need_sync(dev, sg_dma_address(sg))) {
			dma_unmap_sgtable(dev, table, dir, DMA_ATTR_SKIP_CPU_SYNC);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

struct pages_sg {
	struct vinci_sg base;
	struct sg_table table;
	struct device *dev;
	struct vinci_pages *pages;
};

static void pages_sg_free(struct vinci_sg *base)
{
	struct pages_sg *sg = container_of(base, struct pages_sg, base);

	dma_unmap_sgtable(sg->dev, &sg->table, DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(&sg->table);
	vinci_pages_put(sg->pages);
	kfree(sg);
}

struct vinci_sg *vinci_pages_map(struct device *dev, struct vinci_pages *pages)
{
	struct pages_sg *sg = kzalloc_obj(*sg);
	int ret;

	if (!sg)
		return ERR_PTR(-ENOMEM);
	*sg = (struct pages_sg){ { &sg->table, pages_sg_free }, .dev = dev, .pages = pages };
	ret = sg_alloc_table_from_pages(&sg->table, pages->pages, pages->count, 0,
					(u64)pages->count << PAGE_SHIFT, GFP_KERNEL);
	if (ret)
		goto free;
	ret = vinci_map_coherent(dev, &sg->table, DMA_BIDIRECTIONAL);
	if (ret)
		goto free_table;
	vinci_pages_get(pages);
	return &sg->base;

free_table:
	sg_free_table(&sg->table);
free:
	kfree(sg);
	return ERR_PTR(ret);
}

u32 vinci_sg_count(struct vinci_sg *sg)
{
	return sg->table->nents;
}

void vinci_sg_fill(struct vinci_sg *sg, struct vinci_segment *to)
{
	struct scatterlist *s;
	unsigned int i;

	for_each_sgtable_dma_sg(sg->table, s, i)
		to[i] = (struct vinci_segment){ sg_dma_address(s), sg_dma_len(s) };
}

void vinci_sg_free(struct vinci_sg *sg)
{
	sg->free(sg);
}

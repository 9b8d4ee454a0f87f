// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Buffer objects as dma-bufs, and dma-bufs as buffer objects. In C because Rust has no
 * abstraction of dma-buf. Host memory goes to any driver; HBM to this driver's own files only,
 * since peers on PCI are not supported.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>

#include "vinci.h"

MODULE_IMPORT_NS("DMA_BUF");

static int buf_attach(struct dma_buf *buf, struct dma_buf_attachment *attachment)
{
	struct vinci_view *view = buf->priv;

	return view->range.pages ? 0 : -EOPNOTSUPP;
}

static struct sg_table *buf_map(struct dma_buf_attachment *attachment, enum dma_data_direction dir)
{
	struct vinci_view *view = attachment->dmabuf->priv;
	struct vinci_range *range = &view->range;
	unsigned long count = range->bytes >> PAGE_SHIFT;
	struct sg_table *table;
	struct page **pages;
	int ret;

	pages = vinci_page_array(range->pages, range->start >> PAGE_SHIFT, count);
	if (!pages)
		return ERR_PTR(-EINVAL);
	table = kzalloc_obj(*table);
	if (!table)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages(table, pages, count, 0, range->bytes, GFP_KERNEL);
	if (ret)
		goto free;
	ret = dma_map_sgtable(attachment->dev, table, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (ret)
		goto free_table;
	return table;

free_table:
	sg_free_table(table);
free:
	kfree(table);
	return ERR_PTR(ret);
}

static void buf_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
		      enum dma_data_direction dir)
{
	dma_unmap_sgtable(attachment->dev, table, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(table);
	kfree(table);
}

static void buf_release(struct dma_buf *buf)
{
	vinci_view_put(buf->priv);
}

static int buf_mmap(struct dma_buf *buf, struct vm_area_struct *vma)
{
	struct vinci_view *view = buf->priv;
	int ret;

	/*
	 * A mapping of the dma-buf is none that an unplug finds: it must not be of the device.
	 */
	if (!view->range.pages)
		return -EOPNOTSUPP;
	kref_get(&view->ref);
	ret = vinci_view_mmap(view, vma);
	if (ret)
		vinci_view_put(view);
	return ret;
}

static const struct dma_buf_ops buf_ops = {
	.attach = buf_attach,
	.map_dma_buf = buf_map,
	.unmap_dma_buf = buf_unmap,
	.release = buf_release,
	.mmap = buf_mmap,
};

int vinci_prime_export(struct drm_device *drm, u32 file, u32 handle, u32 flags, s32 *fd)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct vinci_range range = {};
	struct vinci_view *view;
	struct dma_buf *buf;
	int ret;

	if (flags & ~(O_CLOEXEC | O_RDWR))
		return -EINVAL;
	ret = vinci_rs_export(to_vinci(drm)->npu, file, handle, &range);
	if (ret)
		return ret;
	view = vinci_view_new(drm, &range, 0);
	if (!view) {
		vinci_range_put(drm, &range);
		return -ENOMEM;
	}
	info.exp_name = "vinci";
	info.ops = &buf_ops;
	info.size = range.bytes;
	info.flags = flags;
	info.priv = view;
	buf = dma_buf_export(&info);
	if (IS_ERR(buf)) {
		vinci_view_put(view);
		return PTR_ERR(buf);
	}
	ret = dma_buf_fd(buf, flags);
	if (ret < 0) {
		dma_buf_put(buf);
		return ret;
	}
	*fd = ret;
	return 0;
}

struct import {
	struct vinci_sg base;
	struct dma_buf *buf;
	struct dma_buf_attachment *attachment;
};

static void import_free(struct vinci_sg *base)
{
	struct import *import = container_of(base, struct import, base);

	dma_buf_unmap_attachment_unlocked(import->attachment, base->table, DMA_BIDIRECTIONAL);
	dma_buf_detach(import->buf, import->attachment);
	dma_buf_put(import->buf);
	kfree(import);
}

/* Takes over the reference to @buf, unless it fails. */
static struct vinci_sg *import_new(struct device *dev, struct dma_buf *buf)
{
	struct import *import;
	int ret;

	if (!PAGE_ALIGNED(buf->size))
		return ERR_PTR(-EINVAL);
	import = kzalloc_obj(*import);
	if (!import)
		return ERR_PTR(-ENOMEM);
	import->buf = buf;
	import->base.free = import_free;
	import->attachment = dma_buf_attach(buf, dev);
	if (IS_ERR(import->attachment)) {
		ret = PTR_ERR(import->attachment);
		goto free;
	}
	import->base.table = dma_buf_map_attachment_unlocked(import->attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(import->base.table)) {
		ret = PTR_ERR(import->base.table);
		goto detach;
	}
	return &import->base;

detach:
	dma_buf_detach(buf, import->attachment);
free:
	kfree(import);
	return ERR_PTR(ret);
}

int vinci_prime_import(struct drm_device *drm, u32 file, s32 fd, u32 *handle)
{
	struct dma_buf *buf = dma_buf_get(fd);
	struct vinci_view *view;
	struct vinci_sg *sg;
	int ret;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	if (buf->ops == &buf_ops) {
		view = buf->priv;
		if (view->drm == drm) {
			ret = vinci_rs_import(to_vinci(drm)->npu, file, view->range.buffer, handle);
			dma_buf_put(buf);
			return ret;
		}
	}
	sg = import_new(drm->dev, buf);
	if (IS_ERR(sg)) {
		dma_buf_put(buf);
		return PTR_ERR(sg);
	}
	return vinci_rs_import_foreign(to_vinci(drm)->npu, file, sg, buf->size, handle);
}

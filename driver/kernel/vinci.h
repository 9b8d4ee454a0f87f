/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the C and the Rust half of vinci.ko call in each other. @npu is always the pointer that
 * vinci_drm_register() was given, and lives as long as the DRM device.
 */
#ifndef VINCI_H
#define VINCI_H

#include <linux/dma-direction.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include <drm/drm_device.h>

struct dma_buf;
struct file;
struct pci_dev;
struct poll_table_struct;
struct seq_file;
struct vm_area_struct;
struct vinci_pages;

/*
 * What can be mapped: a part of a buffer object or of a queue. The reference to @pages is its
 * owner's.
 */
struct vinci_range {
	struct vinci_pages *pages;	/* host memory, or NULL: physical memory of a BAR */
	u64 start;			/* byte in @pages, or physical address */
	u64 bytes;
	u32 buffer;			/* buffer object that the driver holds for it, or 0 */
	u32 queue;			/* queue whose doorbell it is, or 0 */
	u32 generation;			/* of that doorbell */
};

/* A range with an owner: mappings of processes and dma-bufs. */
struct vinci_view {
	struct kref ref;
	struct drm_device *drm;
	struct vinci_range range;
	unsigned long first;		/* vm_pgoff of the first byte of @range */
};

/* Host memory as the device sees it. */
struct vinci_sg {
	struct sg_table *table;
	void (*free)(struct vinci_sg *sg);
};

struct vinci_segment {
	u64 bus;
	u64 bytes;
};

struct vinci_usage {
	u64 hbm[8];
	u64 host;
	u64 busy_ns[3];
	u32 queues;
	u32 dies;
};

struct vinci_device {
	struct drm_device drm;
	const void *npu;
	struct delayed_work watchdog;
	/* Serialises mapping a doorbell with taking it away. */
	struct mutex doorbells;
	u32 queues;
	u32 *generation;
};

static inline struct vinci_device *to_vinci(struct drm_device *drm)
{
	return container_of(drm, struct vinci_device, drm);
}

/* entry.rs, view.rs, show.rs, watchdog.rs */
void vinci_rs_release(const void *npu);
s64 vinci_rs_open(const void *npu, u32 pid, const u8 *name, size_t len);
void vinci_rs_close(const void *npu, u32 file);
int vinci_rs_ioctl(const void *npu, u32 file, u32 cmd, u8 *payload, size_t len);
int vinci_rs_poll(const void *npu, u32 id, struct file *file, struct poll_table_struct *table);
int vinci_rs_range(const void *npu, u32 file, u64 offset, u64 bytes, struct vinci_range *range);
int vinci_rs_export(const void *npu, u32 file, u32 handle, struct vinci_range *range);
int vinci_rs_import(const void *npu, u32 file, u32 buffer, u32 *handle);
int vinci_rs_import_foreign(const void *npu, u32 file, struct vinci_sg *sg, u64 bytes, u32 *handle);
void vinci_rs_unhold(const void *npu, u32 buffer);
int vinci_rs_usage(const void *npu, u32 file, struct vinci_usage *usage);
int vinci_rs_sensors(const void *npu, u32 die, s64 *temperature_mc, s64 *power_mw);
int vinci_rs_show(const void *npu, u32 what, struct seq_file *m);
u32 vinci_rs_watch(const void *npu);

/* vinci_drm.c */
struct drm_device *vinci_drm_alloc(struct pci_dev *pdev, u32 queues);
int vinci_drm_register(struct drm_device *drm, const void *npu);
void vinci_drm_unplug(struct drm_device *drm);
u32 vinci_doorbell_generation(struct drm_device *drm, u32 queue);
void vinci_doorbell_revoke(struct drm_device *drm, u32 queue, u64 offset);

/* vinci_view.c */
struct vinci_view *vinci_view_new(struct drm_device *drm, const struct vinci_range *range,
				  unsigned long first);
void vinci_range_put(struct drm_device *drm, struct vinci_range *range);
void vinci_view_put(struct vinci_view *view);
int vinci_view_mmap(struct vinci_view *view, struct vm_area_struct *vma);

/* vinci_pages.c */
struct vinci_pages *vinci_pages_alloc(u64 bytes, bool together);
void vinci_pages_get(struct vinci_pages *pages);
void vinci_pages_put(struct vinci_pages *pages);
void *vinci_pages_address(struct vinci_pages *pages);
struct page *vinci_page(struct vinci_pages *pages, unsigned long index);
struct page **vinci_page_array(struct vinci_pages *pages, unsigned long index, unsigned long count);
struct vinci_sg *vinci_pages_map(struct device *dev, struct vinci_pages *pages);
int vinci_map_coherent(struct device *dev, struct sg_table *table, enum dma_data_direction dir);
u32 vinci_sg_count(struct vinci_sg *sg);
void vinci_sg_fill(struct vinci_sg *sg, struct vinci_segment *to);
void vinci_sg_free(struct vinci_sg *sg);

/* vinci_pin.c */
struct vinci_sg *vinci_pin(struct device *dev, u64 addr, u64 bytes, bool readonly);

/* vinci_prime.c */
int vinci_prime_export(struct drm_device *drm, u32 file, u32 handle, u32 flags, s32 *fd);
int vinci_prime_import(struct drm_device *drm, u32 file, s32 fd, u32 *handle);

/* vinci_hwmon.c */
int vinci_hwmon_add(struct drm_device *drm, u32 dies);

/* vinci_coredump.c */
void vinci_coredump(struct device *dev, const void *data, size_t bytes);

/* vinci_trace.c */
void vinci_trace_hung(struct device *dev, u32 queue, u32 die, u64 entry);
void vinci_trace_state(struct device *dev, const char *what);

#endif

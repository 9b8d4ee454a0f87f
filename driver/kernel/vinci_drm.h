/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the C and the Rust half of vinci.ko call in each other. */
#ifndef VINCI_DRM_H
#define VINCI_DRM_H

#include <linux/types.h>

struct file;
struct pci_dev;
struct device;
struct poll_table_struct;
struct vm_area_struct;

/* entry.rs */
void vinci_rs_release(const void *npu);
s64 vinci_rs_open(const void *npu, u32 pid, const u8 *name, size_t len);
void vinci_rs_close(const void *npu, u32 file);
int vinci_rs_ioctl(const void *npu, u32 file, u32 cmd, u8 *payload, size_t len);
int vinci_rs_mmap(const void *npu, u32 file, u64 offset, u64 len, void *vma, const void **held);
void vinci_rs_vma_open(const void *held);
void vinci_rs_vma_close(const void *held);
int vinci_rs_poll(const void *npu, u32 id, struct file *file, struct poll_table_struct *table);

/* vinci_drm.c */
int vinci_drm_add(struct pci_dev *pdev, const void *npu, void **out);
void vinci_drm_remove(void *drm);
int vinci_map_dma(struct vm_area_struct *vma, struct device *dev, void *memory, u64 bus, u64 bytes, u64 offset);
int vinci_map_bar(struct vm_area_struct *vma, struct device *dev, unsigned int bar, u64 offset);

/* vinci_pin.c */
struct vinci_pinned;
struct vinci_pinned *vinci_pin(struct device *dev, u64 addr, u64 bytes, bool readonly, u32 *segments);
void vinci_pin_segment(struct vinci_pinned *p, u32 index, u64 *addr, u64 *bytes);
void vinci_unpin(struct vinci_pinned *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR Apache-2.0 */
/*
 * Userspace interface of the Vinci accelerator driver.
 *
 * The same payloads reach the driver in three homes: ioctl(2) on
 * /dev/accel/accelN, a message on a Unix socket, or a call inside the process.
 *
 * Rules that hold for every structure here:
 *  - fields have a fixed width, are naturally aligned, and padding is explicit;
 *  - @flags and @pad fields that name no flag must be zero, else -EINVAL;
 *  - handles and ids are never zero and belong to the open file that made them.
 */
#ifndef _UAPI_VINCI_ACCEL_H_
#define _UAPI_VINCI_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_VINCI_DRIVER_MAJOR	1
#define DRM_VINCI_DRIVER_MINOR	1

/* Buffer objects are closed, exported and imported with the DRM core's
 * DRM_IOCTL_GEM_CLOSE, DRM_IOCTL_PRIME_HANDLE_TO_FD and
 * DRM_IOCTL_PRIME_FD_TO_HANDLE; every home answers them.
 */
#define DRM_VINCI_DEV_QUERY		0x00
#define DRM_VINCI_VM_CREATE		0x01
#define DRM_VINCI_VM_DESTROY		0x02
#define DRM_VINCI_VM_MAP		0x03
#define DRM_VINCI_VM_UNMAP		0x04
#define DRM_VINCI_VM_PEER		0x05
#define DRM_VINCI_BO_CREATE		0x06
#define DRM_VINCI_BO_USERPTR		0x07
#define DRM_VINCI_BO_INFO		0x08
#define DRM_VINCI_QUEUE_CREATE		0x09
#define DRM_VINCI_QUEUE_DESTROY		0x0a
#define DRM_VINCI_QUEUE_RESET		0x0b
#define DRM_VINCI_QUEUE_KICK		0x0c
#define DRM_VINCI_QUEUE_RESUME		0x0d
#define DRM_VINCI_QUEUE_QUERY		0x0e
#define DRM_VINCI_WAIT			0x0f
#define DRM_VINCI_EVENT_READ		0x10
#define DRM_VINCI_TELEMETRY		0x11
#define DRM_VINCI_RESET			0x12
#define DRM_VINCI_INJECT		0x13
#define DRM_VINCI_CODE_LOAD		0x14
#define DRM_VINCI_CODE_UNLOAD		0x15

/**
 * enum drm_vinci_query_topic - what DRM_IOCTL_VINCI_DEV_QUERY reports
 */
enum drm_vinci_query_topic {
	/** @DRM_VINCI_QUERY_DEVICE: struct drm_vinci_device_info */
	DRM_VINCI_QUERY_DEVICE = 0,
	/** @DRM_VINCI_QUERY_DIE: struct drm_vinci_die_info of die @index */
	DRM_VINCI_QUERY_DIE = 1,
	/** @DRM_VINCI_QUERY_KERNEL: struct drm_vinci_kernel_info; the caller fills @name */
	DRM_VINCI_QUERY_KERNEL = 2,
	/** @DRM_VINCI_QUERY_CLOCK: struct drm_vinci_clock_info of die @index */
	DRM_VINCI_QUERY_CLOCK = 3,
	/** @DRM_VINCI_QUERY_PROCESS: struct drm_vinci_process_info of open file @index */
	DRM_VINCI_QUERY_PROCESS = 4,
};

/**
 * struct drm_vinci_dev_query - ask about the device
 *
 * The driver copies min(@size, its size of the topic) bytes to @data and stores
 * its own size in @size. With @data zero only @size is answered.
 */
struct drm_vinci_dev_query {
	/** @topic: an enum drm_vinci_query_topic */
	__u32 topic;
	/** @index: die or process, where the topic takes one, else 0 */
	__u32 index;
	/** @size: in: bytes at @data; out: bytes the driver knows */
	__u32 size;
	/** @pad: must be zero */
	__u32 pad;
	/** @data: user pointer to the topic's structure, or 0 */
	__u64 data;
};

/** struct drm_vinci_device_info - the module as a whole */
struct drm_vinci_device_info {
	/** @name: of the chip, NUL-terminated, such as "Ascend910C" */
	char name[32];
	/** @serial: unique in the machine, NUL-terminated */
	char serial[32];
	/** @profile: name of the profile that described the chip */
	char profile[32];
	/** @firmware: version of the device's own software */
	char firmware[32];
	/** @die_count: dies in the module; in AscendCL each is one device */
	__u32 die_count;
	/** @home: an enum drm_vinci_home */
	__u32 home;
	/** @va_base: lowest device address a mapping may have */
	__u64 va_base;
	/** @va_size: bytes of device address space from @va_base */
	__u64 va_size;
	/** @page_size: granule of mappings and of buffer objects in bytes */
	__u32 page_size;
	/** @max_queues: queues the device has */
	__u32 max_queues;
	/** @pci_vendor: PCI vendor id */
	__u16 pci_vendor;
	/** @pci_device: PCI device id */
	__u16 pci_device;
	/** @pad: zero */
	__u32 pad;
	/** @pci_address: NUL-terminated bus address, or a stand-in for it */
	char pci_address[24];
};

/** enum drm_vinci_home - where the driver runs */
enum drm_vinci_home {
	DRM_VINCI_HOME_EMBEDDED = 0,
	DRM_VINCI_HOME_SERVED = 1,
	DRM_VINCI_HOME_KERNEL = 2,
};

/** struct drm_vinci_die_info - one die */
struct drm_vinci_die_info {
	/** @soc_name: name that aclrtGetSocName() answers */
	char soc_name[32];
	/** @arch: NPU architecture number, such as 2201 */
	__u32 arch;
	/** @aic_cores: cube cores */
	__u32 aic_cores;
	/** @aiv_cores: vector cores */
	__u32 aiv_cores;
	/** @aicpu_cores: control cores */
	__u32 aicpu_cores;
	/** @clock_mhz: AI-core clock */
	__u32 clock_mhz;
	/** @pad: zero */
	__u32 pad;
	/** @hbm_bytes: memory of the die */
	__u64 hbm_bytes;
	/** @hbm_gbps: peak memory bandwidth, 10^9 bytes per second */
	__u32 hbm_gbps;
	/** @link_gbps: bandwidth to the other die, 10^9 bytes per second, 0 if there is none */
	__u32 link_gbps;
	/** @l2_bytes: shared cache */
	__u64 l2_bytes;
	/** @l1_bytes: per AIC */
	__u32 l1_bytes;
	/** @l0a_bytes: per AIC */
	__u32 l0a_bytes;
	/** @l0b_bytes: per AIC */
	__u32 l0b_bytes;
	/** @l0c_bytes: per AIC */
	__u32 l0c_bytes;
	/** @ub_bytes: per AIV */
	__u32 ub_bytes;
	/** @fp16_gflops: dense float16 peak, 10^9 operations per second */
	__u32 fp16_gflops;
};

/** struct drm_vinci_kernel_info - a resident kernel */
struct drm_vinci_kernel_info {
	/** @name: in: NUL-terminated */
	char name[48];
	/** @kernel: out: id for struct drm_vinci_sqe */
	__u64 kernel;
	/** @core_type: out: an enum drm_vinci_core_type */
	__u32 core_type;
	/** @pad: zero */
	__u32 pad;
};

/** enum drm_vinci_core_type - cores that a kernel runs on */
enum drm_vinci_core_type {
	DRM_VINCI_CORE_AIC = 0,
	DRM_VINCI_CORE_AIV = 1,
	DRM_VINCI_CORE_MIX = 2,
};

/** struct drm_vinci_clock_info - the two clocks of a die, in ns since bring-up */
struct drm_vinci_clock_info {
	/** @wall_ns: CLOCK_MONOTONIC of the device's host */
	__u64 wall_ns;
	/** @model_ns: time the profile's chip would have been busy */
	__u64 model_ns;
};

/** struct drm_vinci_process_info - an open file of the device */
struct drm_vinci_process_info {
	/** @pid: process that opened it */
	__u32 pid;
	/** @die_mask: dies it holds memory or queues on */
	__u32 die_mask;
	/** @hbm_bytes: memory held on all dies */
	__u64 hbm_bytes;
	/** @name: command name, NUL-terminated */
	char name[32];
	/** @queues: queues it has */
	__u32 queues;
	/** @pad: zero */
	__u32 pad;
	/** @hbm_die: memory held on each die */
	__u64 hbm_die[8];
};

/** struct drm_vinci_vm_create - make an address space; it spans all dies */
struct drm_vinci_vm_create {
	/** @flags: must be zero */
	__u32 flags;
	/** @vm_id: out */
	__u32 vm_id;
};

/** struct drm_vinci_vm_destroy - destroy an address space; -EBUSY while queues use it */
struct drm_vinci_vm_destroy {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @pad: must be zero */
	__u32 pad;
};

#define DRM_VINCI_MAP_READ	(1u << 0)
#define DRM_VINCI_MAP_WRITE	(1u << 1)

/**
 * struct drm_vinci_vm_map - map a part of a buffer object
 *
 * @va, @offset and @size are multiples of the page size. -EEXIST if the range
 * overlaps a mapping, -EINVAL if it leaves the device's range or the object.
 */
struct drm_vinci_vm_map {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @handle: buffer object */
	__u32 handle;
	/** @flags: DRM_VINCI_MAP_*; at least one */
	__u32 flags;
	/** @pad: must be zero */
	__u32 pad;
	/** @offset: into the object, bytes */
	__u64 offset;
	/** @va: device address */
	__u64 va;
	/** @size: bytes, not zero */
	__u64 size;
};

/**
 * struct drm_vinci_vm_unmap - remove mappings
 *
 * The range must cover whole mappings; -ENOENT if it covers none, -EINVAL if it
 * cuts one. Returns after the device has stopped using the translations.
 */
struct drm_vinci_vm_unmap {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @pad: must be zero */
	__u32 pad;
	/** @va: device address */
	__u64 va;
	/** @size: bytes */
	__u64 size;
};

/** struct drm_vinci_vm_peer - let work on one die reach the HBM of another */
struct drm_vinci_vm_peer {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @from_die: die whose engines and cores access */
	__u32 from_die;
	/** @to_die: die whose HBM is accessed */
	__u32 to_die;
	/** @enable: 1 or 0 */
	__u32 enable;
};

/** enum drm_vinci_placement - where a buffer object lives */
enum drm_vinci_placement {
	DRM_VINCI_PLACE_HBM = 0,
	DRM_VINCI_PLACE_HOST = 1,
};

/**
 * struct drm_vinci_bo_create - make a buffer object
 *
 * Its content is zero when it was another file's memory before, otherwise
 * undefined. -ENOMEM if the die has no room.
 */
struct drm_vinci_bo_create {
	/** @size: in: bytes, not zero; out: rounded to pages */
	__u64 size;
	/** @placement: an enum drm_vinci_placement */
	__u32 placement;
	/** @die: for HBM, else 0 */
	__u32 die;
	/** @flags: must be zero */
	__u32 flags;
	/** @handle: out */
	__u32 handle;
	/** @mmap_offset: out: for mmap(2) on the node */
	__u64 mmap_offset;
};

#define DRM_VINCI_USERPTR_READONLY	(1u << 0)

/**
 * struct drm_vinci_bo_userptr - make a buffer object of the caller's own pages
 *
 * The pages that [@addr, @addr + @size) touches stay pinned until the object is
 * closed. -EFAULT if they are not mapped, -ENOMEM beyond RLIMIT_MEMLOCK.
 */
struct drm_vinci_bo_userptr {
	/** @addr: user address, page aligned */
	__u64 addr;
	/** @size: bytes, a multiple of the page size */
	__u64 size;
	/** @flags: DRM_VINCI_USERPTR_* */
	__u32 flags;
	/** @handle: out */
	__u32 handle;
};

/** struct drm_vinci_bo_info - describe a buffer object, an imported one too */
struct drm_vinci_bo_info {
	/** @handle: buffer object */
	__u32 handle;
	/** @placement: out: an enum drm_vinci_placement */
	__u32 placement;
	/** @die: out */
	__u32 die;
	/** @pad: must be zero */
	__u32 pad;
	/** @size: out: bytes */
	__u64 size;
	/** @mmap_offset: out */
	__u64 mmap_offset;
};

/** enum drm_vinci_opcode - what a queue entry asks for */
enum drm_vinci_opcode {
	/** @DRM_VINCI_OP_PLACEHOLDER: nothing; keeps its place in the order */
	DRM_VINCI_OP_PLACEHOLDER = 0,
	/** @DRM_VINCI_OP_KERNEL: run a kernel; &drm_vinci_sqe.kernel */
	DRM_VINCI_OP_KERNEL = 1,
	/** @DRM_VINCI_OP_COPY: SDMA copy of rows; &drm_vinci_sqe.copy */
	DRM_VINCI_OP_COPY = 2,
	/** @DRM_VINCI_OP_FILL: SDMA fill with a byte; &drm_vinci_sqe.fill */
	DRM_VINCI_OP_FILL = 3,
	/** @DRM_VINCI_OP_EVENT_RECORD: store a value and both clocks; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_EVENT_RECORD = 4,
	/** @DRM_VINCI_OP_EVENT_WAIT: wait until the word is >= value; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_EVENT_WAIT = 5,
	/** @DRM_VINCI_OP_NOTIFY_RECORD: set the word to 1; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_NOTIFY_RECORD = 6,
	/** @DRM_VINCI_OP_NOTIFY_WAIT: wait for 1 in the word, then clear it; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_NOTIFY_WAIT = 7,
	/** @DRM_VINCI_OP_WRITE_VALUE: store a 64-bit value; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_WRITE_VALUE = 8,
	/** @DRM_VINCI_OP_WAIT_VALUE: wait until a comparison holds; &drm_vinci_sqe.sync */
	DRM_VINCI_OP_WAIT_VALUE = 9,
	/**
	 * @DRM_VINCI_OP_HOST_CALL: tell the host and wait for DRM_IOCTL_VINCI_QUEUE_RESUME;
	 * &drm_vinci_sqe.call
	 */
	DRM_VINCI_OP_HOST_CALL = 10,
};

/** enum drm_vinci_compare - comparison of DRM_VINCI_OP_WAIT_VALUE, as in AscendCL */
enum drm_vinci_compare {
	/** @DRM_VINCI_COMPARE_GEQ: (int64)(word - value) >= 0 */
	DRM_VINCI_COMPARE_GEQ = 0,
	/** @DRM_VINCI_COMPARE_EQ: word == value */
	DRM_VINCI_COMPARE_EQ = 1,
	/** @DRM_VINCI_COMPARE_AND: (word & value) != 0 */
	DRM_VINCI_COMPARE_AND = 2,
	/** @DRM_VINCI_COMPARE_NOR: ~(word | value) != 0 */
	DRM_VINCI_COMPARE_NOR = 3,
};

/* The last of an entry's seven words is the device address of a
 * struct drm_vinci_stamp, which the device fills in; 8-byte aligned.
 */
#define DRM_VINCI_SQE_TIMED		0x1

/** struct drm_vinci_sqe - an entry of a user queue, 64 bytes */
struct drm_vinci_sqe {
	/** @opcode: an enum drm_vinci_opcode */
	__u8 opcode;
	/** @flags: DRM_VINCI_SQE_* */
	__u8 flags;
	/** @compare: enum drm_vinci_compare of WAIT_VALUE, else 0 */
	__u16 compare;
	/** @blocks: of a kernel, else 0 */
	__u32 blocks;
	union {
		struct {
			/** @id: of DRM_VINCI_QUERY_KERNEL, or with DRM_VINCI_KERNEL_OF_CODE */
			__u64 id;
			/** @args: device address of the arguments */
			__u64 args;
			/** @args_size: bytes, multiple of 8 */
			__u32 args_size;
			/** @timeout_ms: 0: the device's own limit */
			__u32 timeout_ms;
			/** @aic_cores: cube cores it may occupy; 0: all */
			__u32 aic_cores;
			/** @aiv_cores: vector cores it may occupy; 0: all */
			__u32 aiv_cores;
			__u64 reserved[3];
		} kernel;
		struct {
			/** @dst: device address */
			__u64 dst;
			/** @src: device address */
			__u64 src;
			/** @width: bytes of a row */
			__u64 width;
			/** @height: rows, at least 1 */
			__u64 height;
			/** @dst_pitch: bytes from row to row */
			__u64 dst_pitch;
			/** @src_pitch: bytes from row to row */
			__u64 src_pitch;
			__u64 reserved;
		} copy;
		struct {
			/** @dst: device address */
			__u64 dst;
			/** @size: bytes */
			__u64 size;
			/** @value: the low 8 bits are stored */
			__u64 value;
			__u64 reserved[4];
		} fill;
		struct {
			/** @addr: device address of a 64-bit word; 8-byte aligned.
			 *  EVENT_RECORD stores wall ns at +8 and model ns at +16 before the word.
			 */
			__u64 addr;
			__u64 value;
			/** @timeout_ms: of a wait; 0: none */
			__u64 timeout_ms;
			__u64 reserved[4];
		} sync;
		struct {
			/** @cookie: comes back in struct drm_vinci_event */
			__u64 cookie;
			__u64 reserved[6];
		} call;
		__u64 words[7];
	};
};

/**
 * struct drm_vinci_stamp - when an entry ran
 *
 * Stored before the fence passes the entry, @wall_end last, with release order.
 * An entry that faults or is dropped leaves it as it was.
 */
struct drm_vinci_stamp {
	/** @wall_start: wall ns when the scheduler took the entry */
	__u64 wall_start;
	/** @model_start: model ns when its engine began with it */
	__u64 model_start;
	/** @model_end: model ns when its engine was through */
	__u64 model_end;
	/** @wall_end: wall ns when it was complete */
	__u64 wall_end;
};

/**
 * struct drm_vinci_queue_doorbell - page that @doorbell_offset maps
 *
 * To submit: write the entries, store @tail with release order, then a full
 * barrier, then read @need_kick; if it is not zero, DRM_IOCTL_VINCI_QUEUE_KICK.
 */
struct drm_vinci_queue_doorbell {
	/** @tail: entries ever submitted; written by the user */
	__u64 tail;
	__u64 pad0[7];
	/** @need_kick: the device sleeps; written by the device */
	__u32 need_kick;
	__u32 pad1[15];
};

/** enum drm_vinci_queue_state */
enum drm_vinci_queue_state {
	DRM_VINCI_QUEUE_RUNNING = 0,
	/** @DRM_VINCI_QUEUE_FAULTED: stopped by a fault; the fence no longer moves */
	DRM_VINCI_QUEUE_FAULTED = 1,
	/** @DRM_VINCI_QUEUE_LOST: a reset or the watchdog took it */
	DRM_VINCI_QUEUE_LOST = 2,
};

/**
 * struct drm_vinci_queue_fence - page that @fence_offset maps; read-only for the user
 *
 * Entry n (counted from 1 at queue creation) is complete when @completed >= n.
 * @completed is stored with release order after the entry's effects.
 */
struct drm_vinci_queue_fence {
	/** @completed: entries ever completed */
	__u64 completed;
	/** @state: an enum drm_vinci_queue_state */
	__u32 state;
	__u32 pad0;
	/** @model_ns: the die's model clock at the last completion */
	__u64 model_ns;
	/** @wait_for: lowest fence value that somebody sleeps for, or ~0; not for the user */
	__u64 wait_for;
	/** @busy_ns: model time that cube cores, vector cores, copy engines worked for it */
	__u64 busy_ns[3];
	__u64 pad1;
};

/**
 * struct drm_vinci_queue_create - make a queue of one die
 *
 * The driver makes the ring, the doorbell page and the fence page, to be mapped
 * with mmap(2) at the returned offsets.
 */
struct drm_vinci_queue_create {
	/** @vm_id: address space its work runs in */
	__u32 vm_id;
	/** @die: that runs it */
	__u32 die;
	/** @priority: 0 (highest) to 7 */
	__u32 priority;
	/** @entries: in: ring entries, a power of two from 64 to 65536 */
	__u32 entries;
	/** @flags: must be zero */
	__u32 flags;
	/** @queue_id: out */
	__u32 queue_id;
	/** @ring_offset: out: @entries * 64 bytes, rounded to pages */
	__u64 ring_offset;
	/** @doorbell_offset: out: one page */
	__u64 doorbell_offset;
	/** @fence_offset: out: one page */
	__u64 fence_offset;
};

/** struct drm_vinci_queue_id - argument of QUEUE_DESTROY and QUEUE_KICK */
struct drm_vinci_queue_id {
	/** @queue_id: queue */
	__u32 queue_id;
	/** @pad: must be zero */
	__u32 pad;
};

/**
 * struct drm_vinci_queue_reset - drop a queue's outstanding entries and let it run again
 *
 * Waits until the entry in flight has left the cores. All submitted entries
 * count as completed afterwards; @dropped tells how many did not run.
 */
struct drm_vinci_queue_reset {
	/** @queue_id: queue */
	__u32 queue_id;
	/** @flags: must be zero */
	__u32 flags;
	/** @dropped: out */
	__u64 dropped;
};

/** struct drm_vinci_queue_resume - answer a DRM_VINCI_OP_HOST_CALL */
struct drm_vinci_queue_resume {
	/** @queue_id: queue */
	__u32 queue_id;
	/** @pad: must be zero */
	__u32 pad;
	/** @entry: number of the entry, from struct drm_vinci_event */
	__u64 entry;
};

/** enum drm_vinci_fault_cause - why a queue stopped */
enum drm_vinci_fault_cause {
	DRM_VINCI_FAULT_NONE = 0,
	/** @DRM_VINCI_FAULT_ADDRESS: no mapping, or not for this access */
	DRM_VINCI_FAULT_ADDRESS = 1,
	/** @DRM_VINCI_FAULT_ENTRY: the queue entry is malformed */
	DRM_VINCI_FAULT_ENTRY = 2,
	/** @DRM_VINCI_FAULT_KERNEL: unknown kernel, or arguments it cannot take */
	DRM_VINCI_FAULT_KERNEL = 3,
	/** @DRM_VINCI_FAULT_EXCEPTION: the kernel raised an exception */
	DRM_VINCI_FAULT_EXCEPTION = 4,
	/** @DRM_VINCI_FAULT_TIMEOUT: the kernel or a wait ran past its time */
	DRM_VINCI_FAULT_TIMEOUT = 5,
	/** @DRM_VINCI_FAULT_ECC: uncorrectable memory error */
	DRM_VINCI_FAULT_ECC = 6,
	/** @DRM_VINCI_FAULT_LINK: the die-to-die link is down */
	DRM_VINCI_FAULT_LINK = 7,
	/** @DRM_VINCI_FAULT_PEER: peer access was not enabled */
	DRM_VINCI_FAULT_PEER = 8,
};

/** struct drm_vinci_fault - record of a fault */
struct drm_vinci_fault {
	/** @cause: an enum drm_vinci_fault_cause */
	__u32 cause;
	/** @queue_id: queue that it stopped */
	__u32 queue_id;
	/** @entry: number of the entry */
	__u64 entry;
	/** @die: die */
	__u32 die;
	/** @core: AI core, or ~0 for the scheduler and SDMA */
	__u32 core;
	/** @address: device address, where there is one */
	__u64 address;
	/** @size: bytes of the access */
	__u64 size;
	/** @kernel: id, or 0 */
	__u64 kernel;
	/** @write: 1 if the access was a write */
	__u32 write;
	/** @opcode: of the entry */
	__u32 opcode;
	/** @wall_ns: when */
	__u64 wall_ns;
	/** @text: a sentence, NUL-terminated */
	char text[384];
};

/** struct drm_vinci_queue_query - state of a queue */
struct drm_vinci_queue_query {
	/** @queue_id: queue */
	__u32 queue_id;
	/** @state: out: an enum drm_vinci_queue_state */
	__u32 state;
	/** @completed: out: fence value */
	__u64 completed;
	/** @fault: out: the record, if the state is DRM_VINCI_QUEUE_FAULTED */
	struct drm_vinci_fault fault;
};

/**
 * struct drm_vinci_wait - sleep until a fence value
 *
 * -ETIME after @timeout_ns, -EIO if the queue is faulted, -ENODEV if it was lost,
 * -EINTR on a signal.
 */
struct drm_vinci_wait {
	/** @queue_id: queue */
	__u32 queue_id;
	/** @flags: must be zero */
	__u32 flags;
	/** @value: fence value */
	__u64 value;
	/** @timeout_ns: from now; 0 polls; negative waits for ever */
	__s64 timeout_ns;
};

/** enum drm_vinci_event_type */
enum drm_vinci_event_type {
	/** @DRM_VINCI_EVENT_FAULT: @fault is valid */
	DRM_VINCI_EVENT_FAULT = 1,
	/** @DRM_VINCI_EVENT_HOST_CALL: @queue_id, @entry and @cookie are valid */
	DRM_VINCI_EVENT_HOST_CALL = 2,
	/** @DRM_VINCI_EVENT_RESET: die number @queue_id or the function (~0) was reset */
	DRM_VINCI_EVENT_RESET = 3,
	/** @DRM_VINCI_EVENT_RAS: corrected or uncorrected error; @fault describes it */
	DRM_VINCI_EVENT_RAS = 4,
};

/** struct drm_vinci_event - something the host should know */
struct drm_vinci_event {
	/** @type: an enum drm_vinci_event_type */
	__u32 type;
	/** @queue_id: see the type */
	__u32 queue_id;
	/** @entry: number of the queue entry */
	__u64 entry;
	/** @cookie: of a host call */
	__u64 cookie;
	/** @fault: see the type */
	struct drm_vinci_fault fault;
};

/**
 * struct drm_vinci_event_read - take the oldest event of this file
 *
 * -ETIME if none came in time. The node is readable for poll(2) while there is one.
 */
struct drm_vinci_event_read {
	/** @timeout_ns: 0 polls; negative waits for ever */
	__s64 timeout_ns;
	/** @lost: out: events dropped since the last read because nobody read them */
	__u64 lost;
	/** @event: out */
	struct drm_vinci_event event;
};

/** struct drm_vinci_telemetry - sensors and counters of a die */
struct drm_vinci_telemetry {
	/** @die: in */
	__u32 die;
	/** @health: out: 0 ok, 1 warning, 2 alarm, 3 critical */
	__u32 health;
	/** @temperature_mc: out: millidegrees Celsius */
	__u32 temperature_mc;
	/** @power_mw: out */
	__u32 power_mw;
	/** @clock_mhz: out: AI-core clock at present */
	__u32 clock_mhz;
	/** @aic_util: out: per mille of the last second that cube cores worked */
	__u32 aic_util;
	/** @aiv_util: out: per mille for vector cores */
	__u32 aiv_util;
	/** @hbm_util: out: per mille of the peak bandwidth */
	__u32 hbm_util;
	/** @hbm_total: out: bytes */
	__u64 hbm_total;
	/** @hbm_used: out: bytes allocated */
	__u64 hbm_used;
	/** @hbm_file: out: bytes allocated by this file */
	__u64 hbm_file;
	/** @ecc_single: out: corrected errors */
	__u64 ecc_single;
	/** @ecc_double: out: uncorrectable errors */
	__u64 ecc_double;
	/** @tasks: out: entries completed since bring-up */
	__u64 tasks;
	/** @wall_ns: out: clock of the device's host */
	__u64 wall_ns;
	/** @model_ns: out: model clock */
	__u64 model_ns;
};

/** enum drm_vinci_reset_scope */
enum drm_vinci_reset_scope {
	DRM_VINCI_RESET_DIE = 0,
	DRM_VINCI_RESET_FUNCTION = 1,
};

/**
 * struct drm_vinci_reset - reset a die or the function; all their queues become LOST
 *
 * -EPERM without the right to.
 */
struct drm_vinci_reset {
	/** @scope: an enum drm_vinci_reset_scope */
	__u32 scope;
	/** @die: for DRM_VINCI_RESET_DIE, else 0 */
	__u32 die;
};

/** enum drm_vinci_inject_kind */
enum drm_vinci_inject_kind {
	/** @DRM_VINCI_INJECT_ECC_SINGLE: at @address (offset into the die's HBM) */
	DRM_VINCI_INJECT_ECC_SINGLE = 0,
	/** @DRM_VINCI_INJECT_ECC_DOUBLE: the next access to @address faults */
	DRM_VINCI_INJECT_ECC_DOUBLE = 1,
	/** @DRM_VINCI_INJECT_HANG: the next kernel on the die does not end */
	DRM_VINCI_INJECT_HANG = 2,
	/** @DRM_VINCI_INJECT_LINK_DOWN: die-to-die link is lost until a function reset */
	DRM_VINCI_INJECT_LINK_DOWN = 3,
};

/** struct drm_vinci_inject - make an error happen, for tests; -EPERM without the right to */
struct drm_vinci_inject {
	/** @kind: an enum drm_vinci_inject_kind */
	__u32 kind;
	/** @die: die */
	__u32 die;
	/** @vm_id: with an ECC kind: address space that @address belongs to */
	__u32 vm_id;
	/** @pad: must be zero */
	__u32 pad;
	/** @address: with an ECC kind: device address */
	__u64 address;
};

/**
 * DRM_VINCI_KERNEL_OF_CODE - marks the id of a kernel that the caller brought along
 *
 * The other bits are the code object's id << 32 and the kernel's index in the order of the
 * object's notes. Its arguments are struct drm_vinci_code_args, then what that says.
 */
#define DRM_VINCI_KERNEL_OF_CODE	(1ull << 62)

/**
 * struct drm_vinci_code_load - make the kernels of a code object known to an address space
 *
 * The device copies the object: the memory is free again afterwards. -EINVAL if it is none, or
 * not for this device; -EFAULT if the range is not mapped; -ENOSPC if there are too many.
 */
struct drm_vinci_code_load {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @die: whose cores are made ready; those of others are with their first kernel */
	__u32 die;
	/** @va: device address of the object */
	__u64 va;
	/** @size: its bytes */
	__u64 size;
	/** @code_id: out: for DRM_VINCI_KERNEL_OF_CODE, never zero */
	__u32 code_id;
	/** @kernels: out: how many it has */
	__u32 kernels;
};

/** struct drm_vinci_code_unload - forget a code object, after its kernels that run have ended */
struct drm_vinci_code_unload {
	/** @vm_id: address space */
	__u32 vm_id;
	/** @code_id: code object */
	__u32 code_id;
};

/**
 * struct drm_vinci_code_args - head of the arguments of a code object's kernel
 *
 * @places places follow, then the arguments themselves: @bytes bytes behind them, or at @va if
 * that is not zero.
 */
struct drm_vinci_code_args {
	/** @places: how many addresses are to be filled in */
	__u32 places;
	/** @bytes: of the arguments with the data behind them, a multiple of 8 */
	__u32 bytes;
	/** @va: device address of the arguments, or 0 */
	__u64 va;
	/** @print: device address of memory for text that the kernel prints, or 0 */
	__u64 print;
	/** @workspace: device address of the workspace, or 0 */
	__u64 workspace;
};

/** struct drm_vinci_code_place - an argument that is the address of data in the same arguments */
struct drm_vinci_code_place {
	/** @at: where the address goes, bytes from the first argument, a multiple of 8 */
	__u32 at;
	/** @data: where the data is, bytes from the first argument */
	__u32 data;
};

#define DRM_IOCTL_VINCI_DEV_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_DEV_QUERY, struct drm_vinci_dev_query)
#define DRM_IOCTL_VINCI_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_VM_CREATE, struct drm_vinci_vm_create)
#define DRM_IOCTL_VINCI_VM_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_VM_DESTROY, struct drm_vinci_vm_destroy)
#define DRM_IOCTL_VINCI_VM_MAP \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_VM_MAP, struct drm_vinci_vm_map)
#define DRM_IOCTL_VINCI_VM_UNMAP \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_VM_UNMAP, struct drm_vinci_vm_unmap)
#define DRM_IOCTL_VINCI_VM_PEER \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_VM_PEER, struct drm_vinci_vm_peer)
#define DRM_IOCTL_VINCI_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_BO_CREATE, struct drm_vinci_bo_create)
#define DRM_IOCTL_VINCI_BO_USERPTR \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_BO_USERPTR, struct drm_vinci_bo_userptr)
#define DRM_IOCTL_VINCI_BO_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_BO_INFO, struct drm_vinci_bo_info)
#define DRM_IOCTL_VINCI_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_CREATE, struct drm_vinci_queue_create)
#define DRM_IOCTL_VINCI_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_DESTROY, struct drm_vinci_queue_id)
#define DRM_IOCTL_VINCI_QUEUE_RESET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_RESET, struct drm_vinci_queue_reset)
#define DRM_IOCTL_VINCI_QUEUE_KICK \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_KICK, struct drm_vinci_queue_id)
#define DRM_IOCTL_VINCI_QUEUE_RESUME \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_RESUME, struct drm_vinci_queue_resume)
#define DRM_IOCTL_VINCI_QUEUE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_QUEUE_QUERY, struct drm_vinci_queue_query)
#define DRM_IOCTL_VINCI_WAIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_WAIT, struct drm_vinci_wait)
#define DRM_IOCTL_VINCI_EVENT_READ \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_EVENT_READ, struct drm_vinci_event_read)
#define DRM_IOCTL_VINCI_TELEMETRY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_TELEMETRY, struct drm_vinci_telemetry)
#define DRM_IOCTL_VINCI_RESET \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_RESET, struct drm_vinci_reset)
#define DRM_IOCTL_VINCI_INJECT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_INJECT, struct drm_vinci_inject)

#define DRM_IOCTL_VINCI_CODE_LOAD \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VINCI_CODE_LOAD, struct drm_vinci_code_load)
#define DRM_IOCTL_VINCI_CODE_UNLOAD \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VINCI_CODE_UNLOAD, struct drm_vinci_code_unload)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_VINCI_ACCEL_H_ */

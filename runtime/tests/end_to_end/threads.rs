use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use vinci::{Buffer, Context, Device, Event, HostBuffer, Notify, Policy, Pool, Stream, VirtualRange};

use vinci_hw::args::ArgsBuilder;

use crate::{device, nop, pattern, stream};

const fn shared<T: Send + Sync>() {}
const _: () = {
    shared::<Device>();
    shared::<Stream>();
    shared::<Event>();
    shared::<Notify>();
    shared::<Context>();
    shared::<Pool>();
    shared::<VirtualRange>();
    shared::<vinci::PhysicalMemory>();
    shared::<Buffer<f32>>();
    shared::<HostBuffer>();
    shared::<vinci::Kernel>();
    shared::<vinci::Reporter>();
    shared::<vinci::Error>();
    shared::<vinci::Addr>();
};

#[test]
fn many_threads_submit_to_one_stream() {
    let stream = stream();
    let kernel = nop();
    let mut builder: ArgsBuilder = ArgsBuilder::new();
    let no_args = builder.finish();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20_000).for_each(|_| stream.launch(&kernel, 1, no_args).unwrap()));
        }
    });
    stream.synchronize(None).unwrap();
    assert_eq!(stream.progress(), (80_000, 80_000));
}

#[test]
fn many_threads_allocate_copy_and_free() {
    let bytes = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..4u32 {
            let bytes = &bytes;
            scope.spawn(move || {
                for n in 0..200u32 {
                    let data = pattern(1 + (n * 997 % 90_000) as usize, seed);
                    let buffer = Buffer::from_slice(&device(), &data).unwrap();
                    assert!(buffer.to_vec().unwrap() == data);
                    bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(bytes.into_inner() > 0);
}

#[test]
fn streams_come_and_go_under_load() {
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..60 {
                    let stream = stream();
                    let event = Event::new(Default::default()).unwrap();
                    let ptr = device().malloc(4096, Policy::default()).unwrap();
                    stream.memset_async(ptr.into(), n, 4096).unwrap();
                    stream.record(&event).unwrap();
                    Device::free(ptr).unwrap();
                    if n % 2 == 0 {
                        event.synchronize(None).unwrap();
                    } else {
                        stream.destroy(n % 3 == 0).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn the_current_context_is_per_thread() {
    let context = Context::new(&device()).unwrap();
    context.set_current();
    thread::scope(|scope| {
        scope.spawn(|| assert!(Context::current().is_none()));
    });
    assert_eq!(Context::current(), Some(context.clone()));
    let stream = context.create_stream(Default::default()).unwrap();
    context.default_stream().unwrap().launch(&nop(), 1, &[]).unwrap();
    assert_eq!(context.streams().len(), 2);
    context.synchronize(None).unwrap();
    drop(stream);
    assert_eq!(context.streams().len(), 1);
    Context::clear_current();
    assert!(Context::current().is_none());
}

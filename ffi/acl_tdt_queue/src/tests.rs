//! Queues against a model, and between threads.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;
use vinci_abi::code::Result;

use crate::buffer::*;
use crate::queue::*;
use crate::state::{Share, State};

#[unsafe(no_mangle)]
extern "C" fn vinci_set_error(_: i32, _: *const u8, _: usize) {}

impl Share for Rc<u32> {
    fn share(&self) -> Result<Self> {
        Ok(self.clone())
    }
}

const DEPTH: usize = 3;

/// The same by another way: after each step, items go on one at a time, last queue first.
#[derive(Default)]
struct Model {
    queues: BTreeMap<u32, VecDeque<u32>>,
    routes: Vec<(u32, u32)>,
}

impl Model {
    fn flow(&mut self) {
        let ids: Vec<u32> = self.queues.keys().rev().copied().collect();
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for &from in &ids {
                let to: Vec<u32> = self.routes.iter().filter(|r| r.0 == from).map(|r| r.1).collect();
                let room = to.iter().all(|t| self.queues[t].len() < DEPTH);
                if to.is_empty() || !room || self.queues[&from].is_empty() {
                    continue;
                }
                let item = self.queues.get_mut(&from).unwrap().pop_front().unwrap();
                to.iter().for_each(|t| self.queues.get_mut(t).unwrap().push_back(item));
                moved = true;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop(u32),
    Bind(u32, u32),
    Unbind(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1u32..6;
    prop_oneof![
        6 => id.clone().prop_map(Step::Push),
        4 => id.clone().prop_map(Step::Pop),
        2 => (id.clone(), id.clone()).prop_map(|(a, b)| Step::Bind(a, b)),
        1 => (id.clone(), id).prop_map(|(a, b)| Step::Unbind(a, b)),
    ]
}

proptest! {
    #[test]
    fn items_go_where_routes_lead(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut state, mut model) = (State::<Rc<u32>>::new(), Model::default());
        for _ in 0..5 {
            let id = state.create(None, DEPTH).unwrap();
            model.queues.insert(id, VecDeque::new());
        }
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(id) => {
                    let mut item = Some(Rc::new(n as u32));
                    let pushed = state.push(id, &mut item).map(|r| r.unwrap()).is_some();
                    prop_assert_eq!(pushed, model.queues[&id].len() < DEPTH);
                    prop_assert_eq!(pushed, item.is_none());
                    if pushed {
                        model.queues.get_mut(&id).unwrap().push_back(n as u32);
                    }
                }
                Step::Pop(id) => {
                    let got = state.pop(id, |_| Ok(())).map(|r| *r.unwrap());
                    prop_assert_eq!(got, model.queues.get_mut(&id).unwrap().pop_front());
                }
                // One source for each destination: with several, which item comes first is anybody's choice.
                Step::Bind(a, b) if !model.routes.iter().any(|r| r.1 == b) => {
                    if state.bind(&[(a, b)]).is_ok() {
                        model.routes.push((a, b));
                    }
                }
                Step::Bind(..) => {}
                Step::Unbind(a, b) => {
                    let there = model.routes.contains(&(a, b));
                    prop_assert_eq!(state.unbind(&[(a, b)]).is_ok(), there);
                    model.routes.retain(|r| *r != (a, b));
                }
            }
            model.flow();
        }
        for id in 1..6 {
            let mut left = Vec::new();
            state.unbind(&Vec::from(state.routes())).unwrap();
            while let Some(item) = state.pop(id, |_| Ok(())) {
                left.push(*item.unwrap());
            }
            prop_assert_eq!(left, Vec::from(model.queues[&id].clone()));
            prop_assert!(state.destroy(id).unwrap().is_empty());
        }
    }
}

#[test]
fn circles_are_refused() {
    let mut state = State::<Rc<u32>>::new();
    for _ in 0..4 {
        state.create(None, 2).unwrap();
    }
    state.bind(&[(1, 2), (2, 3)]).unwrap();
    assert!(state.bind(&[(3, 1)]).is_err() && state.bind(&[(4, 4)]).is_err());
    assert!(state.bind(&[(3, 4), (4, 1)]).is_err());
    assert_eq!(state.routes(), [(1, 2), (2, 3)], "all or none");
    assert!(state.destroy(2).is_err());
}

/// C's arguments.
fn c<A, B>(value: A) -> B {
    assert_eq!(size_of::<A>(), size_of::<B>());
    // SAFETY: transparent wrappers of the pointers that C passes.
    unsafe { std::mem::transmute_copy(&value) }
}

fn queue(depth: u32) -> u32 {
    let attr = crate::attr::acltdtCreateQueueAttr();
    assert_eq!(crate::attr::acltdtSetQueueAttr(attr, 1, 4, (&raw const depth) as usize), 0);
    let mut id = 0u32;
    assert_eq!(acltdtCreateQueue(attr, c(&mut id)), 0);
    assert_eq!(crate::attr::acltdtDestroyQueueAttr(attr), 0);
    id
}

#[test]
fn a_buffer_has_one_owner() {
    let id = queue(2);
    let (mut buffer, mut other) = (0usize, 0usize);
    assert_eq!(acltdtAllocBuf(100, 0, c(&mut buffer)), 0);
    assert_eq!(acltdtSetBufDataLen(buffer, 101), 100_000);
    assert_eq!(acltdtEnqueue(id, buffer, 0), 0);
    // In the queue it can be neither used nor freed, nor queued again.
    assert_ne!(acltdtFreeBuf(buffer), 0);
    assert_ne!(acltdtEnqueue(id, buffer, 0), 0);
    assert_ne!(acltdtSetBufDataLen(buffer, 1), 0);
    assert_eq!(acltdtDequeue(id, c(&mut other), 0), 0);
    assert_eq!(other, buffer);
    // Two on the way in, one too many: it stays the program's.
    let mut more = [0usize; 2];
    more.iter_mut().for_each(|m| assert_eq!(acltdtAllocBuf(8, 0, c(m)), 0));
    assert_eq!(acltdtEnqueue(id, more[0], 0) + acltdtEnqueue(id, more[1], 0), 0);
    assert_eq!(acltdtEnqueue(id, buffer, 5), 207_014);
    assert_eq!(acltdtFreeBuf(buffer), 0);
    assert_ne!(acltdtFreeBuf(buffer), 0);
    // What is left in a queue goes with it.
    assert_eq!(acltdtDestroyQueue(id), 0);
    assert_ne!(acltdtFreeBuf(more[0]), 0);
}

#[test]
fn a_chain_travels_whole() {
    let id = queue(2);
    let mut parts = [0usize; 3];
    for (i, part) in parts.iter_mut().enumerate() {
        let (mut at, mut size) = (0usize, 0usize);
        assert_eq!(acltdtAllocBuf(4, 0, c(&mut *part)), 0);
        assert_eq!(acltdtGetBufData(*part, c(&mut at), c(&mut size)), 0);
        // SAFETY: a buffer of 4 bytes.
        unsafe { (at as *mut u32).write(i as u32) };
        assert_eq!(acltdtSetBufDataLen(*part, size), 0);
    }
    assert_eq!(acltdtAppendBufChain(parts[0], parts[1]) + acltdtAppendBufChain(parts[0], parts[2]), 0);
    assert_ne!(acltdtAppendBufChain(parts[1], parts[0]), 0, "a part is no head");
    assert_ne!(acltdtFreeBuf(parts[1]), 0, "a part goes with its head");
    assert_eq!(acltdtEnqueue(id, parts[0], 0), 0);
    assert_ne!(acltdtSetBufDataLen(parts[2], 0), 0, "it is in the queue with its head");
    let (mut all, mut got, small) = ([9u32; 3], 0usize, 8);
    let at = all.as_mut_ptr() as usize;
    assert_eq!(acltdtDequeueData(id, at, small, c(&mut got), 0, 0, 0), 100_000);
    assert_eq!((got, all), (12, [9; 3]));
    assert_eq!(acltdtDequeueData(id, at, 12, c(&mut got), 0, 0, 0), 0);
    assert_eq!((got, all), (12, [0, 1, 2]));
    assert_ne!(acltdtFreeBuf(parts[0]), 0);
    assert_eq!(acltdtDestroyQueue(id), 0);
}

//! Queues, routes, and what moves along them.

use std::collections::{BTreeMap, VecDeque};

use vinci_abi::code::{Failure, INVALID_QUEUE_ID, Result};

use crate::invalid;

/// A queue of `T`, which travel whole.
struct Queue<T> {
    name: String,
    depth: usize,
    items: VecDeque<T>,
}

/// All queues of the process, and the routes between them.
pub struct State<T> {
    queues: BTreeMap<u32, Queue<T>>,
    /// Source and destination.
    routes: Vec<(u32, u32)>,
    last: u32,
}

/// What a second destination gets.
pub trait Share: Sized {
    /// Another reference to the same memory.
    fn share(&self) -> Result<Self>;
}

impl<T: Share> State<T> {
    pub const fn new() -> Self {
        Self { queues: BTreeMap::new(), routes: Vec::new(), last: 0 }
    }

    fn queue(&mut self, id: u32) -> Result<&mut Queue<T>> {
        let unknown = || Failure::new(INVALID_QUEUE_ID, format!("there is no queue {id}"));
        self.queues.get_mut(&id).ok_or_else(unknown)
    }

    /// Whether a queue is there.
    pub fn check(&mut self, id: u32) -> Result<()> {
        self.queue(id).map(drop)
    }

    /// Makes a queue; answers its number.
    pub fn create(&mut self, name: Option<String>, depth: usize) -> Result<u32> {
        let id = self.last + 1;
        let name = name.unwrap_or_else(|| format!("queue {id}"));
        if let Some((other, _)) = self.queues.iter().find(|(_, q)| q.name == name) {
            return Err(invalid(format!("queue {other} is called {name:?} already")));
        }
        self.queues.insert(id, Queue { name, depth, items: VecDeque::new() });
        self.last = id;
        Ok(id)
    }

    /// Ends a queue; answers what was in it.
    pub fn destroy(&mut self, id: u32) -> Result<VecDeque<T>> {
        self.queue(id)?;
        if let Some((from, to)) = self.routes.iter().find(|(from, to)| *from == id || *to == id) {
            return Err(invalid(format!("queue {id} is part of the route from {from} to {to}")));
        }
        Ok(self.queues.remove(&id).map(|q| q.items).unwrap_or_default())
    }

    /// Puts an item into a queue; `None` while that is full.
    pub fn push(&mut self, id: u32, item: &mut Option<T>) -> Option<Result<()>> {
        match self.queue(id) {
            Err(failure) => return Some(Err(failure)),
            Ok(queue) if queue.items.len() >= queue.depth => return None,
            Ok(queue) => queue.items.extend(item.take()),
        }
        Some(self.flow())
    }

    /// Takes the oldest item that `fits`; `None` while there is none.
    pub fn pop(&mut self, id: u32, fits: impl FnOnce(&T) -> Result<()>) -> Option<Result<T>> {
        let queue = match self.queue(id) {
            Ok(queue) => queue,
            Err(failure) => return Some(Err(failure)),
        };
        if let Err(failure) = fits(queue.items.front()?) {
            return Some(Err(failure));
        }
        let item = queue.items.pop_front()?;
        Some(self.flow().map(|()| item))
    }

    /// Moves what can move. Routes make no circle, so this ends.
    fn flow(&mut self) -> Result<()> {
        loop {
            let sources = self.routes.iter().map(|route| route.0);
            let ready = sources.into_iter().find(|source| {
                let waiting = self.queues.get(source).is_some_and(|q| !q.items.is_empty());
                waiting && self.destinations(*source).all(|to| to.items.len() < to.depth)
            });
            let Some(source) = ready else { return Ok(()) };
            let Some(item) = self.queue(source)?.items.pop_front() else { return Ok(()) };
            let to: Vec<u32> = self.routes.iter().filter(|r| r.0 == source).map(|r| r.1).collect();
            let (first, others) = to.split_first().expect("a source has a route");
            for other in others {
                let shared = item.share()?;
                self.queue(*other)?.items.push_back(shared);
            }
            self.queue(*first)?.items.push_back(item);
        }
    }

    fn destinations(&self, source: u32) -> impl Iterator<Item = &Queue<T>> {
        let routes = self.routes.iter().filter(move |route| route.0 == source);
        routes.filter_map(|route| self.queues.get(&route.1))
    }

    /// Binds all routes, or none.
    pub fn bind(&mut self, routes: &[(u32, u32)]) -> Result<()> {
        let before = self.routes.len();
        for &(from, to) in routes {
            let bound = self.queue(from).map(drop).and_then(|()| self.queue(to).map(drop)).and_then(|()| {
                if self.routes.contains(&(from, to)) {
                    return Err(invalid(format!("queue {from} is bound to {to} already")));
                }
                if self.reaches(to, from) {
                    return Err(invalid(format!("a route from {from} to {to} would close a circle")));
                }
                self.routes.push((from, to));
                Ok(())
            });
            if bound.is_err() {
                self.routes.truncate(before);
                return bound;
            }
        }
        self.flow()
    }

    fn reaches(&self, from: u32, to: u32) -> bool {
        from == to || self.routes.iter().any(|route| route.0 == from && self.reaches(route.1, to))
    }

    /// Undoes all routes, or none.
    pub fn unbind(&mut self, routes: &[(u32, u32)]) -> Result<()> {
        if let Some((from, to)) = routes.iter().find(|route| !self.routes.contains(route)) {
            return Err(invalid(format!("queue {from} is not bound to {to}")));
        }
        self.routes.retain(|route| !routes.contains(route));
        self.flow()
    }

    /// The bound routes.
    pub fn routes(&self) -> &[(u32, u32)] {
        &self.routes
    }
}

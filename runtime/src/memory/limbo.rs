//! Memory that was freed while streams may still use it: it waits here until they are past it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::stream::queue::Queue;

/// Points in queues that must be passed.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<(Arc<Queue>, u64)>);

impl Marks {
    /// The end of what each of `queues` has been given and not finished.
    pub(crate) fn of<'a>(queues: impl Iterator<Item = &'a Arc<Queue>>) -> Marks {
        Marks(
            queues
                .filter_map(|queue| {
                    let tail = queue.submitted();
                    (!queue.is_past(tail)).then(|| (queue.clone(), tail))
                })
                .collect(),
        )
    }

    /// True if nothing has to be waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True once all are passed.
    pub(crate) fn passed(&mut self) -> bool {
        self.0.retain(|(queue, tail)| !queue.is_past(*tail));
        self.0.is_empty()
    }

    /// Waits until all are passed or `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) {
        for (queue, tail) in &self.0 {
            let left = deadline.saturating_duration_since(Instant::now());
            // A queue that faulted or was destroyed runs nothing more: as good as passed.
            let _ = queue.wait(*tail, Some(left), "free");
        }
    }
}

/// Garbage of type `T`, each piece with the marks it waits for.
#[derive(Debug)]
pub(crate) struct Limbo<T> {
    pieces: Mutex<VecDeque<(Marks, T)>>,
    len: AtomicUsize,
}

impl<T> Limbo<T> {
    pub(crate) fn new() -> Self {
        Self { pieces: Mutex::new(VecDeque::new()), len: AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, marks: Marks, piece: T) {
        let mut pieces = self.pieces.lock();
        pieces.push_back((marks, piece));
        self.len.store(pieces.len(), Ordering::Relaxed);
    }

    /// Takes out what may go now. Looks at the oldest few only, unless `all`.
    pub(crate) fn reap(&self, all: bool) -> Vec<T> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut pieces = self.pieces.lock();
        let look = if all { usize::MAX } else { 16 };
        let mut done = Vec::new();
        let mut at = 0;
        for _ in 0..look.min(pieces.len()) {
            if pieces[at].0.passed() {
                done.extend(pieces.remove(at).map(|(_, piece)| piece));
            } else {
                at += 1;
            }
        }
        self.len.store(pieces.len(), Ordering::Relaxed);
        done
    }

    /// Waits up to `limit` for all that is in it now, then takes out what may go.
    pub(crate) fn drain(&self, limit: Duration) -> Vec<T> {
        let deadline = Instant::now() + limit;
        let waits: Vec<Marks> = {
            let pieces = self.pieces.lock();
            pieces.iter().map(|(marks, _)| Marks(marks.0.clone())).collect()
        };
        for marks in waits {
            marks.wait(deadline);
        }
        self.reap(true)
    }
}

//! Routes, lists of them, and questions about them.

use std::sync::Arc;

use parking_lot::Mutex;
use vinci_abi::abi::{Address, Handle, Out, call_or};
use vinci_abi::code::Result;
use vinci_abi::handle::{Kind, Table};

use crate::queue::STATE;
use crate::{invalid, named, read, write};

const UNBOUND: i32 = 0;
const BOUND: i32 = 1;

const BY_SOURCE: i32 = 0;
const BY_DESTINATION: i32 = 1;
const BY_BOTH: i32 = 2;
const ABNORMAL: i32 = 100;

#[derive(Clone, Copy)]
struct Route {
    from: u32,
    to: u32,
    status: i32,
}

#[derive(Default, Clone, Copy)]
struct Query {
    mode: Option<i32>,
    from: Option<u32>,
    to: Option<u32>,
}

static ROUTES: Table<Arc<Mutex<Route>>> = Table::new(Kind::QueueRoute);
/// A list holds copies of routes.
static LISTS: Table<Arc<Mutex<Vec<Route>>>> = Table::new(Kind::QueueRouteList);
static QUERIES: Table<Arc<Mutex<Query>>> = Table::new(Kind::QueueRouteQuery);

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateQueueRoute(from: u32, to: u32) -> Handle {
    call_or("acltdtCreateQueueRoute", 0, || {
        ROUTES.insert(Arc::new(Mutex::new(Route { from, to, status: UNBOUND })))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateQueueRouteList() -> Handle {
    call_or("acltdtCreateQueueRouteList", 0, || LISTS.insert(Arc::default()))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtCreateQueueRouteQueryInfo() -> Handle {
    call_or("acltdtCreateQueueRouteQueryInfo", 0, || QUERIES.insert(Arc::default()))
}

#[unsafe(no_mangle)]
pub extern "C" fn acltdtGetQueueRouteNum(list: Handle) -> usize {
    call_or("acltdtGetQueueRouteNum", 0, || Ok(named(&LISTS, list)?.lock().len()))
}

/// Binds or unbinds a list's routes.
fn change(list: Handle, status: i32) -> Result<()> {
    let list = named(&LISTS, list)?;
    let mut list = list.lock();
    if list.is_empty() {
        return Err(invalid("the list has no routes"));
    }
    let ends: Vec<_> = list.iter().map(|route| (route.from, route.to)).collect();
    STATE.change(|state| if status == BOUND { state.bind(&ends) } else { state.unbind(&ends) })?;
    list.iter_mut().for_each(|route| route.status = status);
    Ok(())
}

impl Query {
    fn wants(&self, route: (u32, u32)) -> Result<bool> {
        let need = |id: Option<u32>, what| id.ok_or_else(|| invalid(format!("the question names no {what}")));
        Ok(match self.mode {
            Some(BY_SOURCE) => need(self.from, "source")? == route.0,
            Some(BY_DESTINATION) => need(self.to, "destination")? == route.1,
            Some(BY_BOTH) => (need(self.from, "source")?, need(self.to, "destination")?) == route,
            // A route that was bound works.
            Some(ABNORMAL) => false,
            _ => return Err(invalid("the question has no mode")),
        })
    }
}

entry! {
    fn acltdtDestroyQueueRoute(route: Handle) {
        named(&ROUTES, route)?;
        ROUTES.remove(route).map(drop)
    }

    fn acltdtGetQueueRouteParam(route: Handle, what: i32, len: usize, size: Out<usize>, param: Address) {
        let route = named(&ROUTES, route)?;
        let (size, route) = (size.need("paramRetSize")?, *route.lock());
        match what {
            0 => write(len, param, "param", route.from)?,
            1 => write(len, param, "param", route.to)?,
            2 => write(len, param, "param", route.status)?,
            _ => return Err(invalid(format!("a route has no parameter {what}"))),
        }
        size.put(size_of::<u32>());
        Ok(())
    }

    fn acltdtDestroyQueueRouteList(list: Handle) {
        named(&LISTS, list)?;
        LISTS.remove(list).map(drop)
    }

    fn acltdtAddQueueRoute(list: Handle, route: Handle) {
        let route = *named(&ROUTES, route)?.lock();
        named(&LISTS, list)?.lock().push(route);
        Ok(())
    }

    fn acltdtGetQueueRoute(list: Handle, index: usize, route: Handle) {
        let (list, route) = (named(&LISTS, list)?, named(&ROUTES, route)?);
        let list = list.lock();
        let found = list.get(index).ok_or_else(|| invalid(format!("route {index} of {}", list.len())))?;
        *route.lock() = *found;
        Ok(())
    }

    fn acltdtBindQueueRoutes(list: Handle) {
        change(list, BOUND)
    }

    fn acltdtUnbindQueueRoutes(list: Handle) {
        change(list, UNBOUND)
    }

    fn acltdtDestroyQueueRouteQueryInfo(query: Handle) {
        named(&QUERIES, query)?;
        QUERIES.remove(query).map(drop)
    }

    fn acltdtSetQueueRouteQueryInfo(query: Handle, what: i32, len: usize, value: Address) {
        let query = named(&QUERIES, query)?;
        let mut query = query.lock();
        match what {
            0 => {
                let mode = read(len, value, "value")?;
                if ![BY_SOURCE, BY_DESTINATION, BY_BOTH, ABNORMAL].contains(&mode) {
                    return Err(invalid(format!("there is no mode {mode}")));
                }
                query.mode = Some(mode);
            }
            1 => query.from = Some(read(len, value, "value")?),
            2 => query.to = Some(read(len, value, "value")?),
            _ => return Err(invalid(format!("a question has no parameter {what}"))),
        }
        Ok(())
    }

    fn acltdtQueryQueueRoutes(query: Handle, list: Handle) {
        let (query, list) = (*named(&QUERIES, query)?.lock(), named(&LISTS, list)?);
        let mut list = list.lock();
        if !list.is_empty() {
            return Err(invalid(format!("the list has {} routes already", list.len())));
        }
        let bound = STATE.lock().routes().to_vec();
        query.wants((0, 0))?;
        for (from, to) in bound {
            if query.wants((from, to))? {
                list.push(Route { from, to, status: BOUND });
            }
        }
        Ok(())
    }
}

//! `libacl_tdt_channel.so`: channels that carry datasets of tensors from a program's reader threads to where they
//! are used.
//!
//! A channel is a bounded queue in this process. An item refers to the program's memory; what is sent is a copy.
#![allow(non_snake_case)]

#[macro_use]
extern crate vinci_abi;

mod channel;
mod dataset;
#[cfg(test)]
mod tests;
